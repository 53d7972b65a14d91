/** Two answers beside each other: what only one of them says. */
import { button, h } from "../lib/dom";
import { diff, MOST_WORDS, type Piece } from "./diff";

export class Versus {
  readonly element = h("section", { class: "onb-panel", "aria-label": "Comparison of two answers", hidden: true });
  private readonly title = h("h3", { tabindex: -1 });
  private readonly told = h("p", { class: "onb-faint" });
  private readonly long = h("div", {
    class: "onb-long",
    tabindex: 0,
    role: "region",
    "aria-label": "Differences",
    dir: "auto",
  });
  private readonly texts = new Map<number, string>();
  /** The places that are chosen, one or two. */
  chosen: number[] = [];

  constructor(
    private readonly ask: (place: number) => void,
    private readonly name: (place: number) => string,
    private readonly changed: () => void,
    closed: () => void,
  ) {
    const close = () => {
      this.clear();
      closed();
    };
    const bar = h("div", { class: "onb-row" }, this.title, button("Close", close));
    this.element.append(bar, this.told, this.long);
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") close();
    });
  }

  /** Takes an answer for the comparison, or gives it back; says what comes next. */
  take(place: number): string {
    if (this.chosen.includes(place)) this.chosen = this.chosen.filter((one) => one !== place);
    else this.chosen = this.chosen.length > 1 ? [place] : [...this.chosen, place];
    this.texts.clear();
    this.element.hidden = this.chosen.length < 2;
    this.changed();
    if (this.chosen.length === 2) for (const one of this.chosen) this.ask(one);
    return [
      "Nothing is chosen for the comparison.",
      "Chosen as A: now choose the other answer.",
      "A and B are compared below.",
    ][this.chosen.length] as string;
  }

  clear(): void {
    this.chosen = [];
    this.texts.clear();
    this.element.hidden = true;
    this.changed();
  }

  letters(): Map<number, string> {
    return new Map(this.chosen.map((place, at) => [place, "AB"[at] ?? ""]));
  }

  /** A text that was asked for. */
  fill(place: number, text: string): void {
    if (!this.chosen.includes(place) || this.chosen.length < 2) return;
    const known = this.texts.get(place) === text;
    this.texts.set(place, text);
    if (known) return;
    const [a, b] = this.chosen.map((one) => this.texts.get(one));
    if (a === undefined || b === undefined) return;
    const { pieces, cut } = diff(a, b);
    this.title.textContent = this.chosen.map((one, at) => `${"AB"[at]}: ${this.name(one)}`).join(" / ");
    const only = `Crossed out: only in A. Underlined: only in B.`;
    this.told.textContent = cut
      ? `${only} The first ${MOST_WORDS.toLocaleString("en")} words of each are compared.`
      : only;
    if (pieces.every((piece) => piece.kind === "same")) this.told.textContent = "The two say the same, word by word.";
    this.long.replaceChildren(...pieces.map(piece));
    this.title.focus({ preventScroll: true });
    this.element.scrollIntoView?.({ block: "nearest" });
  }
}

function piece(one: Piece): Node {
  if (one.kind === "same") return document.createTextNode(one.text);
  return h(one.kind === "gone" ? "del" : "ins", {}, one.text);
}
