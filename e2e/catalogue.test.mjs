// An operator raises a pack's price and a rate: what changes is seen before it is
// published, agencies see the new price, and charges the new rate.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { both, number, open, signIn, startDemo } from "./harness.mjs";

let demo;
let admin;
let owner; // storage of browsers that are signed in

before(async () => {
  demo = await startDemo();
  const first = await signIn(await open(demo), demo.ready.admin);
  admin = await first.context.storageState();
  await first.close();
  const second = await signIn(await open(demo), demo.ready.agency);
  owner = await second.context.storageState();
  await second.close();
});

// change is a row of the page that says what would change.
const change = (page, what) => page.locator("table tr", { hasText: what });

for (const { script, words } of both) {
  test(`a price and a rate are raised ${words}`, async () => {
    const window = await open(demo, { script, state: admin });
    const { page, seen } = window;
    const [pack, was, price, each] = script ? ["12,500 credits", "$50.00", "62.50", "$0.0050"] : ["35,000 credits", "$100.00", "140", "$0.0040"];
    await page.goto(`${demo.base}/admin`);
    await page.locator("#nav").getByRole("link", { name: "Packs" }).click();
    await page.locator("main table").getByRole("link", { name: pack }).click();
    await page.getByRole("link", { name: "Edit", exact: true }).click();

    seen.expect(422);
    await page.getByLabel("Price", { exact: true }).fill("dear");
    await page.getByLabel("Note").fill(`raised ${words}`);
    await page.getByRole("button", { name: "Review changes" }).click();
    await page.locator("#price-error").waitFor();
    assert.equal(await page.getByLabel("Note").inputValue(), `raised ${words}`);
    await page.getByLabel("Price", { exact: true }).fill(price);
    await page.getByRole("button", { name: "Review changes" }).click();
    await page.getByRole("heading", { name: `Review the pack ${pack}` }).waitFor();
    const now = `$${Number(price).toFixed(2)}`;
    assert.match(await change(page, "Price").first().textContent(), new RegExp(`${was.replace("$", "\\$")}.*${now.replace("$", "\\$")}`, "s"));
    assert.match(await change(page, "Price per credit").textContent(), new RegExp(each.replace("$", "\\$")));

    // Back and forth loses nothing; until it is published, nothing has changed.
    await page.getByRole("button", { name: "Back to editing" }).click();
    assert.equal(await page.getByLabel("Price", { exact: true }).inputValue(), price);
    const buyer = await open(demo, { script, state: owner });
    const shelf = () => buyer.page.locator(".offer", { hasText: pack }).first().textContent();
    await buyer.page.goto(`${demo.base}/buy`);
    assert.ok((await shelf()).includes(was));
    await page.getByRole("button", { name: "Review changes" }).click();
    await page.getByRole("button", { name: "Publish version 2" }).dblclick();
    await page.getByRole("heading", { name: pack, level: 1 }).waitFor();
    assert.match(await page.locator("main").textContent(), /Version 2/);
    assert.equal(await page.getByText("Version 3").count(), 0, "published once, however often the button is pressed");
    await buyer.page.reload();
    assert.ok((await shelf()).includes(now), await shelf());
    buyer.seen.clean();
    await buyer.close();

    // A rate.
    const model = script ? "gpt-4" : "gpt-4-turbo";
    const { credits: before } = await demo.charge({ wallet: "agency:northwind", action: "ai.reply", model });
    const dearer = String(number(before) + 5);
    await page.locator("#nav").getByRole("link", { name: "Rate cards" }).click();
    await page.locator("main table").getByRole("link").first().click();
    await page.getByRole("link", { name: "Edit rates" }).click();
    const row = page.getByRole("group", { name: `ai.reply ${model}`, exact: true });
    await row.getByLabel("Credits", { exact: true }).fill(dearer);
    await page.getByLabel("Note").fill("the model became dearer");
    await page.getByRole("button", { name: "Review changes" }).click();
    await page.getByRole("heading", { name: /^Review the rates/ }).waitFor();
    assert.match(await change(page, `ai.reply ${model}`).first().textContent(), new RegExp(`${before} credits.*${dearer} credits`, "s"));
    await page.getByRole("button", { name: /^Publish version/ }).click();
    await page.locator(".flash").getByText(/is in force/).waitFor();
    assert.equal((await demo.charge({ wallet: "agency:northwind", action: "ai.reply", model })).credits, dearer);

    // Undone: the version before once more.
    const editions = page.getByRole("region", { name: "Versions" }).getByRole("link");
    await editions.nth(1).click();
    await page.getByRole("button", { name: "Publish this version again" }).click();
    await page.getByRole("button", { name: /^Publish version/ }).click();
    await page.locator(".flash").getByText(/is in force/).waitFor();
    assert.equal((await demo.charge({ wallet: "agency:northwind", action: "ai.reply", model })).credits, before);
    await page.goto(`${demo.base}/admin/audit`);
    assert.match(await page.locator("main").textContent(), new RegExp(`raised ${words}`));
    seen.clean();
    await window.close();
  });
}
