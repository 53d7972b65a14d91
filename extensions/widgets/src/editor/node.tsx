/** One step in the picture. */
import { Handle, type NodeProps, Position } from "@xyflow/react";
import { memo, type ReactNode } from "react";
import { useDesk } from "./context";
import type { Drawn } from "./drawn";
import { figures, glyph, marked, progress, sign } from "./signs";
import { useStore } from "./store";

export const StepNode = memo(function StepNode({ data: { step, role } }: NodeProps<Drawn>): ReactNode {
  const { chosen, wire } = useDesk();
  const here = useStore(chosen, (path) => path === step.path);
  const state = useStore(wire.live, (states) => states[step.path]);
  const look = `onb-step${step.container ? " onb-container" : ""}${here ? " onb-active" : ""}${step.problems ? " onb-wrong" : ""}`;
  return (
    <>
      <Handle type="target" position={Position.Top} isConnectable={step.place !== null && !wire.readonly} />
      <button
        type="button"
        className={look}
        data-kind={step.kind}
        data-state={state?.state}
        data-path={step.path}
        tabIndex={-1}
        aria-pressed={here}
      >
        {role && <span className="onb-role">{role}</span>}
        <span className="onb-title">
          <span aria-hidden="true">{glyph(step.kind)}</span> {step.title}
          {step.problems > 0 && (
            <span className="onb-badge">
              <span aria-hidden="true">⚠</span> {step.problems}
              <span className="onb-unseen"> {step.problems === 1 ? "problem" : "problems"}</span>
            </span>
          )}
        </span>
        {step.lines.map((line, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a line is known by its place
          <span className="onb-line" key={index} title={line}>
            {line}
          </span>
        ))}
        {step.marks.map((mark, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: as above
          <span className="onb-line onb-mark" key={index} title={mark}>
            {marked(mark)}
          </span>
        ))}
        {state && (
          <span className="onb-live" title={state.text}>
            <b>
              {sign(state)} {progress(state)}
            </b>{" "}
            {figures(state)} {state.text.slice(-80)}
          </span>
        )}
      </button>
      <Handle type="source" position={Position.Bottom} isConnectable={step.place !== null && !wire.readonly} />
    </>
  );
});
