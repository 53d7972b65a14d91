/** Elements from plain values. Text is always a text node, so whatever a model or a server is called means nothing to the page. */

type Attributes = Record<string, string | number | boolean | null | undefined>;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children);
  return element;
}

let made = 0;
/** Each widget on the page has its own copy of this module, so that counting alone would give the same ids. */
const copy = Math.random().toString(36).slice(2, 8);

/** An id that no other element of this page has, also where the same widget is shown twice. */
export function fresh(name: string): string {
  made += 1;
  return `onb-${name}-${copy}-${made}`;
}

/** The widget's own box. The notebook has shortcuts on plain letters ("b" inserts a cell): no key pressed in here may reach it. */
export function root(name: string, label: string): HTMLElement {
  const box = h("section", {
    class: `onb-widget onb-${name}`,
    "aria-label": label,
    "data-lm-suppress-shortcuts": "true",
  });
  for (const kind of ["keydown", "keypress", "keyup"]) {
    box.addEventListener(kind, (event) => event.stopPropagation());
  }
  return box;
}

export function button(text: string, act: () => void, attributes: Attributes = {}): HTMLButtonElement {
  const made = h("button", { type: "button", class: "onb-button", ...attributes }, text);
  made.addEventListener("click", act);
  return made;
}

/** One line in which the widget says what it did or why not; screen readers hear it. */
export class Said {
  readonly element = h("p", { class: "onb-said", role: "status", "aria-live": "polite" });

  say(text: string, problem = false): void {
    this.element.textContent = text;
    this.element.classList.toggle("onb-problem", problem);
  }
}
