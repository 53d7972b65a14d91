// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Data, type GridMessage, kind, type Mark } from "../src/grid/data";
import { diff, words } from "../src/grid/diff";
import grid from "../src/grid/index";
import { found, Kernel, pressed, shown } from "./fake";

const NAMES = ["queued", "answering", "simulated", "failed", "waiting: its turn"];
const NO_MARK: Mark = { best: false, rating: null, thumbs: null, note: null };
const HOSTILE = '<img src=x onerror="window.bad=1"><script>window.bad=1</script>';

let kernel: Kernel;
let el: HTMLElement;
let close: () => void;

/** A run of `rows` prompts and `columns` models; each state is `[place, state, time, usd, first]`. */
function whole(
  rows: number,
  columns: number,
  states: (number | null)[][] = [],
  more: Partial<GridMessage> = {},
): GridMessage {
  const at = Array.from({ length: rows * columns }, (_, place) => [
    Math.floor(place / columns),
    place % columns,
  ]).flat();
  return {
    kind: "grid",
    rows: Array.from({ length: rows }, (_, row) => `prompt ${row}`),
    columns: Array.from({ length: columns }, (_, column) => `model ${column}`),
    at,
    names: NAMES,
    s: states.flat(),
    t: 1,
    ended: {},
    money: {},
    over: false,
    budget: null,
    stoppable: true,
    folds: true,
    ...more,
  };
}
const begin = (...given: Parameters<typeof whole>) => kernel.say({ ...whole(...given) });
const tick = (more: Record<string, unknown>) =>
  kernel.say({ kind: "tick", s: [], x: [], r: [], t: 2, ended: {}, money: {}, over: false, ...more });
const cell = (row: number, column: number) =>
  found(el, `[aria-rowindex="${row + 2}"] [role=gridcell][aria-colindex="${column + 2}"]`);
const table = () => found(el, "[role=grid]");
const sent = (kind: string) => kernel.sent.map((one) => one.message).filter((one) => one.kind === kind);
const choose = (at: number, value: string) => {
  const select = [...el.querySelectorAll("select")][at] as HTMLSelectElement;
  select.value = value;
  select.dispatchEvent(new Event("change"));
};
const rows = () => [...el.querySelectorAll("[role=rowheader]")].map((one) => one.textContent);
const named = (name: string) =>
  [...el.querySelectorAll("button")].find((one) => one.textContent === name) as HTMLButtonElement;

beforeEach(() => {
  vi.useFakeTimers();
  kernel = new Kernel();
  ({ el, close } = shown(grid, kernel));
});
afterEach(() => {
  close();
  vi.useRealTimers();
});

describe("a run that goes on", () => {
  it("draws only the cells in sight and asks only for their texts", () => {
    begin(500, 20);
    const drawn = el.querySelectorAll("[role=gridcell]").length;
    expect(drawn).toBeGreaterThan(3);
    expect(drawn).toBeLessThan(120);
    expect(sent("watch").at(-1)?.cells).toHaveLength(drawn);
    expect(table().getAttribute("aria-rowcount")).toBe("501");
    expect(table().getAttribute("aria-colcount")).toBe("21");
  });

  it("adds text to a cell as it comes, as text", () => {
    begin(2, 2, [[0, 1, 0.5, null, null]]);
    tick({ r: [0, "Hello "] });
    const text = found(cell(0, 0), ".onb-grid-text").firstChild;
    tick({ x: [0, HOSTILE] });
    expect(cell(0, 0).textContent).toContain(`Hello ${HOSTILE}`);
    expect(found(cell(0, 0), ".onb-grid-text").firstChild).toBe(text); // the same node
    expect(el.querySelector("img, script")).toBeNull();
    tick({ x: [0, "y".repeat(100_000)] });
    expect(cell(0, 0).textContent?.length).toBeLessThan(3000);
  });

  it("shows state, time, cost, progress, what is left and what is spent", () => {
    begin(2, 2, [[0, 4, 0.5, null, null]], { budget: 2 });
    expect(cell(0, 0).textContent).toContain("waiting: its turn");
    tick({
      s: [0, 2, 1.25, 0.5, 0.1, 1, 3, 0.4, null, null],
      t: 10,
      ended: { simulated: 1, failed: 1 },
      money: { paid: 0.5, unknown: 1 },
    });
    expect(cell(0, 0).textContent).toContain("simulated1.3 s · $0.50");
    expect(cell(0, 1).dataset.kind).toBe("failed");
    expect(el.textContent).toContain("2 of 4 calls, 1 failed");
    expect(el.textContent).toContain("$0.50 of $2.00 · cost of 1 unknown");
    expect(el.textContent).toContain("about 10 s left");
    expect(found<HTMLProgressElement>(el, "progress").value).toBe(2);
  });

  it("is cancelled by a button that is gone when it has ended", () => {
    begin(1, 2);
    named("Cancel").click();
    expect(kernel.last).toEqual({ kind: "cancel" });
    expect(named("Cancel").disabled).toBe(true);
    tick({ over: true, ended: { cancelled: 2 } });
    expect(named("Cancel").hidden).toBe(true);
  });

  it("gives way to the static result when it has ended, and comes again when it is wanted", () => {
    begin(1, 2);
    tick({ over: true, ended: { simulated: 2 } });
    expect(el.querySelector(".onb-folded")).not.toBeNull();
    named("Search, compare and rate").click();
    expect(el.querySelector(".onb-folded")).toBeNull();
    named("Show the result").click();
    expect(el.querySelector(".onb-folded")).not.toBeNull();
    begin(1, 2, [], { over: true, folds: false }); // that of %llm grid
    expect(el.querySelector(".onb-folded")).toBeNull();
  });

  it("stays when it ends while somebody is at work in it", () => {
    begin(1, 2);
    table().focus();
    tick({ over: true, ended: { simulated: 2 } });
    expect(el.querySelector(".onb-folded")).toBeNull();
    expect(el.textContent).toContain("The run has ended");
  });

  it("says what to do when the kernel has gone", () => {
    begin(1, 2);
    kernel.end();
    expect(el.textContent).toContain("%llm resume asks for the rest");
    close();
    expect(kernel.listeners).toBe(0);
  });
});

