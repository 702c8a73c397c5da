// What every browser test stands on: a demo of the built binary, a Chromium, people
// who sign in, and a witness who sees each request, answer and complaint.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, watch, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after } from "node:test";
import { promisify } from "node:util";
import { chromium } from "playwright-core";

export const full = Boolean(process.env.E2E_FULL);

const binary = process.env.REFILL_BINARY;
// The shell is the same engine without the windows, tabs and menus around it, which
// take a third of the processor time.
export const browserPath = process.env.CHROMIUM || ["chromium-headless-shell", "chromium", "google-chrome"].map((name) => `/usr/bin/${name}`).find(existsSync);
const launch = {
  executablePath: browserPath,
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
};

// What was started ends with the test file, the last first. A hook may not be added
// from inside another one, so there is one, here.
const endings = [];
after(async () => {
  for (const end of endings.reverse()) await end();
});

// startDemo runs the binary's demo until the test file ends, on a business of its own.
// It is ready when this returns; a demo that ends early fails with what it said.
export async function startDemo({ preset = "stammer" } = {}) {
  assert.ok(binary, "REFILL_BINARY names the binary to test; make e2e sets it");
  const dir = mkdtempSync(path.join(tmpdir(), "refill-e2e-"));
  const database = await newDatabase();
  if (!database) cpSync(await business(preset), path.join(dir, "data"), { recursive: true });
  const demo = await runDemo(dir, preset, database);
  endings.push(async () => {
    await demo.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  return new Demo(demo.ready, demo.took, demo.said);
}

// business is a folder with a preset's seeded demo, made by whichever test file needs
// it first and copied by the others: making it takes longer than most tests. Folders of
// other binaries are swept away.
async function business(preset) {
  const { mtimeMs, size } = statSync(binary);
  const mine = `refill-seed-${Math.round(mtimeMs)}-${size}`;
  for (const name of readdirSync(tmpdir())) {
    if (name.startsWith("refill-seed-") && !name.startsWith(mine)) rmSync(path.join(tmpdir(), name), { recursive: true, force: true });
  }
  const dir = path.join(tmpdir(), `${mine}-${preset}`);
  try {
    mkdirSync(dir);
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    await appears(path.join(dir, "made"), new Promise(() => {}), 120_000, () => "another test file is making its business");
    return path.join(dir, "data");
  }
  try {
    const demo = await runDemo(dir, preset);
    await demo.stop();
    writeFileSync(path.join(dir, "made"), "");
  } catch (error) {
    rmSync(dir, { recursive: true, force: true });
    throw error;
  }
  return path.join(dir, "data");
}

// runDemo runs the demo on the folder's data until stop is called.
async function runDemo(dir, preset, database) {
  const file = path.join(dir, "ready.json");
  const args = ["demo", "--addr", "127.0.0.1:0", "--data", path.join(dir, "data"), "--preset", preset, "--ready-file", file];
  if (database) args.push("--database-url", database);
  const child = spawn(binary, args, { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, DATABASE_URL: "" } });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text) => { said += text; });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const begun = Date.now();
  await appears(file, ended, 60_000, () => `the demo was not ready: ${said}`);
  return {
    ready: JSON.parse(readFileSync(file, "utf8")), took: Date.now() - begun, said: () => said,
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

// appears waits for a file, for as long as what makes it runs.
function appears(file, ended, most, why) {
  return new Promise((resolve, reject) => {
    const watcher = watch(path.dirname(file), look);
    const late = setTimeout(() => finish(new Error(`after ${most / 1000} seconds ${why()}`)), most);
    ended.then((code) => finish(new Error(`it ended with ${code}: ${why()}`)));
    function finish(error) {
      clearTimeout(late);
      watcher.close();
      if (error) reject(error);
      else resolve();
    }
    function look() {
      if (existsSync(file)) finish();
    }
    look();
  });
}

// startServer runs the real thing on an empty folder, as go run . does, until the test
// file ends or stop is called. Its code is the one from the log. It is SQLite's: the
// server of the tests forgets on a power cut, which the real thing refuses.
export async function startServer({ env = {}, data, port = 0 } = {}) {
  assert.ok(binary, "REFILL_BINARY names the binary to test; make e2e sets it");
  const dir = data ?? mkdtempSync(path.join(tmpdir(), "refill-e2e-serve-"));
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(REFILL_|STRIPE_|DATABASE_URL)/.test(name)));
  const child = spawn(binary, ["serve", "--addr", `127.0.0.1:${port}`, "--data", dir], { stdio: ["ignore", "ignore", "pipe"], env: { ...clean, REFILL_ADMIN_TWO_STEP: "false", ...env } });
  let said = "";
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
  };
  endings.push(async () => {
    await stop();
    rmSync(dir, { recursive: true, force: true });
  });
  await new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`the server was not ready after 30 seconds: ${said}`)), 30_000);
    ended.then((code) => reject(new Error(`the server ended with ${code}: ${said}`)));
    child.stderr.setEncoding("utf8").on("data", (text) => {
      said += text;
      if (!/"msg":"ready"/.test(said)) return;
      clearTimeout(late);
      resolve();
    });
  });
  const lines = said.trim().split("\n").map((line) => JSON.parse(line));
  const base = lines.find((line) => line.msg === "ready").base_url;
  const server = new Demo({ base_url: base, stripe_url: base, client: { sign_in_url: base } }, 0, () => said);
  return Object.assign(server, { dir, stop, ...lines.find((line) => line.code) });
}

