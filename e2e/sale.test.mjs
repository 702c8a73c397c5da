// The mission in one journey: an agency makes a package at its own price, a client
// buys it on a phone, on the agency's host and in its name; the money goes to the
// agency's account, the credits leave its stock, and an admin sees the agency.
import assert from "node:assert/strict";
import { afterEach, before, test } from "node:test";
import { both, group, number, open, signIn, startDemo } from "./harness.mjs";

let demo;
let owner; // browsers that are signed in
let client;

before(async () => {
  demo = await startDemo();
  const state = async (person) => {
    const window = await signIn(await open(demo), person);
    const kept = await window.context.storageState();
    await window.close();
    return kept;
  };
  [owner, client] = [await state(demo.ready.agency), await state(demo.ready.client)];
  // Ten thousand at $60 come out of the 35,000 for $100; this is what is left of it.
  await demo.api("POST", `/v1/purchases`, { wallet: demo.ready.agency.wallet, pack: "credits-35000" }).then(async ({ checkout_session }) => {
    const paid = await demo.fetch(`/_sim/checkout/sessions/${checkout_session}/pay`, {
      origin: demo.stripe, method: "POST", headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: "card=4242424242424242",
    });
    assert.equal(paid.status, 200, paid.text);
  });
});

afterEach(() => demo.sim("webhooks", { mode: "deliver" }));

const text = async (locator) => (await locator.innerText()).replace(/\s+/g, " ").trim();
const review = (page) => page.locator("section.review:visible");
const go = (page) => review(page).getByRole("button", { name: /^(Continue to payment|Buy again)/ }).click();
const stock = async () => {
  const { balance } = await demo.api("GET", `/v1/wallets/${demo.ready.agency.wallet}`);
  return { left: Number(balance.purchased), held: Number(balance.held) };
};
const own = () => demo.balance(demo.ready.client.wallet);

// choose opens the client's purchase page on a phone and takes a package.
async function choose(page, name) {
  await page.goto(`${demo.portal}/buy`);
  const card = page.locator(".offer", { hasText: name });
  await card.getByRole("radio").check();
  return card;
}

async function pay(page, card) {
  if (card) await page.getByLabel("Card number").fill(card);
  await page.getByRole("button", { name: /^Pay / }).click();
}

