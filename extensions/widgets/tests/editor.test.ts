// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { edgesOf, nextTo } from "../src/editor/drawn";
import editor from "../src/editor/index";
import { copyOf, gaps, moved, stepOf } from "../src/editor/places";
import { shown as asText, Forms, groups, read } from "../src/editor/schema";
import type { Chain, Json } from "../src/editor/wire";
import { yaml } from "../src/editor/yaml";
import given from "./editor-chain.json";
import { found, Kernel, pressed, shown } from "./fake";

vi.setConfig({ testTimeout: 30_000 }); // a crowded machine; a tenth of it is usual

const chain = given.chain as unknown as Chain;
const problem = (more: Record<string, unknown>) => ({
  line: 3,
  column: 1,
  step: null,
  key: null,
  place: null,
  message: "wrong",
  ...more,
});

let kernel: Kernel;
let el: HTMLElement;
let close: () => void;

const ops = () =>
  kernel.sent.filter((one) => one.message.kind === "op").map((one) => one.message.op as Record<string, unknown>);
const soon = (check: () => void) => vi.waitFor(check, { timeout: 8000, interval: 5 });
const button = (name: string) => {
  const one = [...el.querySelectorAll("button")].find(
    (each) => each.textContent === name || each.getAttribute("aria-label") === name,
  );
  if (!one) throw new Error(`no button ${name}`);
  return one;
};
const field = (...place: (string | number)[]) => found<HTMLInputElement>(el, `[data-place='${JSON.stringify(place)}']`);
const row = (path: string) => found<HTMLButtonElement>(el, `.onb-outline [data-path="${path}"]`);

function say(more: Partial<Chain> = {}): void {
  kernel.say({ ...chain, kind: "chain", ...more } as unknown as Record<string, unknown>);
}

/** As a person does, letter by letter or at once; React watches the setter of the element itself. */
function type(into: HTMLInputElement | HTMLTextAreaElement, text: string): void {
  const kind = into.tagName === "TEXTAREA" ? HTMLTextAreaElement : HTMLInputElement;
  Object.getOwnPropertyDescriptor(kind.prototype, "value")?.set?.call(into, text);
  into.dispatchEvent(new Event("input", { bubbles: true }));
}
const leave = (from: Element) => from.dispatchEvent(new FocusEvent("focusout", { bubbles: true }));
function pick(from: HTMLSelectElement, value: string): void {
  Object.getOwnPropertyDescriptor(HTMLSelectElement.prototype, "value")?.set?.call(from, value);
  from.dispatchEvent(new Event("change", { bubbles: true }));
}

async function open(traits: Record<string, unknown> = {}): Promise<void> {
  kernel = new Kernel(traits);
  ({ el, close } = shown(editor, kernel));
  await soon(() => expect(kernel.sent[0]?.message).toEqual({ kind: "ready" }));
  kernel.say(given.schema);
  say();
  await soon(() => expect(el.textContent).toContain("Picture"));
}
async function choose(path: string): Promise<void> {
  if (!el.querySelector(".onb-outline")) button("List").click();
  await soon(() => row(path).click());
  await soon(() => expect(row(path).getAttribute("aria-current")).toBe("true"));
}
/** A value with one place changed, as Python would send it. */
function changed(place: (string | number)[], value: Json): Json {
  const copy = structuredClone(chain.value);
  let now = copy as Record<string | number, Json>;
  for (const key of place.slice(0, -1)) now = now[key] as Record<string | number, Json>;
  now[place.at(-1) as string] = value;
  return copy;
}

beforeEach(() => open());
afterEach(() => close());

