// From an empty folder to a working portal: the code from the log, the six steps and
// what comes right after them, with script and without, on a wide screen and a phone.
// The bars look at each of these pages.
import assert from "node:assert/strict";
import net from "node:net";
import { test } from "node:test";
import { open, operator, startDemo, startServer, until } from "./harness.mjs";

// freePort is one that nobody listens on, for a server whose address Stripe is told
// before it starts.
function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}

const email = "ana@harbour.example";
const password = "correct horse battery";

// become fills in step 1.
async function become(page, code, secret = password) {
  await page.getByLabel("One-time code").fill(code);
  await page.getByLabel("Your name").fill("Ana Harbour");
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(secret);
  await page.getByRole("button", { name: "Make me the admin" }).click();
}

const step = (page, words) => page.getByRole("heading", { level: 1, name: words }).waitFor();

for (const { script, width, stripe } of [{ script: true, width: 1280, stripe: true }, { script: false, width: 360, stripe: false }]) {
  test(`first run, ${script ? "with" : "without"} script, at ${width}, ${stripe ? "with" : "without"} Stripe`, async () => {
    let env = {};
    let port = 0;
    if (stripe) {
      // The operator makes the endpoints first: the simulator of a demo stands in for Stripe.
      const demo = await startDemo();
      port = await freePort();
      env = { STRIPE_SECRET_KEY: "sk_test_refill_demo", REFILL_STRIPE_URL: demo.stripe };
      const made = await operator(["stripe", "setup", "--url", `http://localhost:${port}`], env);
      assert.equal(made.code, 0, made.stdout);
      for (const [, name, secret] of made.stdout.matchAll(/^(STRIPE_\w+)=(whsec_\w+)$/gm)) env[name] = secret;
      assert.ok(env.STRIPE_WEBHOOK_SECRET && env.STRIPE_CONNECT_WEBHOOK_SECRET, made.stdout);
    }
    const server = await startServer({ env, port });
    const { page, seen, close } = await open(server, { script, width });
    assert.ok(server.address.endsWith("/setup"));

    // Every page leads to the set-up.
    await page.goto(`${server.base}/admin`);
    assert.equal(page.url(), server.address);
    assert.match(await page.locator("main").textContent(), /step 1 of 6/);

    // A wrong code and a weak password: said at the fields, the rest stays.
    seen.expect(422);
    await become(page, "AAAA-BBBB-CCCC-DDDD", "short");
    await page.locator("#code-error").waitFor();
    await page.locator("#password-error").waitFor();
    assert.equal(await page.getByLabel("E-mail").inputValue(), email);
    assert.equal(await page.getByLabel("Your name").inputValue(), "Ana Harbour");
    await become(page, server.code.toLowerCase().replaceAll("-", " "));

    await step(page, "Address and time zone");
    assert.match(await page.locator("main").textContent(), /step 2 of 6/);
    await page.getByText(`Both are ${server.base}.`).waitFor();
    await page.getByLabel("Time zone").fill("Moon/Base");
    await page.getByRole("button", { name: "Save and continue" }).click();
    await page.locator("#time_zone-error").waitFor();
    await page.getByLabel("Time zone").fill("Europe/Paris");
    await page.getByRole("button", { name: "Save and continue" }).click();

    await step(page, "Database");
    await page.getByText("Up to date").waitFor();
    await page.getByRole("button", { name: "Continue" }).click();

    await step(page, "Stripe");
    if (stripe) {
      await page.getByRole("button", { name: "Check" }).click();
      await page.getByText("Nothing stands in the way of taking payments.").waitFor();
      const found = await page.locator("main").textContent();
      for (const words of ["Refill demo", "2023-10-16", "ends in …demo", "with every event that is acted on"]) assert.ok(found.includes(words), `${words} in ${found}`);
      assert.ok(!found.includes(env.STRIPE_WEBHOOK_SECRET));
      await page.getByRole("button", { name: "Continue" }).click();
    } else {
      await page.getByText("STRIPE_SECRET_KEY", { exact: true }).waitFor();
      await page.getByText("It never runs here.").waitFor();
      await page.getByRole("button", { name: "Continue without payments" }).click();
    }

    // Left and taken up again where it was.
    await step(page, "Plans, packs and rates");
    await page.goto(`${server.base}/admin`);
    await page.getByRole("link", { name: "Continue set-up" }).click();
    await step(page, "Plans, packs and rates");
    await page.getByRole("button", { name: "Use this catalogue" }).click();
    await page.getByRole("alert").getByText("Choose one of the catalogues").waitFor();
    await page.getByRole("radio", { name: /Stammer/ }).check();
    await page.getByRole("button", { name: "Use this catalogue" }).click();

    await step(page, "Done");
    await page.getByRole("button", { name: "Create an API key" }).click();
    const key = await page.locator("#key").textContent();
    assert.match(key, /^rf_live_/);
    assert.ok(!server.said().includes(key), "no key in the log");
    await page.getByRole("button", { name: "Finish and go to the fleet" }).click();
    await page.getByText("Set-up is finished.").waitFor();
    assert.equal(new URL(page.url()).pathname, "/admin");
    assert.equal(await page.getByRole("link", { name: "Continue set-up" }).count(), 0);

    // The portal works: the platform makes an agency and charges it.
    await server.api("POST", "/v1/agencies", { external_id: "northwind", name: "Northwind" }, { key, expect: 201 });
    const charge = await server.api("POST", "/v1/charges", { wallet: "agency:northwind", action: "ai.reply", model: "gpt-4" }, { key, expect: 201 });
    assert.equal(charge.credits, "25");
    await page.goto(`${server.base}/admin/agencies`);
    await page.getByRole("link", { name: "Northwind" }).waitFor();
    if (stripe) {
      // And the buyer's money finds its way: the endpoints made above are delivered to.
      const bought = await server.api("POST", "/v1/purchases", { wallet: "agency:northwind", pack: "credits-12500" }, { key, expect: 201 });
      const paid = await server.fetch(`/_sim/checkout/sessions/${bought.checkout_session}/pay`, {
        origin: env.REFILL_STRIPE_URL, method: "POST", headers: { "Content-Type": "application/x-www-form-urlencoded" }, body: "card=4242424242424242",
      });
      assert.equal(paid.status, 200, paid.text);
      await until("the purchase is credited", async () => (await server.api("GET", `/v1/purchases/${bought.id}`, undefined, { key })).status === "credited");
    }

    // The code is void, and what it opened is closed.
    const other = await open(server, { script, width });
    await other.page.goto(server.address);
    await other.page.getByRole("heading", { name: "Sign in" }).waitFor();
    other.seen.clean();
    await other.close();
    seen.clean();
    await close();
  });
}
