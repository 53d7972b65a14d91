/** A run as a grid of prompts and models: watch it, find and sort, open a cell, compare two, and say which is best. */
import type { AnyModel, Initialize, Render } from "@anywidget/types";
import { button, fresh, h, root, Said } from "../lib/dom";
import { whenGone } from "../lib/host";
import { count, span, usd } from "../lib/say";
import { type Change, Data, type GridMessage, kind, type Mark, type Only, type Order, type TickMessage } from "./data";
import { Detail, type Full } from "./detail";
import { Table } from "./table";
import { Versus } from "./versus";

type Message =
  | GridMessage
  | TickMessage
  | Full
  | { kind: "found"; text: string; cells: number[] | null }
  | { kind: "marks"; marks: ({ cell: number } & Mark)[] }
  | { kind: "said"; text: string; problem: boolean };

const GONE = "The kernel has gone: what is finished is in the store, %llm resume asks for the rest.";
const ORDERS: [Order, string][] = [
  ["prompt", "in the order of the prompts"],
  ["time", "quickest first"],
  ["cost", "cheapest first"],
  ["state", "failed first"],
  ["rating", "best rated first"],
];
const ONLY: [Only, string][] = [
  ["all", "all"],
  ["running", "running"],
  ["queued", "not asked yet"],
  ["answered", "answered"],
  ["failed", "failed"],
  ["rated", "rated"],
];
const HELP =
  "Arrows move, Enter opens, D compares with a second, B pins the best of a row, 1 to 5 rate, + and − are thumbs.";

class Grid {
  private readonly box = root("grid", "Grid of the run");
  private readonly said = new Said();
  private readonly data = new Data();
  private readonly name = fresh("view");
  private readonly title = h("h3", {});
  private readonly bar = h("progress", { "aria-label": "finished calls" });
  private readonly money = h("span", {});
  private readonly left = h("span", { class: "onb-faint" });
  private readonly cancel = button("Cancel", () => this.stop(), { hidden: true });
  private readonly fold = button("", () => this.folded(!this.content.hidden), { hidden: true });
  private readonly content = h("div", {});
  private readonly search = h("input", {
    type: "search",
    "aria-label": "Show rows whose prompt or an answer holds",
    placeholder: "Find in prompts and answers …",
    autocomplete: "off",
    spellcheck: "false",
  });
  private readonly only = choice(ONLY);
  private readonly by = choice(ORDERS);
  private readonly column = h("select", { id: fresh("column") });
  private readonly of = labelled("of", this.column);
  private readonly shown = h("span", { class: "onb-faint", role: "status" });
  private readonly table = new Table(this.data, {
    open: (place) => this.open(place),
    key: (place, key) => this.key(place, key),
    seen: (cells) => this.watch(cells),
  });
  private readonly detail = new Detail(
    (place, change) => this.mark(place, change),
    (place) => this.compare(place),
    () => this.table.focus(),
  );
  private readonly versus = new Versus(
    (place) => this.send({ kind: "full", cell: place, since: 0 }),
    (place) => this.label(place),
    () => this.lettered(),
    () => this.table.focus(),
  );
  private found: Set<number> | null = null;
  private clock: ReturnType<typeof setInterval> | undefined;
  private later: ReturnType<typeof setTimeout> | undefined;
  /** By the clock of this page, when the run began. */
  private began = 0;
  private isGone = false;
  private folds = false;

  constructor(private readonly model: AnyModel) {
    const head = h("div", { class: "onb-row" }, this.title, this.cancel, this.fold);
    const bar = h("div", { class: "onb-row onb-bar" }, this.bar, this.money, this.left);
    const tools = h("div", { class: "onb-row onb-bar" }, this.search);
    tools.append(labelled("show", this.only), labelled("sort", this.by), this.of, this.shown);
    const help = h("p", { class: "onb-faint onb-keys" }, HELP);
    this.content.append(
      bar,
      tools,
      this.table.element,
      help,
      this.said.element,
      this.detail.element,
      this.versus.element,
    );
    this.box.append(head, this.content);
    this.search.addEventListener("input", () => this.find());
    for (const one of [this.only, this.by, this.column]) one.addEventListener("change", () => this.arrange());
    this.table.now = () => this.now();
  }

