// Moving credits between an agency and a client: the sums follow the amount as the
// server works them out, the button names it.
for (const form of $$("form[data-transfer]")) {
  const input = $("[name=credits]", form);
  const button = $("[data-out=button]", form);
  const label = () => {
    if (form.dataset.sent) return;
    const whole = amount(input.value);
    button.textContent = `${form.dataset.transfer} ${whole ? creditsWord(whole) : "credits"}`;
  };
  const sums = () => {
    label();
    swap(`${form.getAttribute("action")}?${new URLSearchParams({ credits: input.value })}`, false);
  };
  input.addEventListener("input", label);
  input.addEventListener("change", sums);
  for (const quick of $$("[data-credits]", form)) {
    quick.addEventListener("click", (event) => {
      event.preventDefault();
      input.value = quick.dataset.credits;
      sums();
    });
  }
  label();
}
