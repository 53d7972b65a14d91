/** One turn: the question, the answer, and what can be done with them. */
import { button, fresh, h } from "../lib/dom";
import { seconds, usd } from "../lib/say";
import { built, type Node } from "./nodes";

export interface Turn {
  id: string;
  number: number;
  question: string;
  files: number;
  nodes: Node[];
  text: string;
  thinking: string;
  outcome: "asked" | "answered" | "cut" | "failed";
  why: string;
  model: string;
  system: string | null;
  beside: string[];
  at: number;
  facts: { usd?: number | null; seconds?: number | null; tokens?: number | null; source?: string };
}
/** What a turn asks of the pane. */
export interface Acts {
  edit: (turn: Turn, text: string) => void;
  again: (turn: Turn) => void;
  go: (id: string) => void;
  copy: (text: string) => void;
  toCell: (code: string) => void;
}

export function drawn(turn: Turn, acts: Acts): HTMLElement {
  const number = turn.number + 1;
  const box = h("article", { class: "onb-turn", "aria-label": `turn ${number}` });
  if (turn.system) box.append(folded("System prompt from here on", turn.system));
  box.append(asked(turn, acts, box));
  if (turn.thinking) box.append(folded("Thoughts", turn.thinking));
  const answer = h("div", { class: "onb-answer", dir: "auto" });
  answer.append(...built(turn.nodes, acts.copy, acts.toCell));
  box.append(answer);
  if (turn.outcome !== "answered") {
    box.append(h("p", { class: "onb-problem" }, `No whole answer: ${turn.why || turn.outcome}`));
  }
  box.append(foot(turn, acts));
  return box;
}

function asked(turn: Turn, acts: Acts, box: HTMLElement): HTMLElement {
  const text = h("div", { class: "onb-question", dir: "auto" }, turn.question);
  const files = turn.files ? h("span", { class: "onb-faint" }, `${turn.files} attached`) : "";
  const row = h("div", { class: "onb-asked" }, h("span", { class: "onb-who" }, "You"), text, files);
  const instead = () => {
    const made = form(turn, acts, () => {
      made.replaceWith(row);
      edit.focus();
    });
    row.replaceWith(made);
    made.querySelector("textarea")?.focus();
  };
  const edit = button("Edit", instead, { "aria-label": `Edit question ${turn.number + 1} and ask again` });
  row.append(h("div", { class: "onb-actions" }, edit, ...switcher(turn, acts)));
  box.dataset.turn = turn.id;
  return row;
}

function form(turn: Turn, acts: Acts, back: () => void): HTMLElement {
  const id = fresh("edit");
  const field = h("textarea", { id, rows: Math.min(8, turn.question.split("\n").length + 1) });
  field.value = turn.question;
  const made = h(
    "form",
    { class: "onb-asked onb-editing" },
    h("label", { for: id, class: "onb-who" }, "Ask instead"),
    field,
    h(
      "div",
      { class: "onb-actions" },
      h("button", { type: "submit", class: "onb-button" }, "Ask"),
      button("Leave it", back),
    ),
  );
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    acts.edit(turn, field.value);
  });
  made.addEventListener("keydown", (event) => {
    if (event.key === "Escape") back();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.target !== field) return;
    event.preventDefault(); // as in the field below
    made.requestSubmit();
  });
  return made;
}

/** `‹ 2 of 3 ›`: what else was asked or answered at this place. */
function switcher(turn: Turn, acts: Acts): HTMLElement[] {
  if (turn.beside.length < 2) return [];
  const place = turn.beside.indexOf(turn.id);
  const to = (step: number, label: string, sign: string) => {
    const id = turn.beside[place + step];
    return button(sign, () => id && acts.go(id), { "aria-label": label, disabled: id === undefined });
  };
  const said = h("span", { class: "onb-faint" }, `${place + 1} of ${turn.beside.length}`);
  return [
    h(
      "span",
      { class: "onb-switch", role: "group", "aria-label": `branches at turn ${turn.number + 1}` },
      to(-1, "the branch before", "‹"),
      said,
      to(1, "the next branch", "›"),
    ),
  ];
}

function foot(turn: Turn, acts: Acts): HTMLElement {
  const copy = button("Copy", () => acts.copy(turn.text), { "aria-label": `Copy answer ${turn.number + 1}` });
  const again = button("Ask again", () => acts.again(turn), { "aria-label": `Ask question ${turn.number + 1} again` });
  const known = h("span", { class: "onb-faint" }, facts(turn));
  return h("div", { class: "onb-foot" }, known, h("div", { class: "onb-actions" }, turn.text ? copy : "", again));
}

export function facts(turn: Turn): string {
  const { seconds: took, usd: cost, tokens, source } = turn.facts;
  const told = [
    turn.model,
    source && source !== "live" ? source : "",
    took === null || took === undefined ? "" : seconds(took),
    tokens ? `${tokens} tokens` : "",
    cost === null || cost === undefined ? "" : `${source === "simulated" ? "would cost " : ""}${usd(cost)}`,
  ];
  return told.filter(Boolean).join(" · ");
}

function folded(title: string, text: string): HTMLElement {
  return h("details", { class: "onb-faint" }, h("summary", {}, title), h("div", { class: "onb-question" }, text));
}
