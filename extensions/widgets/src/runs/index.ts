/** The runs in the store. The kernel looks for what fits and gives it page by page; while something runs, this asks again now and then. */
import type { AnyModel, Render } from "@anywidget/types";
import { button, fresh, h, root, Said } from "../lib/dom";
import { copied, GONE, insertCells, whenGone } from "../lib/host";
import { count } from "../lib/say";
import { Chart, type Day } from "./chart";
import { type Acts, COLUMNS, type Estimate, type Opened, Row, type Run } from "./row";

type Message = { view: string | null } & (
  | { kind: "begin"; days: number | null; states: string[] }
  | ({ kind: "runs"; runs: Run[]; total: number; all: number; from: number; page: number } & Names)
  | { kind: "days"; days: Day[]; today: string }
  | ({ kind: "opened" } & Opened)
  | ({ kind: "estimate" } & Estimate)
  | { kind: "insert"; cells: string[]; after: string | null }
  | { kind: "changed"; run: string }
  | { kind: "said"; text: string; problem: boolean }
);
interface Names {
  notebooks: string[];
  models: string[];
}
type Listed = Extract<Message, { kind: "runs" }>;

const SOON = 1_500;
const LATER = 10_000;
const PATIENCE = 60_000;
const TYPED = 200;
/** A store in which looking takes long is looked at more seldom. */
const SHARE = 20;
const SPANS: [string, string][] = [
  ["", "any time"],
  ["1", "last day"],
  ["7", "last 7 days"],
  ["30", "last 30 days"],
  ["90", "last 90 days"],
];

class Panel implements Acts {
  private readonly box = root("runs", "Runs");
  private readonly said = new Said();
  private readonly chart = new Chart();
  private readonly search = h("input", {
    type: "search",
    class: "onb-search",
    "aria-label": "Search runs by prompt, notebook, model, chain or id",
    placeholder: "Search: prompt, notebook, model …",
    autocomplete: "off",
    spellcheck: "false",
  });
  private readonly state = h("select", { "aria-label": "State" });
  private readonly notebook = h("select", { "aria-label": "Notebook" });
  private readonly models = h("select", { "aria-label": "Model" });
  private readonly days = h(
    "select",
    { "aria-label": "Time" },
    ...SPANS.map(([value, text]) => h("option", { value }, text)),
  );
  private readonly found = h("span", { class: "onb-faint", role: "status" });
  private readonly body = h("tbody", {});
  private readonly empty = h("p", { class: "onb-faint", hidden: true });
  private readonly back = button("Newer", () => this.turn(-1));
  private readonly on = button("Older", () => this.turn(1));
  private readonly at = h("span", { class: "onb-faint" });
  private readonly pager = h("div", { class: "onb-row onb-pager" }, this.back, this.at, this.on);
  private readonly view = `${fresh("view")}-${Math.random().toString(36).slice(2)}`;
  private rows = new Map<string, Row>();
  private last: Listed | undefined;
  private from = 0;
  private timer = 0;
  private waiting = 0;
  private took = 0;
  private again = false;
  private gone = false;
  private ran = new Set<string>();

  constructor(private readonly model: AnyModel) {
    const heads = COLUMNS.map((text) => h("th", { scope: "col" }, text));
    const table = h("table", { class: "onb-list" }, h("thead", {}, h("tr", {}, ...heads)), this.body);
    const scroll = h(
      "div",
      { class: "onb-scroll onb-all", role: "region", tabindex: "0", "aria-label": "Runs" },
      table,
    );
    const chosen = [this.state, this.notebook, this.models, this.days];
    const refresh = button("Refresh", () => this.refresh());
    const head = h("div", { class: "onb-row onb-head" }, this.search, ...chosen, refresh, this.found);
    this.box.append(head, this.chart.element, scroll, this.empty, this.pager, this.said.element);
    for (const one of chosen) one.addEventListener("change", () => this.look(0));
    this.days.addEventListener("change", () => this.send({ kind: "days" }));
    let typed = 0;
    this.search.addEventListener("input", () => {
      window.clearTimeout(typed);
      typed = window.setTimeout(() => this.look(0), TYPED);
    });
    options(this.notebook, "all notebooks", []);
    options(this.models, "all models", []);
  }

  show(el: HTMLElement): () => void {
    const heard = (message: Message) => this.hear(message);
    this.model.on("msg:custom", heard);
    const deaf = whenGone(this.model, () => {
      this.gone = true;
      this.said.say(GONE, true);
    });
    el.append(this.box);
    this.send({ kind: "ready" });
    return () => {
      this.gone = true;
      window.clearTimeout(this.timer);
      deaf();
      this.model.off("msg:custom", heard);
    };
  }

  private hear(message: Message): void {
    if (message.view !== null && message.view !== undefined && message.view !== this.view) return;
    if (message.kind === "begin") this.begin(message.days, message.states);
    else if (message.kind === "runs") this.fill(message);
    else if (message.kind === "days") this.chart.fill(message.days, message.today, Number(this.days.value) || 30);
    else if (message.kind === "opened") this.rows.get(message.run)?.opened(message);
    else if (message.kind === "estimate") this.rows.get(message.run)?.ask(message);
    else if (message.kind === "insert") void this.place(message.cells, message.after);
    else if (message.kind === "changed") this.look();
    else {
      if (this.waiting) this.plan();
      this.waiting = 0;
      this.said.say(message.text, message.problem);
    }
  }

