// @vitest-environment happy-dom
import { expect, test } from "vitest";
import { offers } from "../src/chat/completing";
import widget from "../src/chat/index";
import { found, Kernel, pressed, shown } from "./fake";

const WORDS = [
  { name: "help", usage: "help", does: "this list", offers: "" },
  { name: "model", usage: "model NAME", does: "ask this model", offers: "models" },
  { name: "persona", usage: "persona [NAME]", does: "speak to", offers: "personas" },
];
const turn = (id: string, number: number, more: object = {}) => ({
  ...{ id, number, question: `question ${id}`, files: 0, nodes: [["p", {}, [`answer ${id}`]]], text: `answer ${id}` },
  ...{ thinking: "", outcome: "answered", why: "", model: "a/b", system: null, beside: [id], at: 0, facts: {} },
  ...more,
});
const path = (from: number, turns: object[], ahead: string[] = []) => ({
  ...{ kind: "path", from, total: from + turns.length, turns, ahead },
});

function pane() {
  const kernel = new Kernel();
  const { el, close } = shown(widget, kernel);
  kernel.say({
    kind: "offers",
    cell: null,
    words: WORDS,
    models: ["haiku", "sonnet"],
    providers: [],
    personas: ["poet"],
  });
  kernel.say({ kind: "head", name: "metals", model: "a/b", system: "", persona: "", conversations: [] });
  return { kernel, el, close, field: found<HTMLTextAreaElement>(el, ".onb-typing textarea") };
}
const type = (field: HTMLTextAreaElement, text: string) => {
  field.value = text;
  field.dispatchEvent(new Event("input"));
};

test("a question is sent with Enter; what the kernel refuses stands in the field again, before what was typed since", () => {
  const { kernel, field } = pane();
  type(field, "Name a metal.");
  pressed(field, "Enter");
  expect(kernel.last).toMatchObject({ kind: "send", text: "Name a metal." });
  expect(field.value).toBe("");
  const { n, view } = kernel.last ?? {};
  type(field, "And");
  kernel.say({ kind: "refused", n, view: "another" });
  expect(field.value).toBe("And");
  kernel.say({ kind: "refused", n, view });
  expect(field.value).toBe("Name a metal.\n\nAnd");
});

test("what was taken does not come back, not when the kernel goes either; what nobody took does", () => {
  const { kernel, field } = pane();
  type(field, "one");
  pressed(field, "Enter");
  kernel.say({ kind: "taken", n: kernel.last?.n, view: kernel.last?.view });
  type(field, "two");
  pressed(field, "Enter");
  kernel.end();
  expect(field.value).toBe("two");
});

test("a question that never reached a model comes back to an empty field", () => {
  const { kernel, field } = pane();
  kernel.say({ kind: "asking", question: "Name a metal.", model: "a/b" });
  kernel.say({ kind: "ended", back: "Name a metal." });
  expect(field.value).toBe("Name a metal.");
});

test("an answer grows while it arrives, begins anew after a retry, and can be stopped", () => {
  const { kernel, el } = pane();
  kernel.say({ kind: "asking", question: "Q", model: "a/b" });
  kernel.say({ kind: "answer", text: "Iron ", state: "", anew: false });
  kernel.say({ kind: "answer", text: "<b>", state: "", anew: false });
  expect(found(el, ".onb-arriving").textContent).toBe("Iron <b>");
  kernel.say({ kind: "answer", text: "Tin", state: "retrying (overload)", anew: true });
  expect(found(el, ".onb-arriving").textContent).toBe("Tin");
  expect(el.textContent).toContain("retrying (overload)");
  const stop = [...el.querySelectorAll("button")].find((one) => one.textContent === "Stop");
  stop?.click();
  expect(kernel.last).toMatchObject({ kind: "stop" });
});

test("turns from a place on replace what stood there; earlier ones come before them", () => {
  const { kernel, el } = pane();
  kernel.say(path(40, [turn("a", 40), turn("b", 41)]));
  kernel.say(path(41, [turn("c", 41), turn("d", 42)]));
  const ids = () => [...el.querySelectorAll<HTMLElement>(".onb-turns article")].map((one) => one.dataset.turn);
  expect(ids()).toEqual(["a", "c", "d"]);
  found(el, ".onb-log > .onb-button").click();
  expect(kernel.last).toMatchObject({ kind: "earlier", before: 40 });
  const view = kernel.last?.view;
  kernel.say({ kind: "earlier", from: 39, turns: [turn("z", 39)], view });
  kernel.say({ kind: "earlier", from: 39, turns: [turn("z", 39)], view });
  expect(ids()).toEqual(["z", "a", "c", "d"]);
  kernel.say({ ...path(50, [turn("other", 50)]), anew: true });
  expect(ids()).toEqual(["other"]);
  kernel.say({ ...path(0, []), anew: true });
  expect(ids()).toEqual([]);
});

