// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import given from "../../../tests/results/xss_payloads.json";
import { calendar, type Day, summed } from "../src/runs/chart";
import panel from "../src/runs/index";
import type { Run } from "../src/runs/row";
import { found, Kernel, shown } from "./fake";

const PAYLOADS: string[] = Object.values(given.payloads);

function run(id: string, more: Partial<Run> = {}): Run {
  const usual = {
    state: "answered" as const,
    notebook: "",
    chain: "",
    models: ["lab/one"],
    calls: 2,
    done: 2,
    failed: 0,
  };
  const money = { billed: 0.5, possibly: 0, saved: 0, simulated: false };
  return { id, at: 1_790_000_000, ...usual, ...money, prompt: `asked ${id}`, notices: [], mine: null, ...more };
}
function day(name: string, more: Partial<Day> = {}): Day {
  return { day: name, billed: 0, possibly: 0, saved: 0, simulated: 0, unpriced: 0, ...more };
}

let kernel: Kernel;
let el: HTMLElement;
let close: () => void;
let view: unknown;

function open(manager?: unknown): void {
  kernel = new Kernel({}, manager);
  ({ el, close } = shown(panel, kernel));
  view = kernel.last?.view;
  say({ kind: "begin", days: null, states: ["running", "broken off", "failed", "answered"] });
}
const say = (message: Record<string, unknown>) => kernel.say({ view, ...message });
function list(runs: Run[], more: Record<string, unknown> = {}): void {
  const names = { notebooks: ["a.ipynb"], models: ["lab/one"] };
  say({ kind: "runs", runs, total: runs.length, all: runs.length, from: 0, page: 50, ...names, ...more });
}
const sent = (kind: string) => kernel.sent.map((one) => one.message).filter((one) => one.kind === kind);
const lines = () => [...el.querySelectorAll<HTMLElement>(".onb-run")].map((one) => one.textContent);
const press = (text: string) => named(text).click();
function named(text: string): HTMLButtonElement {
  const one = [...el.querySelectorAll("button")].find((button) => button.textContent?.startsWith(text));
  if (!one) throw new Error(`no button ${text}`);
  return one;
}
const toggle = (at = 0) => el.querySelectorAll<HTMLButtonElement>(".onb-toggle")[at];
function choose(label: string, value: string): void {
  const select = found<HTMLSelectElement>(el, `select[aria-label="${label}"]`);
  select.value = value;
  select.dispatchEvent(new Event("change"));
}

beforeEach(() => {
  vi.useFakeTimers();
  open();
});
afterEach(() => {
  close();
  vi.useRealTimers();
});

