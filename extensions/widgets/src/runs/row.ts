/** One run: a line of the list, and what opens below it. */
import { button, fresh, h } from "../lib/dom";
import { count, seconds, usd } from "../lib/say";

export type State = "running" | "broken off" | "failed" | "answered";
export interface Run {
  id: string;
  at: number;
  state: State;
  notebook: string;
  chain: string;
  models: string[];
  calls: number;
  done: number;
  failed: number;
  billed: number;
  possibly: number;
  saved: number;
  simulated: boolean;
  prompt: string;
  notices: string[];
  /** What this panel began of it, while it runs. */
  mine: { done: number; size: number } | null;
}
export interface Answer {
  row: number;
  step: string;
  model: string;
  prompt: string;
  text: string;
  error: string;
  source: string;
  usd: number | null;
  latency_s: number | null;
  mark: string;
}
export interface Opened {
  run: string;
  rows: Answer[];
  more: number;
}
export interface Estimate {
  run: string;
  errors: boolean;
  calls: number;
  text: string;
  notes: string[];
}
export interface Acts {
  open(run: string): void;
  insert(run: string, what: "show" | "grid" | "resume" | "errors"): void;
  estimate(run: string, errors: boolean): void;
  start(run: string, errors: boolean, most: string): void;
  stop(run: string): void;
}

export const COLUMNS = ["when", "asked", "models", "calls", "state", "cost"];
const FRAME = "Insert a cell with its frame";
const GRID = "… with its grid";
const GOES_ON = "Insert a cell that goes on";
const SIGNS: Record<State, string> = { running: "▶", "broken off": "◐", failed: "✕", answered: "✓" };

export class Row {
  readonly line = h("tr", { class: "onb-run" });
  private readonly toggle: HTMLButtonElement;
  private readonly cells = COLUMNS.map((name) => h("td", { class: `onb-${name.replace(" ", "-")}` }));
  private readonly place = h("td", { colspan: COLUMNS.length });
  readonly more = h("tr", { class: "onb-details", hidden: true }, this.place);
  private readonly about = h("div", { class: "onb-about" });
  private readonly acts = h("div", { class: "onb-row" });
  private readonly asking = h("div", { class: "onb-asking", hidden: true, tabindex: "-1", role: "group" });
  private readonly answers = h("div", { class: "onb-answers" });
  private drawn = "";

  constructor(
    private run: Run,
    private readonly to: Acts,
  ) {
    this.place.id = fresh("run");
    this.toggle = button("", () => this.turn(), { "aria-expanded": "false", "aria-controls": this.place.id });
    this.toggle.classList.add("onb-toggle");
    this.cells[0]?.append(this.toggle);
    this.line.append(...this.cells);
    this.place.append(this.about, this.acts, this.asking, this.answers);
    this.update(run);
  }

  get isOpen(): boolean {
    return !this.more.hidden;
  }

  update(run: Run): void {
    const drawn = JSON.stringify(run);
    if (drawn === this.drawn) return;
    const acts = this.actsOf(run);
    const same = this.drawn !== "" && acts.join() === this.actsOf(this.run).join();
    const ended = this.run.state !== run.state && run.state !== "running";
    this.drawn = drawn;
    this.run = run;
    const at = when(run.at);
    this.toggle.textContent = at;
    this.toggle.setAttribute("aria-label", [at, run.chain || run.prompt || "run", run.state].join(", "));
    const shown = [asked(run), [h("div", { class: "onb-line" }, models(run))], [calls(run)], state(run), [cost(run)]];
    shown.forEach((parts, place) => {
      this.cells[place + 1]?.replaceChildren(...parts);
    });
    if (!this.isOpen) return;
    this.draw(same);
    if (ended) this.to.open(run.id); // its answers are other ones now
  }

