/** A model that was chosen, with a form for the options that it takes. */
import { button, fresh, h } from "../lib/dom";
import type { Choice, Field } from "./choices";

export interface Acts {
  remove(ref: string): void;
  set(ref: string, name: string, value: string): void;
}
type Given = Record<string, string>;
type Input = HTMLInputElement | HTMLSelectElement;

export class Form {
  readonly element: HTMLElement;
  private readonly told = h("span", { class: "onb-faint" });
  private readonly inputs = new Map<string, Input>();

  constructor(
    private readonly choice: Choice,
    fields: Record<string, Field>,
    private readonly acts: Acts,
  ) {
    const rows = choice.options.flatMap((name) => {
      const field = fields[name];
      return field ? [this.row(name, field)] : [];
    });
    const { ref } = choice;
    const title = h("summary", {}, h("strong", {}, ref), this.told);
    const gone = button("Remove", () => acts.remove(ref), { "aria-label": `Remove ${ref}` });
    const details = h("details", { class: "onb-options" }, title, h("div", { class: "onb-fields" }, ...rows));
    this.element = h("li", {}, details, gone);
  }

  /** Shows what is set; a field in which somebody types is left alone. */
  update(given: Given): void {
    const parts = Object.entries(given).map(([name, value]) => `${name} ${value}`);
    this.told.textContent = parts.length ? ` · ${parts.join(", ")}` : " · options";
    for (const [name, input] of this.inputs) {
      if (input !== document.activeElement) input.value = given[name] ?? "";
    }
  }

  private row(name: string, field: Field): HTMLElement {
    const id = fresh("option");
    const input = field.kind === "effort" ? select(this.choice.efforts) : entry(field);
    const takes = h("span", { class: "onb-faint onb-takes", id: `${id}-takes` }, field.takes);
    input.id = id;
    input.setAttribute("aria-describedby", takes.id);
    input.addEventListener("change", () => {
      const right = input.reportValidity();
      input.setAttribute("aria-invalid", String(!right));
      takes.textContent = right ? field.takes : `${field.takes}; this is not taken`;
      if (right) this.acts.set(this.choice.ref, name, input.value.trim());
    });
    this.inputs.set(name, input);
    return h("div", { class: "onb-option" }, h("label", { for: id }, name), input, takes);
  }
}

function entry(field: Field): HTMLInputElement {
  const isNumber = field.kind === "number" || field.kind === "whole";
  const bounds = isNumber ? { min: field.low, max: field.high, step: field.kind === "whole" ? 1 : "any" } : {};
  return h("input", { type: isNumber ? "number" : "text", autocomplete: "off", ...bounds });
}

function select(efforts: string[]): HTMLSelectElement {
  const options = ["", ...efforts].map((effort) => h("option", { value: effort }, effort || "as the model does"));
  return h("select", {}, ...options);
}