// operator runs a command of the binary and answers what it printed.
export async function operator(args, env = {}) {
  try {
    const { stdout } = await promisify(execFile)(binary, args, { env: { ...process.env, ...env } });
    return { code: 0, stdout };
  } catch (error) {
    return { code: error.code, stdout: `${error.stdout}${error.stderr}` };
  }
}

// newDatabase makes an empty database on the throw-away server, if there is one.
async function newDatabase() {
  const server = process.env.TEST_DATABASE_URL;
  if (!server) return "";
  const name = `e2e_${process.pid}_${process.hrtime.bigint()}`;
  const psql = path.join(process.env.TEST_DATABASE_BIN ?? "", "psql");
  await promisify(execFile)(psql, [server, "-qc", `CREATE DATABASE ${name} TEMPLATE template0`]);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}

// Demo is a running demo, with the keys and addresses it printed.
export class Demo {
  constructor(ready, took, said) {
    this.ready = ready;
    this.took = took; // milliseconds from start to ready
    this.said = said; // its log so far
    this.base = ready.base_url;
    this.stripe = ready.stripe_url;
    this.portal = new URL(ready.client.sign_in_url).origin; // the client's, on its agency's host
  }

  // fetch asks the portal without a browser. Names under localhost lead nowhere
  // outside of one, so the name travels in the Host header.
  fetch(address, { method = "GET", headers = {}, body, origin = this.base } = {}) {
    const url = new URL(address, origin);
    return new Promise((resolve, reject) => {
      const request = http.request({ host: "127.0.0.1", port: url.port, path: url.pathname + url.search, method, headers: { Host: url.host, ...headers } }, (answer) => {
        const parts = [];
        answer.on("data", (part) => parts.push(part));
        answer.on("error", reject);
        answer.on("end", () => {
          const bytes = Buffer.concat(parts);
          resolve({ status: answer.statusCode, headers: answer.headers, bytes, text: bytes.toString("utf8") });
        });
      });
      request.on("error", reject);
      request.end(body);
    });
  }

  // api calls /v1 and answers its JSON; another status than expected fails.
  async api(method, address, body, { key = this.ready.api_key, once = `e2e-${process.hrtime.bigint()}`, expect } = {}) {
    const headers = { Authorization: `Bearer ${key}` };
    if (method !== "GET") {
      headers["Content-Type"] = "application/json";
      headers["Idempotency-Key"] = once;
    }
    const answer = await this.fetch(address, { method, headers, body: body && JSON.stringify(body) });
    if (expect ? answer.status !== expect : answer.status >= 300) {
      const log = answer.status >= 500 ? `\n${this.said().split("\n").filter((line) => line.includes('"ERROR"')).slice(-3).join("\n")}` : "";
      assert.fail(`${method} ${address}: ${answer.status} ${answer.text}${log}`);
    }
    return JSON.parse(answer.text);
  }

  // sim uses the payment simulator's control door.
  async sim(address, body) {
    const answer = await this.fetch(`/_sim/${address}`, {
      origin: this.stripe, method: body ? "POST" : "GET", headers: { "Content-Type": "application/json" }, body: body && JSON.stringify(body),
    });
    if (answer.status !== 200) assert.fail(`${address}: ${answer.status} ${answer.text}`);
    return JSON.parse(answer.text);
  }

  // balance is a wallet's, as the API tells it: spendable minus excess, in credits.
  async balance(wallet = this.ready.agency.wallet) {
    const { balance } = await this.api("GET", `/v1/wallets/${wallet}`);
    return Number(balance.available) - Number(balance.excess);
  }

  // grants counts the lots that purchases made.
  async grants(wallet = this.ready.agency.wallet) {
    let n = 0;
    let cursor = "";
    do {
      const page = await this.api("GET", `/v1/wallets/${wallet}/entries?kind=grant&limit=200${cursor && `&cursor=${encodeURIComponent(cursor)}`}`);
      n += page.data.filter((e) => e.kind === "grant" && e.source === "purchased").length;
      cursor = page.next_cursor;
    } while (cursor);
    return n;
  }

