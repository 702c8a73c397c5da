// An agency's packages: the seed example is made and priced, a loss is taken on
// purpose, packages are sold, arranged and archived, with script and without.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { before, test } from "node:test";
import { both, full, open, signIn, startDemo, until } from "./harness.mjs";
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

// look holds a state that no address leads to against accessibility and size.
async function look(page, name) {
  const wrong = [];
  const { width, height } = page.viewportSize();
  await page.setViewportSize({ width, height: 5000 }); // the bar that sticks to the edge lies on nothing
  const found = await axeViolations(page);
  wrong.push(...found.violations, ...found.incomplete, ...(await measure(page)).wrong);
  if (shots) await page.screenshot({ path: path.join(shots, `${name}-${width}.png`) });
  await page.setViewportSize({ width, height });
  assert.deepEqual([...new Set(wrong)], [], `${name} at ${width}`);
}

const text = async (locator) => (await locator.innerText()).replace(/\s+/g, " ").trim();
const panel = (page) => text(page.locator(".panel"));
const message = (page) => page.locator(".flash");
const row = (page, name) => page.locator("table.packages tbody tr", { has: page.getByRole("link", { name, exact: true }) });

// fill types what the panel is reckoned from; without script a button asks for it.
async function fill(page, script, fields) {
  for (const [label, value] of Object.entries(fields)) {
    const field = page.getByLabel(label, { exact: true });
    if (label.startsWith("What")) await field.selectOption(value);
    else await field.fill(value);
  }
  if (!script) await page.getByRole("button", { name: "Recalculate" }).click();
}

for (const [width, { script, words }] of [[360, both[0]], [1280, both[1]]]) {
  test(`a package is made, priced, sold, moved and archived, at ${width} ${words}`, async () => {
    const window = await open(demo, { script, state, width });
    const { page, seen } = window;
    const measured = script && full ? look : async () => {}; // the measures are scripts; the quick run leaves them to the bars
    const name = `Growth ${words}`;
    await page.goto(`${demo.base}/packages/new`);
    assert.match(await panel(page), /Enter credits and a price/);

    // Bought at 35,000 for $100, 10,000 sold at $60: to the cent.
    await fill(page, script, { Name: name, Credits: "10,000", "What your credits cost": "best", "Price in USD": "60" });
    await until("the panel follows", async () => /\$60\.00/.test(await panel(page)));
    const sums = await panel(page);
    for (const part of [
      "Client pays $60.00", "10,000 × $0.0029, the price of your 35,000 pack −$28.57", "2.9% + $0.30 −$2.04", "You keep $29.39", "Margin 49% 2.1× your cost",
      "Breaks even at $29.73", "$0.0060 each $6.00 per 1,000", "If 10 clients buy one a month $294", "For the client: $0.06 per GPT-4 Turbo reply, about 143 conversations",
    ]) assert.ok(sums.includes(part), `${part} in ${sums}`);
    assert.deepEqual(await page.locator("[data-price]").allInnerTexts(), ["30% $43", "50% $62", "70% $107"]);
    if (width < 896) {
      assert.equal(await text(page.locator(".keep")), "You keep $29.39 (49%)");
      assert.ok(await page.locator(".keep").evaluate((e) => e.getBoundingClientRect().bottom <= innerHeight).catch(() => true));
    }
    if (script) {
      // The very same numbers come without script.
      const plain = await open(demo, { script: false, state });
      await plain.page.goto(`${demo.base}/packages/new?${new URLSearchParams({ credits: "10000", price: "60", cost_basis: "best" })}`);
      assert.equal(await panel(plain.page), sums);
      await plain.close();
      // A recommended price is one click, the slider the same number.
      await page.getByRole("button", { name: "50% $62" }).click();
      await until("the price is taken", async () => /Client pays \$62\.00/.test(await panel(page)));
      assert.equal(await page.getByLabel("Price in USD").inputValue(), "62.00");
      const slider = page.getByRole("slider", { name: "Price" });
      assert.equal(await slider.inputValue(), "62");
      await slider.fill("75.5");
      await until("the panel follows the slider", async () => /Client pays \$75\.50/.test(await panel(page)));
    } else {
      await page.getByRole("button", { name: "50% $62" }).click();
      assert.match(await panel(page), /Client pays \$62\.00/);
    }

    // Below break-even it is refused until the loss is meant.
    seen.expect(422);
    await fill(page, script, { "Price in USD": "25" });
    await until("the loss shows", async () => /You keep −\$4\.60/.test(await panel(page)));
    await page.getByRole("button", { name: "Save draft" }).click();
    await page.locator("#price-error").waitFor();
    assert.match(await text(page.locator("#price-error")), /You would lose \$4\.60 on each sale\. It breaks even at \$29\.73\./);
    assert.equal(await page.getByLabel("Name").inputValue(), name);
    await measured(page, "package-loss");
    await page.getByLabel("Sell at a loss on purpose").check();
    await page.getByRole("button", { name: "Save draft" }).click();
    await message(page).getByText(`${name} saved as a draft.`).waitFor();
    assert.match(await text(row(page, name)), /−\$4\.60.*Loss/);

    // At its price it goes on sale, and a client may see it.
    await row(page, name).getByRole("link", { name }).click();
    await fill(page, script, { "Price in USD": "60.00" });
    await until("the panel follows", async () => /You keep \$29\.39/.test(await panel(page)));
    await page.getByRole("button", { name: "Save and put on sale" }).click();
    await message(page).getByText(`${name} is on sale.`).waitFor();
    assert.match(await text(row(page, name)), /\$60\.00.*\$0\.0060 each.*\$28\.57.*\$29\.39.*49%/);
    await page.getByRole("link", { name: "Preview as client" }).click();
    assert.match(await text(page.locator(".offers")), new RegExp(`10,000 credits ${name}.*\\$60\\.00`));
    await page.getByRole("link", { name: "Packages" }).last().click();

    // Off and on again, up and down.
    const onSale = page.getByRole("switch", { name: `${name} on sale` });
    await onSale.click();
    await message(page).getByText(`${name} is not on sale any more.`).waitFor();
    assert.equal(await onSale.getAttribute("aria-checked"), "false");
    const places = async () => (await page.locator("table.packages tbody th a").allInnerTexts()).indexOf(name);
    const last = await places();
    await page.getByRole("button", { name: `Move ${name} up` }).click();
    await until("it moved", async () => (await places()) === last - 1);
    await page.getByRole("button", { name: `Move ${name} down` }).click();
    await until("it moved back", async () => (await places()) === last);

    // Archived, and brought back.
    await row(page, name).getByRole("link", { name }).click();
    assert.equal(await page.locator("table.prices tbody tr").count(), 2, "two prices");
    await page.getByRole("button", { name: "Archive package" }).click();
    await message(page).getByText(`${name} archived.`).waitFor();
    assert.equal(await row(page, name).count(), 0);
    await page.getByText(/^Archived \(/).click();
    await page.getByRole("link", { name }).click();
    await page.getByRole("button", { name: "Restore package" }).click();
    await message(page).getByText(`${name} restored.`).waitFor();
    assert.equal(await row(page, name).count(), 1);
    seen.clean();
    await window.close();
  });
}
