// An agency's clients: one is added, given credits and relieved of them again, with
// script and without, on a wide screen and on a phone.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { before, test } from "node:test";
import { both, full, group, number, open, signIn, startDemo, until } from "./harness.mjs";
import { axeViolations, measure } from "./measures.mjs";

const shots = process.env.E2E_SHOTS;

let demo;
let state; // of a browser that is signed in

before(async () => {
  demo = await startDemo();
  if (shots) mkdirSync(shots, { recursive: true });
  const window = await signIn(await open(demo), demo.ready.agency);
  state = await window.context.storageState();
  await window.close();
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

const message = (page) => page.locator(".flash");
const after = (page, who) => page.locator(".sides tr", { hasText: who }).locator("td").last();

for (const width of [1280, 360]) {
  for (const { script, words } of both) {
    test(`a client is added, given credits and relieved of them, at ${width} ${words}`, async () => {
      const window = await open(demo, { script, state, width });
      const { page, seen } = window;
      const measured = script && full ? look : async () => {}; // the measures are scripts; the quick run leaves them to the bars
      const name = `Harbour ${width} ${words}`;
      await page.goto(demo.base);
      if (width < 896) await page.getByRole("button", { name: "More" }).click();
      await page.locator("#nav").getByRole("link", { name: "Sub-accounts" }).click();
      await page.getByRole("heading", { name: "Sub-accounts", level: 1 }).waitFor();
      await measured(page, "sub-accounts");
      await page.getByRole("link", { name: "Add sub-account" }).click();
      await measured(page, "sub-account-new");

      // What is wrong is said at the field, and what was typed stays.
      seen.expect(422);
      await page.getByLabel("Name").fill(name);
      await page.getByLabel("Time zone").fill("Moon/Base");
      await page.getByRole("button", { name: "Add sub-account" }).click();
      await page.locator("#time_zone-error").waitFor();
      assert.equal(await page.getByLabel("Name").inputValue(), name);
      await measured(page, "sub-account-new-wrong");
      await page.getByLabel("Time zone").fill("Europe/Paris");
      await page.getByRole("button", { name: "Add sub-account" }).click();
      await message(page).getByText(`${name} added.`).waitFor();
      const client = page.url();
      await measured(page, "sub-account-empty");

      // Assigned once, however often the button is pressed.
      await message(page).getByRole("link", { name: "Assign credits" }).click();
      const had = await demo.balance();
      await measured(page, "assign-empty");
      await page.locator(".quick").getByRole("link", { name: "1,000", exact: true }).click();
      if (script) await page.getByLabel("How many").press("Tab");
      await until("the sums follow", async () => (await after(page, "You").textContent()).includes(group(had - 1000)));
      assert.equal(number(await after(page, name).textContent()), 1000);
      await page.getByLabel("Note").fill("Welcome credits");
      await measured(page, "assign");
      await page.getByRole("button", { name: script ? "Assign 1,000 credits" : "Assign credits" }).dblclick();
      await message(page).getByText(`1,000 credits assigned to ${name}.`).waitFor();
      assert.equal(await demo.balance(), had - 1000);
      await measured(page, "sub-account");
      await page.goto(`${demo.base}/history?type=assigned`);
      assert.match(await page.locator("table.lines tbody tr").first().textContent(), new RegExp(`Welcome credits.*${name}.*−1,000`, "s"));

      // More than there is: said with the most there is, and nothing is booked.
      seen.expect(402);
      await page.goto(`${client}/assign`);
      await page.getByLabel("How many").fill("900000000");
      await page.getByRole("button", { name: /^Assign .*credits$/ }).click();
      await page.getByRole("button", { name: `Assign ${group(had - 1000)}`, exact: true }).waitFor();
      await measured(page, "assign-short");
      assert.equal(await demo.balance(), had - 1000);

      // Taken back.
      await page.goto(client);
      await page.getByRole("link", { name: "Take back" }).click();
      await page.getByLabel("How many").fill("1000");
      await page.getByRole("button", { name: "Update" }).click();
      await until("the sums follow", async () => (await after(page, "You").textContent()).includes(group(had)));
      await measured(page, "take-back");
      await page.getByRole("button", { name: /^Take back/ }).last().click();
      await message(page).getByText(`1,000 credits taken back from ${name}.`).waitFor();
      assert.equal(await demo.balance(), had);

      // From the shared pool instead.
      await page.getByRole("link", { name: "Edit", exact: true }).click();
      await measured(page, "sub-account-edit");
      await page.getByLabel(/Shared pool/).check();
      await page.getByLabel("Limit on your credits").fill("5,000");
      await page.getByRole("button", { name: "Save changes" }).click();
      await page.getByText(`Draws from your ${group(had)}. Used 0 this cycle. Cap 5,000 per cycle: 5,000 left.`).waitFor();
      await measured(page, "sub-account-pooled");
      seen.clean();
      await window.close();
    });
  }
}
