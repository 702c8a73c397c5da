// The package editor: the panel follows the numbers as the server works them out.
// The slider is the price field's shadow.
for (const form of $$("form[data-package]")) {
  const price = $("[name=price]", form);
  const slide = $("[data-slide]", form);
  const bounds = () => {
    const range = $("[data-low]", form);
    slide.hidden = !range;
    if (!range) return;
    slide.min = range.dataset.low;
    slide.max = range.dataset.high;
    slide.step = range.dataset.step;
    slide.value = price.value.replace(/[, ]/g, "");
  };
  const ask = asks(form, bounds);
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
  bounds();
}
