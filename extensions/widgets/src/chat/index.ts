/** A conversation: what was said, the answer as it arrives, and a field for the next question. Everything stands in the kernel's conversation; the pane shows it. */
import type { AnyModel, Render } from "@anywidget/types";
import { button, fresh, h, root, Said } from "../lib/dom";
import { copied, GONE, insertCells, whenGone } from "../lib/host";
import { type Lists, type Offer, offers, type Word } from "./completing";
import { type Acts, drawn, type Turn } from "./turn";

type Message =
  | { kind: "offers"; cell: string | null; words: Word[]; models: string[]; providers: string[]; personas: string[] }
  | { kind: "head"; name: string; model: string; system: string; persona: string; conversations: string[] }
  | { kind: "path"; from: number; anew: boolean; total: number; turns: Turn[]; ahead: string[] }
  | { kind: "earlier"; from: number; turns: Turn[]; view: string }
  | { kind: "asking"; question: string; model: string }
  | { kind: "answer"; text: string; state: string; anew: boolean }
  | { kind: "ended"; back: string }
  | { kind: "taken"; n: number; view: string }
  | { kind: "refused"; n: number; view: string }
  | { kind: "insert"; cells: string[]; after: string | null; view: string }
  | { kind: "said"; text: string; problem: boolean };

const NEAR = 80;

class Pane {
  private readonly box = root("chat", "Chat");
  private readonly title = h("h3", {});
  private readonly model: HTMLInputElement;
  private readonly persona = h("select", { id: fresh("persona") });
  private readonly models = h("datalist", { id: fresh("models") });
  private readonly earlier = button("Earlier turns", () => this.send({ kind: "earlier", before: this.from }));
  private readonly turns = h("div", { class: "onb-turns" });
  private readonly live = h("article", { class: "onb-turn", "aria-label": "the answer that arrives", hidden: true });
  private readonly text = document.createTextNode("");
  private readonly state = h("span", { class: "onb-faint" });
  private readonly onward = h("div", { class: "onb-actions" });
  private readonly log = h("div", { class: "onb-log", role: "log", "aria-live": "off", tabindex: 0 });
  private readonly list = h("ul", { class: "onb-offers", role: "listbox", id: fresh("offers"), hidden: true });
  private readonly field: HTMLTextAreaElement;
  private readonly submit = h("button", { type: "submit", class: "onb-button" }, "Send");
  private readonly halt = button("Stop", () => this.send({ kind: "stop" }), { hidden: true });
  private readonly said = new Said();
  private cell: string | null = null;
  private readonly view = fresh("view");
  private head = "";
  private from = 0;
  private words: Word[] = [];
  private lists: Lists = {};
  private found: Offer[] = [];
  private active = -1;
  private number = 0;
  private readonly sent = new Map<number, string>();

  constructor(private readonly widget: AnyModel) {
    this.model = h("input", { id: fresh("model"), list: this.models.id, size: 28, autocomplete: "off" });
    this.field = h("textarea", {
      id: fresh("question"),
      rows: 2,
      placeholder: "Ask something, or / for orders",
      role: "combobox",
      "aria-expanded": "false",
      "aria-controls": this.list.id,
      "aria-autocomplete": "list",
    });
    this.model.addEventListener("change", () => this.order("model", this.model.value.trim()));
    this.persona.addEventListener("change", () => this.order("persona", this.persona.value));
    this.field.addEventListener("input", () => this.offer());
    this.field.addEventListener("keydown", (event) => this.press(event));
    this.field.addEventListener("blur", () => this.close());
    this.field.addEventListener("focus", () => this.send({ kind: "look" })); // what another kernel said meanwhile
    this.box.append(this.header(), this.log, this.composer(), this.said.element);
    this.live.append(
      h("div", { class: "onb-asked" }, h("span", { class: "onb-who" }, "You"), h("div", { class: "onb-question" })),
      h("div", { class: "onb-answer onb-arriving", dir: "auto" }, this.text),
      this.state,
    );
    this.earlier.hidden = true;
    this.log.append(this.earlier, this.turns, this.onward, this.live);
  }

  show(el: HTMLElement): () => void {
    const heard = (message: Message) => this.hear(message);
    this.widget.on("msg:custom", heard);
    const deaf = whenGone(this.widget, () => this.gone());
    el.append(this.box);
    this.send({ kind: "ready" });
    return () => {
      deaf();
      this.widget.off("msg:custom", heard);
    };
  }