  show(el: HTMLElement): () => void {
    const heard = (message: Message) => this.hear(message);
    this.model.on("msg:custom", heard);
    const deaf = whenGone(this.model, () => this.gone());
    el.append(this.box);
    this.send({ kind: "ready" });
    return () => {
      deaf();
      this.model.off("msg:custom", heard);
      clearInterval(this.clock);
      clearTimeout(this.later);
      this.table.close();
      if (!this.isGone) this.send({ kind: "watch", view: this.name, cells: [] });
    };
  }

  // What the kernel says

  private hear(message: Message): void {
    if (message.kind === "grid") this.begin(message);
    else if (message.kind === "tick") this.tick(message);
    else if (message.kind === "full") this.fill(message);
    else if (message.kind === "marks") this.marks(message.marks);
    else if (message.kind === "said") this.said.say(message.text, message.problem);
    else if (message.text === this.search.value) {
      this.found = message.cells && new Set(message.cells);
      this.arrange();
    }
  }

  private begin(message: GridMessage): void {
    this.data.begin(message);
    this.began = performance.now() / 1000 - message.t;
    this.cancel.hidden = !message.stoppable;
    const chosen = this.column.value;
    this.column.replaceChildren(...this.data.columns.map((name, at) => h("option", { value: at }, name)));
    this.column.value = chosen || "0";
    this.table.renew();
    this.arrange();
    this.progress();
    this.folds = message.folds;
    if (!message.over || !message.folds) this.unfold();
    else if (!this.atWork()) this.folded(true);
    if (!message.over) this.clock ??= setInterval(() => this.second(), 1000);
  }

  private tick(message: TickMessage): void {
    const { r = [], x = [] } = message;
    this.table.change(this.data.tick(message));
    for (let at = 0; at + 1 < r.length; at += 2) this.table.put(Number(r[at]), String(r[at + 1]));
    for (let at = 0; at + 1 < x.length; at += 2) this.table.add(Number(x[at]), String(x[at + 1]));
    this.progress();
    const open = this.detail.open;
    if (open !== undefined && message.s.some((value, at) => at % 5 === 0 && value === open)) this.more();
  }

  private progress(): void {
    const { ended, t, money, over } = this.data.totals;
    const total = this.data.cells.length;
    const done = Object.values(ended).reduce((sum, one) => sum + one, 0);
    const wrong = Object.entries(ended).filter(([state]) => kind(state) === "failed");
    const told = [over ? "ended" : "", ...wrong.map(([state, number]) => `${number.toLocaleString("en")} ${state}`)];
    this.title.textContent = [`${done.toLocaleString("en")} of ${count(total, "call")}`, ...told]
      .filter(Boolean)
      .join(", ");
    this.bar.max = total;
    this.bar.value = done;
    this.money.textContent = spent(money, this.data.budget);
    const left = done > 1 && !over ? `, about ${span(Math.ceil((t / done) * (total - done)))} left` : "";
    this.left.textContent = `${span(t)}${left}`;
    if (over) this.ended();
  }

  private ended(): void {
    clearInterval(this.clock);
    this.clock = undefined;
    if (this.folds && this.fold.hidden) {
      this.said.say("The run has ended: its answers can be opened, compared and rated as long as this kernel lives.");
      this.arrange();
      this.folded(!this.atWork());
    }
    this.cancel.hidden = true;
  }

  private unfold(): void {
    this.folded(false);
    this.fold.hidden = true;
  }

  /** Whether somebody does something in here just now. */
  private atWork(): boolean {
    return this.box.contains(document.activeElement) || this.detail.open !== undefined || this.versus.chosen.length > 0;
  }

  /** The static result is seen, or the grid. */
  private folded(on: boolean): void {
    this.content.hidden = on;
    this.box.classList.toggle("onb-folded", on);
    this.fold.hidden = false;
    this.fold.textContent = on ? "Search, compare and rate" : "Show the result";
    this.fold.setAttribute("aria-expanded", String(!on));
    if (!on) this.table.soon();
  }

  private now(): number {
    return performance.now() / 1000 - this.began;
  }

  private second(): void {
    this.table.tick(this.now());
    if (this.detail.open !== undefined && this.detail.have) this.more();
    if (this.only.value !== "all") this.arrange();
  }

  private gone(): void {
    this.isGone = true;
    clearInterval(this.clock);
    this.cancel.hidden = true;
    this.said.say(
      this.data.totals.over ? "The kernel has gone: run the cell, or %llm grid, to have this again." : GONE,
      true,
    );
  }

  // What the person does

  private send(message: Record<string, unknown>): void {
    this.model.send(message);
  }

