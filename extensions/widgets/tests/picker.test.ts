// @vitest-environment happy-dom
import { beforeEach, describe, expect, it } from "vitest";
import { type Choice, haystack, matches, toggled, withOption } from "../src/picker/choices";
import picker from "../src/picker/index";
import { found, Kernel, pressed, shown } from "./fake";

const HOSTILE = '<img src=x onerror="window.hit=1">';

function choice(ref: string, more: Partial<Choice> = {}): Choice {
  const plain = { aliases: [], context: null, price: null, can: [], efforts: [], calls: 0, latency_s: null, usd: null };
  return { ref, id: ref.split("/")[1] ?? ref, options: ["temperature", "effort"], ...plain, ...more };
}

const FIELDS = {
  temperature: { kind: "number", low: 0, high: 2, takes: "0 to 2" },
  effort: { kind: "effort", low: null, high: null, takes: "" },
};
const OFFER = {
  kind: "offer",
  groups: [
    {
      vendor: "one",
      note: "simulated",
      models: [
        choice("one/small", { aliases: ["tiny"], context: 200_000, price: [3, 15], can: ["vision"], efforts: ["low"] }),
        choice("one/large", { calls: 3, latency_s: 1.25, usd: 0.0021 }),
      ],
    },
    { vendor: "two", note: "", models: [choice(`two/${HOSTILE}`)] },
  ],
  absent: [{ vendor: "three", why: HOSTILE }],
  fields: FIELDS,
};

let kernel: Kernel;
let el: HTMLElement;
let close: () => void;

function open(manager?: unknown): void {
  kernel = new Kernel({ chosen: [], options: {}, into: "models" }, manager);
  ({ el, close } = shown(picker, kernel));
  kernel.say(OFFER);
}
const search = () => found<HTMLInputElement>(el, "input[type=search]");
const visible = () =>
  [...el.querySelectorAll<HTMLElement>('[role="option"]')]
    .filter((one) => !one.hidden)
    .map((one) => one.getAttribute("aria-label"));
function type(text: string): void {
  search().value = text;
  search().dispatchEvent(new Event("input"));
}
function press(text: string): void {
  [...el.querySelectorAll("button")].find((one) => one.textContent?.startsWith(text))?.click();
}

beforeEach(() => open());

describe("the list", () => {
  it("asks the kernel for what there is, and shows it by vendor with its facts", () => {
    expect(kernel.sent[0]?.message).toEqual({ kind: "ready" });
    expect([...el.querySelectorAll(".onb-vendor")].map((one) => one.textContent)).toEqual(["one simulated", "two"]);
    expect(visible()).toContain("one/small, tiny, 200k context, $3.00 in, $15.00 out, vision");
    expect(visible()).toContain("one/large, price unknown, 1.3 s, $0.0021 (3 calls)");
  });

  it("finds by every word, in names, aliases and abilities", () => {
    expect(matches(haystack(choice("one/small", { can: ["vision"] })), "VISION one")).toBe(true);
    type("tiny vis");
    expect(visible()).toHaveLength(1);
    expect(el.textContent).toContain("1 model");
    type("nothing like it");
    expect(visible()).toEqual([]);
    pressed(search(), "Escape");
    expect(visible()).toHaveLength(3);
  });

  it("is used with the keyboard alone: arrows go, Enter takes and gives back", () => {
    pressed(search(), "ArrowDown");
    pressed(search(), "ArrowDown");
    expect(found(el, `#${search().getAttribute("aria-activedescendant")}`).getAttribute("aria-label")).toContain(
      "one/large",
    );
    pressed(search(), "Enter");
    expect(kernel.traits.chosen).toEqual(["one/large"]);
    expect(found(el, '[aria-selected="true"]').getAttribute("aria-label")).toContain("one/large");
    pressed(search(), "Enter");
    expect(kernel.traits.chosen).toEqual([]);
  });

  it("takes the first one found with Enter", () => {
    type("large");
    pressed(search(), "Enter");
    expect(kernel.traits.chosen).toEqual(["one/large"]);
  });

  it("keeps its keys from the notebook, which has shortcuts on letters", () => {
    let heard = 0;
    document.body.addEventListener("keydown", () => {
      heard += 1;
    });
    pressed(search(), "b");
    expect(heard).toBe(0);
  });

  it("shows hostile names as text", () => {
    expect(el.querySelector("img")).toBeNull();
    expect(el.textContent).toContain(`three: ${HOSTILE}`);
    found(el, '[aria-labelledby] ~ [aria-labelledby] [role="option"]').click();
    expect(el.querySelector("img")).toBeNull();
    expect(found(el, ".onb-picked").textContent).toContain(HOSTILE);
  });
});

describe("the choice", () => {
  it("keeps the order of choosing", () => {
    expect(toggled(toggled(["a"], "b"), "a")).toEqual(["b"]);
  });

  it("has a form with the options of each model, and an empty field takes one back", () => {
    kernel.set("chosen", ["one/small"]);
    const input = found<HTMLInputElement>(el, ".onb-picked input");
    input.value = "0.5";
    input.dispatchEvent(new Event("change"));
    expect(kernel.traits.options).toEqual({ "one/small": { temperature: "0.5" } });
    expect(found(el, ".onb-picked summary").textContent).toBe("one/small · temperature 0.5");
    expect([...found<HTMLSelectElement>(el, "select").options].map((one) => one.value)).toEqual(["", "low"]);
    expect(withOption({ a: { x: "1" } }, "a", "x", "")).toEqual({});
  });

  it("refuses a number that is out of bounds before the kernel hears of it", () => {
    kernel.set("chosen", ["one/small"]);
    const input = found<HTMLInputElement>(el, ".onb-picked input");
    expect([input.min, input.max]).toEqual(["0", "2"]);
  });

  it("leaves a field alone in which somebody types while the kernel changes something", () => {
    kernel.set("chosen", ["one/small"]);
    const input = found<HTMLInputElement>(el, ".onb-picked input");
    input.focus();
    input.value = "1.";
    kernel.set("options", { "one/small": { effort: "low" } });
    expect(document.activeElement).toBe(input);
    expect(found<HTMLSelectElement>(el, "select").value).toBe("low");
  });

  it("writes to the variable that is named", () => {
    kernel.set("chosen", ["one/small"]);
    press("Write");
    expect(kernel.last).toEqual({ kind: "write", name: "models" });
    kernel.say({ kind: "said", text: "no", problem: true });
    expect(found(el, "[role=status].onb-problem").textContent).toBe("no");
  });

  it("inserts cells below its own, once, and only where it was asked", () => {
    const inserted: unknown[] = [];
    const shared = {
      cells: [{ getId: () => "first" }, { getId: () => "mine" }],
      insertCells: (at: number, cells: { source: string }[]) => inserted.push([at, cells.map((one) => one.source)]),
    };
    open({ context: { model: { sharedModel: shared } } });
    kernel.say({ kind: "insert", cells: ["%%llm x\n"], after: "mine" });
    expect(inserted).toEqual([]);
    kernel.set("chosen", ["one/small"]);
    press("Insert");
    kernel.say({ kind: "insert", cells: ["%%llm one/small\n"], after: "mine" });
    expect(inserted).toEqual([[2, ["%%llm one/small\n"]]]);
  });

  it("goes away without a listener left", () => {
    close();
    expect(kernel.listeners).toBe(0);
  });
});