describe("the list", () => {
  it("asks when it is there, and shows what was asked, how it went and what it cost", () => {
    expect(sent("list")).toHaveLength(1);
    expect(sent("days")).toHaveLength(1);
    list([
      run("r2", { state: "failed", failed: 1, chain: "refine", notebook: "x/a.ipynb", possibly: 0.25, saved: 1 }),
      run("r1"),
    ]);
    expect(lines()[0]).toContain("asked r2chain refine · a.ipynbone2, 1 failed✕ failed$0.50 + $0.25? saved $1.00");
    expect(lines()[1]).toContain("asked r1one2✓ answered$0.50");
    expect(el.textContent).toContain("2 runs");
  });

  it("is found by the kernel: the filter goes there, typing is waited for, and there is one question at a time", () => {
    list([run("r1")]);
    choose("State", "failed");
    expect(sent("list").at(-1)?.wanted).toEqual({ text: "", days: null, state: "failed", notebook: "", model: "" });
    choose("Notebook", "a.ipynb");
    choose("Time", "7");
    expect(sent("list")).toHaveLength(2); // the kernel has not answered yet
    list([]);
    expect(sent("list")).toHaveLength(3);
    expect(sent("list").at(-1)?.wanted).toMatchObject({ notebook: "a.ipynb", days: 7 });
    list([], { all: 9 });
    expect(el.textContent).toContain("No run fits.");
    const search = found<HTMLInputElement>(el, "input[type=search]");
    for (const text of ["b", "bl", "blue"]) {
      search.value = text;
      search.dispatchEvent(new Event("input"));
    }
    expect(sent("list")).toHaveLength(3);
    vi.advanceTimersByTime(250);
    expect(sent("list")).toHaveLength(4);
    expect(sent("list").at(-1)?.wanted).toMatchObject({ text: "blue" });
  });

  it("pages through thousands with fifty in the page", () => {
    const page = Array.from({ length: 50 }, (_, at) => run(`r${at}`));
    list(page, { total: 3_214, all: 3_214 });
    expect(lines()).toHaveLength(50);
    expect(el.textContent).toContain("1 to 50");
    press("Older");
    expect(sent("list").at(-1)?.from).toBe(50);
    list(page, { total: 3_214, all: 3_214, from: 3_200 });
    expect(named("Older").disabled).toBe(true);
    expect(named("Newer").disabled).toBe(false);
  });

  it("looks again soon while something runs, else seldom, and leaves what did not change in its place", () => {
    Object.defineProperty(HTMLElement.prototype, "offsetParent", { get: () => document.body, configurable: true });
    list([run("r1", { state: "running", done: 1 }), run("r0")]);
    const bar = found<HTMLProgressElement>(el, "progress");
    expect([bar.getAttribute("value"), bar.getAttribute("max")]).toEqual(["1", "2"]);
    toggle(1)?.focus();
    const kept = el.querySelectorAll(".onb-run")[1];
    vi.advanceTimersByTime(1_600);
    expect(sent("list")).toHaveLength(2);
    list([run("r2"), run("r1", { state: "answered" }), run("r0")]);
    expect(el.querySelectorAll(".onb-run")[2]).toBe(kept);
    expect(document.activeElement).toBe(toggle(2));
    expect(sent("days")).toHaveLength(2); // what ended cost something
    vi.advanceTimersByTime(5_000);
    expect(sent("list")).toHaveLength(2);
    vi.advanceTimersByTime(6_000);
    expect(sent("list")).toHaveLength(3);
  });

  it("takes only what it asked for: another tab has other filters", () => {
    list([run("r1")]);
    list([], { view: "another" });
    expect(lines()).toHaveLength(1);
    kernel.say({ kind: "said", view: null, text: "to all", problem: false });
    expect(el.textContent).toContain("to all");
  });
});

const offered = () => [...el.querySelectorAll("button")].map((one) => one.textContent);

