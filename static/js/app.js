// Everything here improves pages that already work without it: a button that says
// it is working, sums that follow a quantity, copying, shortcuts, filters that swap
// in place. Amounts are BigInt: micro-credits, minor units.
"use strict";

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

// A form is sent once; the server tells repeats apart in any case.
addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) return;
  if (form.dataset.sent) return event.preventDefault();
  const button = event.submitter;
  if (button && button.name) return; // a preview, not the act
  form.dataset.sent = "1";
  if (!button) return;
  button.dataset.label = button.textContent;
  button.textContent = "Working…";
  button.setAttribute("aria-disabled", "true");
});

// The back button brings the page back as it was left: make it usable again.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of $$("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of $$("[data-label]", form)) {
      button.textContent = button.dataset.label;
      button.removeAttribute("aria-disabled");
    }
  }
});

// A colour chosen by hand is the colour written beside it, and the other way round.
for (const pick of $$("[data-picks]")) {
  const field = document.getElementById(pick.dataset.picks);
  const follow = () => { if (/^#[0-9a-f]{6}$/i.test(field.value)) pick.value = field.value; };
  pick.hidden = false;
  follow();
  field.addEventListener("input", follow);
  pick.addEventListener("input", () => { field.value = pick.value; });
}

// Buttons that only work with script.
function wake(root) {
  for (const button of $$("[data-copy], [data-copy-link], [data-print]", root)) button.hidden = false;
  for (const button of $$("[data-noscript]", root)) button.hidden = true;
}

addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-link], [data-print]");
  if (!button) return;
  if ("print" in button.dataset) return print();
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source ? source.textContent : location.href);
    button.textContent = "Copied";
  } catch {
    if (source) getSelection().selectAllChildren(source);
  }
});

// Numbers as the server writes them.
const micro = 1000000n;
const group = (digits) => digits.replace(/\B(?=(\d{3})+$)/g, ",");
const size = (v) => (v < 0n ? -v : v);
function credits(v) {
  const rest = size(v) % micro;
  let text = group(String(size(v) / micro));
  const decimals = String(micro + rest).slice(1, 3).replace(/0+$/, "");
  if (decimals) text += "." + decimals;
  return (v < 0n ? "−" : "") + text;
}
const creditsWord = (v) => (v === micro ? "1 credit" : credits(v) + " credits");
function money(v, digits, symbol) {
  const text = String(v).padStart(digits + 1, "0");
  const cut = text.length - digits;
  return symbol + group(text.slice(0, cut)) + (digits ? "." + text.slice(cut) : "");
}

// A whole amount as people type it, grouped or not; 0 for anything else, which the
// server has the words for.
function amount(typed) {
  const text = typed.trim().replace(/[\u00a0\u2009\u202f]/g, " ");
  return /^(\d{1,12}|\d{1,3}(,\d{3}){1,3}|\d{1,3}( \d{3}){1,3})$/.test(text) ? BigInt(text.replace(/[, ]/g, "")) * micro : 0n;
}

// The sums of a quantity follow the number field.
function follow(review) {
  const data = review.dataset;
  const out = (name) => $(`[data-out=${name}]`, review);
  const input = $("[name=quantity]", review);
  if (!input) return;
  const update = () => {
    const button = out("button");
    const whole = amount(input.value);
    const fits = whole >= BigInt(data.minimum) && whole % BigInt(data.step) === 0n;
    out("sums").hidden = !fits;
    if (!fits) {
      if (button) button.textContent = data.verb;
      return;
    }
    const price = ((BigInt(data.unit) * whole) / micro + micro - 1n) / micro;
    const cost = money(price, Number(data.digits), data.symbol);
    const left = BigInt(data.left);
    out("credits").textContent = creditsWord(whole);
    out("price").textContent = cost;
    if (button) button.textContent = `${data.verb} — ${cost}`;
    if (!out("result")) return;
    const sum = left < 0n ? `${credits(whole)} − ${credits(-left)}` : `${credits(left)} + ${credits(whole)}`;
    out("result").textContent = `${sum} = ${credits(left + whole)}`;
  };
  input.addEventListener("input", update);
  update();
}

