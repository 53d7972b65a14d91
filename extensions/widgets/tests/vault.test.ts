// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { span } from "../src/lib/say";
import vault from "../src/vault/index";
import { found, Kernel, shown } from "./fake";

const SECRET = "correct horse ☂ staple";
const OPEN = { state: "open", profile: "default", idle_left_s: 60, limit_left_s: 7200, keys: [], names: ["LAB_KEY"] };

let kernel: Kernel;
let el: HTMLElement;
let close: () => void;

function state(more: Record<string, unknown>): void {
  kernel.say({ kind: "state", profile: "default", idle_left_s: 0, limit_left_s: 0, keys: [], names: [], ...more });
}
const fields = () => [...el.querySelectorAll<HTMLInputElement>("input[type=password]")];
const submit = () => found(el, "form").dispatchEvent(new Event("submit", { cancelable: true }));
const text = (buffer: unknown) => new TextDecoder().decode(buffer as Uint8Array);

beforeEach(() => {
  vi.useFakeTimers();
  kernel = new Kernel();
  ({ el, close } = shown(vault, kernel));
});
afterEach(() => {
  close();
  vi.useRealTimers();
});

describe("a password", () => {
  it("leaves its field once, as a buffer, and is in no message and no trait", () => {
    state({ state: "locked" });
    for (const field of fields()) field.value = SECRET;
    submit();
    expect(fields().map((field) => field.value)).toEqual([""]);
    expect(kernel.sent.map((one) => one.message)).toEqual([{ kind: "look" }, { kind: "unlock" }]);
    expect(kernel.sent.at(-1)?.buffers.map(text)).toEqual([SECRET]);
    expect(kernel.traits).toEqual({});
    expect(document.documentElement.outerHTML).not.toContain(SECRET);
  });

  it("is typed twice for a new vault", () => {
    state({ state: "none" });
    expect(fields()).toHaveLength(2);
    for (const field of fields()) field.value = SECRET;
    submit();
    expect(kernel.sent.at(-1)?.buffers.map(text)).toEqual([SECRET, SECRET]);
    expect(fields().map((field) => field.value)).toEqual(["", ""]);
  });

  it("is not sent when it is empty", () => {
    state({ state: "locked" });
    submit();
    expect(kernel.sent).toHaveLength(1);
    expect(el.textContent).toContain("Nothing was entered");
  });
});

describe("an open vault", () => {
  it("takes a key's value as it takes a password", () => {
    state(OPEN);
    found<HTMLInputElement>(el, "input[list]").value = " LAB_KEY ";
    for (const field of fields()) field.value = SECRET;
    submit();
    expect(kernel.last).toEqual({ kind: "put", name: "LAB_KEY" });
    expect(kernel.sent.at(-1)?.buffers.map(text)).toEqual([SECRET]);
    expect(fields()[0]?.value).toBe("");
  });

  it("counts down, and asks the kernel at the end", () => {
    state(OPEN);
    expect(el.textContent).toContain("Locks in 1 min 00 s without use, in 2 h 0 min in any case.");
    vi.advanceTimersByTime(21_000);
    expect(el.textContent).toContain("Locks in 39 s");
    vi.advanceTimersByTime(60_000);
    expect(kernel.sent.map((one) => one.message.kind)).toEqual(["look", "look"]);
    expect(span(-1)).toBe("0 s");
  });

  it("shows names and fingerprints as text", () => {
    state({ ...OPEN, keys: [{ name: "<b>K</b>", vendor: "lab", fp: "3f9a1c20", age: "set just now" }] });
    expect(el.querySelector("b")).toBeNull();
    expect(found(el, "table").textContent).toContain("<b>K</b>lab3f9a1c20set just now");
  });

  it("leaves the form alone in which somebody types when only the time has changed", () => {
    state(OPEN);
    const [field] = fields();
    state({ ...OPEN, idle_left_s: 59 });
    expect(fields()[0]).toBe(field);
  });

  it("is not shown as open any more when the kernel has gone", () => {
    state(OPEN);
    kernel.end();
    expect(el.textContent).not.toMatch(/open|Locks in/);
    expect(el.textContent).toContain("The kernel has gone");
    expect(fields()).toEqual([]);
  });

  it("locks, and then wants the password", () => {
    state(OPEN);
    [...el.querySelectorAll("button")].find((one) => one.textContent === "Lock now")?.click();
    expect(kernel.last).toEqual({ kind: "lock" });
    state({ state: "locked" });
    expect(el.textContent).toContain("Vault of profile default: locked");
    expect([...el.querySelectorAll("button")].map((one) => [one.textContent, one.disabled])).toEqual([
      ["Unlock", false],
    ]);
  });
});