describe("the keyboard", () => {
  beforeEach(() => begin(3, 2, [[3, 2, 1, 0.1, null]]));

  it("moves, opens and rates without the mouse", () => {
    for (const key of ["ArrowDown", "ArrowRight"]) pressed(table(), key);
    expect(table().getAttribute("aria-activedescendant")).toBe(cell(1, 1).id);
    pressed(table(), "Enter");
    expect(kernel.last).toEqual({ kind: "full", cell: 3, since: 0 });
    pressed(table(), "4");
    pressed(table(), "b");
    pressed(table(), "+");
    expect(sent("mark").map((one) => one.set)).toEqual([{ rating: 4 }, { best: true }, { thumbs: "up" }]);
    kernel.say({ kind: "marks", marks: [{ cell: 3, best: true, rating: 4, thumbs: "up", note: null }] });
    expect(found(cell(1, 1), "[role=img]").getAttribute("aria-label")).toBe(
      "pinned as the best, rated 4 of 5, thumbs up",
    );
    pressed(table(), "4");
    pressed(table(), "+");
    expect(
      sent("mark")
        .map((one) => one.set)
        .slice(3),
    ).toEqual([{ rating: 0 }, { thumbs: "" }]); // the same again takes it away
    expect(pressed(table(), "x").defaultPrevented).toBe(false);
  });

  it("compares two cells word by word", () => {
    pressed(table(), "d");
    pressed(table(), "ArrowDown");
    pressed(table(), "d");
    expect(sent("full").map((one) => one.cell)).toEqual([0, 2]);
    const full = {
      kind: "full",
      running: false,
      model: "m",
      state: "live",
      prompt: "p",
      thinking: "",
      since: 0,
      more: 0,
    };
    kernel.say({ ...full, cell: 0, text: "the sea is slow" });
    kernel.say({ ...full, cell: 2, text: `the sea is ${HOSTILE}` });
    expect(found(el, "del").textContent).toBe("slow");
    expect(el.querySelector("img, script")).toBeNull();
    expect(cell(0, 0).textContent).toContain("A");
    pressed(found(el, ".onb-panel:not([hidden])"), "Escape");
    expect(el.querySelector(".onb-panel:not([hidden])")).toBeNull();
  });
});

describe("an opened cell", () => {
  const full = { kind: "full", cell: 0, model: "m", state: "answering", prompt: HOSTILE, thinking: "hm", more: 0 };

  it("goes on as the answer does, and is rated when it has ended", () => {
    begin(1, 1, [[0, 1, 0.5, null, null]]);
    cell(0, 0).click();
    kernel.say({ ...full, running: true, text: "Hello ", since: 0, size: 6 });
    vi.advanceTimersByTime(1000);
    expect(kernel.last).toEqual({ kind: "full", cell: 0, since: 6 });
    kernel.say({ ...full, running: true, text: "you", since: 6, size: 9 });
    const panel = found(el, ".onb-panel");
    expect(found(panel, ".onb-long").textContent).toBe("Hello you");
    const note = found<HTMLInputElement>(panel, "form input");
    expect(note.closest("[hidden]")).not.toBeNull();
    kernel.say({
      ...full,
      running: false,
      text: "",
      error: HOSTILE,
      todo: "Wait.",
      since: 0,
      facts: { usd: 0.25, latency_s: 2 },
    });
    expect(panel.textContent).toContain(`${HOSTILE} Wait.`);
    expect(panel.textContent).toContain("cost $0.25 · took 2.0 s");
    note.value = " good ";
    found(panel, "form").dispatchEvent(new Event("submit", { cancelable: true }));
    expect(kernel.last).toEqual({ kind: "mark", cell: 0, set: { note: "good" } });
    expect(el.querySelector("img, script")).toBeNull();
  });
});

