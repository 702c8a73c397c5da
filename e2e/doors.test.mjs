// Who may come in and what they are told: sign-in and out, roles, other agencies,
// strict headers on every answer, and a client's portal that is its agency's alone.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { before, test } from "node:test";
import { both, open, signIn, startDemo } from "./harness.mjs";

let demo;

before(async () => { demo = await startDemo(); });

const cookieOf = async (context, origin) => (await context.cookies(origin)).map((c) => `${c.name}=${c.value}`).join("; ");

async function password(page, origin, email, secret) {
  await page.goto(`${origin}/sign-in`);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(secret);
  await page.getByRole("button", { name: "Sign in" }).click();
}

for (const { script, words } of both) {
  test(`a wrong password keeps the e-mail and tells nothing, ${words}`, async () => {
    const window = await open(demo, { script });
    const { page, seen } = window;
    seen.expect(422);
    const told = [];
    for (const email of [demo.ready.agency.email, "nobody@nowhere.example"]) {
      await password(page, demo.base, email, "not-it");
      const alert = page.getByRole("alert");
      await alert.waitFor();
      told.push((await page.locator("main").innerText()).replace(email, "…"));
      assert.equal(await page.getByLabel("E-mail").inputValue(), email);
      assert.equal(await page.getByLabel("Password").inputValue(), "");
      assert.match(await page.title(), /^Error: Sign in/);
    }
    assert.equal(told[0], told[1], "the same words whether or not the address exists");
    await password(page, demo.base, demo.ready.agency.email, demo.ready.agency.password);
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    seen.clean();
    await window.close();
  });

  test(`signing out ends the session, the back button included, ${words}`, async () => {
    const window = await open(demo, { script });
    const { page, context, seen } = window;
    await password(page, demo.base, demo.ready.agency.email, demo.ready.agency.password);
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    const balance = await page.locator("[data-balance]").textContent();
    const stolen = await cookieOf(context, demo.base);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForURL(`${demo.base}/sign-in`);
    await page.goBack();
    await page.waitForURL(/\/sign-in/);
    assert.ok(!(await page.content()).includes(balance), "nothing of the account is seen again");
    // The cookie of before is worth nothing, wherever it is sent from.
    const answer = await demo.fetch("/", { headers: { Cookie: stolen } });
    assert.equal(answer.status, 303);
    assert.match(answer.headers.location, /^\/sign-in/);
    seen.clean();
    await window.close();
  });

  test(`who asks for a page is led to it after signing in, ${words}`, async () => {
    const window = await open(demo, { script });
    const { page, seen } = window;
    await page.goto(`${demo.base}/usage?p=30d`);
    await page.getByText("Sign in to see that page.").waitFor();
    await page.getByLabel("E-mail").fill(demo.ready.agency.email);
    await page.getByLabel("Password").fill(demo.ready.agency.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(`${demo.base}/usage?p=30d`);
    for (const next of ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]) {
      const answer = await demo.fetch(`/sign-in?next=${encodeURIComponent(next)}`, { headers: { Cookie: await cookieOf(window.context, demo.base) } });
      assert.equal(answer.status, 303);
      assert.equal(answer.headers.location, "/");
    }
    seen.clean();
    await window.close();
  });

  test(`the theme that is chosen stays, ${words}`, async () => {
    const window = await signIn(await open(demo, { script }), demo.ready.agency);
    const { page, seen } = window;
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.goto(`${demo.base}/usage?p=30d`);
    await page.getByRole("button", { name: "Dark" }).click();
    await page.waitForURL(`${demo.base}/usage?p=30d`); // back where it was pressed
    assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
    assert.equal(await page.getByRole("button", { name: "Dark" }).getAttribute("aria-pressed"), "true");
    const dark = await background();
    assert.notEqual(dark, light);
    await page.goto(`${demo.base}/history`);
    assert.equal(await background(), dark);
    await page.emulateMedia({ colorScheme: "dark" });
    await page.getByRole("button", { name: "Light" }).click();
    await page.waitForLoadState();
    assert.equal(await background(), light);
    seen.clean();
    await window.close();
  });

  test(`everything is reached on a phone, ${words}`, async () => {
    const window = await signIn(await open(demo, { script, width: 360 }), demo.ready.agency);
    const { page, seen } = window;
    await page.getByRole("button", { name: "More" }).click();
    const list = page.locator("#nav");
    await list.getByRole("link", { name: "History" }).click();
    await page.waitForURL(`${demo.base}/history`);
    await page.locator("nav.bar").getByRole("link", { name: "Buy" }).click();
    await page.waitForURL(`${demo.base}/buy`);
    await page.getByRole("button", { name: "More" }).click();
    await list.getByRole("button", { name: "Close" }).click();
    await list.waitFor({ state: "hidden" });
    seen.clean();
    await window.close();
  });
}

