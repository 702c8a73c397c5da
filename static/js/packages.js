// The package editor: the panel follows the numbers as the server works them out,
// one question at a time, the newest last. The slider is the price field's shadow.
for (const form of $$("form[data-package]")) {
  const price = $("[name=price]", form);
  const slide = $("[data-slide]", form);
  let asking = false;
  let changed = false;
  const bounds = () => {
    const range = $("[data-low]", form);
    slide.hidden = !range;
    if (!range) return;
    slide.min = range.dataset.low;
    slide.max = range.dataset.high;
    slide.step = range.dataset.step;
    slide.value = price.value.replace(/[, ]/g, "");
  };
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
        if (changed) continue;
        for (const part of $$("[data-live]", form)) part.replaceChildren(...(fresh.getElementById(part.id)?.childNodes ?? []));
        bounds();
      } catch {
        break; // the button still works
      }
    } while (changed);
    asking = false;
  };
  const take = (value) => {
    price.value = value;
    ask();
  };
  form.addEventListener("input", (event) => {
    if (event.target === slide) take(slide.value);
    else if (event.target.matches("#name, #credits, #price, #own_cost, #cost_basis, [name=audience], [name=sub]")) ask();
  });
  form.addEventListener("change", (event) => {
    if (event.target === price) $("[data-say]", form).textContent = $("#keep", form).textContent;
  });
  form.addEventListener("click", (event) => {
    const target = event.target.closest("[data-price]");
    if (!target) return;
    event.preventDefault();
    take(target.dataset.price);
  });
  form.addEventListener("submit", (event) => {
    if (event.submitter?.name !== "preview") return;
    event.preventDefault();
    ask();
  });
  bounds();
}