  private stop(): void {
    this.cancel.disabled = true;
    this.said.say("Stopping …");
    this.send({ kind: "cancel" });
  }

  private find(): void {
    clearTimeout(this.later);
    this.later = setTimeout(() => this.send({ kind: "find", text: this.search.value }), 200);
  }

  private arrange(): void {
    const by = this.by.value as Order;
    this.of.hidden = by === "prompt";
    const order = this.data.order(by, Number(this.column.value) || 0, this.only.value as Only, this.found);
    this.table.arrange(order);
    this.shown.textContent =
      order.length === this.data.rows.length ? "" : `${order.length} of ${count(this.data.rows.length, "prompt")}`;
  }

  private watch(cells: number[]): void {
    this.send({ kind: "watch", view: this.name, cells });
  }

  private label(place: number): string {
    const cell = this.data.cells[place];
    return cell ? `${this.data.columns[cell.column]}, prompt ${cell.row + 1}` : "";
  }

  private open(place: number): void {
    this.detail.show(place, this.label(place));
    this.detail.marks(this.data.mark(place));
    this.more();
  }

  private more(): void {
    this.send({ kind: "full", cell: this.detail.open, since: this.detail.have });
  }

  private fill(full: Full): void {
    this.detail.fill(full);
    if (!full.since) this.versus.fill(full.cell, full.text || full.error || "");
  }

  private compare(place: number): void {
    this.said.say(this.versus.take(place));
  }

  private lettered(): void {
    const before = this.table.letters;
    this.table.letters = this.versus.letters();
    this.table.change([...before.keys(), ...this.table.letters.keys()]);
  }

  private key(place: number, key: string): boolean {
    const mark = this.data.mark(place);
    if (key === "Enter") this.open(place);
    else if (key === "d" || key === "D") this.compare(place);
    else if (key === "b" || key === "B") this.mark(place, { best: !mark.best });
    else if (/^[1-5]$/.test(key)) this.mark(place, { rating: mark.rating === Number(key) ? 0 : Number(key) });
    else if (key === "+") this.mark(place, { thumbs: mark.thumbs === "up" ? "" : "up" });
    else if (key === "-") this.mark(place, { thumbs: mark.thumbs === "down" ? "" : "down" });
    else return false;
    return true;
  }

  private mark(place: number, change: Change): void {
    this.said.say("");
    this.send({ kind: "mark", cell: place, set: change });
  }

  private marks(marks: ({ cell: number } & Mark)[]): void {
    const before = [...this.data.marks.keys()];
    this.data.marks.clear();
    for (const { cell, ...mark } of marks) this.data.marks.set(cell, mark);
    this.table.change(new Set([...before, ...this.data.marks.keys()]));
    if (this.detail.open !== undefined) this.detail.marks(this.data.mark(this.detail.open));
  }
}

function choice(options: [string, string][]): HTMLSelectElement {
  return h("select", { id: fresh("choice") }, ...options.map(([value, text]) => h("option", { value }, text)));
}

function labelled(text: string, select: HTMLSelectElement): HTMLElement {
  return h("span", { class: "onb-field" }, h("label", { for: select.id }, text), select);
}

/** What was paid, and of how much; what the simulator's answers would cost, and what was saved, is said beside. */
function spent(money: Record<string, number>, budget: number | null): string {
  const { paid, unknown, saved } = money;
  const would = money["would cost"];
  const parts = [
    paid !== undefined || budget !== null ? `${usd(paid ?? 0)}${budget === null ? "" : ` of ${usd(budget)}`}` : "",
    would === undefined ? "" : `would cost ${usd(would)}`,
    saved === undefined ? "" : `saved ${usd(saved)}`,
    unknown ? `cost of ${unknown} unknown` : "",
  ];
  return parts.filter(Boolean).join(" · ");
}

/** When to say again that there is somebody who can draw, in ms: a message that comes before the front end has its own way into a busy kernel waits for the cell's end. */
const AGAIN = [250, 750, 1500, 3000, 6000];

/** The kernel shows the grid once it knows that there is somebody who can draw it. */
const initialize: Initialize = ({ model }) => {
  const here = () => model.send({ kind: "here" });
  here();
  const later = AGAIN.map((ms) => setTimeout(here, ms));
  const stop = () => {
    for (const one of later) clearTimeout(one);
  };
  model.on("msg:custom", stop);
  return stop;
};
const render: Render = ({ model, el }) => new Grid(model).show(el);
export default { initialize, render };