test("a sign-in link shows a button and is not used up by looking", async () => {
  const window = await open(demo);
  const { page, seen } = window;
  for (let i = 0; i < 3; i++) {
    await page.goto(demo.ready.agency.sign_in_url);
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    assert.equal((await window.context.cookies()).some((c) => c.expires > 0 && c.name.includes("session")), false);
  }
  assert.equal((await demo.fetch(demo.ready.agency.sign_in_url)).headers["referrer-policy"], "no-referrer");
  // At another door it opens nothing.
  seen.expect(410);
  const answer = await page.goto(demo.ready.agency.sign_in_url.replace(demo.base, demo.portal));
  assert.equal(answer.status(), 410);
  seen.clean();
  await window.close();
});

test("each role has its own pages, and a client's door is not the platform's", async () => {
  const people = {
    agency: [demo.ready.agency, demo.base, { "/": 200, "/usage": 200, "/buy": 200, "/admin": 403 }],
    client: [demo.ready.client, demo.portal, { "/": 200, "/usage": 200, "/history": 200, "/buy": 200, "/admin": 403 }],
    admin: [demo.ready.admin, demo.base, { "/admin": 200, "/buy": 403, "/purchases": 403, "/history": 403 }],
  };
  for (const [who, [person, origin, pages]] of Object.entries(people)) {
    const window = await open(demo);
    window.seen.expect(403, 422);
    await signIn(window, person);
    for (const [address, status] of Object.entries(pages)) {
      const answer = await window.page.goto(origin + address);
      assert.equal(answer.status(), status, `${who} at ${address}`);
      if (status === 403) assert.ok(await window.page.getByRole("heading", { level: 1 }).textContent());
    }
    // The session is of one door.
    const other = origin === demo.base ? demo.portal : demo.base;
    const stolen = await cookieOf(window.context, origin);
    const answer = await demo.fetch("/usage", { origin: other, headers: { Cookie: stolen } });
    assert.equal(answer.status, 303, `${who} at the other door`);
    window.seen.clean();
    await window.close();
  }
});

test("another agency's charges, purchases and groups are nobody's", async () => {
  const window = await signIn(await open(demo), demo.ready.agency);
  window.seen.expect(404);
  const charge = await demo.charge({ wallet: "agency:bluebird", action: "ai.reply", model: "gpt-4" });
  const entries = await demo.api("GET", "/v1/wallets/agency:bluebird/entries?limit=50");
  const acts = [charge.id, ...entries.data.slice(0, 3).map((e) => e.act)];
  for (const address of [...acts.map((id) => `/history/${id}`), `/history?q=${charge.id}`, "/usage?sub=maple-bakery"]) {
    const answer = await window.page.goto(demo.base + address);
    if (address.startsWith("/history/")) assert.equal(answer.status(), 404, address);
    const text = await window.page.locator("main").textContent();
    assert.ok(!/Bluebird|Maple/.test(text.replace("maple-bakery", "")), address);
  }
  window.seen.clean();
  await window.close();
});

