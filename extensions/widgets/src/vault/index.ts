/** Look after the vault. What is typed into a password field leaves it once, as the buffer of one message, and is in no trait; the field is empty before the message is. */
import type { AnyModel, Render } from "@anywidget/types";
import { button, fresh, h, root, Said } from "../lib/dom";
import { GONE, whenGone } from "../lib/host";
import { span } from "../lib/say";

interface Key {
  name: string;
  vendor: string;
  fp: string;
  age: string;
}
interface State {
  state: "none" | "locked" | "open";
  profile: string;
  idle_left_s: number;
  limit_left_s: number;
  keys: Key[];
  names: string[];
}
type Message = ({ kind: "state" } & State) | { kind: "said"; text: string; problem: boolean };

/** What was typed, as bytes; the field is empty from here on. */
function taken(field: HTMLInputElement): Uint8Array {
  const bytes = new TextEncoder().encode(field.value);
  field.value = "";
  return bytes;
}

function hidden(): HTMLInputElement {
  return h("input", { type: "password", id: fresh("hidden"), size: 24, autocomplete: "off", spellcheck: "false" });
}

function labelled(text: string, input: HTMLInputElement): HTMLElement {
  return h("span", { class: "onb-field" }, h("label", { for: input.id }, text), input);
}

function form(act: () => void, send: string, ...fields: HTMLElement[]): HTMLFormElement {
  const submit = h("button", { type: "submit", class: "onb-button" }, send);
  const made = h("form", { class: "onb-row" }, ...fields, submit);
  made.addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
  return made;
}

class Panel {
  private readonly box = root("vault", "Vault");
  private readonly said = new Said();
  private readonly title = h("h3", {});
  private readonly left = h("p", { class: "onb-faint" });
  private readonly body = h("div", { class: "onb-body" });
  private drawn = "";
  private ends = { idle: 0, limit: 0 };
  private clock: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly model: AnyModel) {
    this.box.append(this.title, this.left, this.body, this.said.element);
  }

  show(el: HTMLElement): () => void {
    const heard = (message: Message) => this.hear(message);
    this.model.on("msg:custom", heard);
    const deaf = whenGone(this.model, () => this.gone());
    el.append(this.box);
    this.send("look");
    return () => {
      deaf();
      this.model.off("msg:custom", heard);
      clearInterval(this.clock);
    };
  }

  /** With the kernel the keys have gone: what stands here is not so any more. */
  private gone(): void {
    clearInterval(this.clock);
    this.left.textContent = "";
    this.title.textContent = "Vault";
    this.body.replaceChildren();
    this.drawn = "";
    this.said.say(GONE, true);
  }

  private hear(message: Message): void {
    this.busy(false);
    if (message.kind === "said") this.said.say(message.text, message.problem);
    else this.draw(message);
  }

  private send(kind: string, more: Record<string, string> = {}, ...buffers: Uint8Array[]): void {
    this.model.send({ kind, ...more }, undefined, buffers);
  }

  /** An act of the person: nothing else until the kernel has answered. */
  private act(kind: string, more: Record<string, string> = {}, ...fields: HTMLInputElement[]): void {
    if (fields.some((field) => !field.value)) {
      this.said.say("Nothing was entered; nothing was changed.", true);
      return;
    }
    this.said.say("…");
    this.busy(true);
    this.send(kind, more, ...fields.map(taken));
  }

  private busy(on: boolean): void {
    for (const one of this.box.querySelectorAll("button")) one.disabled = on;
  }

  private draw(state: State): void {
    this.title.textContent = `Vault of profile ${state.profile}: ${state.state === "none" ? "there is none yet" : state.state}`;
    this.tick(state);
    const same = JSON.stringify([state.state, state.keys, state.names]);
    if (same === this.drawn) return; // somebody may be typing in it
    this.drawn = same;
    const had = this.body.contains(document.activeElement);
    this.body.replaceChildren(...(state.state === "open" ? this.open(state) : this.closed(state)));
    if (had) this.body.querySelector<HTMLElement>("input, button")?.focus();
  }

  private closed(state: State): HTMLElement[] {
    const first = hidden();
    if (state.state === "locked") {
      return [form(() => this.act("unlock", {}, first), "Unlock", labelled("Password", first))];
    }
    const again = hidden();
    const advice = h(
      "p",
      { class: "onb-faint" },
      "Four or five words that nobody would put together. Nobody can recover it.",
    );
    const fields = [labelled("New password", first), labelled("Once more", again)];
    return [form(() => this.act("make", {}, first, again), "Make the vault", ...fields), advice];
  }

  private open(state: State): HTMLElement[] {
    const names = h("datalist", { id: fresh("names") }, ...state.names.map((name) => h("option", { value: name })));
    const name = h("input", { id: fresh("name"), size: 24, list: names.id, autocomplete: "off", spellcheck: "false" });
    const value = hidden();
    const put = form(
      () => this.act("put", { name: name.value.trim() }, value),
      "Save",
      labelled("Key", name),
      labelled("Value", value),
    );
    put.append(names);
    return [
      table(state.keys),
      put,
      h(
        "div",
        { class: "onb-row" },
        button("Lock now", () => this.act("lock")),
      ),
    ];
  }

  /** Counts down here; at the end the kernel is asked what is so. */
  private tick(state: State): void {
    clearInterval(this.clock);
    this.left.hidden = state.state !== "open";
    if (state.state !== "open") return;
    const now = performance.now() / 1000;
    this.ends = { idle: now + state.idle_left_s, limit: now + state.limit_left_s };
    this.clock = setInterval(() => this.count(), 1000);
    this.count();
  }

  private count(): void {
    const now = performance.now() / 1000;
    const [idle, limit] = [this.ends.idle - now, this.ends.limit - now];
    this.left.textContent = `Locks in ${span(idle)} without use, in ${span(limit)} in any case.`;
    if (Math.min(idle, limit) < 0) {
      clearInterval(this.clock);
      this.send("look");
    }
  }
}

function table(keys: Key[]): HTMLElement {
  if (!keys.length) return h("p", {}, "No key is in it yet.");
  const head = ["Key", "For", "Fingerprint", "Age"].map((text) => h("th", { scope: "col" }, text));
  const rows = keys.map((key) =>
    h("tr", {}, h("th", { scope: "row" }, key.name), ...[key.vendor, key.fp, key.age].map((text) => h("td", {}, text))),
  );
  return h("table", { class: "onb-keys" }, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows));
}

const render: Render = ({ model, el }) => new Panel(model).show(el);
export default { render };
