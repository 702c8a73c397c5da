// Moving credits between an agency and a client: the button names the amount. The sums
// follow it as every form that asks does: on what is typed, not on leaving the field,
// where they would move the button from under the click.
for (const form of $$("form[data-transfer]")) {
  const input = $("[name=credits]", form);
  const button = $("[data-out=button]", form);
  const label = () => {
    if (form.dataset.sent) return;
    const whole = amount(input.value);
    button.textContent = `${form.dataset.transfer} ${whole ? creditsWord(whole) : "credits"}`;
  };
  input.addEventListener("input", label);
  for (const quick of $$("[data-credits]", form)) {
    quick.addEventListener("click", (event) => {
      event.preventDefault();
      input.value = quick.dataset.credits;
      input.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }
  label();
}
