// How few clicks the main jobs take, counted: an agency from nothing to its first
// sale, a client from the mail that says it is paused to paid, credits to a client.
// Typing is not clicking; Enter is not used.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { both, open, signIn, startDemo, until } from "./harness.mjs";

let demo;
let owner; // state of a browser that is signed in

before(async () => {
  demo = await startDemo();
  const window = await signIn(await open(demo), demo.ready.agency);
  owner = await window.context.storageState();
  await window.close();
});

// counted is a hand that counts what it clicks.
function counted() {
  const hand = async (what) => {
    hand.clicks++;
    await what.click();
  };
  hand.clicks = 0;
  return hand;
}

const message = (page) => page.locator(".flash");
const button = (page, name) => page.getByRole("button", { name, exact: true });
const toPay = (page) => page.locator("section.review:visible").getByRole("button", { name: /^(Continue to payment|Buy again)/ });

// linkIn is where the newest mail to an address leads. Mails of the demo's past lead to
// where it was made.
async function linkIn(page, email, subject) {
  let link;
  await until(`a mail to ${email}`, async () => {
    await page.goto(`${demo.base}/demo/mail`);
    const mail = page.locator("li", { hasText: email }).filter({ hasText: subject }).first();
    if ((await mail.count()) === 0) return false;
    await mail.getByRole("link").click();
    link = await page.locator(".mail-text a").first().getAttribute("href");
    return link.startsWith(demo.portal);
  });
  return link;
}

for (const { script, words } of both) {
  test(`credits are assigned in four clicks from the first page, ${words}`, async () => {
    const { page, seen, close } = await open(demo, { script, state: owner });
    const click = counted();
    await page.goto(demo.base);
    await click(page.locator("#nav").getByRole("link", { name: "Sub-accounts" }));
    await click(page.getByRole("link", { name: "Acme Dental", exact: true }));
    await click(page.getByRole("link", { name: "Assign credits" }).first());
    await page.getByLabel("How many").fill("25");
    await click(page.getByRole("button", { name: /^Assign .*credits$/ }));
    await message(page).getByText("25 credits assigned to Acme Dental.").waitFor();
    assert.ok(click.clicks <= 4, `${click.clicks} clicks`);
    seen.clean();
    await close();
  });

  test(`a paused client is at the payment page three clicks after the mail, ${words}`, async () => {
    const { wallet, email, password } = demo.ready.client;
    const left = await demo.balance(wallet);
    const hold = await demo.api("POST", "/v1/holds", { wallet, action: "ai.reply", model: "gpt-4", credits: String(left) });
    await demo.api("POST", `/v1/holds/${hold.id}/captures`, { credits: String(left) });
    const { page, seen, close } = await open(demo, { script, width: 360 });
    const link = await linkIn(page, email, "paused");
    const click = counted();
    click.clicks++; // on the mail's link
    await page.goto(link);
    await page.getByLabel("E-mail").fill(email);
    await page.getByLabel("Password").fill(password);
    await click(button(page, "Sign in"));
    await page.waitForURL(`${demo.portal}/buy**`);
    await click(toPay(page));
    await page.waitForURL(`${demo.stripe}/c/pay/**`);
    assert.ok(click.clicks <= 3, `${click.clicks} clicks`);
    await page.getByRole("button", { name: /^Pay / }).click();
    await page.waitForURL(`${demo.portal}/buy/return**`);
    await page.getByText("Your AI assistant is running again.").waitFor();
    seen.clean();
    await close();
  });

  test(`an agency sells for the first time in fifteen clicks, ${words}`, async () => {
    const fresh = await startDemo(); // each way begins from nothing
    fresh.portal = fresh.portal.replace("northwind", "bluebird"); // the host of this agency's clients
    const { page, seen, close } = await open(fresh, { script });
    const email = "ivo@harbour.example";
    await page.goto(`${fresh.base}/sign-in`);
    await page.getByLabel("E-mail").fill("owner@bluebird.example");
    await page.getByLabel("Password").fill(fresh.ready.agency.password);
    await button(page, "Sign in").click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    const click = counted();

    // Stock.
    await click(page.getByRole("link", { name: "Buy credits" }).first());
    await click(toPay(page));
    await click(page.getByRole("button", { name: /^Pay / }));
    await page.waitForURL(`${fresh.base}/buy/return**`);
    // A Stripe account.
    await click(page.locator("#nav").getByRole("link", { name: "Packages" }));
    await click(page.getByRole("link", { name: /Connect Stripe/ }).first());
    await click(button(page, "Connect Stripe"));
    await click(button(page, "Finish set-up"));
    await page.waitForURL(`${fresh.base}/packages/connect/return`);
    // Packages.
    await click(page.locator("#nav").getByRole("link", { name: "Packages" }));
    await click(page.getByRole("button", { name: /^Create these? .*not on sale yet/ }));
    await click(page.getByRole("switch", { name: / on sale: Off$/ }).first());
    // A client.
    await click(page.locator("#nav").getByRole("link", { name: "Sub-accounts" }));
    await click(page.getByRole("link", { name: "Add sub-account" }));
    await page.getByLabel("Name").fill("Harbour Cafe");
    await click(button(page, "Add sub-account"));
    await message(page).getByText("Harbour Cafe added.").waitFor();
    await click(page.locator("main a[href$='/people']").first());
    await page.getByLabel("E-mail").fill(email);
    await click(button(page, "Send invitation"));
    await message(page).getByText(`Invitation sent to ${email}.`).waitFor();
    assert.ok(click.clicks <= 15, `${click.clicks} clicks`);

    // What is left is the client's.
    const phone = await open(fresh, { script, width: 360 });
    await phone.page.goto(`${fresh.base}/demo/mail`);
    await phone.page.locator("li", { hasText: email }).first().getByRole("link").click();
    await phone.page.goto(await phone.page.locator(".mail-text a").getAttribute("href"));
    await phone.page.getByLabel("Your name").fill("Ivo Harbour");
    await phone.page.getByLabel("Choose a password").fill("a long enough sentence");
    await button(phone.page, "Accept invitation").click();
    await message(phone.page).getByText("Welcome.").waitFor();
    await phone.page.goto(new URL("/buy", phone.page.url()).href);
    await toPay(phone.page).click();
    await phone.page.getByRole("button", { name: /^Pay / }).click();
    await phone.page.waitForURL("**/buy/return**");
    await phone.page.getByRole("heading", { name: /credits added/ }).waitFor();
    phone.seen.clean();
    await phone.close();
    await page.goto(`${fresh.base}/sales`);
    await page.getByRole("cell", { name: "Harbour Cafe" }).or(page.getByRole("rowheader", { name: "Harbour Cafe" })).first().waitFor();
    seen.clean();
    await close();
  });
}