test("a question is edited and asked again, and its branches are gone through", () => {
  const { kernel, el } = pane();
  kernel.say(path(0, [turn("a", 0, { beside: ["x", "a"] })]));
  found(el, "[aria-label='the branch before']").click();
  expect(kernel.last).toMatchObject({ kind: "go", turn: "x" });
  expect(found<HTMLButtonElement>(el, "[aria-label='the next branch']").disabled).toBe(true);
  found(el, "[aria-label^='Edit question']").click();
  const field = found<HTMLTextAreaElement>(el, ".onb-editing textarea");
  expect(field.value).toBe("question a");
  field.value = "another";
  found<HTMLFormElement>(el, ".onb-editing").requestSubmit();
  expect(kernel.last).toMatchObject({ kind: "edit", turn: "a", text: "another" });
  field.value = "with Enter, as below";
  pressed(field, "Enter");
  expect(kernel.last).toMatchObject({ kind: "edit", turn: "a", text: "with Enter, as below" });
});

test("orders are completed: words first, then the names that they take", () => {
  const lists = { models: ["haiku", "sonnet"], personas: ["poet"] };
  expect(offers("/", WORDS, lists).map((one) => one.text)).toEqual(["/help", "/model ", "/persona "]);
  expect(offers("/model so", WORDS, lists).map((one) => one.text)).toEqual(["/model sonnet"]);
  expect(offers("/model sonnet", WORDS, lists)).toEqual([]);
  for (const text of ["what", "//help", "/help me", "/model\nx"]) expect(offers(text, WORDS, lists)).toEqual([]);
});

test("Tab takes the first offer, arrows another, Escape none, and a screen reader is told which", () => {
  const { el, field } = pane();
  type(field, "/p");
  expect(field.getAttribute("aria-expanded")).toBe("true");
  pressed(field, "Tab");
  expect(field.value).toBe("/persona ");
  pressed(field, "ArrowDown");
  expect(field.getAttribute("aria-activedescendant")).toBe(found(el, "[role=option][aria-selected=true]").id);
  pressed(field, "Enter");
  expect(field.value).toBe("/persona poet");
  type(field, "/");
  pressed(field, "Escape");
  expect(found(el, "[role=listbox]").hidden).toBe(true);
});

test("what the kernel sends as text is text, unknown elements are left out, and links lead only to the web", () => {
  const { kernel, el } = pane();
  const hostile = [
    ...["<img src=x onerror=alert(1)>", ["script", {}, ["alert(1)"]], ["a", { href: "javascript:alert(1)" }, ["one"]]],
    ...[
      ["a", { href: "https://example.com", onclick: "alert(1)" }, ["two"]],
      ["img", { src: "x" }, []],
    ],
  ];
  const bad = "<img src=x onerror=alert(1)>";
  kernel.say(
    path(0, [turn("a", 0, { nodes: hostile, question: bad, thinking: bad, why: bad, model: bad, system: bad })]),
  );
  kernel.say({ kind: "head", name: bad, model: bad, system: bad, persona: "", conversations: [bad] });
  kernel.say({ kind: "said", text: bad, problem: true });
  expect(el.querySelector("img, script")).toBeNull();
  const links = [...el.querySelectorAll("a")];
  expect(links.map((one) => one.getAttribute("href"))).toEqual(["https://example.com"]);
  expect(links[0]?.rel).toContain("noopener");
  expect(links[0]?.getAttribute("onclick")).toBeNull();
});

test("code has a button that copies it, and one that puts it into a cell", () => {
  const { kernel, el } = pane();
  kernel.say(path(0, [turn("a", 0, { nodes: [["pre", {}, [["code", {}, ["print(1)\n"]]]]] })]));
  expect(found(el, "[aria-label='Copy this code']").textContent).toBe("Copy");
  expect(found(el, ".onb-code pre").textContent).toBe("print(1)\n");
});

test("a pane whose kernel has gone says so; one that is closed listens no more", () => {
  const { kernel, el, close } = pane();
  kernel.end();
  expect(found(el, ".onb-said").textContent).toContain("kernel has gone");
  close();
  expect(kernel.listeners).toBe(0);
});

test("a refused model leaves the one that is really asked in its field", () => {
  const { kernel, el } = pane();
  const model = found<HTMLInputElement>(el, "input");
  model.value = "nothing";
  model.dispatchEvent(new Event("change"));
  expect(kernel.last).toMatchObject({ kind: "send", text: "/model nothing" });
  kernel.say({ kind: "head", name: "metals", model: "a/b", system: "", persona: "", conversations: [] });
  expect(model.value).toBe("a/b");
  model.value = "";
  model.dispatchEvent(new Event("change"));
  expect(model.value).toBe("a/b");
});

test("a question that comes back loses nothing that was typed meanwhile, and focus stays in the pane", () => {
  const { kernel, el, field } = pane();
  kernel.say(path(0, [turn("a", 0, { beside: ["x", "a"] })]));
  found(el, "[aria-label='the branch before']").focus();
  kernel.say({ kind: "asking", question: "Q", model: "a/b" });
  kernel.say({ ...path(0, [turn("x", 0)]), anew: true });
  expect(document.activeElement).toBe(field);
  type(field, "more");
  kernel.say({ kind: "ended", back: "Q" });
  expect(field.value).toBe("Q\n\nmore");
});
