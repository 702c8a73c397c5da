// People: an owner invites a client, who accepts on a phone on their agency's own
// host, signs out, and comes back by a mailed link; an account is put away and
// brought back. With script and without.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { before, test } from "node:test";
import { both, full, open, signIn, startDemo } from "./harness.mjs";
import { axeViolations, measure } from "./measures.mjs";

const shots = process.env.E2E_SHOTS;

let demo;
let owner; // state of a browser that is signed in

before(async () => {
  demo = await startDemo();
  if (shots) mkdirSync(shots, { recursive: true });
  const window = await signIn(await open(demo), demo.ready.agency);
  owner = await window.context.storageState();
  await window.close();
});

// look holds what a window shows to accessibility and size: in the light when wide,
// in the dark on a phone. The bars take each page in both.
async function look(page, name) {
  const theme = page.viewportSize().width < 500 ? "dark" : "light";
  await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
  const found = await axeViolations(page);
  const wrong = [...found.violations, ...found.incomplete, ...(await measure(page)).wrong];
  if (shots) await page.screenshot({ path: path.join(shots, `people-${name}-${page.viewportSize().width}-${theme}.png`), fullPage: true });
  assert.deepEqual([...new Set(wrong)], [], `${name} at ${page.viewportSize().width}`);
}

// mailTo opens the newest mail to an address in the outbox, and gives the address
// that its one link leads to.
async function mailTo(page, email, subject) {
  await page.goto(`${demo.base}/demo/mail`);
  await page.locator("li", { hasText: email }).filter({ hasText: subject }).first().getByRole("link").click();
  const link = page.locator(".mail-text a");
  assert.equal(await link.count(), 1);
  return link.getAttribute("href");
}

const message = (page) => page.locator(".flash");