describe("sorting and finding", () => {
  beforeEach(() => {
    begin(3, 1, [
      [0, 2, 3, 0.1, null],
      [1, 3, 1, null, null],
      [2, 2, 2, 0.3, null],
    ]);
  });

  it("sorts by time, cost, state and rating", () => {
    choose(1, "time");
    expect(rows().map((row) => row?.at(-1))).toEqual(["1", "2", "0"]);
    const data = new Data();
    data.begin(
      whole(3, 1, [
        [0, 2, 3, 0.1, null],
        [1, 3, 1, null, null],
        [2, 2, 2, 0.3, null],
      ]),
    );
    data.marks.set(2, { ...NO_MARK, rating: 5 });
    data.marks.set(0, { ...NO_MARK, rating: 2 });
    expect(data.order("time", 0, "all", null)).toEqual([1, 2, 0]);
    expect(data.order("cost", 0, "all", null)).toEqual([0, 2, 1]);
    expect(data.order("state", 0, "all", null)).toEqual([1, 0, 2]);
    expect(data.order("rating", 0, "all", null)).toEqual([2, 0, 1]);
    expect(data.order("prompt", 0, "failed", null)).toEqual([1]);
    expect(data.order("prompt", 0, "rated", null)).toEqual([0, 2]);
    expect(data.order("prompt", 0, "answered", new Set([1, 2]))).toEqual([2]);
  });

  it("shows only rows of a state, and says how many", () => {
    choose(0, "failed");
    expect(rows()).toEqual(["2 prompt 1"]);
    expect(el.textContent).toContain("1 of 3 prompts");
  });

  it("asks the kernel which prompts and answers hold a text", () => {
    const search = found<HTMLInputElement>(el, "input[type=search]");
    search.value = "lamp";
    search.dispatchEvent(new Event("input"));
    vi.advanceTimersByTime(300);
    expect(kernel.last).toEqual({ kind: "find", text: "lamp" });
    kernel.say({ kind: "found", text: "lam", cells: [] }); // an answer that comes too late
    expect(rows()).toHaveLength(3);
    kernel.say({ kind: "found", text: "lamp", cells: [2] });
    expect(rows()).toEqual(["3 prompt 2"]);
  });
});

describe("states", () => {
  it("are of four kinds", () => {
    expect(["queued", "waiting: x", "retrying (server)", "thinking", "cached", "over budget"].map(kind)).toEqual([
      "queued",
      "running",
      "running",
      "running",
      "answered",
      "failed",
    ]);
  });
});

describe("a comparison of words", () => {
  const side = (kind: string, a: string, b: string) =>
    diff(a, b)
      .pieces.filter((piece) => piece.kind === "same" || piece.kind === kind)
      .map((piece) => piece.text)
      .join("");

  it("keeps both texts whole and finds what they share", () => {
    expect(diff("a b c", "a x c").pieces.map((piece) => piece.kind)).toEqual(["same", "gone", "new", "same"]);
    expect(words("naïve, 日本語!").join("")).toBe("naïve, 日本語!");
    let seed = 7;
    const random = (most: number) => {
      seed = (seed * 48271) % 2147483647;
      return seed % most;
    };
    const text = () => Array.from({ length: random(60) }, () => "abcd,"[random(5)]).join(" ");
    for (let turn = 0; turn < 200; turn += 1) {
      const [a, b] = [text(), text()];
      expect(side("gone", a, b)).toBe(a);
      expect(side("new", a, b)).toBe(b);
    }
    expect(diff("same", "same").pieces).toEqual([{ kind: "same", text: "same" }]);
    expect(diff("", "").pieces).toEqual([]);
  });

  it("ends in time for long texts that have nothing in common", () => {
    const began = performance.now();
    const [a, b] = ["x", "y"].map((sign) => Array.from({ length: 20_000 }, (_, at) => `${sign}${at}`).join(" "));
    const { pieces, cut } = diff(a ?? "", b ?? "");
    expect(cut).toBe(true);
    expect(pieces.length).toBeGreaterThan(1);
    expect(performance.now() - began).toBeLessThan(3000);
  });
});
