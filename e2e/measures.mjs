// What a page is held to (bars X1, X7, X9, X10, M1, M2, M4, M5, S3 to S7), measured
// on the boxes that the browser made, not on the style sheet.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const limits = { html: 20_000, usage: 30_000, css: 12_000, script: 15_000, text: 13, target: 24, bar: 6 };

// zipped is how many bytes a text takes on the way.
export const zipped = (text) => gzipSync(text, { level: 6 }).length;

// axeViolations runs every rule of WCAG A and AA and the best practices.
export async function axeViolations(page) {
  if (!(await page.evaluate("Boolean(window.axe)"))) await page.evaluate(axe);
  // What a frame shows is a page of its own, and visited as one.
  const found = await page.evaluate(() => window.axe.run(document, { iframes: false, rules: { "frame-tested": { enabled: false } }, resultTypes: ["violations", "incomplete"] }));
  const lines = (rules) => rules.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id}: ${node.target.join(" ")} ${node.any.concat(node.all, node.none).map((c) => c.message).join("; ")}`.slice(0, 400)));
  return { violations: lines(found.violations), incomplete: lines(found.incomplete) };
}

// measure answers what can be seen of the page as it stands.
export function measure(page) {
  return page.evaluate(({ text: leastText, target: leastTarget, bar: leastBar }) => {
    const wrong = [];
    const root = document.documentElement;
    const name = (e) => {
      const words = (e.textContent || e.getAttribute("aria-label") || "").trim().replace(/\s+/g, " ").slice(0, 40);
      return `<${e.localName}${e.id && `#${e.id}`}${e.className && typeof e.className === "string" ? `.${e.className.replaceAll(" ", ".")}` : ""}> "${words}"`;
    };
    const shown = (e) => e.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true });
    // What an element takes from those around it is asked of each of them once.
    const within = (none, of) => {
      const known = new Map([[null, none]]);
      const at = (e) => {
        if (!known.has(e)) known.set(e, of(at(e.parentElement), e, getComputedStyle(e)));
        return known.get(e);
      };
      return at;
    };
    // What only screen readers get is clipped to a dot.
    const clipped = within(false, (outer, e, style) => outer ||
      style.position === "absolute" && (style.clipPath !== "none" || style.clip !== "auto") && e.offsetWidth <= 1);
    const scrolls = within(false, (outer, e, style) => outer || ["auto", "scroll"].includes(style.overflowX) && e.tabIndex === 0);
    const scale = within(1, (outer, e, { transform, zoom }) => {
      const m = transform === "none" ? { a: 1, b: 0, c: 0, d: 1 } : new DOMMatrix(transform);
      return outer * Math.min(1, Math.hypot(m.a, m.b), Math.hypot(m.c, m.d)) * Math.min(1, Number(zoom) || 1);
    });
    const skip = (e) => e.closest(".skip");

    // Nothing scrolls sideways, and nothing that is seen reaches beyond the edge.
    const sideways = root.scrollWidth - root.clientWidth;
    if (sideways > 0) wrong.push(`the page scrolls ${sideways} px sideways at ${innerWidth} px`);
    for (const e of document.body.querySelectorAll("td, th, p, a, button, input, select, h1, h2, h3, dd, dt, li, svg, pre, span, time")) {
      if (!shown(e) || clipped(e) || skip(e)) continue;
      const box = e.getBoundingClientRect();
      if (box.width && !scrolls(e.parentElement) && (box.right > innerWidth + 1 || box.left < -1)) wrong.push(`${name(e)} reaches from ${Math.round(box.left)} to ${Math.round(box.right)} of ${innerWidth} px`);
    }

    // The smallest text, after every scaling.
    let smallest = Infinity;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const e = node.parentElement;
      if (!node.nodeValue.trim() || !e || ["title", "desc", "script", "style", "noscript", "option"].includes(e.localName) || !shown(e) || clipped(e) || skip(e)) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const box = range.getBoundingClientRect();
      if (!box.width || !box.height) continue;
      let size = parseFloat(getComputedStyle(e).fontSize);
      if (e instanceof SVGElement && e.getScreenCTM) {
        const m = e.getScreenCTM();
        size *= Math.min(Math.hypot(m.a, m.b), Math.hypot(m.c, m.d));
      }
      size *= scale(e);
      size = Math.min(size, box.height); // a box lower than its letters cuts them
      if (size < smallest) smallest = size;
      if (size < leastText - 0.01) wrong.push(`${size.toFixed(1)} px text: ${name(e)}`);
    }

    // Pointer targets, those in rows of tables included; a link inside a sentence is
    // as high as its line.
    for (const e of document.body.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")) {
      if (!shown(e) || clipped(e) || skip(e)) continue;
      let boxes = [e.getBoundingClientRect()];
      if (e.matches("input[type=radio], input[type=checkbox]")) boxes = [e, ...(e.labels ?? [])].map((x) => x.getBoundingClientRect());
      const width = Math.max(...boxes.map((b) => b.width));
      const height = Math.max(...boxes.map((b) => b.height));
      const sentence = e.localName === "a" && e.parentElement.matches("p, dd, small, span") && e.parentElement.textContent.trim() !== e.textContent.trim();
      if (!sentence && (width < leastTarget - 0.01 || height < leastTarget - 0.01)) wrong.push(`a target of ${width.toFixed(0)} × ${height.toFixed(0)} px: ${name(e)}`);
      if (e.matches(".btn.primary") && height < 43.9) wrong.push(`a primary control only ${height.toFixed(0)} px high: ${name(e)}`);
    }

    // Figures stand under each other.
    for (const e of document.querySelectorAll("td.n")) {
      if (!shown(e) || getComputedStyle(e.closest("tr")).display !== "table-row") continue;
      const style = getComputedStyle(e);
      if (!["right", "end"].includes(style.textAlign)) wrong.push(`a figure aligned to the ${style.textAlign}: ${name(e)}`);
      if (!style.fontVariantNumeric.includes("tabular-nums")) wrong.push(`a figure without tabular digits: ${name(e)}`);
    }

    // Charts: bars wide enough to hit, and numbers equal to the tables'.
    const number = (text) => Number(text.replace(/[^\d.−-]/g, "").replace("−", "-"));
    const charts = [];
    for (const chart of document.querySelectorAll("figure.chart")) {
      if (!shown(chart)) continue;
      const cumulative = Boolean(chart.querySelector("path.total"));
      const bars = [...chart.querySelectorAll("svg > g")];
      const widths = bars.flatMap((bar) => [...bar.querySelectorAll("rect:not(.prev)")].map((r) => r.getBoundingClientRect().width)).filter(Boolean);
      if (!cumulative && innerWidth >= 360 && widths.length && Math.min(...widths) < leastBar - 0.01) wrong.push(`a bar of ${Math.min(...widths).toFixed(1)} px at ${innerWidth} px`);
      const titles = bars.map((bar) => bar.querySelector("title")?.textContent ?? "");
      const money = chart.hasAttribute("data-money");
      const values = titles.flatMap((t) => (money ? /: ([^\n]*\d)(?:\n|$)/ : /: ([\d.,−-]+) (?:credit|so far)/).exec(t)?.[1] ?? []).map(number);
      charts.push({ cumulative, money, bars: bars.length, sum: Math.round(values.reduce((a, b) => a + b, 0) * 100) / 100, last: values.at(-1) ?? 0, titles });
    }
    const said = (attribute) => [...document.querySelectorAll(`[${attribute}]`)].map((e) => number(e.textContent));
    return { wrong: [...new Set(wrong)], smallest, charts, totals: said("data-total"), sums: said("data-money-total"), elements: document.querySelectorAll("*").length };
  }, limits);
}

// spaced sets text as WCAG 1.4.12 lets people set it, and answers what then runs
// over. It leaves the page as it was.
export function spaced(page) {
  return page.evaluate(() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important } p { margin-block-end: 2em !important }");
    document.adoptedStyleSheets.push(sheet);
    const wrong = [];
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) wrong.push(`with wider spacing the page scrolls ${root.scrollWidth - root.clientWidth} px sideways at ${innerWidth} px`);
    for (const e of document.body.querySelectorAll("*")) {
      const style = getComputedStyle(e);
      if (!["hidden", "clip"].includes(style.overflowX) || e.offsetWidth <= 1 || !e.checkVisibility() || e.closest("svg")) continue;
      if (e.localName === "input") continue; // what is typed scrolls with the caret
      if (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1) wrong.push(`wider spacing cuts <${e.localName} class="${e.className}">`);
    }
    document.adoptedStyleSheets.pop();
    return wrong;
  });
}

// equalTotals holds a page's charts to its tables, to the credit.
export function equalTotals({ charts, totals, sums }) {
  for (const chart of charts) {
    for (const total of chart.money ? sums : totals) {
      assert.equal(chart.cumulative ? chart.last : chart.sum, total, `the chart shows ${chart.cumulative ? chart.last : chart.sum}, a table ${total}`);
    }
  }
}
