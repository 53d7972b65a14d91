/** One cell opened: all of its text, what it was asked, how it went, and what one thinks of it. */
import { button, fresh, h } from "../lib/dom";
import { count, seconds, usd } from "../lib/say";
import type { Change, Mark } from "./data";

export interface Full {
  kind: "full";
  cell: number;
  running: boolean;
  model: string;
  state: string;
  prompt: string;
  text: string;
  thinking: string;
  since: number;
  size?: number;
  more: number;
  error?: string;
  todo?: string;
  facts?: Record<string, string | number>;
}

const SHOWN: Record<string, (value: number) => string> = {
  latency_s: seconds,
  ttft_s: seconds,
  usd,
};
const NAMES: Record<string, string> = { latency_s: "took", ttft_s: "first text after", usd: "cost", call: "call id" };

export class Detail {
  readonly element = h("section", { class: "onb-panel", "aria-label": "One answer", hidden: true });
  /** The place that is open. */
  open: number | undefined;
  /** How much of its text is here. */
  have = 0;
  private readonly title = h("h3", { tabindex: -1 });
  private readonly text = document.createTextNode("");
  private readonly long = h(
    "div",
    { class: "onb-long", tabindex: 0, role: "region", "aria-label": "Answer", dir: "auto" },
    this.text,
  );
  private readonly more = h("p", { class: "onb-faint" });
  private readonly error = h("p", { class: "onb-problem" });
  private readonly prompt = folded("Prompt");
  private readonly thinking = folded("Thinking");
  private readonly facts = h("p", { class: "onb-faint" });
  private readonly rating: HTMLButtonElement[] = [1, 2, 3, 4, 5].map((stars) =>
    button(String(stars), () => this.mark({ rating: this.marked.rating === stars ? 0 : stars }), {
      "aria-label": `${stars} of 5`,
    }),
  );
  private readonly best = button("★ Best of its row", () => this.mark({ best: !this.marked.best }));
  private readonly up = button("▲", () => this.mark({ thumbs: this.marked.thumbs === "up" ? "" : "up" }), {
    "aria-label": "Thumbs up",
  });
  private readonly down = button("▼", () => this.mark({ thumbs: this.marked.thumbs === "down" ? "" : "down" }), {
    "aria-label": "Thumbs down",
  });
  private readonly note = h("input", { id: fresh("note"), maxlength: 2000, autocomplete: "off" });
  private readonly rate: HTMLElement;
  private marked: Mark = { best: false, rating: null, thumbs: null, note: null };
  private noted = "";

  constructor(
    private readonly change: (place: number, change: Change) => void,
    compare: (place: number) => void,
    private readonly closed: () => void,
  ) {
    const bar = h("div", { class: "onb-row" }, this.title);
    bar.append(
      button("Compare", () => this.open !== undefined && compare(this.open)),
      button("Close", () => this.close()),
    );
    const stars = h("fieldset", { "aria-label": "Rating" }, "Rating ", ...this.rating);
    const thumbs = h("fieldset", { "aria-label": "Thumbs" }, this.up, this.down);
    const label = h("label", { for: this.note.id }, "Note");
    const form = h("form", { class: "onb-field onb-note-field" }, label, this.note);
    form.append(h("button", { type: "submit", class: "onb-button" }, "Save note"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.mark({ note: this.note.value.trim() });
    });
    this.rate = h("div", { class: "onb-row" }, this.best, stars, thumbs, form);
    this.element.append(
      bar,
      this.error,
      this.long,
      this.more,
      this.rate,
      this.thinking.element,
      this.prompt.element,
      this.facts,
    );
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  show(place: number, title: string): void {
    if (this.open !== place) {
      this.open = place;
      this.have = 0;
      this.text.data = "";
      this.more.textContent = "…";
      this.note.value = this.noted = "";
      this.long.scrollTop = 0;
      for (const fold of [this.prompt, this.thinking]) fold.element.open = false;
    }
    this.title.textContent = title;
    this.element.hidden = false;
    this.title.focus({ preventScroll: true });
    this.element.scrollIntoView?.({ block: "nearest" });
  }

  close(): void {
    this.open = undefined;
    this.element.hidden = true;
    this.closed();
  }

  fill(full: Full): void {
    if (full.cell !== this.open) return;
    if (full.since && full.since !== this.have) return; // the answer to another question; the next one fits
    if (full.since && full.since === this.have) this.text.appendData(full.text);
    else if (this.text.data !== full.text) this.text.data = full.text;
    this.have = full.running ? (full.size ?? 0) : 0;
    this.long.hidden = !this.text.data;
    this.more.textContent = full.more
      ? `… ${count(full.more, "more character")}; the frame has the whole text.`
      : full.running
        ? full.state
        : "";
    this.error.textContent = [full.error, full.todo].filter(Boolean).join(" ");
    this.error.hidden = !full.error;
    this.prompt.put(full.prompt);
    this.thinking.put(full.thinking);
    this.rate.hidden = full.running;
    this.facts.textContent = [full.state, ...Object.entries(full.facts ?? {}).map(fact)].join(" · ");
  }

  marks(mark: Mark): void {
    this.marked = mark;
    this.rating.map((one, at) => press(one, mark.rating === at + 1));
    press(this.best, mark.best);
    press(this.up, mark.thumbs === "up");
    press(this.down, mark.thumbs === "down");
    if (this.note.value === this.noted) this.note.value = mark.note ?? "";
    this.noted = mark.note ?? "";
  }

  private mark(change: Change): void {
    if (this.open !== undefined) this.change(this.open, change);
  }
}

function press(one: HTMLButtonElement, on: boolean): void {
  one.setAttribute("aria-pressed", String(on));
}

function fact([name, value]: [string, string | number]): string {
  const shown = typeof value === "number" ? (SHOWN[name]?.(value) ?? value.toLocaleString("en")) : value;
  return `${NAMES[name] ?? name} ${shown}`;
}

/** A text that is there when one asks for it. */
function folded(name: string) {
  const text = document.createTextNode("");
  const long = h("div", { class: "onb-long", dir: "auto", tabindex: 0, role: "region", "aria-label": name }, text);
  const element = h("details", {}, h("summary", {}, name), long);
  const put = (given: string) => {
    element.hidden = !given;
    if (text.data !== given) text.data = given;
  };
  return { element, put };
}