  // charge draws credits from a wallet.
  charge(body) { return this.api("POST", "/v1/charges", body); }

  // clock moves domain time forward and answers once everything due is done.
  clock(body) { return this.api("POST", "/demo/clock", body); }
}

let shared;

// browser is one Chromium for the test file.
async function browser() {
  if (!shared) {
    shared = chromium.launch(launch);
    endings.push(async () => (await shared).close());
  }
  return shared;
}

// open makes a window of a new person. Everything in it is witnessed.
export async function open(demo, { script = true, width = 1280, theme = "light", state, ...more } = {}) {
  const context = await (await browser()).newContext({
    javaScriptEnabled: script, viewport: { width, height: 900 }, colorScheme: theme, storageState: state, reducedMotion: "reduce", ...more,
  });
  context.setDefaultTimeout(15_000);
  const seen = new Witness(demo, context);
  const page = await context.newPage();
  return { context, page, seen, close: () => context.close() };
}

// signIn goes through a printed sign-in link: a page with one button.
export async function signIn(window, person) {
  await window.page.goto(person.sign_in_url);
  await window.page.getByRole("button", { name: "Sign in" }).click();
  await window.page.waitForURL((url) => url.pathname !== new URL(person.sign_in_url).pathname);
  return window;
}

const policy = /^default-src 'none';(?!.*unsafe)(?=.*form-action 'self')(?=.*frame-ancestors 'none')(?=.*base-uri 'none')/;

// Witness notes what must never happen: requests to anybody else, answers without
// the strict policy, and anything that the console complains about.
export class Witness {
  constructor(demo, context) {
    this.wrong = [];
    this.requests = [];
    this.expected = new Set(); // statuses that a test provokes
    const own = new Set([demo.base, demo.portal, demo.stripe].map((u) => new URL(u).origin));
    context.on("request", (request) => {
      const url = new URL(request.url());
      this.requests.push(request.url());
      if (url.protocol !== "data:" && !own.has(url.origin)) this.wrong.push(`a request to ${url}`);
    });
    context.on("response", (response) => {
      const url = new URL(response.url());
      if (!own.has(url.origin)) return;
      const given = response.headers()["content-security-policy"] ?? "";
      // The agency's own page shows these in frames.
      const told = url.pathname.startsWith("/settings/brand/preview/") ? given.replace("frame-ancestors 'self'", "frame-ancestors 'none'") : given;
      if (!policy.test(told) && url.origin !== demo.stripe) this.wrong.push(`${url} came with the policy ${JSON.stringify(given)}`);
      if (!given.includes("default-src 'none'")) this.wrong.push(`${url} came without a strict policy`);
      if (response.status() >= 500 && !this.expected.has(response.status())) this.wrong.push(`${url} answered ${response.status()}`);
    });
    context.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      const status = /status of (\d+)/.exec(message.text());
      if (status && this.expected.has(Number(status[1]))) return;
      this.wrong.push(`console: ${message.text()} (${message.location().url})`);
    });
    context.on("weberror", (error) => this.wrong.push(`script: ${error.error()}`));
  }

  // expect allows answers with a status from now on.
  expect(...statuses) {
    for (const s of statuses) this.expected.add(s);
    return this;
  }

  // clean fails when anything was wrong.
  clean() { assert.deepEqual(this.wrong, []); }
}

// number reads "18,420" and "−223" as the page writes them.
export function number(text) {
  const found = /[−-]?[\d,]+(\.\d+)?/.exec(text.replaceAll("\u00a0", " "));
  assert.ok(found, `no number in ${JSON.stringify(text)}`);
  return Number(found[0].replace("−", "-").replaceAll(",", ""));
}

// numbers reads every number of a text.
export function numbers(text) {
  return [...text.matchAll(/[−-]?\d[\d,]*(\.\d+)?/g)].map(([n]) => number(n));
}

// group writes a whole number as the pages do.
export const group = (n) => (n < 0 ? "−" : "") + String(Math.abs(n)).replace(/\B(?=(\d{3})+$)/g, ",");

// both runs a test with script and without.
export const both = [{ script: true, words: "with script" }, { script: false, words: "without script" }];

// until asks again until an answer is good, as a person who waits does; it yields
// to a real signal where there is one, and is for things that only time brings.
export async function until(what, ask, { within = 15_000, every = 100 } = {}) {
  const end = Date.now() + within;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > end) assert.fail(`${what} did not happen within ${within} ms`);
    await new Promise((resolve) => { setTimeout(resolve, every); });
  }
}
