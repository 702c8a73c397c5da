// Where credits went: filters, export, and that every figure of one filter is the
// same in the sentence, the chart, both tables, the CSV file and the API; then one
// charge, from the history down to the lot.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { both, group, number, numbers, open, signIn, startDemo } from "./harness.mjs";
import { equalTotals, measure } from "./measures.mjs";

const zone = "Europe/Paris"; // of the demo's agency

let demo;
const states = {};

before(async () => {
  demo = await startDemo();
  for (const who of ["agency", "admin"]) {
    const window = await signIn(await open(demo), demo.ready[who]);
    states[who] = await window.context.storageState();
    await window.close();
  }
});

const owner = (script) => open(demo, { script, state: states.agency });
const admin = (script) => open(demo, { script, state: states.admin });

const pick = (page, name) => page.locator(`form select[name=${name}]`);

// midnight is the instant a local day begins, as the API takes it.
function midnight(day) {
  for (const offset of ["+01:00", "+02:00"]) {
    const at = new Date(`${day}T00:00:00${offset}`);
    const parts = Object.fromEntries(new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", hourCycle: "h23" }).formatToParts(at).map((p) => [p.type, p.value]));
    if (`${parts.year}-${parts.month}-${parts.day}` === day && parts.hour === "00") return at.toISOString();
  }
  return assert.fail(`${day} has no midnight in ${zone}`);
}

const plusDays = (day, n) => new Date(Date.parse(`${day}T00:00:00Z`) + n * 86_400_000).toISOString().slice(0, 10);

// rows reads a CSV file as RFC 4180 writes it.
function rows(text) {
  assert.ok(text.endsWith("\r\n"), "the last line ends");
  const [head, ...lines] = text.slice(0, -2).split("\r\n").map((line) => [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, q, plain]) => q?.replaceAll('""', '"') ?? plain));
  return lines.map((line) => Object.fromEntries(head.map((name, i) => [name, line[i]])));
}

const sum = (list, field) => Math.round(list.reduce((n, row) => n + Number(row[field]), 0) * 1e6) / 1e6;

// figures reads everything that a usage page says of its total.
async function figures(page) {
  const seen = await measure(page);
  assert.deepEqual(seen.wrong, []);
  equalTotals(seen);
  const sentence = number(await page.locator("#used ~ *, .card .prose strong").filter({ hasText: /used$/ }).first().textContent());
  const tables = await page.locator("[data-total]").allTextContents();
  const bodies = await page.locator("table.names tbody tr td:nth-last-of-type(2), table.names tbody tr").count();
  assert.ok(bodies > 0);
  assert.deepEqual([...new Set(tables.map(number))], [sentence]);
  return sentence;
}

// exported asks for what the page's Export link leads to, with the page's cookies.
async function exported({ page, context }, whose = "northwind-agency") {
  const address = await page.getByRole("link", { name: "Export CSV" }).getAttribute("href");
  const cookie = (await context.cookies(demo.base)).map((c) => `${c.name}=${c.value}`).join("; ");
  const answer = await demo.fetch(address, { headers: { Cookie: cookie } });
  assert.equal(answer.status, 200);
  assert.match(answer.headers["content-type"], /^text\/csv; charset=utf-8/);
  assert.match(answer.headers["content-security-policy"], /^default-src 'none'/);
  assert.match(answer.headers["content-disposition"], new RegExp(`^attachment; filename="${whose}-[a-z]+.*\\.csv"$`));
  return { rows: rows(answer.text), name: answer.headers["content-disposition"] };
}

const apiUsage = (from, to, more = "") => demo.api("GET", `/v1/usage?agency=northwind&from=${encodeURIComponent(from)}&to=${encodeURIComponent(to)}${more}`);

