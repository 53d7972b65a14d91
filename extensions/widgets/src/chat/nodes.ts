/** The kernel's nodes as elements. It has sanitised them already; what is not on this list would be text here. */
import { button, h } from "../lib/dom";

export type Node = string | [tag: string, attributes: Record<string, string>, children: Node[]];

const TAGS = new Set(
  "br em strong s code a p hr pre blockquote ul ol li h1 h2 h3 h4 h5 h6 table thead tbody tr th td".split(" "),
);
const LINKS = /^(https?:\/\/|mailto:)/i;

/** What can be done with a block of code. */
export type OnCode = (code: string) => void;

export function built(nodes: Node[], copy: OnCode, toCell: OnCode): globalThis.Node[] {
  return nodes.flatMap((node) => element(node, copy, toCell));
}

function element(node: Node, copy: OnCode, toCell: OnCode): globalThis.Node[] {
  if (typeof node === "string") return [document.createTextNode(node)];
  const [tag, attributes, inside] = node;
  const children = built(inside, copy, toCell);
  if (!TAGS.has(tag)) return children;
  if (tag === "a") return [link(attributes, children)];
  const made = document.createElement(heading(tag));
  if (tag === "ol" && /^\d+$/.test(attributes.start ?? "")) made.setAttribute("start", attributes.start ?? "1");
  made.append(...children);
  return tag === "pre" ? [withActions(made, copy, toCell)] : [made];
}

/** The page has headings of its own: those of an answer stand below them. */
function heading(tag: string): string {
  const level = /^h([1-6])$/.exec(tag)?.[1];
  return level ? `h${Math.min(6, Number(level) + 3)}` : tag;
}

function link(attributes: Record<string, string>, children: globalThis.Node[]): HTMLElement {
  const href = attributes.href ?? "";
  if (!LINKS.test(href)) return h("span", {}, ...children);
  return h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow", title: href }, ...children);
}

function withActions(pre: HTMLElement, copy: OnCode, toCell: OnCode): HTMLElement {
  const code = () => (pre.textContent ?? "").replace(/\n$/, "");
  pre.tabIndex = 0;
  const actions = h(
    "div",
    { class: "onb-actions" },
    button("Copy", () => copy(code()), { "aria-label": "Copy this code" }),
    button("To cell", () => toCell(code()), { "aria-label": "Put this code into a cell" }),
  );
  return h("div", { class: "onb-code" }, pre, actions);
}
