// Buying, from the choice to the credits, with script and without: paid, declined,
// cancelled, paid later, and whatever happens to the webhooks.
import assert from "node:assert/strict";
import { afterEach, before, test } from "node:test";
import { both, group, number, numbers, open, signIn, startDemo, until } from "./harness.mjs";

let demo;
let state; // of a browser that is signed in
const wallet = () => demo.ready.agency.wallet;

before(async () => {
  demo = await startDemo();
  const window = await signIn(await open(demo), demo.ready.agency);
  state = await window.context.storageState();
  await window.close();
});

afterEach(() => demo.sim("webhooks", { mode: "deliver" }));

const owner = (script) => open(demo, { script, state });
const review = (page) => page.locator("section.review:visible");
const payButton = (page) => review(page).getByRole("button", { name: /^(Continue to payment|Buy again)/ });
const returned = (page) => page.waitForURL(`${demo.base}/buy/return**`);
const purchases = async () => (await demo.api("GET", `/v1/purchases?wallet=${wallet()}&limit=50`)).data;

// toPayment is the way from the overview to the payment page; it answers the clicks.
async function toPayment(page) {
  let clicks = 0;
  const click = async (what) => {
    clicks++;
    await what.click();
  };
  await page.goto(demo.base);
  await click(page.getByRole("link", { name: "Buy credits" }).first());
  await page.waitForURL(`${demo.base}/buy`);
  const preview = await review(page).locator("[data-out=result]").textContent();
  await click(payButton(page));
  await page.waitForURL(`${demo.stripe}/c/pay/**`);
  return { clicks, preview };
}

async function pay(page, { card, method } = {}) {
  if (method) await page.getByLabel(method).check();
  if (card) await page.getByLabel("Card number").fill(card);
  await page.getByRole("button", { name: /^Pay / }).click();
}

// credited holds the page after a payment to what was promised before it.
async function credited(page, before, preview) {
  const [was, bought, after] = numbers(preview);
  assert.equal(was, before);
  assert.equal(after, before + bought);
  await page.getByRole("heading", { name: `${group(bought)} credits added` }).waitFor();
  assert.equal(number(await page.locator("[data-balance]").textContent()), after);
  assert.match(await page.locator("main").textContent(), new RegExp(`${group(before)} → ${group(after)}`));
  assert.equal(number(await page.locator(".top .chip").textContent()), after);
  assert.equal(await demo.balance(), after);
}

