/** The steps as a list: the same as the picture, for who does not see it or would rather read. */
import { type KeyboardEvent, type ReactNode, useRef } from "react";
import { useDesk } from "./context";
import { role, stepOf } from "./places";
import { figures, glyph, marked, progress, sign } from "./signs";
import { useStore } from "./store";
import type { Chain, Step } from "./wire";

export function Outline({ chain }: { chain: Chain }): ReactNode {
  const desk = useDesk();
  const path = useStore(desk.chosen, (one) => one);
  const box = useRef<HTMLElement>(null);
  const stop = stepOf(chain, path)?.path ?? chain.graph.nodes[0]?.path;
  const pressed = (event: KeyboardEvent) => {
    const all = [...(box.current?.querySelectorAll<HTMLButtonElement>("button") ?? [])];
    const here = all.indexOf((event.target as HTMLElement).closest("button") as HTMLButtonElement);
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: all.length - 1 }[event.key];
    const step = stepOf(chain, all[here]?.dataset.path ?? null);
    if (step && event.key === "Delete") desk.remove(step);
    else if (step && (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "d") desk.copy(step);
    else if (step && event.key === "Enter") desk.choose(step.path, { form: true });
    else if (to !== undefined && all[to] && !event.altKey) {
      all[to].focus();
      desk.choose(all[to].dataset.path ?? null);
    } else if (step && to !== undefined && event.altKey) desk.shift(step, event.key === "ArrowUp" ? -1 : 1);
    else return;
    event.preventDefault();
  };
  const children = (parent: string | null): Step[] => chain.graph.nodes.filter((step) => step.parent === parent);
  const level = (parent: string | null): ReactNode => {
    const steps = children(parent);
    if (!steps.length) return null;
    return (
      <ul>
        {steps.map((step) => (
          <li key={step.path}>
            <Row step={step} stop={step.path === stop} here={step.path === path} />
            {level(step.path)}
          </li>
        ))}
      </ul>
    );
  };
  return (
    <nav className="onb-outline" aria-label="Steps; arrow keys go from one to the next" ref={box} onKeyDown={pressed}>
      {level(null)}
    </nav>
  );
}

function Row({ step, stop, here }: { step: Step; stop: boolean; here: boolean }): ReactNode {
  const desk = useDesk();
  const state = useStore(desk.wire.live, (states) => states[step.path]);
  const part = role(step.place);
  return (
    <button
      type="button"
      data-path={step.path}
      tabIndex={stop ? 0 : -1}
      aria-current={here}
      className={here ? "onb-active" : undefined}
      onClick={() => desk.choose(step.path)}
    >
      <span aria-hidden="true">{glyph(step.kind)}</span> <strong>{step.title}</strong>
      {part && <em> {part}</em>} <span className="onb-faint">{step.lines[0] ?? step.kind}</span>
      {step.marks.map((mark) => ` · ${marked(mark)}`).join("")}
      {step.problems > 0 && <span className="onb-problem"> ⚠ {step.problems}</span>}
      {state && (
        <span data-state={state.state}>
          {" "}
          {sign(state)} {progress(state)} {figures(state)}
        </span>
      )}
    </button>
  );
}
