// A plan's life in a browser: an owner takes it and pays, a month passes and the
// credits are new, the card declines, everything goes on for its grace, the owner
// pays with another card, changes the plan, cancels it and keeps it.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { open, signIn, startDemo } from "./harness.mjs";

const month = { advance: "746h" }; // a little more than the longest one
let demo;

before(async () => { demo = await startDemo(); });

const text = async (locator) => (await locator.innerText()).replace(/\s+/g, " ").trim();
const plan = async () => Number((await demo.api("GET", `/v1/wallets/${demo.ready.agency.wallet}`)).balance.plan);

test("a plan is taken, renews, is behind, is paid, changes and ends", async () => {
  const window = await signIn(await open(demo), demo.ready.agency);
  const { page, seen } = window;
  const main = page.locator("main");
  const look = async () => { await page.goto(`${demo.base}/plan`); return text(main); };
  const saveCard = async (number) => {
    await page.goto(`${demo.base}/plan`);
    await page.getByRole("button", { name: "Cards and invoices" }).click();
    await page.waitForURL(`${demo.stripe}/p/session/**`);
    await page.getByLabel("Card number").fill(number);
    await page.getByRole("button", { name: "Save this card" }).click();
    await page.getByText(`Card ending in ${number.slice(-4)}.`).waitFor();
    await page.getByRole("link", { name: /^Go back to/ }).click();
    await page.waitForURL(`${demo.base}/plan`);
  };

  await page.goto(`${demo.base}/plan/choose`);
  await page.getByRole("link", { name: "Choose Agency" }).click();
  assert.match(await text(main), /\$297\.00 a month, charged now and then every month until you cancel/);
  await page.getByRole("button", { name: "Continue to payment — $297.00" }).click();
  await page.waitForURL(`${demo.stripe}/c/pay/**`);
  await page.getByRole("button", { name: "Subscribe for $297.00 a month" }).click();
  await page.waitForURL(`${demo.base}/plan`);
  assert.match(await text(page.locator(".flash")), /You are on Agency\. 25,000 credits added/);
  assert.equal(await plan(), 25_000, "what ran before has ended");

  // A month on the credits are new, whatever was used.
  await demo.charge({ wallet: demo.ready.agency.wallet, action: "ai.reply", model: "gpt-4" });
  assert.equal(await plan(), 24_975);
  await demo.clock(month);
  assert.equal(await plan(), 25_000);
  assert.match(await look(), /Active.*Plan credits left 25,000.*Next reset in \d+ days/);

  // The card is declined: it says so, and everything goes on.
  await saveCard("4000000000000341");
  await demo.clock(month);
  assert.match(await look(), /Past due\. The last payment did not go through\. Everything works until/);
  assert.equal(await plan(), 25_000);
  await page.getByRole("button", { name: "Pay $297.00 now" }).click();
  assert.match(await text(page.locator(".flash")), /The card was declined\..*Nothing was changed\./);
  await saveCard("4242424242424242");
  await page.getByRole("button", { name: "Pay $297.00 now" }).click();
  assert.match(await text(page.locator(".flash")), /Paid\. Your plan goes on\./);
  assert.match(await text(main), /Active/);
  assert.equal(await plan(), 25_000);

  // Dearer at once, for the difference.
  await page.goto(`${demo.base}/plan/choose`);
  await page.getByRole("link", { name: "Choose Full SaaS Mode" }).click();
  assert.match(await text(main), /is charged now: the difference for the rest of the paid period\. 75,000 credits are added now/);
  await page.getByRole("button", { name: /^Change now — \$/ }).click();
  assert.match(await text(page.locator(".flash")), /You are on Full SaaS Mode from now on\./);
  assert.equal(await plan(), 100_000);

  // Cheaper with the next period, and taken back.
  await page.goto(`${demo.base}/plan/choose`);
  await page.getByRole("link", { name: "Choose Starter" }).click();
  await page.getByRole("button", { name: /^Change on / }).click();
  assert.match(await text(main), /Starter follows on/);
  await page.goto(`${demo.base}/plan/choose`);
  await page.getByRole("link", { name: "Stay on Full SaaS Mode" }).click();
  await page.getByRole("button", { name: "Stay on Full SaaS Mode" }).click();
  assert.match(await text(page.locator(".flash")), /You stay on Full SaaS Mode\./);

  // Cancelled, and kept.
  await page.getByRole("link", { name: "Cancel the plan" }).click();
  await page.getByRole("button", { name: "Cancel the plan" }).click();
  assert.match(await text(main), /Cancelled.*It runs until .* and is not charged again/);
  await page.getByRole("button", { name: "Keep the plan" }).click();
  assert.match(await text(main), /Active/);
  assert.equal(await plan(), 100_000);

  // The admin sees how it stands at Stripe.
  const admin = await signIn(await open(demo), demo.ready.admin);
  await admin.page.goto(`${demo.base}/admin/agencies/${demo.ready.agency.id}`);
  assert.match(await text(admin.page.locator("main")), /Payment Active Stripe says active, paid until/);
  admin.seen.clean();
  await admin.close();
  seen.clean();
  await window.close();
});