  opened({ rows, more }: Opened): void {
    const heads = ["prompt", "model", "answer"].map((text) => h("th", { scope: "col" }, text));
    const body = rows.map((one) => h("tr", {}, ...answerCells(one)));
    const table = h("table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...body));
    const scroll = h("div", {
      class: "onb-scroll",
      tabindex: "0",
      role: "region",
      "aria-label": "Answers of this run",
    });
    scroll.append(table);
    this.answers.replaceChildren(scroll);
    if (more)
      this.answers.append(h("p", { class: "onb-faint" }, `${count(more, "more call")}: insert a cell to see all.`));
  }

  ask(estimate: Estimate): void {
    const what = estimate.errors ? "errors" : "resume";
    const most = h("input", { id: fresh("most"), size: 6, inputmode: "decimal", autocomplete: "off" });
    const go = button(`Ask ${count(estimate.calls, "call")} now`, () => {
      this.quiet();
      this.to.start(this.run.id, estimate.errors, most.value);
    });
    const notes = h("ul", { class: "onb-faint" }, ...estimate.notes.map((text) => h("li", {}, text)));
    this.asking.replaceChildren(
      h("p", {}, h("strong", {}, estimate.text)),
      notes,
      h(
        "div",
        { class: "onb-row" },
        go,
        h("span", { class: "onb-field" }, h("label", { for: most.id }, "for at most, USD"), most),
        button("Insert the cell instead", () => this.to.insert(this.run.id, what)),
        button("Leave it", () => this.quiet()),
      ),
    );
    this.asking.setAttribute("aria-label", "What it will take");
    this.asking.hidden = false;
    this.asking.focus({ preventScroll: true });
  }

  quiet(): void {
    if (this.asking.hidden) return;
    this.asking.hidden = true;
    this.toggle.focus({ preventScroll: true });
  }

  private turn(): void {
    this.more.hidden = !this.more.hidden;
    this.toggle.setAttribute("aria-expanded", String(this.isOpen));
    this.line.classList.toggle("onb-open", this.isOpen);
    if (!this.isOpen) {
      this.answers.replaceChildren();
      this.asking.hidden = true;
      return;
    }
    this.draw(false);
    this.to.open(this.run.id);
  }

  /** `same`: the buttons stay as they are, so that whoever stands on one keeps it. */
  private draw(same: boolean): void {
    const { run } = this;
    const lines = [
      h("p", { class: "onb-id" }, `run ${run.id}`),
      ...(run.notebook ? [h("p", { class: "onb-faint" }, run.notebook)] : []),
      ...(run.prompt ? [h("p", { class: "onb-prompt" }, run.prompt)] : []),
      ...run.notices.map((text) => h("p", { class: "onb-faint" }, text)),
    ];
    this.about.replaceChildren(...lines);
    if (!same) this.acts.replaceChildren(...this.actsOf(run).map((name) => this.act(name)));
  }

  private actsOf(run: Run): string[] {
    const found = [FRAME, GRID];
    if (run.state === "running") return run.mine ? [...found, "Stop"] : found;
    const left = run.calls - run.done;
    if (run.chain) return run.state === "answered" ? found : [...found, GOES_ON];
    if (left) found.push(`Resume: ${left} left …`);
    if (run.failed) found.push(`Retry errors: ${run.failed} …`);
    return found;
  }

  private act(name: string): HTMLButtonElement {
    const id = this.run.id;
    if (name.startsWith("Resume")) return button(name, () => this.to.estimate(id, false));
    if (name.startsWith("Retry")) return button(name, () => this.to.estimate(id, true));
    if (name === "Stop") return button(name, () => this.to.stop(id));
    const what = name === GOES_ON ? "resume" : name === GRID ? "grid" : "show";
    return button(name, () => this.to.insert(id, what));
  }
}

function answerCells(one: Answer): HTMLElement[] {
  const facts = [
    one.source === "live" ? "" : one.source,
    one.latency_s === null ? "" : seconds(one.latency_s),
    one.usd === null ? "" : usd(one.usd),
    one.mark,
  ];
  const answer = h("td", {}, h("div", { class: "onb-text", dir: "auto" }, one.text));
  if (one.error) answer.append(h("div", { class: "onb-problem" }, one.error));
  answer.append(h("div", { class: "onb-faint" }, facts.filter(Boolean).join(" · ")));
  const asked = [h("div", { class: "onb-text", dir: "auto" }, one.prompt)];
  if (one.step) asked.unshift(h("div", { class: "onb-faint" }, one.step));
  return [h("td", {}, ...asked), h("td", { class: "onb-model-name" }, one.model), answer];
}

function when(at: number): string {
  return new Date(at * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

function asked(run: Run): Node[] {
  const from = [run.chain ? `chain ${run.chain}` : "", run.notebook.split(/[\\/]/).at(-1) ?? ""].filter(Boolean);
  const parts = [h("div", { class: "onb-line", dir: "auto" }, run.prompt)];
  if (from.length) parts.push(h("div", { class: "onb-faint onb-line" }, from.join(" · ")));
  return parts;
}

function models(run: Run): string {
  const names = run.models.map((model) => model.split("/").at(-1) ?? model);
  return names.length > 3 ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more` : names.join(", ");
}

function calls(run: Run): string {
  return run.failed ? `${run.calls.toLocaleString("en")}, ${run.failed} failed` : run.calls.toLocaleString("en");
}

function cost(run: Run): string {
  if (run.simulated) return "simulated";
  const parts = [usd(run.billed)];
  if (run.possibly) parts.push(`+ ${usd(run.possibly)}?`);
  if (run.saved) parts.push(`saved ${usd(run.saved)}`);
  return parts.join(" ");
}

function state(run: Run): (Node | string)[] {
  const said = h(
    "span",
    { class: `onb-state-${run.state.replace(" ", "-")}` },
    `${SIGNS[run.state] ?? ""} ${run.state}`,
  );
  const going = run.mine ?? (run.state === "running" ? { done: run.done, size: run.calls } : null);
  if (!going) return run.state === "broken off" ? [said, ` ${run.done} of ${run.calls}`] : [said];
  const bar = h("progress", { max: Math.max(1, going.size), value: going.done, "aria-label": "answered so far" });
  return [said, " ", bar, ` ${going.done} of ${going.size}`];
}