describe("the form of a step", () => {
  it("has a field for each key of its kind, filled with what the chain says", async () => {
    await choose("notes");
    expect(field("prompt").value).toBe("List the facts in this paper.\n{{ paper }}\n");
    expect(field("each", "over").value).toBe("papers");
    expect(field("each", "parallel").value).toBe("8");
    expect(field("on_error").value).toBe("skip");
    expect(el.querySelector(`[data-place='["plan","task"]']`)).toBeNull();
    await choose("more");
    expect(field("plan", "task").value).toBe("Work it out from {{ notes }}");
    expect(field("plan", "trusted").type).toBe("checkbox");
  });

  it("sends what was typed once, when the field is left or nothing is typed for a while", async () => {
    await choose("note");
    for (const text of ["W", "Wh", "Why?"]) type(field("prompt"), text);
    expect(ops()).toEqual([]);
    leave(field("prompt"));
    expect(ops()).toEqual([{ do: "set", place: ["steps", 5, "prompt"], value: "Why?" }]);
    leave(field("prompt"));
    type(field("timeout"), "20");
    await soon(() => expect(ops()).toHaveLength(2));
    expect(ops()[1]).toEqual({ do: "set", place: ["steps", 5, "timeout"], value: 20 });
  });

  it("keeps what was typed when it is refused, says why beside it, and takes it back on Escape", async () => {
    await choose("note");
    type(field("prompt"), "{{ nobody }}");
    leave(field("prompt"));
    kernel.say({ kind: "said", text: "There is no nobody.", problem: true, n: 1 });
    say({ n: 1 });
    await soon(() => expect(field("prompt").parentElement?.textContent).toContain("There is no nobody."));
    expect(field("prompt").value).toBe("{{ nobody }}");
    say({ n: 2 });
    await soon(() => expect(field("prompt").value).toBe("{{ nobody }}"));
    pressed(field("prompt"), "Escape");
    await soon(() => expect(field("prompt").value).toContain("Is this kind?"));
  });

  it("keeps what is typed while an older change is answered", async () => {
    await choose("note");
    type(field("prompt"), "one");
    leave(field("prompt"));
    type(field("prompt"), "one two");
    say({ n: 1, value: changed(["steps", 5, "prompt"], "one") });
    await new Promise((done) => setTimeout(done, 50));
    expect(field("prompt").value).toBe("one two");
    leave(field("prompt"));
    expect(ops()[1]).toEqual({ do: "set", place: ["steps", 5, "prompt"], value: "one two" });
    say({ n: 2, value: changed(["steps", 5, "prompt"], "one two") });
    say({ n: 2, value: changed(["steps", 5, "prompt"], "undone") });
    await soon(() => expect(field("prompt").value).toBe("undone"));
  });

  it("writes short forms as long as they say all, and long ones where they do not", async () => {
    await choose("note");
    type(field("retry", "times"), "2");
    leave(field("retry", "times"));
    expect(ops().at(-1)).toEqual({ do: "set", place: ["steps", 5, "retry"], value: 2 });
    say({ n: 1, value: changed(["steps", 5, "retry"], 2) });
    await soon(() => expect(field("retry", "times").value).toBe("2"));
    type(field("retry", "wait_s"), "5");
    leave(field("retry", "wait_s"));
    expect(ops().at(-1)).toEqual({ do: "set", place: ["steps", 5, "retry"], value: { times: 2, wait_s: 5 } });
    type(field("options", "temperature"), "");
    leave(field("options", "temperature"));
    expect(ops().at(-1)).toEqual({ do: "unset", place: ["steps", 5, "options", "temperature"] });
  });

  it("takes several models, one for each line, and one as a text", async () => {
    await choose("answer.complaint");
    const lines = () => [...el.querySelectorAll<HTMLInputElement>(`input[data-place='["model"]']`)];
    expect(lines().map((one) => one.value)).toEqual(["sonnet", "haiku", ""]);
    type(lines()[2] as HTMLInputElement, "flash");
    leave(lines()[2] as Element);
    expect(ops().at(-1)?.value).toEqual(["sonnet", "haiku", "flash"]);
    await choose("note");
    type(lines()[0] as HTMLInputElement, "haiku");
    leave(lines()[0] as Element);
    expect(ops().at(-1)).toEqual({ do: "set", place: ["steps", 5, "model"], value: "haiku" });
  });

  it("outlives that the step is called otherwise", async () => {
    await choose("note");
    const name = field("id");
    type(name, "verdict");
    await new Promise((done) => setTimeout(done, 450));
    expect(ops()).toEqual([]); // references follow: not with each letter
    pressed(name, "Enter");
    expect(ops()).toEqual([{ do: "rename", place: ["steps", 5], name: "verdict" }]);
    const nodes = chain.graph.nodes.map((one) =>
      one.path === "note" ? { ...one, path: "verdict", id: "verdict", title: "verdict" } : one,
    );
    say({ n: 1, value: changed(["steps", 5, "id"], "verdict"), graph: { ...chain.graph, nodes, edges: [] } });
    await soon(() => expect(el.querySelector(".onb-panel h3")?.textContent).toContain("verdict"));
    expect(field("id")).toBe(name);
  });

  it("shows each problem beside its field, and all in a list that leads there", async () => {
    const all = [
      problem({ place: ["steps", 0, "each", "over"], step: "notes", message: "papers is no list" }),
      problem({ line: 9, place: ["steps", 2, "switch", "cases", "order", 1, "prompt"], message: "no such name" }),
    ];
    say({ n: 1, problems: all });
    await soon(() => expect(el.querySelectorAll(".onb-problems li")).toHaveLength(2));
    button("List").click();
    await soon(() => found(el, ".onb-outline"));
    found<HTMLButtonElement>(el, ".onb-problems button").click();
    await soon(() => expect(document.activeElement).toBe(field("each", "over")));
    expect(field("each", "over").parentElement?.textContent).toContain("papers is no list");
    found<HTMLButtonElement>(el, ".onb-problems li:last-child button").click();
    await soon(() => expect(document.activeElement).toBe(field("prompt")));
    expect(found(el, ".onb-panel h3").textContent).toContain("confirm");
  });

  it("changes the chain's own keys when no step is chosen", async () => {
    expect(field("inputs", "papers", "type").value).toBe("list");
    pick(field("inputs", "mail", "type") as unknown as HTMLSelectElement, "any");
    expect(ops().at(-1)).toEqual({ do: "set", place: ["inputs", "mail"], value: "any" });
    pick(field("inputs", "papers", "type") as unknown as HTMLSelectElement, "any");
    expect(ops().at(-1)).toEqual({ do: "set", place: ["inputs", "papers", "type"], value: "any" });
  });
});

