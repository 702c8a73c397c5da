// Every page, in light and dark, at 1280 and 360 pixels, against the bars of
// accessibility, size and weight. E2E_SHOTS=folder keeps a picture of each.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdirSync } from "node:fs";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import { before, test } from "node:test";
import { full, number, open, signIn, startDemo, startServer } from "./harness.mjs";
import { axeViolations, equalTotals, limits, measure, spaced, zipped } from "./measures.mjs";

const shots = process.env.E2E_SHOTS;
const themes = ["light", "dark"];
const widths = [1280, 360];

let demo;
let table;
const visited = new Set(); // route patterns
const assets = new Set(); // addresses of style sheets and scripts
let held = 0; // pages so far
const tall = 5000; // no bar that sticks to the edge lies on anything

before(async () => {
  demo = await startDemo();
  if (shots) mkdirSync(shots, { recursive: true });
});

// routes is every page a browser can be led to, from the program's own table.
function routes() {
  const lines = execFileSync(process.env.REFILL_BINARY, ["routes"], { encoding: "utf8" }).split("\n");
  return lines.map((line) => line.split(/\s+/)).filter(([method, address]) => method === "GET" && !/^\/(v1|static|brand|embed|internal|healthz|readyz|metrics|openapi)|\.(csv|pdf|json)$/.test(address)).map(([, address]) => address);
}

// mark notes which line of the table an address came from: the most exact one.
function mark(table, address) {
  const fits = table.filter((pattern) => new RegExp(`^${pattern.replace(/:[a-z_]+/g, "[^/]+")}$`).test(address));
  fits.sort((a, b) => a.split(":").length - b.split(":").length);
  if (fits.length) visited.add(fits[0]);
}

// picture keeps what a window shows, as high as the page is.
async function picture(page, name) {
  const { width } = page.viewportSize();
  await page.setViewportSize({ width, height: 900 });
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  await page.setViewportSize({ width, height: Math.max(height, width < 500 ? 700 : 900) });
  await page.screenshot({ path: path.join(shots, `${name}.png`) });
  await page.setViewportSize({ width, height: tall });
}

// holdToBars measures the page that a window shows, in every theme and width.
async function holdToBars(window, name, { html } = {}) {
  const { page } = window;
  const odd = ++held % 2 === 1;
  mark(table ??= routes(), new URL(page.url()).pathname);
  const wrong = [];
  const note = (where, lines) => wrong.push(...lines.map((line) => `${where}: ${line}`));
  if (html !== undefined) {
    const limit = /usage/.test(new URL(page.url()).pathname) ? limits.usage : limits.html;
    for (const [, address] of html.matchAll(/(?:href|src)="(\/static\/[^"]+\.(?:css|js))"/g)) assets.add(address);
    if (zipped(html) > limit) wrong.push(`${zipped(html)} bytes of HTML, ${limit} are allowed`);
  }
  const opened = await page.$$("details");
  for (const width of widths) {
    await page.setViewportSize({ width, height: tall });
    for (const theme of themes) {
      // The full run takes every pair; the quick one light when wide or dark on a
      // phone, page by page in turn.
      if (!full && ((width === 1280) !== (theme === "light") || (width === 1280) !== odd)) continue;
      const where = `${theme} ${width}`;
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      const found = await axeViolations(page);
      note(where, found.violations);
      note(`${where} incomplete`, found.incomplete);
      if (shots) await picture(page, `${name}-${width}-${theme}`);
    }
    const seen = await measure(page);
    note(`${width}`, seen.wrong);
    equalTotals(seen);
    if (seen.elements > 1000 && !/usage|history/.test(page.url())) note(`${width}`, [`${seen.elements} elements`]);
    // Everything once more with what can be unfolded open.
    if (opened.length) {
      await page.evaluate(() => { for (const d of document.querySelectorAll("details")) d.open = true; });
      note(`${width} unfolded`, (await measure(page)).wrong);
      if (full || width === 360 && !odd) note(`${width} unfolded`, (await axeViolations(page)).violations);
      if (shots) await picture(page, `${name}-${width}-unfolded`);
    }
    if (width === 360) note(`${width}`, await spaced(page));
    if (opened.length) await page.evaluate(() => { for (const d of document.querySelectorAll("details")) d.open = false; });
  }
  await page.setViewportSize({ width: 320, height: tall });
  note("320", (await measure(page)).wrong);
  await page.setViewportSize({ width: 1280, height: 900 });
  assert.deepEqual([...new Set(wrong)], [], `${name} (${page.url()})`);
}

