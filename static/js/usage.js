// Usage pages: a card over each bar, keys for the period, the comparison and the
// export, and a link to copy. The page has links for all of it.
(() => {
  const typing = (el) => el.closest("input, select, textarea, [contenteditable]");

  document.addEventListener("keydown", (e) => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented) return;
    if (document.body.dataset.shortcuts === "off" || typing(e.target) || e.target.closest("[data-chart]")) return;
    const link = document.querySelector(`[data-key="${CSS.escape(e.key)}"]`);
    if (link) {
      e.preventDefault();
      link.click();
    }
  });

  for (const button of document.querySelectorAll("[data-copy-link]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(location.href);
      button.textContent = "Copied";
    });
  }

  // One tab stop per chart; left and right walk the bars, Enter opens one.
  const enhance = (chart) => {
    const plot = chart.querySelector(".plot");
    const bars = [...plot.querySelectorAll("svg > g")];
    if (!bars.length) return;
    const words = bars.map((g) => g.querySelector("title").textContent);
    const rows = chart.closest(".card")?.querySelectorAll("[data-bars] tbody tr") ?? [];
    // A coarser drawing has fewer bars than the table has rows, and no row of its own.
    const links = bars.map((_, i) => (rows.length <= bars.length && rows[i]?.querySelector("a")) || null);
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    plot.append(tip);
    plot.tabIndex = 0;
    plot.setAttribute("role", "group");
    plot.setAttribute("aria-label", "Bars, read one by one with the arrow keys");
    tip.setAttribute("aria-live", "polite");
    let at = -1;

    const show = (i) => {
      if (i === at) return;
      if (at >= 0) {
        bars[at].classList.remove("on");
        bars[at].querySelector("title").textContent = words[at];
      }
      at = i;
      tip.hidden = i < 0;
      if (i < 0) return;
      bars[i].classList.add("on");
      bars[i].querySelector("title").textContent = ""; // or the browser shows it too
      tip.textContent = words[i];
      const box = plot.getBoundingClientRect();
      const mid = ((i + 0.5) / bars.length) * box.width;
      const left = mid > box.width / 2 ? mid - tip.offsetWidth - 16 : mid + 16;
      tip.style.left = `${Math.max(0, Math.min(left, box.width - tip.offsetWidth))}px`;
    };
    const under = (e) => {
      const box = plot.getBoundingClientRect();
      const i = Math.floor(((e.clientX - box.left) / box.width) * bars.length);
      return i >= 0 && i < bars.length ? i : -1;
    };
    plot.addEventListener("pointermove", (e) => show(under(e)));
    plot.addEventListener("pointerleave", () => show(-1));
    plot.addEventListener("blur", () => show(-1));
    plot.addEventListener("click", (e) => links[under(e)]?.click());
    plot.addEventListener("keydown", (e) => {
      if (e.key === "ArrowRight") show(Math.min(bars.length - 1, at + 1));
      else if (e.key === "ArrowLeft") show(at < 0 ? bars.length - 1 : Math.max(0, at - 1));
      else if (e.key === "Escape") show(-1);
      else if (e.key === "Enter" && at >= 0) links[at]?.click();
      else return;
      e.preventDefault();
      e.stopPropagation();
    });
    if (links.some(Boolean)) plot.classList.add("open");
  };
  document.querySelectorAll("[data-chart]").forEach(enhance);
})();
