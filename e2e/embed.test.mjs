// A client's balance in a frame of somebody else's page, by the very tag that the
// portal gives: as high as what it shows, and told to nobody but allowed pages.
import assert from "node:assert/strict";
import http from "node:http";
import { after, before, test } from "node:test";
import { open, signIn, startDemo } from "./harness.mjs";

let demo;
const around = []; // servers of pages that are not the portal's
before(async () => { demo = await startDemo(); });
after(() => around.forEach((server) => server.close()));

// site serves one page on an origin of its own.
async function site(html) {
  const server = http.createServer((_, answer) => answer.writeHead(200, { "Content-Type": "text/html" }).end(html()));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  around.push(server);
  return `http://localhost:${server.address().port}`;
}

test("the tag shows a balance as high as it is", async () => {
  let html = "";
  const allowed = await site(() => html);
  const other = await site(() => html);
  const owner = await signIn(await open(demo), demo.ready.agency);
  const settings = async (origins) => {
    await owner.page.goto(`${demo.base}/settings/embed`);
    await owner.page.getByLabel("Pages of these origins, one a line").fill(origins.join("\n"));
    await owner.page.getByRole("button", { name: "Save", exact: true }).click();
    await owner.page.locator(".flash").waitFor();
  };
  await settings(["https://crm.example", allowed]);
  const tag = await owner.page.locator("#snippet").textContent();
  const link = async (view) => (await demo.api("POST", "/v1/portal-sessions", { agency: "northwind", sub_account: demo.ready.client.id, view })).url;

  const visitor = await open(demo, { width: 800 });
  const heights = async (origin, view) => {
    html = `<!doctype html><title>CRM</title><script>told = []; addEventListener("message", (e) => told.push([e.origin, e.data]));</script>${tag.replace("LINK", (await link(view)).replaceAll("&", "&amp;"))}`;
    await visitor.page.goto(origin);
    const frame = visitor.page.frameLocator("iframe");
    await frame.locator("main").waitFor();
    return frame;
  };
  for (const view of ["balance", "buy", "usage", "chip"]) {
    const frame = await heights(allowed, view);
    await visitor.page.waitForFunction(() => document.querySelector("iframe").height !== "420");
    const high = await frame.locator("body").evaluate((body) => [Math.ceil(body.getBoundingClientRect().height), document.documentElement.scrollHeight, innerHeight]);
    assert.equal(new Set(high).size, 1, `${view}: what is shown, what scrolls and the frame are of one height: ${high}`);
    if (view === "chip") assert.ok(high[0] <= 64, `a chip is ${high[0]} pixels high`);
    const told = await visitor.page.evaluate(() => told);
    assert.ok(told.length <= 3, `${view}: told ${told.length} times: the height does not chase itself`);
    assert.deepEqual([...new Set(told.map(([origin, data]) => `${origin} ${Object.keys(data)}`))], [`${demo.portal} type,height`], "the height and nothing else");
  }
  // The frame is narrower: the content is higher, and the frame follows.
  await heights(allowed, "balance");
  await visitor.page.waitForFunction(() => document.querySelector("iframe").height !== "420");
  const before = await visitor.page.evaluate(() => Number(document.querySelector("iframe").height));
  await visitor.page.evaluate(() => { document.querySelector("iframe").width = 200; });
  await visitor.page.waitForFunction((was) => Number(document.querySelector("iframe").height) > was, before);

  // Another page may not frame it, and is told nothing.
  await visitor.page.goto(other);
  await visitor.page.waitForLoadState("networkidle");
  assert.deepEqual(await visitor.page.evaluate(() => told), []);
  assert.equal(await visitor.page.evaluate(() => document.querySelector("iframe").height), "420");
  const refused = visitor.seen.wrong.filter((line) => /frame-ancestors/.test(line));
  assert.ok(refused.length > 0, "the browser says why");
  await visitor.close();

  // Without script the frame keeps its height, and the page all it says.
  const plain = await open(demo, { script: false });
  html = tag.replace("LINK", (await link("balance")).replaceAll("&", "&amp;"));
  await plain.page.goto(allowed);
  await plain.page.frameLocator("iframe").locator("[data-balance]").waitFor();
  await plain.close();
  owner.seen.clean();
  await owner.close();
});