describe("steps", () => {
  it("are added where the person says: behind the chosen one, into a branch, at the end", async () => {
    button("Role").click();
    expect(ops().at(-1)).toEqual({ do: "add", place: ["steps"], at: 6, value: { role: "critique" } });
    await choose("polished");
    const where = found<HTMLSelectElement>(el, ".onb-palette select");
    expect([...where.options].map((one) => one.text)).toEqual([
      "after polished",
      "before polished",
      "into polished",
      "at the end of the chain",
    ]);
    where.value = "2";
    button("Prompt").click();
    expect(ops().at(-1)).toEqual({ do: "add", place: ["steps", 3, "steps"], at: 3, value: { prompt: "…" } });
  });

  it("are copied, moved, connected and deleted with the keyboard", async () => {
    await choose("more");
    pressed(row("more"), "Delete");
    expect(ops().at(-1)).toEqual({ do: "remove", place: ["steps", 4] });
    await choose("more");
    button("Duplicate").click();
    expect(ops().at(-1)).toMatchObject({ do: "add", place: ["steps"], at: 5, value: { id: "more_2" } });
    button("Up").click();
    expect(ops().at(-1)).toEqual({ do: "move", from: ["steps", 4], to: ["steps"], at: 3 });
    const source = [...el.querySelectorAll("select")].find((one) =>
      [...one.options].some((each) => each.value === "sides.pro"),
    );
    pick(source as HTMLSelectElement, "sides");
    expect(ops().at(-1)).toEqual({ do: "connect", source: ["steps", 1], target: ["steps", 4] });
    button("Disconnect from answer").click();
    expect(ops().at(-1)).toEqual({ do: "disconnect", source: ["steps", 2], target: ["steps", 4] });
  });

  it("are gone through with the arrow keys, and Enter opens the form", async () => {
    await choose("notes");
    row("notes").focus();
    pressed(row("notes"), "ArrowDown");
    await soon(() => expect(row("sides").getAttribute("aria-current")).toBe("true"));
    expect(document.activeElement).toBe(row("sides"));
    pressed(row("sides"), "End");
    await soon(() => expect(row("note").getAttribute("aria-current")).toBe("true"));
    pressed(row("note"), "Enter");
    await soon(() => expect(document.activeElement).toBe(field("prompt")));
  });

  it("are found in the picture by their direction", () => {
    const none = new Map();
    expect(nextTo(chain.graph, none, "risks", "ArrowDown")).toBe("notes"); // no such step: the first
    expect(nextTo(chain.graph, none, "sides.con.risks", "ArrowDown")).toBe("sides.con.against");
    expect(nextTo(chain.graph, none, "answer.complaint", "ArrowRight")).toBe("answer.order");
    expect(nextTo(chain.graph, none, "note", "ArrowDown")).toBeNull();
  });

  it("are joined by edges that tell why, and pass beside what is in their way", () => {
    const edges = new Map(edgesOf(chain, new Map()).map((one) => [one.id.replaceAll("\n", " "), one]));
    expect(edges.get("goto polished.revise polished.last")).toMatchObject({
      label: "on error",
      className: "onb-edge-goto",
    });
    expect(edges.get("data more note")?.label).toBe("when not contains(polished, 'so…");
    expect(edges.get("data sides answer")?.data).toEqual({ aside: null, bend: null, shift: 0 });
    const left = edges.get("data sides more")?.data?.aside as number;
    const passed = chain.graph.nodes.filter((one) => ["answer", "polished"].includes(one.path));
    expect(passed.every((one) => left < one.x)).toBe(true);
    expect(edges.get("data notes more")?.data?.bend).toBe(320); // below the taller step beside it
  });

  it("give branches a name to add and to take away", async () => {
    await choose("sides");
    button("Remove con").click();
    expect(ops().at(-1)).toEqual({ do: "unset", place: ["steps", 1, "parallel", "con"] });
    const name = found<HTMLInputElement>(el, ".onb-panel input[placeholder=name]");
    name.value = "third";
    pressed(name, "Enter");
    expect(ops().at(-1)).toMatchObject({ do: "set", place: ["steps", 1, "parallel", "third"] });
  });
});

