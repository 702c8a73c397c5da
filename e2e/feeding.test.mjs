// An agency feeds its clients by rule: many at once, seen before it is booked and
// undone by one button, and every month by the clock.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { both, group, open, signIn, startDemo } from "./harness.mjs";

let demo;
let state; // of a browser that is signed in

before(async () => {
  demo = await startDemo();
  const window = await signIn(await open(demo), demo.ready.agency);
  state = await window.context.storageState();
  await window.close();
});

const message = (page) => page.locator(".flash");

for (const { script, words } of both) {
  test(`credits go to many clients at once and come back, ${words}`, async () => {
    const window = await open(demo, { script, state });
    const { page, seen } = window;
    const had = await demo.balance();
    await page.goto(`${demo.base}/sub-accounts`);
    await page.getByRole("link", { name: "Assign to many" }).click();
    await page.getByLabel("The same to each").check();
    await page.getByRole("textbox", { name: "Number of credits" }).fill("10");
    await page.getByRole("button", { name: "Show what it does" }).click();
    const all = page.getByRole("button", { name: /^Assign \d+ credits to \d+ clients$/ });
    await all.waitFor();
    const [, total] = /^Assign (\d+) credits/.exec((await all.textContent()).trim());
    assert.equal(await demo.balance(), had, "looking books nothing");
    assert.match(await page.getByRole("main").textContent(), new RegExp(`Leaves you ${group(had - total)}\\.`));
    await all.click();
    await message(page).getByText(`${total} credits assigned to`).waitFor();
    assert.equal(await demo.balance(), had - total);
    await page.getByRole("button", { name: `Take back ${total}` }).click();
    await message(page).getByText(`${total} credits taken back.`).waitFor();
    assert.equal(await demo.balance(), had);
    seen.clean();
    await window.close();
  });

  test(`a client gets credits every month until that is stopped, ${words}`, async () => {
    const window = await open(demo, { script, state });
    const { page, seen } = window;
    await page.goto(`${demo.base}/sub-accounts/${demo.ready.client.id}`);
    await page.getByRole("link", { name: "Set monthly amount" }).click();
    await page.getByLabel("How many credits every month?").fill("7");
    await page.getByLabel("On which day?").selectOption("1");
    await page.getByLabel("Return to you").check();
    await page.getByRole("button", { name: "Save" }).click();
    await message(page).getByText("gets 7 credits every month.").waitFor();
    await page.getByText("7 credits every month on the 1st; what is unused returns to you first.").waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await message(page).getByText("Stopped.").waitFor();
    seen.clean();
    await window.close();
  });
}

test("sums follow what is typed, and a slow click straight from the amount assigns", async () => {
  const window = await open(demo, { state });
  const { page, seen } = window;
  const had = await demo.balance();
  await page.goto(`${demo.base}/sub-accounts/${demo.ready.client.id}/assign`);
  await page.getByLabel("Note").fill("For March");
  // What is answered between pressing and letting go would move the button away.
  let answer;
  const held = new Promise((resolve) => { answer = resolve; });
  await page.route("**/assign", async (route) => {
    if (route.request().postData()?.includes("preview=1")) await held;
    await route.continue();
  });
  const answered = page.waitForResponse((response) => response.request().postData()?.includes("preview=1"));
  await page.getByLabel("How many").fill("25");
  await page.getByRole("button", { name: "Assign 25 credits" }).hover();
  await page.mouse.down();
  answer();
  await (await answered).finished();
  await page.evaluate(() => new Promise((drawn) => { requestAnimationFrame(() => requestAnimationFrame(drawn)); }));
  await page.mouse.up();
  await message(page).getByText("25 credits assigned to Acme Dental.").waitFor();
  assert.equal(await demo.balance(), had - 25);
  await page.unroute("**/assign");
  await page.goto(`${demo.base}/sub-accounts/${demo.ready.client.id}/assign`);
  await page.getByLabel("How many").fill("30");
  await page.getByRole("cell", { name: group(had - 55), exact: true }).waitFor();
  await page.getByLabel("How many").fill("many");
  await page.getByRole("cell", { name: group(had - 55), exact: true }).waitFor({ state: "detached" });
  assert.equal(await page.getByLabel("How many").inputValue(), "many");
  seen.clean();
  await window.close();
});