for (const { script, words } of both) {
  test(`an agency sells a package and its client buys it on a phone, ${words}`, async () => {
    const name = `Reef ${script ? "one" : "two"}`;
    const agency = await open(demo, { script, state: owner });
    await agency.page.goto(`${demo.base}/packages/new`);
    for (const [label, value] of Object.entries({ Name: name, Credits: "10,000", "Price in USD": "60" })) await agency.page.getByLabel(label, { exact: true }).fill(value);
    await agency.page.getByRole("button", { name: "Save and put on sale" }).click();
    await agency.page.locator(".flash").getByText(`${name} is on sale.`).waitFor();

    const [before, was] = [await own(), await stock()];
    const phone = await open(demo, { script, state: client, width: 360 });
    const { page, seen } = phone;
    const card = await choose(page, name);
    const offer = await text(card);
    for (const part of ["10,000 credits", "$60.00", "$0.0060 each", `You will have ${group(before + 10_000)}`]) assert.ok(offer.includes(part), offer);
    assert.match(await text(page.locator("main")), /You pay Northwind Agency\./);
    await go(page);
    await page.waitForURL(`${demo.stripe}/c/pay/**`);
    assert.match(await text(page.locator("main")), /You pay Northwind Agency/);
    assert.deepEqual(await stock(), { left: was.left - 10_000, held: was.held + 10_000 }, "kept while the client pays");

    // A declined card takes nothing and says why; the next one pays.
    seen.expect(402);
    await pay(page, "4000000000000002");
    await page.getByText("The card was declined.").first().waitFor();
    assert.equal(await own(), before);
    await pay(page, "4242424242424242");
    await page.waitForURL(`${demo.portal}/buy/return**`);
    await page.getByRole("heading", { name: "10,000 credits added" }).waitFor();
    assert.equal(number(await page.locator("[data-balance]").textContent()), before + 10_000);
    assert.equal(await own(), before + 10_000);
    assert.deepEqual(await stock(), { left: was.left - 10_000, held: was.held }, "gone from the agency's stock");

    await page.getByRole("link", { name: "Receipt" }).click();
    const receipt = await text(page.locator(".receipt"));
    for (const part of ["Sold by Northwind Agency", "Sold to Acme Dental", "$60.00", `${group(before)} → ${group(before + 10_000)}`]) assert.ok(receipt.includes(part), receipt);
    await page.goto(`${demo.portal}/history?type=purchase`);
    assert.match(await text(page.locator("table.lines tbody tr").first()), /Purchase.*\+10,000/);
    seen.clean();
    await phone.close();

    // The agency sees what it earned, to the cent, and the client's page too.
    await agency.page.goto(`${demo.base}/sales`);
    assert.match(await text(agency.page.locator("table.blocks").last().locator("tbody tr").first()), new RegExp(`Acme Dental ${name} 10,000 credits Paid .*\\$60\\.00 .*\\$2\\.04 `));
    await agency.page.goto(`${demo.base}/history?type=sold`);
    assert.match(await text(agency.page.locator("table.lines tbody tr").first()), /Sold.*Acme Dental.*−10,000/);
    agency.seen.clean();
    await agency.close();
  });

  test(`with every webhook dropped, the client's return page credits once, ${words}`, async () => {
    await demo.sim("webhooks", { mode: "drop" });
    const [before, was] = [await own(), await stock()];
    const phone = await open(demo, { script, state: client, width: 360 });
    const { page, seen } = phone;
    await choose(page, "Starter");
    await go(page);
    await page.waitForURL(`${demo.stripe}/c/pay/**`);
    await pay(page);
    await page.waitForURL(`${demo.portal}/buy/return**`);
    await page.getByRole("heading", { name: "2,000 credits added" }).waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "2,000 credits added" }).waitFor();
    assert.equal(await own(), before + 2_000);
    assert.deepEqual(await stock(), { left: was.left - 2_000, held: was.held });
    seen.clean();
    await phone.close();
  });
}

test("a client who walks away is not charged and gives the stock back", async () => {
  const [before, was] = [await own(), await stock()];
  const phone = await open(demo, { state: client, width: 360 });
  const { page, seen } = phone;
  await choose(page, "Starter");
  await go(page);
  await page.waitForURL(`${demo.stripe}/c/pay/**`);
  await page.getByRole("link", { name: /^Cancel/ }).click();
  await page.waitForURL(`${demo.portal}/buy**`);
  await page.getByText("You were not charged.").first().waitFor();
  assert.ok(await page.locator(".offer", { hasText: "Starter" }).getByRole("radio").isChecked(), "the choice is kept");
  assert.equal(await own(), before);
  assert.deepEqual(await stock(), was);
  seen.clean();
  await phone.close();
});

test("a client is told when there is nothing left to sell, and keeps its money", async () => {
  const phone = await open(demo, { state: client, width: 360 });
  const { page, seen } = phone;
  const { data } = await demo.api("GET", "/v1/packages?agency=northwind&limit=50");
  const scale = data.find((p) => p.name === "Scale");
  assert.ok(Number(scale.credits) > 0);
  const { left } = await stock();
  if (left >= Number(scale.credits)) {
    for (let rest = left; rest >= Number(scale.credits); rest -= Number(scale.credits)) {
      const made = await demo.api("POST", "/v1/purchases", { wallet: "sub:northwind/bright-solar", package: scale.id });
      const paid = await demo.fetch(`/_sim/checkout/sessions/${made.checkout_session}/pay`, {
        origin: demo.stripe, method: "POST", headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: "card=4242424242424242",
      });
      assert.equal(paid.status, 200, paid.text);
    }
  }
  seen.expect(409);
  await choose(page, "Scale");
  await go(page);
  const alert = page.getByRole("alert").getByRole("link");
  await alert.waitFor();
  assert.match(await text(alert), /cannot be sold right now\. You have not been charged\./);
  const { data: tries } = await demo.api("GET", `/v1/purchases?wallet=${demo.ready.client.wallet}&limit=1`);
  assert.notEqual(tries[0].status, "open");
  seen.clean();
  await phone.close();
});
