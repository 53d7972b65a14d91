/** Choose models. What is chosen are two traits (`chosen`, `options`); the offer and what is done come and go as messages, so no saved notebook holds them. */
import type { AnyModel, Render } from "@anywidget/types";
import { button, fresh, h, root, Said } from "../lib/dom";
import { copied, GONE, insertCells, whenGone } from "../lib/host";
import { type Choice, type Field, type Offer, type Options, toggled, withOption } from "./choices";
import { type Acts, Form } from "./form";
import { List } from "./list";

interface Traits {
  chosen: string[];
  options: Options;
  into: string;
}
type Message =
  | ({ kind: "offer" } & Offer)
  | { kind: "said"; text: string; problem: boolean }
  | { kind: "preview"; text: string }
  | { kind: "insert"; cells: string[]; after: string | null };

class Picker implements Acts {
  private readonly box = root("picker", "Model picker");
  private readonly said = new Said();
  private readonly list = new List((ref) => this.change("chosen", toggled(this.model.get("chosen"), ref)));
  private readonly picked = h("ul", { class: "onb-picked" });
  private readonly title = h("h3", {});
  private readonly preview = h("pre", { class: "onb-preview", tabindex: "0", "aria-label": "The cell to insert" });
  private readonly absent = h("details", { class: "onb-absent onb-faint" });
  private readonly into = h("input", { id: fresh("into"), size: 14, autocomplete: "off", spellcheck: "false" });
  private readonly write = button("Write", () => this.send({ kind: "write", name: this.into.value.trim() }));
  private readonly insert = button("Insert a %%llm cell", () => this.send({ kind: "insert" }));
  private choices = new Map<string, Choice>();
  private fields: Record<string, Field> = {};
  private readonly forms = new Map<string, Form>();
  /** The `insert` that was asked for here: an answer comes to every view of the same picker, also to that in another tab. */
  private inserting = false;

  constructor(private readonly model: AnyModel<Traits>) {
    this.into.value = model.get("into");
    const row = h(
      "div",
      { class: "onb-row" },
      this.insert,
      h("span", { class: "onb-field" }, label(this.into), this.into, this.write),
    );
    const chosen = h("div", { class: "onb-chosen" }, this.title, this.picked, this.preview, row, this.said.element);
    this.box.append(this.list.head, this.list.element, this.absent, chosen);
    this.into.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.write.click();
    });
  }

  show(el: HTMLElement): () => void {
    const heard = (message: Message) => this.hear(message);
    const drawn = () => this.draw();
    this.model.on("msg:custom", heard);
    this.model.on("change:chosen", drawn);
    this.model.on("change:options", drawn);
    const deaf = whenGone(this.model as AnyModel, () => this.said.say(GONE, true));
    this.draw();
    el.append(this.box);
    this.send({ kind: "ready" });
    return () => {
      deaf();
      this.model.off("msg:custom", heard);
      this.model.off("change:chosen", drawn);
      this.model.off("change:options", drawn);
    };
  }

  private hear(message: Message): void {
    if (message.kind === "offer") this.fill(message);
    else if (message.kind === "said") this.said.say(message.text, message.problem);
    else if (message.kind === "preview") this.preview.textContent = message.text;
    else if (this.inserting) {
      this.inserting = false;
      void this.place(message.cells, message.after);
    }
  }

  private fill(offer: Offer): void {
    this.fields = offer.fields;
    this.forms.clear();
    this.picked.replaceChildren();
    this.choices = new Map(offer.groups.flatMap((group) => group.models.map((choice) => [choice.ref, choice])));
    this.list.fill(offer.groups);
    const lines = offer.absent.map(({ vendor, why }) => h("li", {}, `${vendor}: ${why}`));
    this.absent.hidden = lines.length === 0;
    this.absent.replaceChildren(h("summary", {}, `Not usable now: ${lines.length}`), h("ul", {}, ...lines));
    this.draw();
  }

  private draw(): void {
    const chosen = this.model.get("chosen");
    this.list.mark(chosen);
    this.title.textContent = chosen.length ? `Chosen: ${chosen.length}` : "Nothing chosen yet";
    this.insert.disabled = this.write.disabled = this.preview.hidden = chosen.length === 0;
    const forms = chosen.flatMap((ref) => this.form(ref) ?? []);
    for (const { element } of this.forms.values()) {
      if (!forms.some((form) => form.element === element)) element.remove();
    }
    this.picked.append(...forms.map((form) => form.element).filter((element) => !element.isConnected));
    for (const ref of chosen) this.forms.get(ref)?.update(this.model.get("options")[ref] ?? {});
  }

  private form(ref: string): Form | undefined {
    const choice = this.choices.get(ref);
    if (choice && !this.forms.has(ref)) this.forms.set(ref, new Form(choice, this.fields, this));
    return this.forms.get(ref);
  }

  remove(ref: string): void {
    this.change("chosen", toggled(this.model.get("chosen"), ref));
    this.list.search.focus();
  }

  set(ref: string, name: string, value: string): void {
    this.change("options", withOption(this.model.get("options"), ref, name, value));
  }

  private change<K extends keyof Traits>(name: K, value: Traits[K]): void {
    this.model.set(name, value);
    this.model.save_changes();
  }

  private send(message: { kind: string; name?: string }): void {
    this.inserting = message.kind === "insert";
    this.model.send(message);
  }

  private async place(cells: string[], after: string | null): Promise<void> {
    if (insertCells(this.model as AnyModel, cells, after)) {
      this.said.say(
        cells.length === 1 ? "Inserted below this cell." : `${cells.length} cells inserted below this one.`,
      );
    } else if (await copied(cells.join("\n\n"))) {
      this.said.say("Copied: paste it into a new cell.");
    } else {
      this.said.say("This notebook takes no new cell from here: copy the line above.", true);
    }
  }
}

function label(input: HTMLInputElement): HTMLLabelElement {
  return h("label", { for: input.id }, "to the variable");
}

const render: Render<Traits> = ({ model, el }) => new Picker(model).show(el);
export default { render };
