/** Build a chain by looking at it: `%chain edit`. React is only in here; the box around it keeps the notebook's shortcuts away. */
import type { Render } from "@anywidget/types";
import { root } from "../lib/dom";
import { mount } from "./app";
import { Wire } from "./wire";

const render: Render = ({ model, el }) => {
  const wire = new Wire(model);
  const box = root("editor", wire.readonly ? "Chain" : "Chain builder");
  el.append(box);
  return mount(box, wire);
};
export default { render };
