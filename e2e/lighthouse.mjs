// Lighthouse's opinion of the first pages of each kind of person (bars X3, S1, S2, S8),
// on its slow phone, the median of three. Not a part of the quick run: a page takes
// half a minute on two quiet cores. `make lighthouse` installs it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { browserPath, open, signIn, startDemo } from "./harness.mjs";

const program = process.env.LIGHTHOUSE; // its command's file
const bars = { performance: 0.98, accessibility: 1, "best-practices": 1 };
const timings = { "largest-contentful-paint": 1200, "cumulative-layout-shift": 0, "total-blocking-time": 50 };

let demo;
const dir = mkdtempSync(path.join(tmpdir(), "refill-lighthouse-"));
const cookies = {};
before(async () => {
  demo = await startDemo();
  for (const [who, origin] of [["agency", demo.base], ["client", demo.portal]]) {
    const window = await signIn(await open(demo), demo.ready[who]);
    const held = await window.context.cookies(origin);
    cookies[who] = path.join(dir, `${who}.json`);
    writeFileSync(cookies[who], JSON.stringify({ Cookie: held.map((c) => `${c.name}=${c.value}`).join("; ") }));
    await window.close();
  }
});
after(() => rmSync(dir, { recursive: true, force: true }));

// look is one report of a page.
async function look(address, headers) {
  const file = path.join(dir, "report.json");
  await promisify(execFile)(process.execPath, [
    program, address, "--quiet", "--output=json", `--output-path=${file}`, "--only-categories=performance,accessibility,best-practices",
    "--chrome-flags=--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync",
    `--extra-headers=${headers}`,
  ], { env: { ...process.env, CHROME_PATH: browserPath } });
  return JSON.parse(readFileSync(file, "utf8"));
}

const median = (all) => all.toSorted((a, b) => a - b)[Math.floor(all.length / 2)];

for (const [name, who, address] of [["Overview", "agency", "/"], ["Usage", "agency", "/usage"], ["Buy", "agency", "/buy"], ["Balance of a client", "client", "/"]]) {
  test(`${name} on a slow phone`, async (t) => {
    const reports = [];
    for (let i = 0; i < 3; i++) reports.push(await look(new URL(address, who === "client" ? demo.portal : demo.base).href, cookies[who]));
    assert.equal(new URL(reports[0].finalDisplayedUrl).pathname, address, "signed in");
    const wrong = [];
    for (const [category, least] of Object.entries(bars)) {
      const score = median(reports.map((r) => r.categories[category].score));
      t.diagnostic(`${category} ${score * 100}`);
      if (score < least) {
        const lost = reports[0].categories[category].auditRefs.map((ref) => reports[0].audits[ref.id]).filter((a) => a.score !== null && a.score < 1);
        wrong.push(`${category} ${score * 100}, ${least * 100} are wanted: ${lost.map((a) => `${a.id} ${a.displayValue ?? ""}`).join("; ")}`);
      }
    }
    for (const [audit, most] of Object.entries(timings)) {
      const value = median(reports.map((r) => r.audits[audit].numericValue));
      t.diagnostic(`${audit} ${Math.round(value * 1000) / 1000}`);
      if (value > most) wrong.push(`${audit} ${value}, ${most} is the most`);
    }
    assert.deepEqual(wrong, []);
  });
}