for (const { script, words } of both) {
  test(`a pack is bought in two clicks, ${words}`, async () => {
    const window = await owner(script);
    const { page, seen } = window;
    const before = await demo.balance();
    const { clicks, preview } = await toPayment(page);
    assert.ok(clicks <= 2, `${clicks} clicks to the payment page`);
    await pay(page);
    await returned(page);
    await credited(page, before, preview);

    // Looking again, and going back and forth, adds nothing.
    const after = await demo.balance();
    await page.reload();
    await credited(page, before, preview);
    await page.goBack();
    await page.goForward();
    await page.getByRole("heading", { name: /credits added/ }).waitFor();
    assert.equal(await demo.balance(), after);

    await page.getByRole("link", { name: "Receipt" }).click();
    await page.getByRole("heading", { name: "Receipt" }).waitFor();
    const receipt = await page.locator(".receipt").textContent();
    for (const part of ["Paid", "Northwind Agency", "$50.00", "12,500", `${group(before)} → ${group(after)}`]) assert.ok(receipt.includes(part), `the receipt says ${part}`);
    await page.getByRole("link", { name: "All purchases" }).click();
    const first = page.locator("table.blocks tbody tr").first();
    assert.match(await first.textContent(), /Paid.*12,500.*\$50\.00/s);

    // The same pack a moment later is asked about.
    await page.goto(`${demo.base}/buy`);
    assert.match(await review(page).textContent(), /You bought 12,500 credits .*Buy again\?/s);
    await review(page).getByRole("button", { name: "Buy again — $50.00" }).waitFor();
    seen.clean();
    await window.close();
  });

  test(`every pack says what comes of it, and the choice is kept, ${words}`, async () => {
    const window = await owner(script);
    const { page, seen } = window;
    const before = await demo.balance();
    await page.goto(`${demo.base}/buy`);
    const packs = [["2,000", "$10.00", "$0.0050"], ["12,500", "$50.00", "$0.0040"], ["35,000", "$100.00", "$0.0029"]];
    for (const [credits, price, each] of packs) {
      const card = page.locator(".offer", { hasText: `${credits} credits` });
      const text = await card.textContent();
      assert.ok(text.includes(price) && text.includes(`${each} each`), text);
      assert.ok(text.includes(`You will have ${group(before + number(credits))}`), text);
      await card.getByRole("radio").check();
      assert.equal(await review(page).count(), 1);
      const sums = await review(page).textContent();
      assert.ok(sums.includes(`${group(before)} + ${credits} = ${group(before + number(credits))}`), sums);
      assert.match(await payButton(page).textContent(), new RegExp(price.replace("$", "\\$")));
    }
    await payButton(page).click();
    await page.waitForURL(`${demo.stripe}/c/pay/**`);
    assert.match(await page.locator(".amount").textContent(), /\$100\.00/);
    await page.getByRole("link", { name: /^Cancel/ }).click();
    await page.waitForURL(`${demo.base}/buy?**`);
    assert.equal(await page.getByRole("status").first().textContent().then((t) => t.trim()), "You were not charged.");
    assert.equal(await page.getByRole("radio", { checked: true }).evaluate((e) => e.closest(".offer").textContent.includes("35,000")), true);
    assert.equal(await demo.balance(), before);
    assert.equal((await purchases())[0].status, "cancelled");
    seen.clean();
    await window.close();
  });

  test(`a declined card stays on the payment page with words, and charges nothing, ${words}`, async () => {
    const window = await owner(script);
    const { page, seen } = window;
    seen.expect(402);
    const before = await demo.balance();
    const grants = await demo.grants();
    const { preview } = await toPayment(page);
    for (const [card, why] of [
      ["4000000000000002", "The card was declined. Try another card, or ask your bank."],
      ["4000000000009995", "There is not enough money on this card."],
    ]) {
      await pay(page, { card });
      await page.getByRole("alert").filter({ hasText: why }).waitFor();
      assert.match(page.url(), /\/c\/pay\//);
      assert.equal(await page.getByLabel("Card number").inputValue(), card);
    }
    const paying = page.url();
    await page.getByRole("link", { name: /^Cancel/ }).click();
    await page.waitForURL(`${demo.base}/buy?**`);
    await page.getByRole("status").filter({ hasText: "You were not charged." }).waitFor();
    assert.equal(await demo.balance(), before);
    assert.equal(await demo.grants(), grants);

    // The message was for once; the checkout that was left is over.
    await page.reload();
    assert.equal(await page.getByText("You were not charged.").count(), 0);
    seen.expect(410);
    await page.goto(paying);
    await page.getByRole("heading", { name: "This checkout has expired" }).waitFor();

    // Another card, another attempt.
    await toPayment(page);
    await pay(page, { card: "4242424242424242" });
    await returned(page);
    await credited(page, before, preview);
    seen.clean();
    await window.close();
  });

  test(`a bank that asks is answered, ${words}`, async () => {
    const window = await owner(script);
    const { page, seen } = window;
    seen.expect(402);
    const before = await demo.balance();
    const { preview } = await toPayment(page);
    await pay(page, { card: "4000002500003155" });
    await page.getByRole("button", { name: "Fail authentication" }).click();
    await page.getByRole("alert").filter({ hasText: "could not confirm that it was you" }).waitFor();
    assert.equal(await demo.balance(), before);
    await pay(page, { card: "4000002500003155" });
    await page.getByRole("button", { name: /^Authenticate/ }).click();
    await returned(page);
    await credited(page, before, preview);
    seen.clean();
    await window.close();
  });

  test(`a purchase that is paid later waits, and is credited when the money comes, ${words}`, async () => {
    const window = await owner(script);
    const { page, seen } = window;
    const before = await demo.balance();
    const { preview } = await toPayment(page);
    await pay(page, { method: /Bank debit/ });
    await returned(page);
    await page.getByRole("heading", { name: "Waiting for your payment" }).waitFor();
    assert.equal(await demo.balance(), before);
    const [latest] = await purchases();
    assert.equal(latest.status, "processing");
    await page.goto(`${demo.base}/purchases`);
    assert.match(await page.locator("table.blocks tbody tr").first().textContent(), /Pending/);
    await demo.sim(`checkout/sessions/${latest.checkout_session}/settle`, { outcome: "succeeded" });
    await page.goto(`${demo.base}/buy/return?s=${latest.checkout_session}`);
    await credited(page, before, preview);
    seen.clean();
    await window.close();
  });

  test(`a payment that bounces later charges nothing, ${words}`, async () => {
    const window = await owner(script);
    const { page, seen } = window;
    const before = await demo.balance();
    await toPayment(page);
    await page.getByLabel(/Bank debit/).check();
    await page.getByLabel("Account number").fill("000222222227");
    await pay(page);
    await returned(page);
    const [latest] = await purchases();
    await demo.sim(`checkout/sessions/${latest.checkout_session}/settle`, { outcome: "failed" });
    await page.goto(`${demo.base}/buy/return?s=${latest.checkout_session}`);
    await page.waitForURL(`${demo.base}/buy?**`);
    assert.ok((await page.getByRole("status").first().textContent()).trim());
    assert.equal(await demo.balance(), before);
    assert.equal((await purchases())[0].status, "failed");
    seen.clean();
    await window.close();
  });

  test(`with every webhook dropped, the page asks by itself and credits once, ${words}`, async () => {
    const window = await owner(script);
    const { page, seen } = window;
    await demo.sim("webhooks", { mode: "drop" });
    const before = await demo.balance();
    const grants = await demo.grants();
    const { preview } = await toPayment(page);
    const paid = Date.now();
    await pay(page);
    await returned(page);
    await credited(page, before, preview);
    assert.ok(Date.now() - paid < 10_000, "within ten seconds of paying");
    // The webhooks that come after all find it done.
    await demo.sim("webhooks", { mode: "deliver" });
    await demo.sim("webhooks/flush", { all: true });
    await page.reload();
    await credited(page, before, preview);
    assert.equal(await demo.grants(), grants + 1);
    seen.clean();
    await window.close();
  });
}

test("with every webhook dropped and nobody looking, the poller credits once", async () => {
  await demo.sim("webhooks", { mode: "drop" });
  const before = await demo.balance();
  const grants = await demo.grants();
  const purchase = await demo.api("POST", "/v1/purchases", { wallet: wallet(), pack: (await demo.api("GET", `/v1/packs?wallet=${wallet()}`)).data[0].id });
  await demo.sim(`checkout/sessions/${purchase.checkout_session}/pay`, { card: "4242424242424242" });
  const status = async () => (await demo.api("GET", `/v1/purchases/${purchase.id}`)).status;
  await demo.clock({ advance: "15m" });
  await until("the poller's credit", async () => (await status()) === "credited");
  assert.equal(await demo.balance(), before + Number(purchase.credits));
  assert.equal(await demo.grants(), grants + 1);
});

test("every webhook twice, and the page too: once", async () => {
  await demo.sim("webhooks", { mode: "duplicate", count: 8 });
  const window = await owner(true);
  const before = await demo.balance();
  const grants = await demo.grants();
  const { preview } = await toPayment(window.page);
  await pay(window.page);
  await returned(window.page);
  await credited(window.page, before, preview);
  assert.equal(await demo.grants(), grants + 1);
  window.seen.clean();
  await window.close();
});

test("a double click, two tabs and an old page are one purchase", async () => {
  const window = await owner(false);
  const { page, context, seen } = window;
  const before = await demo.balance();
  const grants = await demo.grants();
  const count = (await purchases()).length;
  await page.goto(`${demo.base}/buy`);
  const after = numbers(await review(page).locator("[data-out=result]").textContent())[2];
  // The same form, sent again and again: the same checkout every time.
  const form = await page.locator("form.buy").evaluate((f) => Object.fromEntries(new FormData(f)));
  const cookie = (await context.cookies(demo.base)).map((c) => `${c.name}=${c.value}`).join("; ");
  const send = () => demo.fetch("/buy", {
    method: "POST", body: new URLSearchParams(form).toString(),
    headers: { Cookie: cookie, "Content-Type": "application/x-www-form-urlencoded", Origin: demo.base, "Sec-Fetch-Site": "same-origin" },
  });
  const answers = await Promise.all(Array.from({ length: 8 }, send));
  assert.deepEqual([...new Set(answers.map((a) => a.status))], [303]);
  assert.equal(new Set(answers.map((a) => a.headers.location)).size, 1);
  const checkout = answers[0].headers.location;
  assert.ok(checkout.startsWith(demo.stripe));

  // Two tabs pay it; the second finds it done.
  const other = await context.newPage();
  await page.goto(checkout);
  await other.goto(checkout);
  await Promise.all([pay(page), pay(other)]);
  const done = (p) => p.waitForURL((url) => url.pathname === "/buy/return" || url.pathname.startsWith("/c/pay/"));
  await Promise.all([done(page), done(other)]);
  await until("the credit", async () => (await demo.balance()) !== before);
  assert.equal(await demo.balance(), after);

  // The old page again: the purchase that was made, not another one.
  const late = await send();
  assert.equal(late.status, 303);
  assert.match(late.headers.location, /^\/buy\/return/);
  const tabs = await Promise.all(Array.from({ length: 4 }, async () => {
    const tab = await context.newPage();
    await tab.goto(new URL(late.headers.location, demo.base).href);
    return number(await tab.locator("[data-balance]").textContent());
  }));
  assert.deepEqual([...new Set(tabs)], [after]);
  assert.equal(await demo.grants(), grants + 1);
  assert.equal((await purchases()).length, Math.min(50, count + 1));
  seen.clean();
  await window.close();
});

test("with script the button says that it works, and works again after the back button", async () => {
  const window = await owner(true);
  const { page, seen } = window;
  await page.goto(`${demo.base}/buy`);
  const label = await payButton(page).textContent();
  await payButton(page).click();
  await page.waitForURL(`${demo.stripe}/c/pay/**`);
  await page.goBack();
  await payButton(page).filter({ hasText: label }).waitFor();
  assert.equal(await payButton(page).getAttribute("aria-disabled"), null);
  await payButton(page).click();
  await page.waitForURL(`${demo.stripe}/c/pay/**`);
  seen.clean();
  await window.close();
});

test("a choice that was changed after going to payment is asked about, not charged", async () => {
  const window = await owner(false);
  const { page, context, seen } = window;
  seen.expect(409, 422);
  await page.goto(`${demo.base}/buy`);
  // The payment page opens beside this one, which then still holds the attempt.
  await page.locator("form.buy").evaluate((form) => { form.target = "_blank"; });
  const [beside] = await Promise.all([context.waitForEvent("page"), payButton(page).click()]);
  await beside.waitForURL(`${demo.stripe}/c/pay/**`);
  await page.locator("form.buy").evaluate((form) => { form.target = ""; });
  await page.getByRole("radio", { checked: false }).first().check();
  const price = await review(page).locator("[data-out=price]").textContent();
  await payButton(page).click();
  await page.getByRole("alert").filter({ hasText: "You changed your choice" }).waitFor();
  assert.equal(await review(page).locator("[data-out=price]").textContent(), price, "the choice is kept");
  assert.match(await page.title(), /^Error: /);
  await payButton(page).click();
  await page.waitForURL(`${demo.stripe}/c/pay/**`);
  assert.equal(await page.locator(".amount").textContent(), price);
  seen.clean();
  await window.close();
});

test("a whole purchase by keyboard, with the focus always seen", async () => {
  const window = await owner(true);
  const { page, seen } = window;
  const before = await demo.balance();
  await page.goto(demo.base);
  // tabTo walks with the Tab key and checks that each stop shows its focus.
  const tabTo = async (match) => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press("Tab");
      const at = await page.evaluate(() => {
        const e = document.activeElement;
        const box = e.getBoundingClientRect();
        const style = getComputedStyle(e);
        const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
        return {
          text: (e.textContent || e.labels?.[0]?.textContent || e.value || "").trim().replace(/\s+/g, " "), name: e.localName,
          ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 || e.matches("[type=radio]"),
          covered: Boolean(top) && !e.contains(top) && !top.contains(e) && !top.closest("label"), visible: box.bottom > 0 && box.top < innerHeight,
        };
      });
      if (at.name === "body") continue;
      assert.ok(at.ring, `the focus on ${at.text} is seen`);
      assert.ok(at.visible && !at.covered, `${at.text} is not covered`);
      if (match.test(at.text)) return;
    }
    assert.fail(`Tab never came to ${match}`);
  };
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  await tabTo(/^Buy credits$/);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${demo.base}/buy`);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter"); // skip the navigation
  await tabTo(/credits/);
  await tabTo(/^(Continue to payment|Buy again)/);
  await page.keyboard.press("Enter");
  await page.waitForURL(`${demo.stripe}/c/pay/**`);
  await page.getByLabel("Name on card").focus();
  await page.keyboard.press("Enter");
  await returned(page);
  await page.getByRole("heading", { name: /credits added/ }).waitFor();
  assert.ok((await demo.balance()) > before);
  seen.clean();
  await window.close();
});

test("somebody else's purchase is nobody's, and a payment cannot be made up", async () => {
  const window = await owner(true);
  window.seen.expect(404);
  const before = await demo.balance();
  for (const s of ["cs_test_made_up", "pur_00000000000000000000000000", ""]) {
    const answer = await window.page.goto(`${demo.base}/buy/return?s=${s}`);
    assert.equal(answer.status(), 404, s);
  }
  const other = await demo.api("POST", "/v1/purchases", { wallet: "agency:bluebird", pack: (await demo.api("GET", "/v1/packs?wallet=agency:bluebird")).data[0].id });
  for (const address of [`/buy/return?s=${other.checkout_session}`, `/buy?cancelled=${other.id}`, `/purchases/${other.id}/receipt`]) {
    const answer = await window.page.goto(demo.base + address);
    assert.equal(answer.status(), 404, address);
  }
  assert.equal(await demo.balance(), before);
  window.seen.clean();
  await window.close();
});