// Filters: fetch the same address, swap the region, keep focus and history. Any
// surprise falls back to a plain visit.
let flight;
async function swap(url, push) {
  const target = $("[data-swap-target]");
  if (!target) return location.assign(url);
  flight?.abort();
  flight = new AbortController();
  target.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(url, { signal: flight.signal, headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return location.assign(url);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = $("[data-swap-target]", page);
    if (!fresh) return location.assign(url);
    const focused = document.activeElement;
    const inside = target.contains(focused);
    const id = inside ? focused.id : "";
    const name = inside ? focused.name : "";
    const opened = $$("details", target).map((d) => d.open);
    target.replaceWith(document.adoptNode(fresh));
    const again = (id && document.getElementById(id)) || (name && fresh.querySelector(`[name="${CSS.escape(name)}"]`));
    $$("details", fresh).forEach((d, i) => (d.open ||= opened[i] ?? false));
    if (!again) fresh.tabIndex = -1; // a filter that is gone leaves its place to the page
    if (inside) (again || fresh).focus({ preventScroll: true });
    document.title = page.title;
    if (push) history.pushState({ swap: true }, "", url);
    start(fresh);
  } catch (error) {
    if (error.name !== "AbortError") location.assign(url);
  }
}

function formURL(form) {
  // form.action would be the field of that name.
  const url = new URL(form.getAttribute("action") ?? "", location.href);
  url.search = new URLSearchParams([...new FormData(form)].filter(([, value]) => value)).toString();
  return url.href;
}

addEventListener("change", (event) => {
  const form = event.target.form;
  if (event.target.value === "custom") return; // its dates come first
  if (form && form.matches("[data-swap]") && event.target.matches("select, [type=radio], [type=checkbox]")) swap(formURL(form), true);
});
addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-swap]")) return;
  event.preventDefault();
  swap(formURL(event.target), true);
});
addEventListener("click", (event) => {
  const link = event.target.closest("a[data-swap]");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  event.preventDefault();
  swap(link.href, true);
});
addEventListener("popstate", () => {
  if ($("[data-swap-target]")) swap(location.href, false);
});

// Until a press is over nothing may move under it: let go elsewhere, it is no click.
let pressed = Promise.resolve();
let over = () => {};
addEventListener("pointerdown", () => {
  over();
  pressed = new Promise((done) => { over = done; });
});
for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => setTimeout(over)); // behind its click

// What a form comes to, as the server works it out: one question at a time, the
// newest last. The button that asks without script asks with it too.
function asks(form, done) {
  let asking = false;
  let changed = false;
  const ask = async () => {
    if (asking) return void (changed = true);
    asking = true;
    do {
      changed = false;
      const body = new URLSearchParams(new FormData(form));
      body.set("preview", "1");
      body.set("fragment", "1");
      try {
        const answer = await fetch(form.getAttribute("action"), { method: "POST", body, headers: { Accept: "text/html" } });
        if (!answer.ok || answer.redirected) break;
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        await pressed;
        if (changed) continue;
        for (const part of $$("[data-live]", form)) part.replaceChildren(...(fresh.getElementById(part.id)?.childNodes ?? []));
        done?.();
      } catch {
        break; // the button still works
      }
    } while (changed);
    asking = false;
  };
  form.addEventListener("submit", (event) => {
    if (event.submitter?.name !== "preview") return;
    event.preventDefault();
    ask();
  });
  return ask;
}
for (const form of $$("form[data-ask]")) form.addEventListener("input", asks(form));

// Shortcuts, unless turned off or typing: g then o, u, b, s, h; "/" to the first
// search field; "?" lists them.
const places = { o: "overview", u: "usage", b: "buy", s: "sub-accounts", h: "history" };
let afterG = 0;
addEventListener("keydown", (event) => {
  if (document.body.dataset.shortcuts === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea, [contenteditable]")) return;
  if (event.key === "/") {
    const search = $("input[type=search], input[name=q]");
    if (search) event.preventDefault();
    return search?.focus();
  }
  if (event.key === "?") return shortcuts();
  if (event.key === "g") return void (afterG = event.timeStamp);
  const link = event.timeStamp - afterG < 1500 && places[event.key] && $(`[data-nav=${places[event.key]}]`);
  afterG = 0;
  if (link) location.assign(link.href);
});

function shortcuts() {
  let dialog = $("#shortcuts");
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.id = "shortcuts";
    dialog.setAttribute("aria-labelledby", "shortcuts-title");
    const title = document.createElement("h2");
    title.id = "shortcuts-title";
    title.textContent = "Keyboard shortcuts";
    const list = document.createElement("dl");
    const lines = [["?", "This list"], ["/", "Search on this page"]];
    for (const [letter, key] of Object.entries(places)) {
      const link = $(`[data-nav=${key}]`);
      if (link) lines.push([`g ${letter}`, link.textContent]);
    }
    for (const link of $$("[data-key]")) {
      lines.push([link.dataset.key.replace("ArrowLeft", "←").replace("ArrowRight", "→"), link.textContent]);
    }
    for (const [keys, what] of lines) {
      const dt = document.createElement("dt");
      for (const k of keys.split(" ")) {
        const kbd = document.createElement("kbd");
        kbd.textContent = k;
        dt.append(kbd, " ");
      }
      const dd = document.createElement("dd");
      dd.textContent = what;
      list.append(dt, dd);
    }
    const form = document.createElement("form");
    form.method = "dialog";
    const close = document.createElement("button");
    close.className = "btn";
    close.textContent = "Close";
    form.append(close);
    dialog.append(title, list, form);
    document.body.append(dialog);
  }
  dialog.showModal();
}

function start(root) {
  wake(root);
  for (const review of $$("[data-quantity]", root)) follow(review);
  for (const chart of $$("[data-chart]", root)) readable(chart);
}
start(document);
const wait = Number(document.body.dataset.refresh);
if (wait) setTimeout(() => location.reload(), wait * 1000);
