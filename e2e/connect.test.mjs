// An agency without Stripe connects an account: it goes to Stripe's pages and comes
// back, finished or not; Stripe pauses it; it leaves, and connects again.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { before, test } from "node:test";
import { full, open, startDemo } from "./harness.mjs";
import { axeViolations, measure } from "./measures.mjs";

const shots = process.env.E2E_SHOTS;

let demo;
let state; // of the owner's browser

before(async () => {
  demo = await startDemo();
  if (shots) mkdirSync(shots, { recursive: true });
  const { context, page, close } = await open(demo);
  await page.goto(`${demo.base}/sign-in`);
  await page.getByLabel("E-mail").fill("owner@bluebird.example");
  await page.getByLabel("Password").fill(demo.ready.agency.password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  state = await context.storageState();
  await close();
});

// look holds what a window shows to accessibility and size.
async function look(page, name) {
  if (shots) await page.screenshot({ path: path.join(shots, `${name}-${page.viewportSize().width}.png`), fullPage: true });
  if (!full) return; // the quick run leaves it to the bars
  const found = await axeViolations(page);
  assert.deepEqual([...found.violations, ...found.incomplete, ...(await measure(page)).wrong], [], name);
}

const heading = (page, name) => page.getByRole("heading", { name, level: 1 }).waitFor();
const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
const account = async (page) => (await page.locator("dl.facts .ref").textContent()).trim();
const status = (page, text) => page.getByRole("status").getByText(text).waitFor();

test("an owner connects Stripe, with script", async () => {
  const { page, seen, close } = await open(demo, { state });
  await page.goto(`${demo.base}/packages/connect`);
  await heading(page, "Connect Stripe to start selling");
  await look(page, "connect");
  await press(page, "Connect Stripe");
  await page.waitForURL(`${demo.stripe}/c/onboarding/**`);
  assert.equal(await page.getByLabel("Business name").inputValue(), "Bluebird Studio");
  await look(page, "connect-onboarding");

  // Coming back is no proof.
  const link = page.url();
  await press(page, "Come back later");
  await page.waitForURL(`${demo.base}/packages/connect/return`);
  await heading(page, "Finish setting up Stripe");
  await status(page, "You are back from Stripe, and it is not finished yet.");
  await page.getByRole("listitem").getByText("A bank account for payouts").waitFor();
  const opened = await account(page);
  await look(page, "connect-started");

  await press(page, "Continue at Stripe");
  await page.getByLabel("Business name").fill("Bluebird Club");
  await press(page, "Finish set-up");
  await page.waitForURL(`${demo.base}/packages/connect/return`);
  await status(page, "Stripe is connected.");
  await heading(page, "You can take payments");
  assert.equal(await account(page), opened, "one account");
  const words = await page.locator("main").innerText();
  for (const part of ["Bluebird Club", "BLUEBIRD CLUB"]) assert.ok(words.includes(part), `${part} in ${words}`);
  await page.getByRole("link", { name: "Open your Stripe dashboard" }).click();
  await page.waitForURL(`${demo.stripe}/dashboard/${opened}`);
  await look(page, "connect-dashboard");

  // A link that was used leads back, and opens nothing.
  await page.goto(link);
  await press(page, "Finish set-up"); // it was only put off, so it still works
  await page.goto(link);
  await page.waitForURL(`${demo.base}/packages/connect?again=1`);
  await status(page, "That link to Stripe had been used or was too old.");

  await demo.sim(`accounts/${opened}`, { charges_enabled: "false", disabled_reason: "under_review" });
  await page.goto(`${demo.base}/packages/connect`);
  await heading(page, "Stripe has paused your payments");
  await page.getByText("Stripe is reviewing the account.").waitFor();
  await demo.sim(`accounts/${opened}`, { charges_enabled: "true" });
  await page.reload();
  await heading(page, "You can take payments");
  seen.clean();
  await close();
});

test("an owner who left connects again, on a phone without script", async () => {
  const { page, seen, close } = await open(demo, { state, script: false, width: 360 });
  await page.goto(`${demo.base}/packages/connect`);
  const before = await account(page);
  await demo.sim(`accounts/${before}/deauthorize`, {});
  await page.reload();
  await heading(page, "Stripe is disconnected");
  await page.getByText("Credits they bought stay theirs.").waitFor();
  if (shots) await page.screenshot({ path: path.join(shots, "connect-ended-360.png"), fullPage: true });
  await press(page, "Connect Stripe again");
  await page.waitForURL(`${demo.stripe}/c/onboarding/**`);
  await press(page, "Send without an identity document");
  await page.waitForURL(`${demo.base}/packages/connect/return`);
  await heading(page, "Stripe needs something more");
  if (shots) await page.screenshot({ path: path.join(shots, "connect-lacking-360.png"), fullPage: true });
  await page.getByRole("listitem").getByText("A document that proves the identity").waitFor();
  await press(page, "Continue at Stripe");
  await press(page, "Finish set-up");
  await status(page, "Stripe is connected.");
  assert.notEqual(await account(page), before, "another account in place of the one that is gone");

  // Stripe does not answer: the page stands, and nothing is opened.
  await demo.sim("faults", { path: "/v1/accounts/*", fault: "500", count: 20 });
  await page.goto(`${demo.base}/packages/connect`);
  await status(page, "Stripe does not answer right now. This is what it said last.");
  await heading(page, "You can take payments");
  await demo.sim("faults", { path: "/v1/accounts/*", fault: "500", count: 0 });
  seen.clean();
  await close();
});
