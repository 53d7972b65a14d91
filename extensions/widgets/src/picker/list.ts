/** The list of models: a combobox's list, so that one types, goes down with the arrows and takes with Enter, without leaving the field. */
import { fresh, h } from "../lib/dom";
import { count, seconds, tokens, usd } from "../lib/say";
import { type Choice, type Group, haystack, matches } from "./choices";

interface Row {
  choice: Choice;
  element: HTMLElement;
  hay: string;
}
interface Section {
  element: HTMLElement;
  rows: Row[];
}

export class List {
  readonly search = h("input", {
    type: "search",
    role: "combobox",
    class: "onb-search",
    "aria-label": "Search models by name, vendor or ability",
    "aria-autocomplete": "list",
    "aria-expanded": "true",
    placeholder: "Search: name, vendor, ability …",
    autocomplete: "off",
    spellcheck: "false",
  });
  readonly element = h("div", {
    class: "onb-list",
    role: "listbox",
    id: fresh("list"),
    "aria-multiselectable": "true",
    "aria-label": "Models",
  });
  private readonly found = h("span", { class: "onb-faint", role: "status" });
  readonly head = h("div", { class: "onb-row onb-head" }, this.search, this.found);
  private sections: Section[] = [];
  private shown: Row[] = [];
  private active: Row | undefined;

  constructor(private readonly toggle: (ref: string) => void) {
    this.search.setAttribute("aria-controls", this.element.id);
    this.search.addEventListener("input", () => this.filter());
    this.search.addEventListener("keydown", (event) => this.key(event));
    this.element.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
    this.element.addEventListener("click", (event) => this.clicked(event));
  }

  fill(groups: Group[]): void {
    this.sections = groups.map(section);
    this.element.replaceChildren(...this.sections.map((one) => one.element));
    this.filter();
  }

  mark(chosen: readonly string[]): void {
    for (const row of this.sections.flatMap((one) => one.rows)) {
      row.element.setAttribute("aria-selected", String(chosen.includes(row.choice.ref)));
    }
  }

  private filter(): void {
    const wanted = this.search.value.trim();
    this.shown = [];
    for (const one of this.sections) {
      const fit = one.rows.filter((row) => {
        row.element.hidden = !matches(row.hay, wanted);
        return !row.element.hidden;
      });
      one.element.hidden = fit.length === 0;
      this.shown.push(...fit);
    }
    this.found.textContent = count(this.shown.length, "model");
    this.activate(wanted ? this.shown[0] : undefined);
    this.element.scrollTop = 0;
  }

  private activate(row: Row | undefined): void {
    this.active?.element.classList.remove("onb-active");
    this.active = row;
    if (!row) {
      this.search.removeAttribute("aria-activedescendant");
      return;
    }
    row.element.classList.add("onb-active");
    this.search.setAttribute("aria-activedescendant", row.element.id);
    row.element.scrollIntoView?.({ block: "nearest" });
  }

  private key(event: KeyboardEvent): void {
    const at = this.active ? this.shown.indexOf(this.active) : -1;
    const last = this.shown.length - 1;
    const moves: Record<string, number> = {
      ArrowDown: Math.min(at + 1, last),
      ArrowUp: Math.max(at - 1, 0),
      PageDown: Math.min(at + 8, last),
      PageUp: Math.max(at - 8, 0),
    };
    const to = moves[event.key];
    if (to !== undefined) this.activate(this.shown[to]);
    else if (event.key === "Enter" && this.active) this.toggle(this.active.choice.ref);
    else if (event.key === "Escape" && this.search.value) {
      this.search.value = "";
      this.filter();
    } else return;
    event.preventDefault();
  }

  private clicked(event: MouseEvent): void {
    const element = event.target instanceof Element ? event.target.closest('[role="option"]') : null;
    const row = this.shown.find((one) => one.element === element);
    if (!row) return;
    this.search.focus({ preventScroll: true });
    this.activate(row);
    this.toggle(row.choice.ref);
  }
}

function section(group: Group): Section {
  const name = h("div", { class: "onb-vendor", id: fresh("vendor") }, group.vendor);
  if (group.note) name.append(h("span", { class: "onb-faint" }, ` ${group.note}`));
  const rows = group.models.map((choice) => ({ choice, element: option(choice), hay: haystack(choice) }));
  const list = h("div", { role: "group", "aria-labelledby": name.id }, name, ...rows.map((row) => row.element));
  return { element: list, rows };
}

function option(choice: Choice): HTMLElement {
  const facts = [context(choice), price(choice), choice.can.join(" "), measured(choice)];
  const attributes = { role: "option", id: fresh("model"), class: "onb-model", "aria-selected": "false" };
  const name = h("span", { class: "onb-name" }, choice.id);
  if (choice.aliases.length) name.append(h("span", { class: "onb-faint" }, ` ${choice.aliases.join(", ")}`));
  const shown = ["onb-context", "onb-price", "onb-can", "onb-measured"].map((kind, at) =>
    h("span", { class: kind }, facts[at] ?? ""),
  );
  const label = [choice.ref, ...choice.aliases, ...facts].filter(Boolean).join(", ");
  const box = h("span", { class: "onb-box-sign" });
  return h("div", { ...attributes, "aria-label": label }, box, name, h("span", { class: "onb-facts" }, ...shown));
}

function context(choice: Choice): string {
  return choice.context === null ? "" : `${tokens(choice.context)} context`;
}

function price(choice: Choice): string {
  return choice.price ? `${usd(choice.price[0])} in, ${usd(choice.price[1])} out` : "price unknown";
}

function measured(choice: Choice): string {
  if (!choice.calls) return "";
  const parts = [
    choice.latency_s === null ? "" : seconds(choice.latency_s),
    choice.usd === null ? "" : usd(choice.usd),
  ];
  return `${parts.filter(Boolean).join(", ")} (${count(choice.calls, "call")})`;
}