describe("one run", () => {
  const failed = run("r1", { state: "failed", failed: 2, calls: 3 });

  it("opens with its answers, and closes", () => {
    list([failed]);
    toggle()?.click();
    expect(kernel.last).toMatchObject({ kind: "open", run: "r1" });
    expect(toggle()?.getAttribute("aria-expanded")).toBe("true");
    const answer = {
      row: 0,
      step: "",
      model: "lab/one",
      prompt: "How?",
      text: "So.",
      error: "",
      source: "cache",
      usd: 0.01,
    };
    say({ kind: "opened", run: "r1", rows: [{ ...answer, latency_s: 1.5, mark: "best 5/5" }], more: 7 });
    expect(found(el, ".onb-answers").textContent).toContain("How?lab/oneSo.cache · 1.5 s · $0.0100 · best 5/5");
    expect(found(el, ".onb-answers").textContent).toContain("7 more calls");
    toggle()?.click();
    expect(found(el, ".onb-details").hidden).toBe(true);
  });

  it("offers to resume what is left and to retry what failed, and neither where there is none", () => {
    list([run("r1", { state: "broken off", calls: 9, done: 4, failed: 1 }), run("r2", { calls: 3, done: 3 })]);
    toggle()?.click();
    expect(offered()).toEqual(expect.arrayContaining(["Resume: 5 left …", "Retry errors: 1 …"]));
    toggle()?.click();
    list([run("r2", { state: "failed", calls: 3, done: 3, failed: 2 })]);
    toggle()?.click();
    expect(offered().filter((name) => /^(Resume|Retry)/.test(name ?? ""))).toEqual(["Retry errors: 2 …"]);
  });

  it("asks for its answers again when it has ended meanwhile", () => {
    list([run("r1", { state: "running", done: 1 })]);
    found(el, ".onb-toggle").click();
    const opens = () => kernel.sent.filter(({ message }) => message.kind === "open").length;
    expect(opens()).toBe(1);
    list([run("r1", { state: "running", done: 2 })]);
    expect(opens()).toBe(1);
    list([run("r1", { state: "answered", done: 2 })]);
    expect(opens()).toBe(2);
  });

  it("is gone on with only after the estimate was seen and said yes to", () => {
    list([failed]);
    toggle()?.click();
    press("Retry errors: 2");
    expect(kernel.last).toMatchObject({ kind: "estimate", run: "r1", errors: true });
    expect(found(el, ".onb-asking").hidden).toBe(true);
    say({ kind: "estimate", run: "r1", errors: true, calls: 2, text: "2 new, $1 to $2", notes: ["a note"] });
    const asking = found(el, ".onb-asking");
    expect(asking.textContent).toContain("2 new, $1 to $2a note");
    expect(document.activeElement).toBe(asking);
    found<HTMLInputElement>(asking, "input").value = "1.50";
    expect(sent("start")).toEqual([]);
    press("Ask 2 calls now");
    expect(kernel.last).toMatchObject({ kind: "start", run: "r1", errors: true, most: "1.50" });
    expect(asking.hidden).toBe(true);
    expect(document.activeElement).toBe(toggle());
  });

  it("is left alone, or becomes a cell", () => {
    list([failed]);
    toggle()?.click();
    say({ kind: "estimate", run: "r1", errors: false, calls: 1, text: "1 new", notes: [] });
    press("Insert the cell instead");
    expect(kernel.last).toMatchObject({ kind: "cell", run: "r1", what: "resume" });
    press("Leave it");
    expect(found(el, ".onb-asking").hidden).toBe(true);
    expect(sent("start")).toEqual([]);
  });

  it("is stopped where it was begun, and a chain goes on in a cell", () => {
    list([
      run("r3", { state: "running", mine: { done: 1, size: 4 } }),
      run("r2", { state: "failed", chain: "refine" }),
    ]);
    toggle()?.click();
    press("Stop");
    expect(kernel.last).toMatchObject({ kind: "stop", run: "r3" });
    toggle()?.click();
    toggle(1)?.click();
    press("Insert a cell that goes on");
    expect(kernel.last).toMatchObject({ kind: "cell", run: "r2", what: "resume" });
    expect(offered().filter((name) => name?.startsWith("Resume"))).toEqual([]);
  });

  it("puts the cell below this one, or says what to type where that cannot be", async () => {
    const cells = [{ getId: () => "one" }, { getId: () => "two" }];
    const insert = vi.fn();
    open({ context: { model: { sharedModel: { cells, insertCells: insert } } } });
    say({ kind: "insert", cells: ["%llm show r1"], after: "one" });
    expect(insert).toHaveBeenCalledWith(1, [{ cell_type: "code", source: "%llm show r1", metadata: {} }]);
    open();
    vi.stubGlobal("navigator", {});
    say({ kind: "insert", cells: ["%llm show r1"], after: "one" });
    await vi.advanceTimersByTimeAsync(0);
    expect(found(el, ".onb-said").textContent).toContain("type %llm show r1");
    vi.unstubAllGlobals();
  });
});