for (const { script, words } of both) {
  test(`a filter is set, dropped and exported, ${words}`, async () => {
    const window = await owner(script);
    const { page, seen } = window;
    await page.goto(`${demo.base}/usage`);
    const whole = await figures(page);
    const apply = async () => {
      if (script) return;
      await page.getByRole("button", { name: "Apply" }).click();
    };
    await pick(page, "p").selectOption("90d");
    await apply();
    await page.waitForURL(/[?&]p=90d/);
    await page.getByRole("heading", { name: "Last 90 days" }).waitFor();
    const all = await figures(page);
    assert.ok(all > whole);

    await pick(page, "model").selectOption({ label: "GPT-4" });
    await apply();
    await page.waitForURL(/[?&]model=gpt-4(&|$)/);
    await page.getByRole("link", { name: /GPT-4.*remove/ }).waitFor();
    const one = await figures(page);
    assert.ok(one > 0 && one < all);
    const file = await exported(window);
    assert.equal(sum(file.rows, "credits"), one);
    assert.deepEqual([...new Set(file.rows.map((r) => r.model))], ["gpt-4"]);
    for (const r of file.rows) {
      assert.equal(Date.parse(r.time_local), Date.parse(r.time_utc));
      assert.equal(sum([r], "plan_credits") + sum([r], "purchased_credits") + sum([r], "assigned_credits") + sum([r], "bonus_credits") + sum([r], "excess_usage"), Number(r.credits));
    }

    // The back button goes back one filter.
    await page.goBack();
    await page.waitForURL((url) => !url.searchParams.get("model"));
    await page.getByRole("heading", { name: "Last 90 days" }).waitFor();
    await page.waitForFunction((n) => document.querySelector("[data-total]")?.textContent === n, group(all));
    await page.goForward();
    await page.waitForURL(/model=gpt-4/);
    await page.getByRole("link", { name: "Clear all" }).click();
    await page.waitForURL((url) => !url.searchParams.get("model"));
    await page.waitForFunction((n) => document.querySelector("[data-total]")?.textContent === n, group(all));

    // A click on a name narrows to it.
    await page.locator("table.names").getByRole("link", { name: "GPT-4 Turbo" }).click();
    await page.waitForURL(/model=gpt-4-turbo/);
    await page.waitForFunction((n) => document.querySelector("[data-total]")?.textContent !== n, group(all));
    assert.equal(await figures(page), sum((await exported(window)).rows, "credits"));

    // Comparing, and adding up.
    await page.goto(`${demo.base}/usage`);
    await page.getByRole("link", { name: "Compare with the previous period" }).click();
    await page.waitForURL(/[?&]cmp=1/);
    await page.locator("figcaption:visible").filter({ hasText: "Previous period" }).waitFor();
    assert.equal(await figures(page), whole);
    await pick(page, "v").selectOption("cumulative");
    await apply();
    await page.waitForURL(/[?&]v=cumulative/);
    const caption = page.locator("figcaption:visible").filter({ hasText: "Used so far" });
    await caption.waitFor();
    assert.match(await caption.textContent(), new RegExp(`Used so far: ${group(whole)}.*Plan credits: 100,000`, "s"));
    assert.equal(await figures(page), whole);
    seen.clean();
    await window.close();
  });

  test(`a charge is found in the history and explained down to the lot, ${words}`, async () => {
    const window = await owner(script);
    const { page, seen } = window;
    const once = `e2e-explain-${script}`;
    const made = await demo.api("POST", "/v1/charges", { wallet: "agency:northwind", action: "ai.reply", model: "gpt-4-turbo", metadata: { conversation: "conv-e2e" } }, { once });
    await page.goto(demo.base);
    await page.getByRole("link", { name: "All history" }).click();
    await page.waitForURL(`${demo.base}/history`);
    await page.locator("table.lines a[href*='/history/group']").filter({ hasText: /repl(y|ies) · GPT-4 Turbo/ }).first().click();
    await page.waitForURL(/\/history\/group/);
    const line = page.locator("table.lines tbody tr").filter({ hasText: once });
    await line.getByRole("link").first().click();
    await page.getByRole("heading", { name: "Why it cost 10 credits" }).waitFor();
    const text = (await page.locator("main").textContent()).replace(/\s+/g, " ");
    assert.match(text, /1 × 10 = 10/);
    assert.match(text, /Rate card/);
    assert.ok(text.includes(once), "the key that the program gave");
    assert.ok(text.includes("conv-e2e"), "what the program said about it");
    assert.ok(text.includes(made.draws[0].lot), "the lot that paid");
    assert.ok(text.includes(made.id.slice(4)), "the charge's id");
    const facts = Object.fromEntries(await page.locator("dl.facts > div").evaluateAll((all) => all.map((d) => [d.querySelector("dt").textContent.trim(), d.querySelector("dd").textContent.trim()])));
    assert.equal(number(facts["Balance before"]) + number(facts.Change), number(facts["Balance after"]));
    assert.equal(number(facts["Balance after"]), Number(made.balance.available) - Number(made.balance.excess));
    const moves = page.locator("table.moves tbody tr");
    assert.equal(await moves.count(), made.draws.length);
    assert.match(await moves.first().textContent(), /Plan credits.*10/s);

    // The same line by its reference; a reference that is not there.
    await page.goto(`${demo.base}/history?q=${once}`);
    assert.equal(await page.locator("table.lines tbody tr").count(), 1);
    await page.goto(`${demo.base}/history?q=no-such-reference`);
    await page.getByText("Nothing matches these filters.").waitFor();
    await page.getByRole("link", { name: "Clear filters" }).click();
    await page.locator("table.lines tbody tr").first().waitFor();
    seen.clean();
    await window.close();
  });
}

