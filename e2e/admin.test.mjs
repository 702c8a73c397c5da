// An admin finds the agency whose usage changed most and adjusts its credits; above
// the limit a second admin approves. With script and without, wide and on a phone.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { before, test } from "node:test";
import { both, full, number, open, signIn, startDemo } from "./harness.mjs";
import { axeViolations, measure } from "./measures.mjs";

const shots = process.env.E2E_SHOTS;

let demo;
let robin; // the first admin's browser, signed in
let sam; // the second's

before(async () => {
  demo = await startDemo();
  if (shots) mkdirSync(shots, { recursive: true });
  const first = await signIn(await open(demo), demo.ready.admin);
  robin = await first.context.storageState();
  await first.close();
  const { page, context, close } = await open(demo);
  await page.goto(`${demo.base}/sign-in`);
  await page.getByLabel("E-mail").fill("sam@refill.example");
  await page.getByLabel("Password").fill(demo.ready.admin.password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("heading", { name: "Fleet" }).waitFor();
  sam = await context.storageState();
  await close();
});

// look holds what a window shows to accessibility and size, in both themes.
async function look(page, name) {
  const wrong = [];
  for (const theme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
    const found = await axeViolations(page);
    wrong.push(...found.violations, ...found.incomplete);
    if (shots) await page.screenshot({ path: path.join(shots, `${name}-${page.viewportSize().width}-${theme}.png`), fullPage: true });
  }
  wrong.push(...(await measure(page)).wrong);
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "reduce" });
  assert.deepEqual([...new Set(wrong)], [], `${name} at ${page.viewportSize().width}`);
}

const flash = (page) => page.locator(".flash");

for (const width of [1280, 360]) {
  for (const { script, words } of both) {
    test(`the agency that changed most is found and adjusted, at ${width} ${words}`, async () => {
      const window = await open(demo, { script, state: robin, width });
      const { page, seen } = window;
      const measured = script && full ? look : async () => {}; // the measures are scripts; the quick run leaves them to the bars
      await page.goto(`${demo.base}/admin`);
      await measured(page, "fleet");
      const rows = page.locator("#movers").locator("xpath=..").locator("tbody tr");
      const changes = (await rows.locator("td:nth-child(2) b").allTextContents()).map((t) => Math.abs(number(t)));
      assert.ok(changes.length > 1, "some agencies used more or less than the week before");
      assert.deepEqual(changes, changes.toSorted((a, b) => b - a), "the biggest change first");
      const [now, then] = (await rows.first().locator("td").allTextContents()).slice(1).map(number);
      assert.ok(Math.abs(Math.abs(now - then) - changes[0]) < 0.01, "the change is that of the two weeks");
      const name = await rows.first().locator("th a").textContent();
      await rows.first().locator("th a").click();
      await page.getByRole("heading", { name, level: 1 }).waitFor();
      await measured(page, "agency");
      const agency = page.url();
      const id = await page.locator("#terms").locator("xpath=..").locator("dd.ref").first().textContent();
      const balance = () => demo.balance(encodeURIComponent(`agency:${id}`));
      const had = await balance();

      // What is wrong is said at the field and what was typed stays.
      seen.expect(422);
      await page.getByRole("link", { name: "Adjust credits" }).click();
      await measured(page, "adjust");
      await page.getByLabel("How many credits?").fill("1,000");
      await page.getByRole("button", { name: "Adjust credits" }).click();
      await page.locator("#reason-error").waitFor();
      assert.equal(await page.getByLabel("How many credits?").inputValue(), "1,000");
      await measured(page, "adjust-wrong");
      assert.equal(await balance(), had);

      // Before and after are shown, and one form gives once however often it is sent.
      await page.getByRole("textbox", { name: "Reason" }).fill("Outage last week");
      await page.getByRole("button", { name: "Update" }).click();
      await page.getByRole("button", { name: "Adjust credits" }).waitFor();
      const after = page.locator("main table td").last();
      assert.ok(Math.abs(number(await after.textContent()) - (had + 1000)) < 0.01);
      assert.equal(await page.getByRole("textbox", { name: "Reason" }).inputValue(), "Outage last week");
      await page.getByRole("button", { name: "Adjust credits" }).dblclick();
      await flash(page).getByText(`1,000 credits given to ${name}.`).waitFor();
      assert.ok(Math.abs((await balance()) - (had + 1000)) < 0.01);
      await measured(page, "agency-adjusted");

      // Above the limit nothing moves before somebody else has approved it.
      await page.getByRole("link", { name: "Adjust credits" }).click();
      await page.getByLabel("How many credits?").fill("60000");
      await page.getByRole("textbox", { name: "Reason" }).fill(`Migration ${width} ${words}`);
      await page.getByLabel("Show the reason to the agency").check();
      await page.getByRole("button", { name: "Adjust credits" }).click();
      await flash(page).getByText("Nothing has moved yet").waitFor();
      assert.ok(Math.abs((await balance()) - (had + 1000)) < 0.01);
      await flash(page).getByRole("link", { name: "See adjustments" }).click();
      await page.getByRole("row", { name: `Migration ${width} ${words}` }).getByRole("link").click();
      await page.getByText("You asked for this. Another admin decides it.").waitFor();
      assert.equal(await page.getByRole("button", { name: "Approve" }).count(), 0);
      const request = page.url();
      await measured(page, "approval-own");
      seen.clean();
      await window.close();

      const other = await open(demo, { script, state: sam, width });
      await other.page.goto(`${demo.base}/admin`);
      await other.page.getByRole("link", { name: /for a second person/ }).click();
      await measured(other.page, "adjustments");
      await other.page.getByRole("row", { name: `Migration ${width} ${words}` }).getByRole("link").click();
      assert.equal(other.page.url(), request);
      await measured(other.page, "approval");
      await other.page.getByRole("button", { name: "Approve" }).dblclick();
      await flash(other.page).getByText("approved and booked").waitFor();
      assert.ok(Math.abs((await balance()) - (had + 61_000)) < 0.01);

      // All of it is in the audit log, with who and why.
      await other.page.goto(`${demo.base}/admin/audit?agency=${id}`);
      const log = await other.page.locator("main table").textContent();
      for (const part of ["Adjustment approved", "sam@refill.example", "Adjustment asked for", "admin@refill.example", `Migration ${width} ${words}`, "Outage last week"]) {
        assert.ok(log.includes(part), part);
      }
      await measured(other.page, "audit");

      // Paused and resumed, which the page says in words.
      await other.page.goto(agency);
      await other.page.getByRole("link", { name: "Pause", exact: true }).click();
      await other.page.getByText(/^Pauses AI for 1 agency and \d+ sub-accounts?\.$/).waitFor();
      await measured(other.page, "pause");
      await other.page.getByLabel("Reason").fill("Chargebacks");
      await other.page.getByRole("button", { name: `Pause ${name}` }).click();
      await flash(other.page).getByText(`${name} is paused.`).waitFor();
      await demo.api("POST", "/v1/charges", { wallet: `agency:${id}`, action: "ai.reply", model: "gpt-4" }, { expect: 403 });
      await other.page.goto(`${demo.base}/admin/agencies?only=suspended`);
      await other.page.getByRole("link", { name, exact: true }).click();
      await measured(other.page, "agency-paused");
      await other.page.getByRole("link", { name: "Resume", exact: true }).click();
      await other.page.getByRole("button", { name: `Resume ${name}` }).click();
      await flash(other.page).getByText(`${name} is running again.`).waitFor();
      await demo.charge({ wallet: `agency:${id}`, action: "ai.reply", model: "gpt-4" });
      other.seen.clean();
      await other.close();
    });
  }
}
