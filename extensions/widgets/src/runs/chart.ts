/** What the days cost, as bars and as a table. Billed and possibly billed stand on each other; saved and simulated apart, for nobody pays them. */
import { h } from "../lib/dom";
import { usd } from "../lib/say";

export interface Day {
  day: string;
  billed: number;
  possibly: number;
  saved: number;
  simulated: number;
  unpriced: number;
}
type Amount = "billed" | "possibly" | "saved" | "simulated";

const AMOUNTS: [Amount, string][] = [
  ["billed", "billed"],
  ["possibly", "possibly billed"],
  ["saved", "saved"],
  ["simulated", "simulated"],
];
const WIDTH = 720;
const HEIGHT = 110;
const FLOOR = 92;
const LEFT = 4;

export class Chart {
  private readonly caption = h("figcaption", {});
  private readonly picture = h("div", { class: "onb-bars" });
  private readonly table = h("div", {
    class: "onb-scroll",
    tabindex: "0",
    role: "region",
    "aria-label": "Cost by day",
  });
  private readonly legend = h("div", { class: "onb-row onb-legend" });
  readonly element = h(
    "figure",
    { class: "onb-days" },
    this.caption,
    this.picture,
    this.legend,
    h("details", {}, h("summary", {}, "As a table"), this.table),
  );
  private days: Day[] = [];
  private span = 30;
  private readonly hidden = new Set<Amount>();

  constructor() {
    this.legend.append(...AMOUNTS.map(([name, text]) => this.key(name, text)));
    this.element.hidden = true;
  }

  fill(days: Day[], today: string, span: number): void {
    this.days = calendar(days, today, Math.min(Math.max(1, Math.ceil(span)), 90));
    this.span = this.days.length;
    this.element.hidden = days.length === 0;
    this.draw();
  }

  private key(name: Amount, text: string): HTMLElement {
    const box = h("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      if (box.checked) this.hidden.delete(name);
      else this.hidden.add(name);
      this.draw();
    });
    return h("label", { class: "onb-field" }, box, h("span", { class: `onb-sign onb-fill-${name}` }), text);
  }

  private draw(): void {
    const said = `Cost by day, the last ${this.span} days: ${summed(this.days)}`;
    this.caption.textContent = said;
    this.picture.replaceChildren(this.drawn(said));
    this.table.replaceChildren(tableOf(this.days));
  }

  private drawn(said: string): SVGElement {
    const shown = (day: Day, name: Amount) => (this.hidden.has(name) ? 0 : day[name]);
    const highest = Math.max(
      ...this.days.flatMap((day) => [
        shown(day, "billed") + shown(day, "possibly"),
        shown(day, "saved"),
        shown(day, "simulated"),
      ]),
    );
    const picture = s("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "xMinYMid",
      role: "img",
      "aria-label": said,
    });
    const step = (WIDTH - LEFT) / this.days.length;
    this.days.forEach((day, at) => {
      const tall = (amount: number) => (amount > 0 ? Math.max(1.5, (amount / (highest || 1)) * (FLOOR - 16)) : 0);
      const wide = Math.min((step - 2) / 3, 14);
      const x = LEFT + at * step;
      const group = s("g", {}, s("title", {}, `${day.day}: ${summed([day])}`));
      const billed = tall(shown(day, "billed"));
      group.append(bar("billed", x, FLOOR - billed, wide, billed));
      const possibly = tall(shown(day, "possibly"));
      group.append(bar("possibly", x, FLOOR - billed - possibly, wide, possibly));
      const saved = tall(shown(day, "saved"));
      group.append(bar("saved", x + wide, FLOOR - saved, wide, saved));
      const simulated = tall(shown(day, "simulated"));
      group.append(bar("simulated", x + 2 * wide, FLOOR - simulated, wide, simulated));
      picture.append(group);
    });
    picture.append(s("line", { x1: LEFT, x2: WIDTH, y1: FLOOR, y2: FLOOR, class: "onb-axis" }));
    picture.append(s("text", { x: LEFT, y: 10 }, `${usd(highest)}`));
    picture.append(s("text", { x: LEFT, y: HEIGHT - 4 }, this.days[0]?.day ?? ""));
    picture.append(s("text", { x: WIDTH, y: HEIGHT - 4, "text-anchor": "end" }, this.days.at(-1)?.day ?? ""));
    return picture;
  }
}

/** The last `span` days up to today, also those on which nothing was asked. */
export function calendar(days: Day[], today: string, span: number): Day[] {
  const known = new Map(days.map((day) => [day.day, day]));
  const last = Date.parse(`${today}T12:00:00Z`);
  return Array.from({ length: span }, (_, at) => {
    const day = new Date(last - (span - 1 - at) * 86_400_000).toISOString().slice(0, 10);
    return known.get(day) ?? { day, billed: 0, possibly: 0, saved: 0, simulated: 0, unpriced: 0 };
  });
}

export function summed(days: Day[]): string {
  const parts = AMOUNTS.map(([name, text]): [number, string] => [sum(days, name), text]);
  const said = parts
    .filter(([amount, text]) => amount > 0 || text === "billed")
    .map(([a, text]) => `${usd(a)} ${text}`);
  const unpriced = days.reduce((total, day) => total + day.unpriced, 0);
  if (unpriced) said.push(`${unpriced} at an unknown price`);
  return said.join(", ");
}

function sum(days: Day[], name: Amount): number {
  return days.reduce((total, day) => total + day[name], 0);
}

function tableOf(days: Day[]): HTMLTableElement {
  const cells = (day: Day) =>
    AMOUNTS.map(([name]) => h("td", { class: "onb-number" }, day[name] ? usd(day[name]) : ""));
  const used = days.filter((day) => AMOUNTS.some(([name]) => day[name] > 0) || day.unpriced);
  const rows = used.reverse().map((day) => h("tr", {}, h("th", { scope: "row" }, day.day), ...cells(day)));
  const heads = ["day", ...AMOUNTS.map(([, text]) => text)].map((text) => h("th", { scope: "col" }, text));
  return h("table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows));
}

function bar(name: Amount, x: number, y: number, width: number, height: number): SVGElement {
  return s("rect", { class: `onb-fill-${name}`, x: round(x), y: round(y), width: round(width), height: round(height) });
}

function round(number: number): string {
  return number.toFixed(2);
}

function s(tag: string, attributes: Record<string, string | number>, ...children: (Node | string)[]): SVGElement {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}
