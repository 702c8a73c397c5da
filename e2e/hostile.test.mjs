// Hostile text: programs written into everything that people may write, by the API
// and by forms, are shown as text in every page that shows them. No dialog opens, the
// policy has nothing to report, nobody else is asked, and no element of theirs is there.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { full, open, signIn, startDemo } from "./harness.mjs";

// Each is at most 100 characters. They end attributes, comments, scripts, styles and
// text fields, and try what parsers are said to repair.
const corpus = [
  "<script>alert(1)</script>",
  "\"><script>alert(2)</script>",
  "'><img src=x onerror=alert(3)>",
  "<img src=x onerror=alert(4)>",
  "<svg onload=alert(5)>",
  "<svg><script>alert(6)</script></svg>",
  "</textarea><script>alert(7)</script>",
  "</title><script>alert(8)</script>",
  "</style><script>alert(9)</script>",
  "--><script>alert(10)</script>",
  "\" autofocus onfocus=alert(11) x=\"",
  "' onmouseover='alert(12)",
  "<iframe srcdoc='<script>alert(13)</script>'>",
  "<details open ontoggle=alert(14)>",
  "<a href=javascript:alert(15) id=hostile>x</a>",
  "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(16)>",
  "<noscript><p title=\"</noscript><img src=x onerror=alert(17)>\">",
  "{{constructor.constructor('alert(18)')()}}",
  "javascript:alert(19)",
  "<base href=//evil.example><link rel=stylesheet href=//evil.example/x.css>",
  "<meta http-equiv=refresh content=0;url=//evil.example>",
  "<form action=//evil.example><button id=hostile>x",
];

let demo;
let turn = 0;

// next is another of the corpus each time, with a length that fits.
function next(most = 100) {
  for (;;) {
    const text = corpus[turn++ % corpus.length];
    if (text.length <= most) return text;
  }
}

before(async () => {
  demo = await startDemo();
});

// watched opens a window that notes dialogs.
async function watched(person) {
  const window = await open(demo);
  const dialogs = [];
  window.page.on("dialog", (dialog) => {
    dialogs.push(dialog.message());
    dialog.dismiss();
  });
  await signIn(window, person);
  return Object.assign(window, { dialogs });
}

// holds looks at one page.
async function holds(window, address) {
  await window.page.goto(new URL(address, window.page.url()).href);
  const found = await window.page.evaluate(() => {
    const wrong = [];
    for (const e of document.querySelectorAll("*")) {
      for (const a of e.attributes) {
        if (/^on/i.test(a.name)) wrong.push(`${e.tagName} has ${a.name}`);
        if (/^(href|src|action|formaction)$/i.test(a.name) && /^\s*javascript:|evil\.example/i.test(a.value)) wrong.push(`${e.tagName} leads to ${a.value}`);
      }
    }
    if (document.querySelector("#hostile, iframe[srcdoc], base, noscript [title], math, svg script")) wrong.push("an element of theirs");
    return { wrong, shown: document.body.innerText.match(/alert\(\d+\)|evil\.example/g)?.length ?? 0 };
  });
  assert.deepEqual(found.wrong, [], address);
  return found.shown;
}