for (const { script, words } of both) {
  test(`an invited client comes in, and back by a mailed link, ${words}`, async () => {
    const measured = script && full ? look : async () => {}; // the measures are scripts; the quick run leaves them to the bars
    const email = `dana.${words.replaceAll(" ", "-")}@harbour.example`;
    const desk = await open(demo, { script, state: owner });
    const { page } = desk;
    const account = `${demo.base}/sub-accounts/${demo.ready.client.id}`;
    await page.goto(account);
    await page.getByRole("link", { name: "All people" }).click();
    await page.getByRole("heading", { name: "People of Acme Dental" }).waitFor();
    await page.getByText("hello@acme-dental.example").waitFor();

    // What is no address is said at the field, and stays.
    desk.seen.expect(422);
    await page.getByLabel("E-mail").fill("dana at harbour");
    await page.getByRole("button", { name: "Send invitation" }).click();
    await page.locator("#email-error").waitFor();
    assert.equal(await page.getByLabel("E-mail").inputValue(), "dana at harbour");
    await measured(page, "invite-wrong");
    await page.getByLabel("E-mail").fill(email);
    await page.getByRole("button", { name: "Send invitation" }).click();
    await message(page).getByText(`Invitation sent to ${email}.`).waitFor();
    await page.locator("li", { hasText: email }).getByText("Holds until").waitFor();
    await measured(page, "invited");

    await message(page).getByRole("link", { name: "Open the outbox" }).click();
    await page.getByRole("heading", { name: "Outbox" }).waitFor();
    const link = await mailTo(page, email, "You are invited to Acme Dental at Northwind Agency");
    assert.equal(new URL(link).origin, demo.portal, "a client is led to their agency's host");
    assert.doesNotMatch(await page.locator("article").textContent(), /refill/i);

    // The scanner of the client's mail opens the link first: it uses nothing up.
    assert.equal((await demo.fetch(new URL(link).pathname, { origin: demo.portal })).status, 200);

    const phone = await open(demo, { script, width: 360 });
    const hand = phone.page;
    await hand.goto(link);
    await hand.getByRole("heading", { name: "Join Acme Dental" }).waitFor();
    await hand.getByText("owner@northwind.example").waitFor();
    assert.doesNotMatch(await hand.content(), /refill/i);
    await measured(hand, "invitation");
    assert.equal(await hand.locator("input[autocomplete=username]").inputValue(), email);
    assert.equal(await hand.getByLabel("Choose a password").getAttribute("autocomplete"), "new-password");
    phone.seen.expect(422);
    await hand.getByLabel("Your name").fill("Dana Harbour");
    await hand.getByLabel("Choose a password").evaluate((field) => { field.removeAttribute("minlength"); });
    await hand.getByLabel("Choose a password").fill("short");
    await hand.getByRole("button", { name: "Accept invitation" }).click();
    await hand.locator("#password-error").waitFor();
    assert.equal(await hand.getByLabel("Your name").inputValue(), "Dana Harbour");
    await measured(hand, "invitation-wrong");
    await hand.getByLabel("Choose a password").fill("a long enough sentence");
    await hand.getByRole("button", { name: "Accept invitation" }).click();
    await message(hand).getByText("Welcome. You now have access to Acme Dental.").waitFor();
    const shown = Number((await hand.locator("[data-balance]").textContent()).replaceAll(",", ""));
    assert.equal(shown, await demo.balance(demo.ready.client.wallet));
    await measured(hand, "welcome");
    phone.seen.expect(410);
    await hand.goto(link);
    await hand.getByRole("heading", { name: "This invitation can't be used any more" }).waitFor();

    // Their own people: who else is there, and nobody of the agency.
    await hand.goto(demo.portal);
    await hand.getByRole("button", { name: "More" }).click();
    await hand.locator("#nav").getByRole("link", { name: "Settings" }).click();
    await hand.getByText("Dana Harbour").first().waitFor();
    assert.doesNotMatch(await hand.locator("main").textContent(), /Nora Wind|Max Member/);

    // Out, and in again by a link.
    await hand.getByRole("button", { name: "More" }).click();
    await hand.getByRole("button", { name: "Sign out" }).click();
    await hand.getByRole("heading", { name: "Sign in" }).waitFor();
    await hand.getByLabel("E-mail", { exact: true }).fill(email);
    await hand.getByRole("button", { name: "E-mail me a link" }).click();
    await hand.getByRole("heading", { name: "Check your e-mail" }).waitFor();
    const way = await mailTo(page, email, "Sign in to Northwind Agency");
    assert.equal(new URL(way).origin, demo.portal);
    await hand.goto(way);
    await hand.getByText(email).waitFor();
    await hand.getByRole("button", { name: "Sign in" }).click();
    await message(hand).getByRole("link", { name: "Set a new password" }).click();
    assert.equal(await hand.locator("#current").count(), 0, "who came by a fresh link is not asked again");
    await hand.getByLabel("New password").fill("another long sentence");
    await hand.getByRole("button", { name: "Set password" }).click();
    await message(hand).getByText("Your password is set.").waitFor();
    await hand.goto(way);
    await hand.getByRole("heading", { name: "This link can't be used any more" }).waitFor();

    // The owner takes the access away, at once.
    await page.goto(`${account}/people`);
    await page.getByRole("link", { name: "Dana Harbour" }).click();
    await page.getByRole("button", { name: "Remove Dana Harbour" }).click();
    await message(page).getByText("Dana Harbour has no access to Acme Dental any more.").waitFor();
    await hand.goto(demo.portal);
    await hand.getByRole("heading", { name: "Sign in" }).waitFor();
    desk.seen.clean();
    phone.seen.clean();
    await desk.close();
    await phone.close();
  });

  test(`an account is put away and brought back, ${words}`, async () => {
    const measured = script && full ? look : async () => {};
    const window = await open(demo, { script, state: owner, width: script ? 360 : 1280 });
    const { page, seen } = window;
    const name = `Quayside ${words}`;
    const sub = await demo.api("POST", "/v1/sub-accounts", { external_id: `quayside-${words.replaceAll(" ", "-")}`, name }, { key: demo.ready.agency.api_key });
    await demo.api("POST", "/v1/assignments", { sub_account: sub.id, credits: "1204" }, { key: demo.ready.agency.api_key });
    const had = await demo.balance();
    await page.goto(`${demo.base}/sub-accounts/${sub.id}`);
    await page.getByRole("link", { name: "Archive", exact: true }).click();
    await page.getByText("Return 1,204 assigned credits to you?").waitFor();
    await page.getByRole("button", { name: `Archive ${name}` }).click();
    await message(page).getByText(`${name} is archived. 1,204 credits returned to you.`).waitFor();
    await measured(page, "archived");
    assert.equal(await demo.balance(), had + 1204);
    await demo.api("POST", "/v1/charges", { wallet: sub.wallet, action: "ai.reply", model: "gpt-4" }, { expect: 403 });
    await page.goto(`${demo.base}/sub-accounts`);
    assert.equal(await page.locator("table.clients").getByText(name).count(), 0);
    await page.getByRole("link", { name: /^Archived/ }).click();
    await page.getByRole("button", { name: `Restore ${name}` }).click();
    await message(page).getByText(`${name} is back.`).waitFor();
    seen.clean();
    await window.close();
  });
}