for (const { script, words } of both) {
  test(`an admin finds the agency whose usage changed most and keeps the period, ${words}`, async () => {
    const window = await admin(script);
    const { page, seen } = window;
    const set = async (name, choice) => {
      await pick(page, name).selectOption(choice);
      if (!script) await page.getByRole("button", { name: "Apply" }).click();
    };
    const total = (n) => page.waitForFunction((text) => document.querySelector("[data-total]")?.textContent === text, group(n));
    await page.goto(`${demo.base}/admin/usage`);
    const all = await figures(page);
    assert.match(await page.locator("main").textContent(), /cut in UTC, the platform's time zone/);
    const minis = await page.locator(".minis svg").evaluateAll((list) => list.map((svg) => svg.getAttribute("aria-label")));
    assert.equal(minis.length, await page.locator("table.names tbody tr").count());
    assert.equal(minis.map((text) => numbers(text.split(": ")[1])[0]).reduce((a, b) => a + b, 0), all, "small charts say what the table says");
    const file = (await exported(window, "refill")).rows;
    assert.equal(sum(file, "credits"), all);
    assert.equal(new Set(file.map((r) => r.agency_id)).size, minis.length);

    // What was sold, as a line and as a column.
    await set("v", "cumulative");
    await page.waitForURL(/[?&]v=cumulative/);
    const marks = page.locator("figcaption:visible").filter({ hasText: "Sold" });
    await marks.waitFor();
    const sold = number(/Sold: ([\d,]+)/.exec(await marks.textContent())[1]);
    assert.equal(number(await page.locator("[data-sold]").textContent()), sold);
    assert.equal(await figures(page), all);

    // Every grouping and interval says the same; a model is a part of it.
    await set("i", "week");
    await page.waitForURL(/[?&]i=week/);
    for (const by of ["plan", "bucket"]) {
      await set("g", by);
      await page.waitForURL(new RegExp(`[?&]g=${by}`));
      await total(all);
      assert.equal(await figures(page), all, by);
    }
    await set("model", { label: "GPT-4" });
    await page.waitForURL(/[?&]model=gpt-4(&|$)/);
    await page.getByRole("link", { name: /GPT-4.*remove/ }).waitFor();
    const part = await figures(page);
    assert.ok(part > 0 && part < all);
    assert.equal(sum((await exported(window, "refill")).rows, "credits"), part);
    await page.getByRole("link", { name: "Clear all" }).click();
    await total(all);

    // From the sentence to the agency, in the same period, and on to its page.
    const named = page.locator(".prose a").first();
    const name = await named.textContent();
    await named.click();
    await page.waitForURL((url) => url.searchParams.get("agency") && url.searchParams.get("i") === "week");
    await page.getByRole("link", { name: `Agency: ${name}` }).waitFor();
    const [chosen] = file.filter((r) => r.agency === name);
    assert.equal(await figures(page), sum(file.filter((r) => r.agency === name), "credits"));
    assert.equal(new URL(page.url()).searchParams.get("agency"), chosen.agency_id);
    assert.match(await page.getByRole("link", { name: `Open ${name}` }).getAttribute("href"), /^\/admin\/agencies\/agy_/);
    seen.clean();
    await window.close();
  });
}

test("one filter, one total: page, both tables, chart, CSV and API, whatever the grouping, across a change of the clocks", async () => {
  const window = await owner(false);
  const { page, seen } = window;
  const today = new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(new Date());
  for (const [from, to] of [[plusDays(today, -60), plusDays(today, -20)], ["2026-10-24", "2026-10-26"], [plusDays(today, -3), plusDays(today, -3)]]) {
    const totals = new Set();
    for (const by of ["model", "action", "sub_account", "bucket"]) {
      for (const view of ["daily", "cumulative"]) {
        await page.goto(`${demo.base}/usage?p=custom&from=${from}&to=${to}&g=${by}&v=${view}&cmp=1`);
        totals.add(await figures(page));
      }
      totals.add(sum((await exported(window)).rows, "credits"));
    }
    const range = [midnight(from), midnight(plusDays(to, 1))];
    for (const more of ["", "&group=model", "&group=action", "&group=sub_account", "&group=model&interval=day"]) {
      const answer = await apiUsage(...range, more);
      totals.add(Number(answer.total));
      totals.add(sum(answer.data, "credits"));
    }
    assert.equal(totals.size, 1, `${from} to ${to}: ${[...totals].join(", ")}`);
  }
  seen.clean();
  await window.close();
});

test("the table's lines, the bars and the file agree name by name and day by day", async () => {
  const window = await owner(false);
  const { page, seen } = window;
  await page.goto(`${demo.base}/usage?p=30d&g=model`);
  const file = (await exported(window)).rows;
  const byModel = Object.groupBy ? Object.groupBy(file, (r) => r.model) : file.reduce((all, r) => ({ ...all, [r.model]: [...(all[r.model] ?? []), r] }), {});
  const names = { "gpt-4": "GPT-4", "gpt-4-turbo": "GPT-4 Turbo", "gpt-3.5-turbo": "GPT-3.5" };
  for (const [model, list] of Object.entries(byModel)) {
    const row = page.locator("table.names tbody tr").filter({ has: page.getByRole("rowheader", { name: names[model], exact: true }) });
    const cells = await row.locator("td").allTextContents();
    assert.ok(cells.map((c) => c.trim()).includes(group(sum(list, "credits"))), `${model}: ${cells}`);
    assert.ok(cells.map((c) => c.trim()).includes(group(sum(list, "units"))), `${model}: ${cells}`);
  }
  await page.locator("summary").filter({ hasText: "Numbers per day" }).click();
  const days = await page.locator("table.numbers tbody tr").evaluateAll((trs) => trs.map((tr) => tr.querySelector("td").textContent.trim()));
  const bars = (await measure(page)).charts[0].titles.map((t) => numbers(t.split(": ")[1].split("\n")[0])[0]);
  assert.deepEqual(days.map(number), bars);
  const starts = [...new Set(file.map((r) => r.time_local.slice(0, 10)))].sort();
  const perDay = starts.map((d) => sum(file.filter((r) => r.time_local.startsWith(d)), "credits"));
  assert.deepEqual(days.map(number).filter(Boolean), perDay.filter(Boolean));
  seen.clean();
  await window.close();
});

test("the history's file holds every line of its filter, and its sums", async () => {
  const window = await owner(false);
  const { page, seen } = window;
  for (const filter of ["", "?type=purchase", "?type=plan_added", "?model=gpt-4", "?sub=acme-dental"]) {
    await page.goto(`${demo.base}/history${filter}`);
    const shown = await page.locator("table.lines tbody tr .change, table.lines tbody tr td.n").first().textContent();
    const file = (await exported(window)).rows;
    assert.ok(file.length > 0, filter);
    const change = Object.keys(file[0]).find((name) => /change/.test(name));
    assert.ok(change, `a column of changes in ${Object.keys(file[0])}`);
    assert.equal(number(shown), Number(Number(file[0][change]).toFixed(2)), "the first line is the first line");
    if (!filter) assert.equal(sum(file, change), await demo.balance(), "all lines add up to the balance");
  }
  seen.clean();
  await window.close();
});

test("a charge is on the page within moments, and a preview costs nothing and is listed", async () => {
  const window = await owner(false);
  const { page, seen } = window;
  await page.goto(`${demo.base}/usage?p=24h`);
  const was = await figures(page);
  const balance = await demo.balance();
  await demo.charge({ wallet: "agency:northwind", action: "ai.reply", model: "gpt-4" });
  const preview = await demo.charge({ wallet: "agency:northwind", action: "ai.reply", model: "gpt-4", test: true });
  assert.equal(preview.credits, "0");
  assert.equal(preview.would_cost, "25");
  await page.reload();
  assert.equal(await figures(page), was + 25);
  assert.equal(await demo.balance(), balance - 25);
  await page.goto(`${demo.base}/history`);
  await page.locator("table.lines tbody tr").filter({ hasText: "Test: would have cost 25 credits" }).first().waitFor();
  seen.clean();
  await window.close();
});

test("with script the chart is read by keyboard, and a filter keeps its focus", async () => {
  const window = await owner(true);
  const { page, seen } = window;
  await page.goto(`${demo.base}/usage?p=7d`);
  const plot = page.locator(".plot:visible");
  await plot.focus();
  await page.keyboard.press("ArrowRight");
  const tip = page.locator(".tip:visible");
  assert.match(await tip.textContent(), /credits?/);
  const first = await tip.textContent();
  await page.keyboard.press("ArrowRight");
  assert.notEqual(await tip.textContent(), first);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".tip:visible").count(), 0);
  const period = pick(page, "p");
  await period.focus();
  await period.selectOption("30d");
  await page.waitForURL(/p=30d/);
  await page.getByRole("heading", { name: "Last 30 days" }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.name), "p");
  await page.locator("h1").click();
  await page.keyboard.press("ArrowLeft");
  await page.waitForURL(/p=custom|from=/);
  seen.clean();
  await window.close();
});