test("a form without its token, or from elsewhere, changes nothing", async () => {
  const window = await signIn(await open(demo), demo.ready.agency);
  const cookie = await cookieOf(window.context, demo.base);
  const send = (address, headers, fields = {}) => demo.fetch(address, {
    method: "POST", body: new URLSearchParams(fields).toString(), headers: { Cookie: cookie, "Content-Type": "application/x-www-form-urlencoded", ...headers },
  });
  await window.page.goto(`${demo.base}/buy`);
  const token = await window.page.locator("input[name=csrf_token]").first().inputValue();
  const before = (await demo.api("GET", "/v1/purchases?wallet=agency:northwind&limit=50")).data.length;
  for (const address of ["/buy", "/sign-out", "/theme", "/sign-in"]) {
    assert.equal((await send(address, { Origin: demo.base })).status, 403, `${address} without a token`);
    assert.equal((await send(address, { Origin: demo.base }, { csrf_token: "A".repeat(86) })).status, 403, `${address} with a made-up token`);
    assert.equal((await send(address, { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" }, { csrf_token: token })).status, 403, `${address} from elsewhere`);
  }
  assert.equal((await demo.api("GET", "/v1/purchases?wallet=agency:northwind&limit=50")).data.length, before);
  await window.page.goto(demo.base); // still signed in
  await window.page.getByRole("heading", { name: "Overview" }).waitFor();
  await window.close();
});

test("strict headers stand on every answer: pages, errors, redirects, files, the API", async () => {
  const window = await signIn(await open(demo), demo.ready.agency);
  const cookie = await cookieOf(window.context, demo.base);
  const html = (await demo.fetch("/sign-in")).text;
  const files = [...html.matchAll(/"(\/static\/[^"]+)"/g)].map(([, f]) => f);
  assert.ok(files.length >= 3);
  const table = execFileSync(process.env.REFILL_BINARY, ["routes"], { encoding: "utf8" }).trim().split("\n").map((line) => line.split(/\s+/));
  const asks = [
    ...files.map((f) => ["GET", f]), ["GET", "/static/none.css"], ["GET", "/nothing"], ["GET", "/favicon.ico"], ["GET", "/robots.txt"], ["PUT", "/buy"], ["GET", "/%ff"],
    ...table.map(([method, address]) => [method, address.replace(/:\w+|\{\w+\}/g, "x")]),
  ];
  let seen = 0;
  for (const [method, address] of asks) {
    for (const headers of [{}, { Cookie: cookie }, { Authorization: `Bearer ${demo.ready.api_key}` }]) {
      const answer = await demo.fetch(address, { method, headers, body: method === "POST" ? "" : undefined });
      const given = answer.headers;
      const what = `${method} ${address} → ${answer.status}`;
      assert.match(given["content-security-policy"] ?? "", /^default-src 'none'(?!.*unsafe)/, what);
      assert.equal(given["x-content-type-options"], "nosniff", what);
      assert.equal(given.server, undefined, what);
      assert.equal(given["x-powered-by"], undefined, what);
      assert.ok(answer.status < 500, what);
      if (answer.status === 200 && address.startsWith("/static/")) assert.match(given["cache-control"], /immutable/, what);
      else assert.match(given["cache-control"] ?? "", /no-store/, what);
      seen++;
    }
  }
  assert.ok(seen > 100);
  const stranger = await demo.fetch("/", { headers: { Host: "elsewhere.example" } });
  assert.equal(stranger.status, 404);
  assert.equal(stranger.text, "", "nothing is said to an unknown host");
  await window.close();
});

test("a client sees its agency's portal and no trace of the platform", async () => {
  const window = await open(demo);
  const { page, context, seen } = window;
  seen.expect(404, 403, 422, 410);
  const traces = [];
  const search = (where, text) => {
    // The demo says that it is one; that line is its own, and names nobody.
    if (/refill|stripesim/i.test(text)) traces.push(`${where}: ${/.{0,60}(refill|stripesim).{0,60}/is.exec(text)[0]}`);
  };
  const waiting = [];
  context.on("response", (answer) => {
    if (new URL(answer.url()).origin !== demo.portal) return;
    waiting.push((async () => {
      const url = answer.url().slice(demo.portal.length);
      // What still comes while the window closes can no longer be read; each page is fetched once more below.
      for (const { name, value } of await answer.headersArray().catch(() => [])) search(`header of ${url}`, `${name}: ${value}`);
      if (answer.status() < 300 || answer.status() >= 400) search(url, await answer.text().catch(() => ""));
    })());
  });
  await signIn(window, demo.ready.client);
  await page.goto(demo.portal);
  await Promise.all(waiting);
  assert.match(await page.title(), /^Balance · Acme Dental/);
  assert.equal(await page.locator(".top .brand").textContent(), "Northwind Agency");
  const shown = Number((await page.locator("[data-balance]").textContent()).replaceAll(",", ""));
  assert.equal(shown, await demo.balance(demo.ready.client.wallet));

  // Every page that a client's links lead to, as far as they go; errors and files too.
  const queue = ["/", "/sign-in", "/nothing", "/admin", "/usage.csv", "/history.csv", "/purchases.csv", `/sign-in/${"A".repeat(43)}`];
  const kinds = new Map();
  const cookie = await cookieOf(context, demo.portal);
  for (let address = queue.shift(); address !== undefined; address = queue.shift()) {
    const url = new URL(address, demo.portal);
    if (/^http:\/\/127\.0\.0\.1:\d+\/receipts\//.test(url.href)) continue; // Stripe's own, of a payment to the agency
    if (url.origin !== demo.portal) {
      traces.push(`a link leads to ${url}`);
      continue;
    }
    const kind = url.pathname.replace(/[a-z]+_[0-9a-v]{20,}|[0-9a-f]{12,}/g, "…") + [...url.searchParams.keys()].sort().join();
    if ((kinds.get(kind) ?? 0) >= 3) continue;
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    const answer = await demo.fetch(url.pathname + url.search, { origin: demo.portal, headers: { Cookie: cookie } });
    for (const [name, value] of Object.entries(answer.headers)) search(`header of ${address}`, `${name}: ${value}`);
    search(address, answer.text);
    if (/html/.test(answer.headers["content-type"] ?? "")) {
      for (const [, found] of answer.text.matchAll(/(?:href|src|action)="([^"#]+)"/g)) queue.push(found.replaceAll("&amp;", "&"));
      for (const secret of ["Bright Solar", "Kite Legal", "Nord Gym", "Harbour Hotel", "Bluebird"]) {
        assert.ok(!answer.text.includes(secret), `${address} names another client, ${secret}`);
      }
      assert.ok(!/cost each|margin|profit/i.test(answer.text), `${address} tells a cost`);
    }
  }
  assert.ok(kinds.size > 12, [...kinds.keys()].join(" "));
  for (const c of await context.cookies(demo.portal)) search("a cookie", c.name);
  await page.goto(`${demo.portal}/nothing`);
  search("the title of an error", await page.title());
  assert.deepEqual(traces, []);
  seen.clean();
  await window.close();
});