describe("the whole chain", () => {
  it("is undone and redone by keys and buttons, and no key reaches the notebook", () => {
    const heard = vi.fn();
    document.body.addEventListener("keydown", heard);
    const keys = (more: KeyboardEventInit) =>
      button("Picture").dispatchEvent(new KeyboardEvent("keydown", { key: "z", bubbles: true, ...more }));
    keys({ ctrlKey: true });
    keys({ ctrlKey: true, shiftKey: true });
    expect(kernel.sent.slice(-2).map((one) => one.message.kind)).toEqual(["undo", "redo"]);
    expect(heard).not.toHaveBeenCalled();
    document.body.removeEventListener("keydown", heard);
  });

  it("is changed as text on demand, and stays typed while it is not taken", async () => {
    button("YAML").click();
    await soon(() => found(el, ".onb-source textarea"));
    const area = found<HTMLTextAreaElement>(el, ".onb-source textarea");
    expect(area.value).toBe(chain.text);
    type(area, "steps: [");
    await soon(() => expect(button("Apply").disabled).toBe(false));
    button("Apply").click();
    expect(ops()).toEqual([{ do: "text", text: "steps: [" }]);
    say({ n: 1, text: "# another\n", problems: [problem({ line: 1, message: "does not end" })] });
    await soon(() => expect(el.textContent).toContain("does not end"));
    expect(area.value).toBe("steps: [");
    expect(el.textContent).toContain("has changed meanwhile");
    button("Take back").click();
    await soon(() => expect(area.value).toBe("# another\n"));
  });

  it("is saved in its place, or under a name, and asks before it replaces another", async () => {
    button("Save").click();
    await soon(() => button("Save under this name").click());
    expect(kernel.last).toEqual({ kind: "save", name: "review", overwrite: false });
    kernel.say({ kind: "exists", name: "review" });
    await soon(() => button("Replace it").click());
    expect(kernel.last).toEqual({ kind: "save", name: "review", overwrite: true });
    say({ path: "chains/review.yaml", saved: false });
    await soon(() => expect(el.textContent).toContain("not saved"));
    button("Save").click();
    expect(kernel.last).toEqual({ kind: "save", name: "review", overwrite: true });
  });

  it("runs with its inputs, shows how far each step is, and is stopped", async () => {
    button("Run …").click();
    const inputs = await vi.waitFor(() => found<HTMLFormElement>(el, "form[aria-label='Run with these inputs']"));
    for (const one of inputs.querySelectorAll("textarea")) type(one, `${one.name}!`);
    inputs.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
    expect(kernel.last).toEqual({ kind: "run", inputs: { mail: "mail!", papers: "papers!" } });
    const state = { state: "running", done: 3, total: 8, text: "the ice", cost_usd: 0.5, seconds: 2 };
    kernel.say({ kind: "live", states: { notes: state }, ended: false });
    await choose("notes");
    await soon(() => expect(row("notes").textContent).toContain("▶ running 3/8 $0.50 · 2.0 s"));
    expect(found(el, ".onb-words").textContent).toBe("the ice");
    button("Stop").click();
    expect(kernel.last).toEqual({ kind: "stop" });
    kernel.say({ kind: "live", states: { notes: { ...state, state: "done", done: 8 } }, ended: true });
    await soon(() => expect(button("Run …")).toBeTruthy());
  });

  it("is only looked at where it is read-only", async () => {
    close();
    await open({ readonly: true });
    expect(el.querySelector(".onb-palette")).toBeNull();
    await choose("sides");
    expect(el.querySelector(".onb-panel :is(input, textarea, select)")).toBeNull();
    expect(found(el, ".onb-panel pre").textContent).toContain("parallel:\n  pro:\n    prompt:");
    pressed(row("sides"), "Delete");
    expect(kernel.sent.map((one) => one.message.kind)).toEqual(["ready"]);
  });

  it("says so when the kernel has gone, and keeps what was typed", async () => {
    await choose("note");
    kernel.end();
    type(field("prompt"), "lost?");
    leave(field("prompt"));
    await soon(() => expect(el.textContent).toContain("The kernel has gone"));
    expect(field("prompt").value).toBe("lost?");
    expect(ops()).toEqual([]);
    close();
    expect(kernel.listeners).toBe(0);
  });

  it("shows hostile names as what they are", async () => {
    const evil = `<img src=x onerror=alert(1)>`;
    const nodes = chain.graph.nodes.map((one) => ({ ...one, title: evil, lines: [evil], marks: [evil] }));
    say({
      name: evil,
      text: evil,
      graph: { ...chain.graph, nodes },
      problems: [problem({ message: evil, step: evil })],
    });
    kernel.say({ kind: "said", text: evil, problem: true });
    await choose("notes");
    await soon(() => expect(el.textContent?.split(evil).length).toBeGreaterThan(10));
    expect(el.querySelector("img")).toBeNull();
  });
});