  private begin(days: number | null, states: string[]): void {
    options(this.state, "all states", states);
    if (days !== null) {
      if (!SPANS.some(([value]) => value === String(days))) {
        this.days.append(h("option", { value: String(days) }, `last ${days} days`));
      }
      this.days.value = String(days);
    }
    this.refresh();
  }

  private fill(listed: Listed): void {
    this.took = this.waiting ? performance.now() - this.waiting : 0;
    this.waiting = 0;
    const ended = [...this.ran].some((id) => listed.runs.some((run) => run.id === id && run.state !== "running"));
    const grown = this.last !== undefined && this.last.all !== listed.all;
    this.ran = new Set(listed.runs.filter((run) => run.state === "running").map((run) => run.id));
    if (ended || grown) this.send({ kind: "days" });
    this.last = listed;
    this.from = listed.from;
    this.draw(listed);
    options(this.notebook, "all notebooks", listed.notebooks);
    options(this.models, "all models", listed.models);
    if (this.again) this.look();
    else this.plan();
  }

  private draw(listed: Listed): void {
    const before = this.rows;
    this.rows = new Map(listed.runs.map((run) => [run.id, before.get(run.id) ?? new Row(run, this)]));
    const wanted = listed.runs.flatMap((run) => {
      const row = this.rows.get(run.id);
      row?.update(run);
      return row ? [row.line, row.more] : [];
    });
    arrange(this.body, wanted);
    const { total, all, from, page, runs } = listed;
    say(this.found, total === all ? count(all, "run") : `${total.toLocaleString("en")} of ${count(all, "run")}`);
    this.empty.hidden = total > 0;
    this.empty.textContent = all
      ? "No run fits. Take something out of the search, or choose another time."
      : "No run is written down yet: ask something first.";
    this.pager.hidden = total <= page;
    this.at.textContent = `${(from + 1).toLocaleString("en")} to ${(from + runs.length).toLocaleString("en")}`;
    disable(this.back, from === 0);
    disable(this.on, from + page >= total);
  }

  private refresh(): void {
    this.said.say("");
    this.waiting = 0;
    this.look();
    this.send({ kind: "days" });
  }

  private turn(way: number): void {
    this.look(Math.max(0, this.from + way * (this.last?.page ?? 0)));
  }

  /** One question at a time: a kernel that is busy answers later, and not ten times. */
  private look(from = this.from): void {
    this.from = from;
    if (this.gone) return;
    if (this.waiting && performance.now() - this.waiting < PATIENCE) {
      this.again = true;
      return;
    }
    this.again = false;
    this.waiting = performance.now() || 1;
    const days = this.days.value ? Number(this.days.value) : null;
    const chosen = { state: this.state.value, notebook: this.notebook.value, model: this.models.value };
    this.send({ kind: "list", wanted: { text: this.search.value, days, ...chosen }, from });
  }

  private plan(): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(
      () => {
        if (document.hidden || this.box.offsetParent === null) this.plan();
        else this.look();
      },
      Math.max(this.ran.size ? SOON : LATER, SHARE * this.took),
    );
  }

  open(run: string): void {
    this.send({ kind: "open", run });
  }

  insert(run: string, what: "show" | "grid" | "resume" | "errors"): void {
    this.send({ kind: "cell", run, what });
  }

  estimate(run: string, errors: boolean): void {
    this.said.say("");
    this.send({ kind: "estimate", run, errors });
  }

  start(run: string, errors: boolean, most: string): void {
    this.send({ kind: "start", run, errors, most });
  }

  stop(run: string): void {
    this.send({ kind: "stop", run });
  }

  private send(message: Record<string, unknown>): void {
    if (this.gone) this.said.say(GONE, true);
    else this.model.send({ ...message, view: this.view });
  }

  private async place(cells: string[], after: string | null): Promise<void> {
    if (insertCells(this.model, cells, after)) this.said.say("Inserted below this cell: run it there.");
    else if (await copied(cells.join("\n\n"))) this.said.say("Copied: paste it into a new cell.");
    else this.said.say(`This notebook takes no new cell from here: type ${cells.join(" ")}`, true);
  }
}

/** Keeps what is chosen, also when it is not offered any more. */
function options(select: HTMLSelectElement, all: string, names: string[]): void {
  const wanted = [all, ...names].join("\n");
  if (select.dataset.offered === wanted) return;
  const chosen = select.value;
  const kept = chosen && !names.includes(chosen) ? [chosen] : [];
  const made = [...kept, ...names].map((name) => h("option", { value: name }, name));
  select.replaceChildren(h("option", { value: "" }, all), ...made);
  select.value = chosen;
  select.dataset.offered = wanted;
}

/** Moves as few lines as can be, so that the focus stays where it is. */
function arrange(body: HTMLElement, wanted: HTMLElement[]): void {
  const keep = new Set<Element>(wanted);
  for (const child of [...body.children]) if (!keep.has(child)) child.remove();
  wanted.forEach((element, at) => {
    if (body.children[at] !== element) body.insertBefore(element, body.children[at] ?? null);
  });
}

/** A screen reader says it again only when it has changed. */
function say(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

function disable(one: HTMLButtonElement, off: boolean): void {
  one.disabled = off;
}

const render: Render = ({ model, el }) => new Panel(model as AnyModel).show(el);
export default { render };
