// Usage pages: keys for the period, the comparison and the export, and a card over
// each bar. The page has a link for each of them and a table with every number.
addEventListener("keydown", (event) => {
  if (document.body.dataset.shortcuts === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.defaultPrevented || event.target.closest("input, select, textarea, [contenteditable], [role=group]")) return;
  const link = $(`[data-key="${CSS.escape(event.key)}"]`);
  if (!link) return;
  event.preventDefault();
  link.click();
});

// A chart is one tab stop: left and right walk the bars, Enter opens one.
function readable(chart) {
  const plot = $(".plot", chart);
  const bars = $$("svg > g", plot);
  if (!bars.length) return;
  const titles = bars.map((bar) => $("title", bar));
  const words = titles.map((title) => title.textContent);
  // A coarser drawing has fewer bars than the table has rows, and no row of its own.
  const rows = $$("[data-bars] tbody tr", chart.closest(".card") ?? chart);
  const links = bars.map((_, i) => (rows.length <= bars.length && rows[i] && $("a", rows[i])) || null);
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  tip.setAttribute("aria-live", "polite");
  plot.append(tip);
  plot.tabIndex = 0;
  plot.setAttribute("role", "group");
  plot.setAttribute("aria-label", "Bars, one by one with the arrow keys");
  plot.classList.toggle("open", links.some(Boolean));

  let at = -1;
  const show = (i) => {
    if (i === at) return;
    if (at >= 0) {
      bars[at].classList.remove("on");
      titles[at].textContent = words[at];
    }
    at = i;
    tip.hidden = i < 0;
    if (i < 0) return;
    bars[i].classList.add("on");
    titles[i].textContent = ""; // or the browser would show it as well
    tip.textContent = words[i];
    const middle = ((i + 0.5) / bars.length) * plot.clientWidth;
    const left = middle > plot.clientWidth / 2 ? middle - tip.offsetWidth - 16 : middle + 16;
    tip.style.left = `${Math.max(0, Math.min(left, plot.clientWidth - tip.offsetWidth))}px`;
  };
  const under = (event) => {
    const box = plot.getBoundingClientRect();
    const i = Math.floor(((event.clientX - box.left) / box.width) * bars.length);
    return i >= 0 && i < bars.length ? i : -1;
  };
  plot.addEventListener("pointermove", (event) => show(under(event)));
  plot.addEventListener("pointerleave", () => show(-1));
  plot.addEventListener("blur", () => show(-1));
  plot.addEventListener("click", (event) => links[under(event)]?.click());
  plot.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight") show(Math.min(bars.length - 1, at + 1));
    else if (event.key === "ArrowLeft") show(at < 0 ? bars.length - 1 : Math.max(0, at - 1));
    else if (event.key === "Escape") show(-1);
    else if (event.key === "Enter") links[at]?.click();
    else return;
    event.preventDefault();
  });
}