// visit opens an address and holds it to the bars.
async function visit(window, name, address, { status = 200 } = {}) {
  window.seen.expect(status);
  const answer = await window.page.goto(new URL(address, window.home).href);
  assert.equal(answer.status(), status, `${address} answered ${answer.status()}`);
  await holdToBars(window, name, { html: await answer.text() });
}

// href is where a link of the page leads.
const href = (page, selector) => page.locator(selector).first().getAttribute("href");

async function person(who, home = demo.base) {
  const window = await open(demo);
  window.home = home;
  await signIn(window, who);
  return window;
}

// takeMonthly has the agency sell a small monthly package, and a client take it.
async function takeMonthly(client) {
  const agency = await person(demo.ready.agency);
  await agency.page.goto(`${demo.base}/packages/new`);
  await agency.page.getByLabel("Name").fill("Care plan");
  await agency.page.getByLabel("Credits", { exact: true }).fill("100");
  await agency.page.getByLabel("Price in USD").fill("9.00");
  await agency.page.getByLabel("Every month").check();
  await agency.page.getByRole("button", { name: "Save and put on sale" }).click();
  await agency.page.waitForURL(/\/packages$/);
  await client.page.goto(`${client.home}/buy`);
  await client.page.locator(".offer", { hasText: "Care plan" }).getByRole("radio").check();
  await client.page.locator(".review:visible button.primary").click();
  await client.page.waitForURL(/cs_test/);
  const session = client.page.url().match(/cs_test_[A-Za-z0-9_]+/)[0];
  await demo.sim(`checkout/sessions/${session}/pay`, { card: "4242424242424242" });
  await client.page.goto(`${client.home}/buy/return?s=${session}`);
  await visit(agency, "sales-monthly", "/sales");
  await visit(agency, "sales-monthly-cancel", await href(agency.page, "a[href^='/sales/monthly/']"));
  await agency.close();
}

test("the pages of a visitor", async () => {
  const window = await open(demo);
  window.home = demo.base;
  await visit(window, "sign-in", "/sign-in");
  await visit(window, "sign-in-next", "/usage"); // asked to sign in first
  await visit(window, "sign-in-link", demo.ready.agency.sign_in_url);
  await visit(window, "sign-in-link-expired", `/sign-in/${"A".repeat(43)}`, { status: 410 });
  await visit(window, "forgotten", "/forgotten");
  await visit(window, "forgotten-sent", "/forgotten/sent");
  await visit(window, "forgotten-gone", `/forgotten/${"A".repeat(43)}`, { status: 410 });
  await visit(window, "confirm-email-gone", `/confirm-email/${"A".repeat(43)}`, { status: 410 });
  await visit(window, "not-found", "/nothing-here", { status: 404 });
  window.seen.expect(422);
  await window.page.goto(`${demo.base}/sign-in`);
  await window.page.getByLabel("E-mail").fill("owner@northwind.example");
  await window.page.getByLabel("Password").fill("wrong");
  await window.page.getByRole("button", { name: "Sign in" }).click();
  await window.page.getByRole("alert").waitFor();
  await holdToBars(window, "sign-in-wrong");
  window.seen.clean();
  await window.close();
});

