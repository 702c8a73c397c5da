// Credits by quantity, and usage below zero that the next purchase pays off:
// 1,000 − 223 = 777, before paying, after it, and in the ledger.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { both, number, numbers, open, signIn, startDemo } from "./harness.mjs";
import { axeViolations, measure } from "./measures.mjs";

let demo;
let state;
const wallet = () => demo.ready.agency.wallet;

before(async () => {
  demo = await startDemo({ preset: "tawk" });
  const window = await signIn(await open(demo), demo.ready.agency);
  state = await window.context.storageState();
  await window.close();
});

const review = (page) => page.locator("section.review:visible");

// below spends until the wallet is so far below zero.
async function below(excess) {
  for (let left = (await demo.balance()) + excess; left > 0; left = (await demo.balance()) + excess) {
    const batch = Array.from({ length: Math.min(1000, left) }, (_, i) => ({ wallet: wallet(), action: "ai.message", idempotency_key: `below-${process.hrtime.bigint()}-${i}` }));
    const { data } = await demo.api("POST", "/v1/charges/batch", { charges: batch });
    for (const one of data) assert.ok(one.status < 300, JSON.stringify(one));
  }
  assert.equal(await demo.balance(), -excess);
}

for (const { script, words } of both) {
  test(`1,000 − 223 = 777, shown before paying and true after, ${words}`, async () => {
    await below(223);
    const window = await open(demo, { script, state });
    const { page, seen } = window;
    await page.goto(demo.base);
    assert.equal(await page.locator("[data-balance]").textContent(), "−223");
    await page.locator(".notice").getByRole("link", { name: "Buy credits" }).click(); // one click from the banner to the review
    await page.waitForURL(`${demo.base}/buy`);
    assert.match(await page.locator("main").textContent(), /You have used 223 credits more than you had/);
    const quantity = page.getByLabel("How many credits?");
    await quantity.fill("1000");
    if (!script) await page.getByRole("button", { name: "Update" }).click();
    const result = review(page).locator("[data-out=result]").filter({ hasText: "1,000 − 223 = 777" });
    await result.waitFor();
    assert.match(await review(page).textContent(), /Excess usage paid off\s*223/);
    assert.match(await review(page).textContent(), /\$30\.00/);
    for (const width of [1280, 360]) {
      await page.setViewportSize({ width, height: 4000 });
      assert.deepEqual((await measure(page)).wrong, []);
      if (script) assert.deepEqual((await axeViolations(page)).violations, []); // axe is script
    }
    await review(page).getByRole("button", { name: /^(Continue to payment|Buy again)/ }).click();
    await page.waitForURL(`${demo.stripe}/c/pay/**`);
    assert.match(await page.locator(".amount").textContent(), /\$30\.00/);
    await page.getByLabel(/PayPal/).check();
    await page.getByRole("button", { name: /^Pay / }).click();
    await page.getByRole("heading", { name: "1,000 credits added" }).waitFor();
    assert.equal(number(await page.locator("[data-balance]").textContent()), 777);
    assert.match(await page.locator("main").textContent(), /1,000 − 223 excess usage = 777/);
    assert.equal(await demo.balance(), 777);
    await page.getByRole("link", { name: "Receipt" }).click();
    await page.getByRole("heading", { name: "Receipt" }).waitFor();
    assert.match(await page.locator(".receipt").textContent(), /−223 → 777/);
    await page.goto(`${demo.base}/history?type=settled`);
    assert.match(await page.locator("table.lines tbody tr").first().textContent(), /Excess usage paid off/);
    const settled = (await demo.api("GET", `/v1/wallets/${wallet()}/entries?limit=10`)).data.filter((e) => e.kind === "settle");
    assert.equal(settled.reduce((n, e) => n + Number(e.amount), 0), 223);
    seen.clean();
    await window.close();
  });

  test(`a quantity that is not on sale comes back with its field named and kept, ${words}`, async () => {
    const window = await open(demo, { script, state });
    const { page, seen } = window;
    seen.expect(422);
    for (const typed of ["999", "1500", "0", "-1000"]) {
      await page.goto(`${demo.base}/buy`);
      const field = page.getByLabel("How many credits?");
      await field.evaluate((e, value) => { e.type = "text"; e.value = value; }, typed);
      const count = (await demo.api("GET", `/v1/purchases?wallet=${wallet()}&limit=50`)).data.length;
      await review(page).getByRole("button", { name: /^(Continue to payment|Buy again)/ }).click();
      await page.getByRole("alert").getByRole("link").waitFor();
      assert.match(await page.title(), /^Error: /);
      assert.equal(await field.getAttribute("aria-invalid"), "true", typed);
      assert.equal(await field.getAttribute("value"), typed, "the value is kept");
      const [summary, error] = [await page.getByRole("alert").getByRole("link").textContent(), await page.locator("#quantity-error").textContent()];
      assert.equal(summary, error);
      // autofocus takes effect with the first frame, so wait for it rather than look once.
      await page.waitForFunction(() => document.activeElement.getAttribute("role") === "alert", null, { timeout: 5_000 });
      assert.equal((await demo.api("GET", `/v1/purchases?wallet=${wallet()}&limit=50`)).data.length, count);
    }
    seen.clean();
    await window.close();
  });
}

test("with script the sums follow the number as the server would write them", async () => {
  const window = await open(demo, { state });
  const { page, seen } = window;
  await page.goto(`${demo.base}/buy`);
  const field = page.getByLabel("How many credits?");
  for (const typed of ["1000", "12000", "250000"]) {
    await field.fill(typed);
    const live = (await review(page).locator("dl.sums").textContent()).replace(/\s+/g, " ");
    const label = await review(page).getByRole("button", { name: /^(Continue|Buy again)/ }).textContent();
    const other = await window.context.newPage();
    await other.goto(`${demo.base}/buy?pack=message-credits&quantity=${typed}`);
    assert.equal((await review(other).locator("dl.sums").textContent()).replace(/\s+/g, " "), live);
    assert.match(label, new RegExp(`\\$${(Number(typed) * 0.03).toLocaleString("en-US", { minimumFractionDigits: 2 })}`.replace(".", "\\.")));
    await other.close();
  }
  await field.fill("1500");
  assert.equal(await review(page).locator("dl.sums").isVisible(), false, "no sums for what cannot be bought");
  seen.clean();
  await window.close();
});

test("what the page suggests below zero clears the excess", async () => {
  await below(400);
  const window = await open(demo, { state });
  const { page, seen } = window;
  await page.goto(`${demo.base}/buy`);
  const [bought, excess, after] = numbers(await review(page).locator("[data-out=result]").textContent());
  assert.equal(bought - excess, after);
  assert.ok(after > 0, "what is suggested clears the excess");
  seen.clean();
  await window.close();
});