describe("what should not come", () => {
  it("is shown as it is: values that fit no field, steps that are called alike", async () => {
    const nodes = chain.graph.nodes.map((one) => (one.path === "more" ? { ...one, path: "note", title: "note" } : one));
    say({ n: 1, value: changed(["steps", 5, "options"], "hot"), graph: { ...chain.graph, nodes, edges: [] } });
    await choose("note (2)");
    expect(field("options").value).toBe("hot");
    expect(row("note")).toBeTruthy();
  });

  it("is told, where the builder itself fails, and can be tried again", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    say({ problems: undefined as never });
    await soon(() => expect(el.textContent).toContain("The builder cannot show this chain"));
    say();
    button("Try again").click();
    await soon(() => expect(el.textContent).toContain("Picture"));
    vi.restoreAllMocks();
  });
});

describe("values", () => {
  it("are text to change and come back as they were", () => {
    for (const value of [
      "a",
      "5",
      "true",
      '"quoted"',
      "{{ x }}",
      "[1",
      5,
      0.5,
      true,
      null,
      [1, "a"],
      { a: [1] },
      "",
      "{% if a %}",
    ]) {
      expect(read(asText(value as Json))).toEqual(value);
    }
  });

  it("are YAML to look at", () => {
    expect(yaml({ a: "x", b: ["1", 2, { c: "l\nm\n" }], d: {}, "e f": null })).toBe(
      'a: x\nb:\n  - "1"\n  - 2\n  - c: |\n      l\n      m\nd: {}\ne f: null',
    );
  });

  it("have all keys of the language in some form", () => {
    const forms = new Forms(given.schema.schema as never);
    const own = (value: Json) => groups(forms.step, value).flatMap((group) => group.fields.map((field) => field.key));
    const kinds: Json[] = [
      { prompt: "" },
      { use: "" },
      { python: "" },
      { plan: "" },
      { switch: {} },
      { parallel: {} },
      { steps: [] },
    ];
    const keys = new Set([...kinds.flatMap(own), "steps", "parallel"]);
    expect([...keys].sort()).toEqual(Object.keys(given.schema.schema.$defs.StepPiece.properties).sort());
    expect(own({ prompt: "", nonsense: 1, parallel: {} })).not.toContain("prompt_");
  });
});

describe("places", () => {
  it("are where a step can go, and where not", () => {
    const step = (path: string) => stepOf(chain, path) as NonNullable<ReturnType<typeof stepOf>>;
    expect(gaps(chain, step("sides.pro")).map((gap) => gap.label)).toEqual(["at the end of the chain"]);
    expect(moved(chain, step("notes"), -1)).toBeNull();
    expect(moved(chain, step("note"), 1)).toBeNull();
    expect(copyOf(chain, step("sides.pro"))).toBeNull();
  });
});