test("the pages of an agency", async () => {
  const window = await person(demo.ready.agency);
  const { page } = window;
  await visit(window, "overview", "/");
  await visit(window, "usage", "/usage");
  await visit(window, "usage-90-days-compared", "/usage?p=90d&g=sub_account&cmp=1");
  await visit(window, "usage-24-hours", "/usage?p=24h&g=bucket");
  await visit(window, "usage-cumulative", "/usage?v=cumulative&cmp=1");
  await visit(window, "usage-no-match", "/usage?model=nothing");
  await visit(window, "usage-empty", "/usage?p=custom&from=2020-01-01&to=2020-01-31");
  await visit(window, "sales", "/sales?p=90d");
  await visit(window, "sales-refund", await href(page, "a[href$='/refund']"));
  await visit(window, "sales-rule", "/sales/rule");
  await visit(window, "history", "/history");
  await visit(window, "history-no-match", "/history?q=nothing-like-it");
  const group = await href((await page.goto(`${demo.base}/history?type=used`), page), "table.lines a[href*='/history/group']");
  await visit(window, "history-group", group);
  await visit(window, "line-charge", await href(page, "table.lines a"));
  for (const kind of ["purchase", "plan_added", "plan_expired", "assigned"]) {
    await page.goto(`${demo.base}/history?type=${kind}`);
    await visit(window, `line-${kind}`, await href(page, "table.lines a"));
  }
  await visit(window, "buy", "/buy");
  await visit(window, "calculator", "/calculator?c=4000&r=6.5&x=20");
  await page.goto(`${demo.base}/calculator?c=4000&r=6.5&x=20`);
  await page.getByLabel("Name").fill("Acme Dental");
  await page.getByRole("button", { name: "Save quote" }).click();
  await page.waitForURL("**/quotes");
  await visit(window, "quotes", "/quotes");
  const quoted = await page.locator("#quote-0, [id^='quote-0']").evaluateAll((all) => all.map((e) => e.value || e.textContent).find((text) => /\/q\//.test(text)));
  await visit(window, "quote", quoted.trim());
  await visit(window, "calculator-wrong", "/calculator?c=many", { status: 422 });
  await visit(window, "referral", "/referral");
  await visit(window, "referral-invite", new URL(await page.locator("#referral-link").textContent()).pathname);
  await visit(window, "redeem", "/gift");
  await visit(window, "own-plan", "/plan");
  await visit(window, "plan-choose", "/plan/choose");
  await visit(window, "plan-take", await href(page, "main a[href^='/plan/change']"));
  await visit(window, "plan-cancel", "/plan/cancel");
  await visit(window, "plan-return-unknown", "/plan/return?s=none", { status: 404 });
  await visit(window, "top-up", "/buy/automatic");
  await visit(window, "top-up-confirm-no-card", "/buy/automatic/confirm?threshold=1000&offer=credits-2000&limit=100", { status: 422 });
  await visit(window, "top-up-card-unknown", "/buy/automatic/card?s=none", { status: 404 });
  await visit(window, "sub-accounts", "/sub-accounts");
  const client = await href(page, "table.clients tbody a");
  await visit(window, "sub-account", client);
  await visit(window, "sub-account-new", "/sub-accounts/new");
  await visit(window, "sub-account-edit", `${client}/edit`);
  await visit(window, "assign", `${client}/assign?credits=1000`);
  await visit(window, "take-back", `${client}/take-back?credits=1`);
  await visit(window, "packages", "/packages");
  await visit(window, "package", await href(page, "table.packages tbody a"));
  await visit(window, "package-new", "/packages/new?name=Growth&credits=10000&price=60&cost_basis=best");
  await visit(window, "package-preview", "/packages/preview");
  await visit(window, "connect", "/packages/connect");
  await visit(window, "connect-return", "/packages/connect/return");
  await visit(window, "purchases", "/purchases");
  await visit(window, "receipt", await href(page, "a[href$='/receipt']"));
  await visit(window, "not-found-signed-in", "/history/nothing", { status: 404 });
  window.seen.clean();
  await window.close();
});

test("the pages of a purchase, hosted ones included", async () => {
  const window = await person(demo.ready.agency);
  const { page } = window;
  const toPayment = async () => {
    await page.goto(`${demo.base}/buy`);
    await page.locator("section.review:visible").getByRole("button", { name: /^(Continue to payment|Buy again)/ }).click();
    await page.waitForURL(`${demo.stripe}/c/pay/**`);
  };
  const pay = () => page.getByRole("button", { name: /^Pay / }).click();
  const card = (n) => page.getByLabel("Card number").fill(n);
  await toPayment();
  await holdToBars(window, "payment");
  window.seen.expect(402);
  await card("4000000000000002");
  await pay();
  await page.getByRole("alert").waitFor();
  await holdToBars(window, "payment-declined");
  await page.getByRole("link", { name: /^Cancel/ }).click();
  await page.waitForURL(`${demo.base}/buy?**`);
  await holdToBars(window, "buy-cancelled");
  await toPayment();
  await card("4000002500003155");
  await pay();
  await page.getByRole("heading", { name: "Complete authentication" }).waitFor();
  await holdToBars(window, "payment-authentication");
  await page.getByRole("button", { name: /^Authenticate/ }).click();
  await page.waitForURL(`${demo.base}/buy/return**`);
  await holdToBars(window, "return-credited");
  await page.goto(`${demo.base}/buy`);
  await holdToBars(window, "buy-again");
  await toPayment();
  const paying = page.url();
  await page.getByLabel(/Bank debit/).check();
  await pay();
  await page.waitForURL(`${demo.base}/buy/return**`);
  await holdToBars(window, "return-awaiting");
  await page.goto(paying);
  await holdToBars(window, "payment-over");
  await page.goto(demo.stripe);
  await holdToBars(window, "payment-simulator");
  await visit(window, "purchases-pending", "/purchases");

  // Payment is not available: the page keeps its sums and the choice.
  await demo.sim("faults", { path: "POST /v1/checkout/sessions", fault: "500", count: 20 });
  window.seen.expect(503);
  await page.goto(`${demo.base}/buy`);
  await page.locator("section.review:visible").getByRole("button", { name: /^(Continue to payment|Buy again)/ }).click();
  await page.getByText("You have not been charged").waitFor();
  await holdToBars(window, "buy-unavailable");
  await demo.sim("faults", { path: "POST /v1/checkout/sessions", fault: "500", count: 0 });
  window.seen.clean();
  await window.close();
});

test("the pages of a client", async () => {
  const window = await person(demo.ready.client, demo.portal);
  await visit(window, "client", "/");
  await visit(window, "client-usage", "/usage");
  await visit(window, "client-history", "/history");
  await visit(window, "client-line", await href(window.page, "table.lines a"));
  await visit(window, "client-buy", "/buy");
  await takeMonthly(window);
  await visit(window, "client-buy-monthly", "/buy");
  await visit(window, "client-monthly-cancel", await href(window.page, "a[href^='/buy/monthly/']"));
  await visit(window, "client-calculator", "/calculator?c=1200&o.ai.knowledge_sync=3");
  await visit(window, "client-purchases", "/purchases");
  await visit(window, "client-people", "/settings/people");
  await visit(window, "client-billing-details", "/settings/billing");
  await visit(window, "client-security", "/settings/security");
  await visit(window, "client-notices", "/notices");
  await visit(window, "client-notifications", "/settings/notifications");
  await visit(window, "client-notifications-sent", "/settings/notifications/sent");
  await visit(window, "client-sign-in-sent", "/sign-in/sent");
  await visit(window, "client-not-found", "/nothing", { status: 404 });
  window.seen.clean();
  await window.close();
});

test("the pages about people, their mails and archived accounts", async () => {
  const window = await person(demo.ready.agency);
  const { page } = window;
  const acme = `/sub-accounts/${demo.ready.client.id}`;
  for (const [name, address] of [["team", "/settings/team"], ["people", `${acme}/people`]]) {
    await page.goto(new URL(address, demo.base).href);
    await page.getByLabel("E-mail").fill(`${name}@harbour.example`);
    await page.getByRole("button", { name: "Send invitation" }).click();
    await page.locator(".flash").waitFor();
    await visit(window, name, address);
    await visit(window, `${name}-person`, await href(page, "table th a"));
  }
  await visit(window, "messages", "/settings/messages");
  await page.goto(`${demo.base}/settings/brand`);
  await page.getByLabel("Name of the portal").fill("Orbit Credits");
  await page.getByLabel("Brand colour", { exact: true }).fill("#ffd400");
  await page.getByLabel("Corners of cards and buttons").selectOption("Round");
  await page.getByLabel("Name of link 1").fill("Imprint");
  await page.getByLabel("Address of link 1").fill("https://orbit.example/imprint");
  await page.getByRole("button", { name: "Save as draft" }).click();
  await page.locator(".flash").waitFor();
  await visit(window, "brand", "/settings/brand");
  await visit(window, "brand-phone", "/settings/brand?show=low&theme=dark&screen=phone");
  await page.goto(`${demo.base}/settings/domain`);
  await page.getByLabel("Name", { exact: true }).fill("credits.orbit.example");
  await page.getByRole("button", { name: "Add domain" }).click();
  await page.locator(".flash").waitFor();
  await visit(window, "domain", "/settings/domain");
  await visit(window, "domain-remove", "/settings/domain/credits.orbit.example/remove");
  await visit(window, "embed-settings", "/settings/embed");
  for (const shown of ["balance", "buy", "low", "sign-in", "mail", "low-mail", "receipt"]) await visit(window, `brand-${shown}`, `/settings/brand/preview/${shown}`);
  await visit(window, "billing-details", "/settings/billing");
  await page.goto(`${demo.base}/settings/webhooks`);
  await page.getByLabel("Address").fill("https://hooks.invalid/refill");
  await page.getByRole("button", { name: "Add endpoint" }).click();
  await page.getByRole("heading", { name: "Signing secret" }).waitFor();
  await holdToBars(window, "webhook-made");
  await page.getByRole("button", { name: "Send a test" }).click();
  await page.locator(".flash").waitFor();
  await visit(window, "webhook", new URL(page.url()).pathname);
  await visit(window, "webhooks", "/settings/webhooks");
  await visit(window, "security", "/settings/security");
  await visit(window, "two-step", "/settings/security/two-step");
  await page.goto(`${demo.base}/settings/api-keys`);
  await page.getByLabel("Name").fill("Reports");
  await page.getByRole("button", { name: "Make key" }).click();
  await page.getByRole("heading", { name: "Your new key" }).waitFor();
  await holdToBars(window, "api-key-made");
  await visit(window, "api-key", new URL(page.url()).pathname);
  await visit(window, "api-keys", "/settings/api-keys");
  await visit(window, "switch", "/switch");
  await visit(window, "archive", `${acme}/archive`);
  await visit(window, "monthly", `${acme}/monthly`);
  await visit(window, "statement", "/statement");
  await visit(window, "statement-of-client", `${acme}/statement`);
  await visit(window, "move", `${acme}/move`);
  await visit(window, "bulk", "/sub-accounts/bulk");
  await visit(window, "bulk-planned", "/sub-accounts/bulk?way=same&credits=10");
  await page.getByRole("button", { name: /^Assign .* credits to/ }).click();
  await page.locator(".flash").waitFor();
  await visit(window, "bulk-done", new URL(page.url()).pathname);
  await visit(window, "archived-list", "/sub-accounts/archived");
  await visit(window, "outbox", "/demo/mail");
  await visit(window, "mail", await page.locator("main li", { hasText: "people@harbour.example" }).getByRole("link").first().getAttribute("href"));
  await visit(window, "invitation-client", await href(page, ".mail-text a"));
  await visit(window, "invitation-expired", `/invitations/${"A".repeat(43)}`, { status: 410 });
  await page.goto(`${demo.base}/demo/mail`);
  await page.locator("li", { hasText: "team@harbour.example" }).getByRole("link").click();
  await visit(window, "invitation-team", await href(page, ".mail-text a"));
  await page.goto(`${demo.base}/demo/mail`);
  await page.locator("main li", { hasText: "owner@northwind.example" }).filter({ hasText: "bought" }).getByRole("link").first().click();
  // The business was made by a demo that ran elsewhere: its mails lead there.
  await visit(window, "mails-off", new URL(await href(page, ".mail-text a[href*='/notices/off/']")).pathname);
  await page.getByRole("button", { name: "Turn these mails off" }).click();
  await page.getByText("gets no more mails").waitFor();
  await holdToBars(window, "mails-off-done");
  await visit(window, "mails-off-gone", `/notices/off/${"A".repeat(80)}`, { status: 410 });
  await visit(window, "notices", "/notices");
  await visit(window, "notifications", "/settings/notifications");
  await visit(window, "notifications-sent", "/settings/notifications/sent");
  await visit(window, "sign-in-sent", "/sign-in/sent");
  window.seen.clean();
  await window.close();
});

test("the brand is looked at on a phone and in the dark, without script", async () => {
  const window = await signIn(await open(demo, { script: false }), demo.ready.agency);
  const { page } = window;
  await page.goto(`${demo.base}/settings/brand`);
  const frame = page.locator("iframe.look");
  const wide = (await frame.boundingBox()).width;
  assert.ok(wide > 900, `${wide} pixels are a desktop's`);
  for (const label of ["Low balance", "Dark", "Phone"]) {
    await page.getByRole("link", { name: label, exact: true }).click();
    await page.locator(`.looks [aria-current]`, { hasText: label }).waitFor();
  }
  const shown = frame.contentFrame();
  assert.equal(await shown.locator("[data-balance]").textContent(), "1,204");
  assert.equal(await shown.locator("html").getAttribute("data-theme"), "dark");
  assert.match(await shown.locator(".notice, .notices").first().textContent(), /Low balance\./);
  assert.deepEqual(await shown.locator("html").evaluate((html) => [innerWidth, html.scrollWidth]), [360, 360]);
  await page.setViewportSize({ width: 360, height: 700 });
  const { x, width } = await frame.boundingBox();
  assert.ok(x >= 0 && x + width <= 360, "within the screen");
  assert.ok(await shown.locator("html").evaluate((html) => html.scrollWidth <= innerWidth), "and nothing beyond the frame");
  await window.close();
});

test("the pages of the catalogue", async () => {
  const window = await person(demo.ready.admin);
  const { page } = window;
  await page.goto(`${demo.base}/admin/plans`);
  const plan = await href(page, "main table th a");
  await visit(window, "plan", plan);
  await visit(window, "plan-edit", `${plan}/edit`);
  await page.getByLabel("Price", { exact: true }).fill("107");
  await page.getByRole("button", { name: "Review changes" }).click();
  await page.getByRole("heading", { name: /^Review the plan/ }).waitFor();
  await holdToBars(window, "plan-review");
  await visit(window, "plan-archive", `${plan}/archive`);
  await visit(window, "plan-move", `${plan}/move`);
  await visit(window, "plan-new", "/admin/plans/new");
  window.seen.expect(422);
  await page.getByRole("button", { name: "Review changes" }).click();
  await page.getByRole("alert").waitFor();
  await holdToBars(window, "plan-new-wrong");
  await page.goto(`${demo.base}/admin/packs`);
  const pack = await href(page, "main table th a");
  await visit(window, "pack", pack);
  await visit(window, "pack-edit", `${pack}/edit`);
  await visit(window, "pack-archive", `${pack}/archive`);
  await visit(window, "pack-new", "/admin/packs/new");
  await page.goto(`${demo.base}/admin/rates`);
  const card = await href(page, "main table th a");
  await visit(window, "rate-card", card);
  await visit(window, "rate-edit", `${card}/edit?action=ai.crawl`);
  await page.getByRole("button", { name: "Review changes" }).click();
  await page.getByRole("heading", { name: /^Review the rates/ }).waitFor();
  await holdToBars(window, "rate-review");
  await visit(window, "rate-new", "/admin/rates/new");
  await visit(window, "admin-billing-details", "/admin/billing-details");
  await page.goto(`${demo.base}/admin/webhooks`);
  await page.getByLabel("Address").fill("https://hooks.invalid/platform");
  await page.getByRole("button", { name: "Add endpoint" }).click();
  await page.getByRole("heading", { name: "Signing secret" }).waitFor();
  await visit(window, "admin-webhook", new URL(page.url()).pathname);
  await visit(window, "admin-webhooks", "/admin/webhooks");
  await page.goto(`${demo.base}/admin/api-keys`);
  await visit(window, "admin-api-key", await href(page, "table th a"));
  await visit(window, "rate-version", `${card}/versions/1`);
  window.seen.clean();
  await window.close();
});

// shown is the code of an authenticator app that took a secret: of one that has just begun, or that
// lives for five seconds more.
async function shown(secret) {
  const left = 30_000 - (Date.now() % 30_000);
  if (left < 5_000) await setTimeout(left);
  const bits = [...secret.replaceAll(" ", "")].map((c) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const sum = createHmac("sha1", key).update(step).digest();
  return String((sum.readUInt32BE(sum.at(-1) & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

test("the pages of somebody who signs in in two steps", async () => {
  const window = await open(demo);
  const { page } = window;
  window.home = demo.base;
  const enter = async () => {
    await page.goto(`${demo.base}/sign-in`);
    await page.getByLabel("E-mail").fill("sam@refill.example");
    await page.getByLabel("Password").fill(demo.ready.admin.password);
    await page.getByRole("button", { name: "Sign in" }).click();
  };
  await enter();
  await page.goto(`${demo.base}/settings/security/two-step`);
  await page.getByLabel("The six digits").fill(await shown(await page.locator("#secret").textContent()));
  await page.getByRole("button", { name: "Turn on" }).click();
  await page.getByRole("heading", { name: "Recovery codes" }).waitFor();
  await holdToBars(window, "recovery-codes");
  const [code] = (await page.locator("#codes").textContent()).split("\n");
  await visit(window, "security-on", "/settings/security");
  await page.context().clearCookies();
  await enter();
  await visit(window, "sign-in-code", "/sign-in/code");
  await page.getByLabel("Code").fill(code);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((url) => url.pathname === "/admin");
  window.seen.clean();
  await window.close();
});

test("the pages of an admin", async () => {
  const window = await person(demo.ready.admin);
  const { page } = window;
  await page.goto(demo.base);
  const nav = await page.locator("#nav a").evaluateAll((links) => links.map((a) => a.getAttribute("href")));
  assert.ok(nav.length, "an admin has somewhere to go");
  for (const address of nav) await visit(window, `admin${address.replaceAll(/[/?=&]/g, "-")}`, address);
  await page.goto(`${demo.base}/admin/agencies`);
  const agency = await href(page, "table.agencies tbody th a");
  await visit(window, "admin-agencies-sorted", "/admin/agencies?sort=used&q=a");
  await visit(window, "admin-agencies-no-match", "/admin/agencies?q=nobody-of-that-name");
  await visit(window, "admin-agency-new", "/admin/agencies/new");
  await visit(window, "admin-agency", agency);
  await visit(window, "admin-adjust", `${agency}/adjust?credits=60000&direction=give`);
  await visit(window, "admin-plan", `${agency}/plan`);
  await page.goto(new URL(`${agency}/plan`, demo.base).href);
  const plan = await page.locator("#plan option").first().getAttribute("value");
  await visit(window, "admin-plan-chosen", `${agency}/plan?plan=${plan}`);
  await visit(window, "admin-pause", `${agency}/pause`);
  await visit(window, "admin-resume", `${agency}/resume`);
  await visit(window, "admin-excess", `${agency}/excess`);
  await page.goto(`${demo.base}/admin/payments`);
  const refund = await href(page, "a[href$='/refund']");
  await visit(window, "admin-payments-day", await href(page, "a[href*='?day=']"));
  await visit(window, "admin-refund", `${refund}?amount=1.00`);
  const back = await page.goto(`${demo.base}/admin/payments`).then(() => page.locator("tr", { hasText: "Northwind" }).locator("a[href$='/refund']").first().getAttribute("href"));
  await page.goto(new URL(`${back}?amount=1.00`, demo.base).href);
  await page.getByRole("textbox", { name: "Reason" }).fill("An outage");
  await page.locator("form[method='post'] button.primary").click();
  const payer = await person(demo.ready.agency);
  await payer.page.goto(`${demo.base}/purchases?status=refunded`);
  await payer.page.goto(new URL(await href(payer.page, "a[href$='/receipt']"), demo.base).href);
  await visit(payer, "credit-note", await href(payer.page, "a[href*='/credit-notes/']"));
  payer.seen.clean();
  await payer.close();
  await page.goto(new URL(`${agency}/adjust`, demo.base).href);
  await page.getByLabel("How many credits?").fill("60000");
  await page.getByRole("textbox", { name: "Reason" }).fill("An outage");
  await page.getByRole("button", { name: "Adjust credits" }).click();
  await page.goto(`${demo.base}/admin/adjustments`);
  const request = await href(page, "main table tbody th a");
  await visit(window, "admin-adjustments-waiting", "/admin/adjustments");
  await visit(window, "promotions", "/admin/gifts");
  await visit(window, "promotion", await href(page, "table.blocks a[href^='/admin/gifts/gft_']"));
  await visit(window, "promotion-new", "/admin/gifts/new");
  await visit(window, "rewards", "/admin/referrals");
  await visit(window, "admin-approval", request);
  await page.goto(`${demo.base}/admin/people?q=sam`);
  await visit(window, "admin-person", await href(page, "table th a"));
  await visit(window, "admin-people-no-match", "/admin/people?q=nobody-of-that-name");
  await visit(window, "admin-audit-no-match", "/admin/audit?action=nothing");
  await visit(window, "admin-audit-wrong", "/admin/audit?from=soon", { status: 422 });
  await visit(window, "admin-usage-models", "/admin/usage?p=90d&g=model&cmp=1");
  await visit(window, "admin-usage-sold", "/admin/usage?v=cumulative&g=plan&cmp=1");
  await visit(window, "admin-usage-one", "/admin/usage?agency=northwind&p=90d&i=month");
  await visit(window, "admin-usage-empty", "/admin/usage?p=custom&from=2020-01-01&to=2020-01-31");
  await visit(window, "admin-stripe", "/setup/stripe?check=1");
  await visit(window, "admin-forbidden", "/buy", { status: 403 });
  window.seen.clean();
  await window.close();
});

test("the pages of a first run", async () => {
  const server = await startServer();
  const window = await open(server);
  window.home = server.base;
  const { page } = window;
  await visit(window, "setup", "/setup");
  const become = async (code) => {
    for (const [label, value] of [["One-time code", code], ["Your name", "Ana"], ["E-mail", "ana@harbour.example"], ["Password", "correct horse battery"]]) {
      await page.getByLabel(label).fill(value);
    }
    await page.getByRole("button", { name: "Make me the admin" }).click();
  };
  window.seen.expect(422);
  await become("AAAA-BBBB-CCCC-DDDD");
  await page.getByRole("alert").waitFor();
  await holdToBars(window, "setup-wrong");
  await become(server.code);
  await page.getByRole("heading", { name: "Address and time zone" }).waitFor();
  for (const step of ["address", "database", "stripe", "catalogue", "done"]) await visit(window, `setup-${step}`, `/setup/${step}`);
  await page.getByRole("button", { name: "Create an API key" }).click();
  await page.locator("#key").waitFor();
  await holdToBars(window, "setup-done-key");
  await visit(window, "setup-unfinished", "/admin");
  window.seen.clean();
  await window.close();
  await server.stop();
});

test("the states of a balance: low, almost out, paused", async () => {
  const window = await person(demo.ready.agency);
  const wallet = demo.ready.agency.wallet;
  const drainTo = async (left) => {
    const balance = await demo.balance(wallet);
    const credits = String(Math.floor((balance - left) * 1e6) / 1e6);
    const hold = await demo.api("POST", "/v1/holds", { wallet, action: "ai.reply", model: "gpt-4", credits });
    await demo.api("POST", `/v1/holds/${hold.id}/captures`, { credits });
  };
  await demo.clock({ advance: "72h" }); // beyond the reset that the demo stands before
  await window.page.goto(demo.base);
  const pace = number(await window.page.locator("dl.facts > div", { hasText: "Pace" }).locator("dd").textContent());
  for (const [name, left, word] of [["low", 3 * pace, "Low"], ["critical", pace / 2, "Almost out"], ["paused", 0, "Paused"]]) {
    await drainTo(left);
    await visit(window, `overview-${name}`, "/");
    const said = await window.page.locator(".top .chip").textContent();
    assert.match(said, new RegExp(word));
    await visit(window, `buy-${name}`, "/buy");
  }
  window.seen.clean();
  await window.close();
});

// Every preset fills the same pages with other words and numbers.
for (const preset of full ? ["ai-employee", "dm-champ", "tawk", "thrivedesk"] : []) {
  test(`the pages of an agency, preset ${preset}`, async () => {
    const other = await startDemo({ preset });
    const window = await signIn(await open(other), other.ready.agency);
    window.home = other.base;
    for (const address of ["/", "/usage", "/usage?p=90d&g=action", "/usage?v=cumulative", "/history", "/buy", "/purchases"]) {
      await visit(window, `${preset}${address.replaceAll(/[/?=&]/g, "-")}`, address);
    }
    await window.page.goto(`${other.base}/history?type=used`);
    await visit(window, `${preset}-group`, await href(window.page, "table.lines a[href*='/history/group']"));
    await visit(window, `${preset}-line`, await href(window.page, "table.lines a"));
    window.seen.clean();
    await window.close();
  });
}

test("styles and scripts weigh what they may", async () => {
  const sum = async (kind) => {
    let bytes = 0;
    for (const address of assets) if (address.endsWith(kind)) bytes += zipped((await demo.fetch(address)).bytes);
    return bytes;
  };
  const [style, script] = [await sum(".css"), await sum(".js")];
  assert.ok(style > 0 && style <= limits.css, `${style} bytes of style`);
  assert.ok(script > 0 && script <= limits.script, `${script} bytes of script`);
});

test("no page of the program was left out", () => {
  assert.deepEqual(routes().filter((pattern) => !visited.has(pattern)), []);
});