test("what people wrote stays text, whatever it says", async () => {
  const { agency, client } = demo.ready;
  const key = agency.api_key;
  const mine = { key };
  const made = [];
  for (let i = 0; i < corpus.length; i++) {
    const sub = await demo.api("POST", "/v1/sub-accounts", { external_id: `hostile-${i}`, name: next() }, mine);
    made.push(sub.id);
  }
  for (let i = 0; i < 8; i++) {
    await demo.api("POST", "/v1/assignments", { sub_account: client.id, credits: "1", note: next() }, mine);
    await demo.api("POST", "/v1/packages", { name: next(), badge: next(40), credits: String(1000 + i), price: { amount: 6000 + i, currency: "usd" } }, mine);
    await demo.api("POST", "/v1/charges", { wallet: client.wallet, action: "ai.reply", model: "gpt-4", metadata: { [next()]: next() } }, mine);
    await demo.api("POST", `/v1/agencies/${agency.id}/adjustments`, { credits: "1", reason: next() });
  }
  const owner = await watched(agency);
  // What only forms take. A field that refuses a text shows it again, which is a
  // page like any other.
  owner.seen.expect(422, 409);
  const fills = [
    ["/settings/webhooks", { url: "https://hooks.example/x", note: next() }],
    ["/settings/api-keys", { name: next() }],
    ["/settings/billing", { company: next(), line1: next(), city: next(60), tax_id: next(40) }],
    ["/settings/brand", { name: next(60), support: "javascript:alert(30)", sender_name: next(60) }],
    ["/settings/messages", { text: next() }],
    ["/sub-accounts/new", { name: next(), external_id: next() }],
    ["/packages/new", { name: next(), note: next() }],
    ["/settings/team", { email: next() }],
  ];
  for (const [address, fields] of fills) {
    await owner.page.goto(demo.base + address);
    for (const [name, value] of Object.entries(fields)) {
      const field = owner.page.locator(`main [name="${name}"]:visible`).first();
      if (await field.count()) await field.fill(value);
    }
    const form = owner.page.locator(Object.keys(fields).map((name) => `main form:has([name="${name}"])`).join(",")).first();
    if (await form.count()) {
      await Promise.all([owner.page.waitForEvent("load"), form.evaluate((f) => f.submit())]);
    }
  }
  let shown = 0;
  const quick = full ? undefined : 12; // pages of each, the likeliest first
  for (const address of [
    "/", "/sub-accounts", `/sub-accounts/${made[0]}`, `/sub-accounts/${made[1]}/assign`, `/sub-accounts/${made[2]}/edit`, "/sub-accounts/bulk", `/sub-accounts/${client.id}`, `/sub-accounts/${client.id}/statement`,
    "/history", `/history?sub=${encodeURIComponent(made[3])}`, "/packages", "/settings/webhooks", "/usage", "/packages/new", "/packages/preview", "/purchases", "/sales", "/settings/api-keys", "/settings/billing", "/settings/brand",
    "/settings/brand/preview/balance", "/settings/messages", "/settings/team", "/calculator", "/notices", `/history?q=${encodeURIComponent(corpus[1])}`, `/sub-accounts?q=${encodeURIComponent(corpus[2])}`,
    `/sign-in?next=${encodeURIComponent("javascript:alert(31)")}`, `/buy?pack=${encodeURIComponent(corpus[0])}`, `/usage?p=${encodeURIComponent(corpus[1])}`, `/calculator?c=${encodeURIComponent(corpus[1])}`,
  ].slice(0, quick)) {
    shown += await holds(owner, address);
  }
  const buyer = await watched(client);
  for (const address of ["/", "/history", "/buy", "/purchases", "/statement", "/usage", "/notices", "/settings/notifications", "/calculator"].slice(0, quick && 4)) shown += await holds(buyer, address);
  const admin = await watched(demo.ready.admin);
  for (const address of ["/admin", "/admin/agencies", `/admin/agencies/${agency.id}`, "/admin/audit", "/admin/adjustments", "/admin/payments", "/admin/usage", "/admin/people", `/admin/audit?q=${encodeURIComponent(corpus[1])}`].slice(0, quick && 5)) shown += await holds(admin, address);
  assert.ok(shown > 40, `only ${shown} of them were to be seen: the pages show something else`);
  for (const window of [owner, buyer, admin]) {
    assert.deepEqual(window.dialogs, []);
    // The page of the brand frames its own preview, which only it may.
    assert.deepEqual(window.seen.wrong.filter((line) => !/\/settings\/brand\/preview\/.*frame-ancestors 'self'/.test(line)), []);
    await window.close();
  }
});