  private header(): HTMLElement {
    const model = h(
      "span",
      { class: "onb-field" },
      h("label", { for: this.model.id }, "Model"),
      this.model,
      this.models,
    );
    const persona = h("span", { class: "onb-field" }, h("label", { for: this.persona.id }, "Persona"), this.persona);
    const cells = button("Copy as cells", () => this.send({ kind: "cells" }));
    return h("div", { class: "onb-row onb-head" }, this.title, model, persona, cells);
  }

  private composer(): HTMLElement {
    const label = h("label", { for: this.field.id, class: "onb-hidden" }, "Question");
    const form = h(
      "form",
      { class: "onb-composer" },
      label,
      h("div", { class: "onb-typing" }, this.list, this.field),
      h("div", { class: "onb-actions" }, this.submit, this.halt),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask();
    });
    return form;
  }

  // What the kernel says

  private hear(message: Message): void {
    if ("view" in message && message.view !== this.view) return; // for another pane of this chat
    switch (message.kind) {
      case "offers":
        this.cell = message.cell;
        this.words = message.words;
        this.lists = {
          ...this.lists,
          models: message.models,
          providers: message.providers,
          personas: message.personas,
        };
        this.models.replaceChildren(...message.models.map((name) => h("option", { value: name })));
        this.persona.replaceChildren(
          h("option", { value: "" }, "nobody in particular"),
          ...message.personas.map((name) => h("option", { value: name }, name)),
        );
        return;
      case "head":
        this.title.textContent = message.name;
        this.title.title = message.system;
        this.head = message.model;
        this.model.value = message.model;
        this.persona.value = message.persona;
        this.lists = { ...this.lists, conversations: message.conversations };
        return;
      case "path":
        this.path(message.from, message.anew, message.turns, message.ahead);
        return;
      case "earlier":
        this.before(message.from, message.turns);
        return;
      case "asking":
        this.asking(message.question, message.model);
        return;
      case "answer":
        this.arrived(message.text, message.state, message.anew);
        return;
      case "ended":
        this.ended(message.back);
        return;
      case "taken":
        this.sent.delete(message.n);
        return;
      case "refused":
        this.refused(message.n);
        return;
      case "insert":
        void this.insert(message.cells, message.after);
        return;
      case "said":
        this.said.say(message.text, message.problem);
    }
  }

  /** Turns from a place on; those before it stay as they are. */
  private path(from: number, anew: boolean, turns: Turn[], ahead: string[]): void {
    const keep = this.focusKept();
    const held = this.from + this.turns.childElementCount;
    if (anew || from > held || from < this.from || held === this.from) {
      this.turns.replaceChildren();
      this.from = from;
    }
    while (this.turns.childElementCount > from - this.from) this.turns.lastElementChild?.remove();
    this.turns.append(...turns.map((turn) => drawn(turn, this.acts)));
    this.earlier.hidden = this.from === 0;
    const onward = ahead.map((id, place) => button(`Go on with what followed (${place + 1})`, () => this.acts.go(id)));
    this.onward.replaceChildren(...onward);
    this.down(true);
    keep();
  }

  private before(from: number, turns: Turn[]): void {
    if (from + turns.length !== this.from) return; // they are here already
    const height = this.log.scrollHeight;
    this.turns.prepend(...turns.map((turn) => drawn(turn, this.acts)));
    this.from = from;
    this.earlier.hidden = from === 0;
    this.log.scrollTop += this.log.scrollHeight - height;
  }

  private asking(question: string, model: string): void {
    const asked = this.live.querySelector(".onb-question");
    if (asked) asked.textContent = question;
    this.text.data = "";
    this.state.textContent = `${model} · asked`;
    this.said.say(""); // it was about something before
    const keep = this.focusKept();
    this.busy(true);
    this.down(true);
    keep();
  }

  private arrived(text: string, state: string, anew: boolean): void {
    if (anew) this.text.data = text;
    else this.text.appendData(text);
    this.state.textContent = state || "answering";
    this.down(false);
  }

  private ended(back: string): void {
    const keep = this.focusKept();
    this.busy(false);
    this.back(back);
    keep();
  }

  private refused(n: number): void {
    this.back(this.sent.get(n) ?? "");
    this.sent.delete(n);
  }

  /** A text that was not asked stands in the field again, before what was typed since. */
  private back(text: string): void {
    if (text) this.field.value = [text, this.field.value].filter(Boolean).join("\n\n");
  }

  /** Whoever works here with the keyboard must not be thrown out when what had the focus goes away: then the field has it. */
  private focusKept(): () => void {
    const here = this.box.contains(document.activeElement);
    return () => {
      const now = document.activeElement as HTMLElement | null;
      const seen = now && this.box.contains(now) && !now.closest("[hidden]");
      if (here && !seen) this.field.focus({ preventScroll: true });
    };
  }

  private busy(is: boolean): void {
    this.live.hidden = !is;
    this.halt.hidden = !is;
    this.submit.hidden = is;
  }

  private down(always: boolean): void {
    const { scrollTop, clientHeight, scrollHeight } = this.log;
    if (always || scrollHeight - scrollTop - clientHeight < NEAR + 20) this.log.scrollTop = scrollHeight;
  }

  private gone(): void {
    this.busy(false);
    for (const n of [...this.sent.keys()].reverse()) this.refused(n);
    this.said.say(GONE, true);
    for (const one of this.box.querySelectorAll<HTMLButtonElement>("button, select, input")) one.disabled = true;
  }

  // What the user does

  private readonly acts: Acts = {
    edit: (turn, text) => this.send({ kind: "edit", turn: turn.id, text, n: this.next() }),
    again: (turn) => this.send({ kind: "again", turn: turn.id }),
    go: (id) => this.send({ kind: "go", turn: id }),
    copy: (text) => void this.copy(text),
    toCell: (code) => void this.insert([code], this.cell),
  };

  private ask(): void {
    const text = this.field.value;
    if (!text.trim()) {
      this.said.say("Write a question first.", true);
      return;
    }
    this.field.value = "";
    this.offer();
    const n = this.next();
    this.sent.set(n, text);
    this.send({ kind: "send", text, n });
  }

  private order(word: string, rest: string): void {
    if (!rest && word === "model") this.model.value = this.head;
    else this.send({ kind: "send", text: `/${word} ${rest}`.trim(), n: this.next() });
  }

  private next(): number {
    this.number += 1;
    return this.number;
  }

  private async copy(text: string): Promise<void> {
    this.said.say((await copied(text)) ? "Copied." : "This page may not write to the clipboard.", false);
  }

  private async insert(cells: string[], after: string | null): Promise<void> {
    if (insertCells(this.widget, cells, after)) {
      this.said.say(cells.length === 1 ? "A cell stands below." : `${cells.length} cells stand below.`);
    } else if (await copied(cells.join("\n\n"))) {
      this.said.say("This notebook takes no cells from a widget: they are copied, paste them.");
    } else {
      this.said.say("This notebook takes no cells from a widget, and the clipboard is closed.", true);
    }
  }

  // Completion

  private press(event: KeyboardEvent): void {
    const open = !this.list.hidden;
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (open && this.active >= 0) this.take(this.active);
      else this.ask();
    } else if (open && event.key === "Tab") {
      event.preventDefault();
      this.take(Math.max(0, this.active));
    } else if (open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.mark((this.active + step + this.found.length) % this.found.length);
    } else if (event.key === "Escape") {
      this.close();
    }
  }

  private offer(): void {
    this.found = offers(this.field.value, this.words, this.lists);
    this.list.hidden = this.found.length === 0;
    this.field.setAttribute("aria-expanded", String(!this.list.hidden));
    const made = this.found.map((one, place) => {
      const item = h("li", { role: "option", id: `${this.list.id}-${place}`, "aria-selected": "false" }, one.label);
      if (one.does) item.append(h("span", { class: "onb-faint" }, one.does));
      item.addEventListener("mousedown", (event) => {
        event.preventDefault();
        this.take(place);
      });
      return item;
    });
    this.list.replaceChildren(...made);
    this.mark(-1);
  }

  private mark(place: number): void {
    this.active = place;
    for (const [index, item] of [...this.list.children].entries()) {
      item.setAttribute("aria-selected", String(index === place));
      if (index === place) item.scrollIntoView?.({ block: "nearest" });
    }
    if (place < 0) this.field.removeAttribute("aria-activedescendant");
    else this.field.setAttribute("aria-activedescendant", `${this.list.id}-${place}`);
  }

  private take(place: number): void {
    const one = this.found[place];
    if (!one) return;
    this.field.value = one.text;
    this.offer();
  }

  private close(): void {
    this.list.hidden = true;
    this.field.setAttribute("aria-expanded", "false");
    this.mark(-1);
  }

  private send(message: Record<string, unknown>): void {
    this.widget.send({ ...message, view: this.view });
  }
}

const render: Render = ({ model, el }) => new Pane(model).show(el);

export default { render };