describe("the chart", () => {
  const days = [
    day("2026-11-20", { billed: 2, possibly: 1 }),
    day("2026-11-22", { saved: 4, simulated: 8, unpriced: 1 }),
  ];

  it("has a bar for each amount, the unpaid ones apart, and says it all in words", () => {
    say({ kind: "days", days, today: "2026-11-22" });
    const picture = found(el, "svg");
    const said =
      "Cost by day, the last 30 days: $2.00 billed, $1.00 possibly billed, $4.00 saved, $8.00 simulated, 1 at an unknown price";
    expect(picture.getAttribute("aria-label")).toBe(said);
    expect(found(el, "figcaption").textContent).toBe(said);
    const tall = (name: string) =>
      [...picture.querySelectorAll(`rect.onb-fill-${name}`)]
        .map((one) => Number(one.getAttribute("height")))
        .filter(Boolean);
    expect(tall("billed")).toHaveLength(1);
    expect((tall("billed")[0] ?? 0) / (tall("simulated")[0] ?? 1)).toBeCloseTo(0.25, 2);
    for (const box of el.querySelectorAll<HTMLInputElement>(".onb-legend input")) {
      if (box.parentElement?.textContent === "simulated") box.click();
    }
    expect(found(el, "svg").querySelectorAll('rect.onb-fill-simulated:not([height="0.00"])')).toHaveLength(0);
  });

  it("is a table too, the newest day first", () => {
    say({ kind: "days", days, today: "2026-11-22" });
    const rows = [...el.querySelectorAll(".onb-days tbody tr")].map((one) => one.textContent);
    expect(rows).toEqual(["2026-11-22$4.00$8.00", "2026-11-20$2.00$1.00"]);
    say({ kind: "days", days: [], today: "2026-11-22" });
    expect(found(el, "figure").hidden).toBe(true);
  });

  it("knows the days between, over the end of a month and of daylight saving", () => {
    expect(calendar([], "2026-03-01", 3).map((one) => one.day)).toEqual(["2026-02-27", "2026-02-28", "2026-03-01"]);
    expect(calendar([day("2026-10-25", { billed: 3 })], "2026-10-26", 2)[0]?.billed).toBe(3);
    expect(summed([day("x")])).toBe("$0 billed");
  });
});

describe("hostile names and a kernel that has gone", () => {
  it("writes everything as text", () => {
    for (const text of PAYLOADS) {
      const bad = run(text, {
        notebook: text,
        chain: text,
        models: [text],
        prompt: text,
        notices: [text],
        state: "failed",
        failed: 1,
      });
      list([bad], { notebooks: [text], models: [text] });
      toggle()?.click();
      const row = {
        row: 0,
        step: text,
        model: text,
        prompt: text,
        text,
        error: text,
        source: text,
        usd: null,
        latency_s: null,
      };
      say({ kind: "opened", run: text, rows: [{ ...row, mark: text }], more: 0 });
      say({ kind: "estimate", run: text, errors: false, calls: 1, text, notes: [text] });
      say({ kind: "days", days: [day(text, { billed: 1 })], today: "2026-11-22" });
      say({ kind: "said", text, problem: true });
      expect(el.querySelectorAll("script, img, iframe, a, [onerror], [onload]")).toHaveLength(0);
      expect(el.querySelectorAll("svg")).toHaveLength(1);
      list([]);
    }
  });

  it("says so when the kernel has gone, asks nothing more, and leaves nothing behind", () => {
    list([run("r1", { state: "running" })]);
    kernel.end();
    expect(found(el, ".onb-said").textContent).toContain("The kernel has gone");
    const before = kernel.sent.length;
    press("Refresh");
    vi.advanceTimersByTime(60_000);
    expect(kernel.sent).toHaveLength(before);
    close();
    expect(kernel.listeners).toBe(0);
  });

  it("goes on looking after something could not be read", () => {
    say({ kind: "said", text: "the store is damaged", problem: true });
    press("Refresh");
    expect(sent("list")).toHaveLength(2);
  });
});
