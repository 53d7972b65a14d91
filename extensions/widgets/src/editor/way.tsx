/** An edge: a soft curve, or beside the steps that are in its way. */
import { BaseEdge, type EdgeProps, getBezierPath } from "@xyflow/react";
import type { ReactNode } from "react";

export function Way(given: EdgeProps): ReactNode {
  const { sourceY, targetY, data, markerEnd, label } = given;
  const { aside: lane, bend, shift } = data as { aside: number | null; bend: number | null; shift: number };
  const [sourceX, targetX] = [given.sourceX + shift, given.targetX + shift];
  const from = Math.max(sourceY, bend ?? sourceY); // straight down to here
  const [path, x, y] =
    lane !== null
      ? beside(sourceX, sourceY, targetX, targetY, lane, from)
      : getBezierPath({ ...given, sourceX, targetX, sourceY: from });
  const down = lane === null && from > sourceY ? `M${sourceX} ${sourceY}V${from}` : "";
  return (
    <BaseEdge
      path={down + path}
      labelX={x}
      labelY={y}
      {...(markerEnd ? { markerEnd } : {})}
      label={label}
      labelBgPadding={[4, 2]}
    />
  );
}

const ROUND = 8;

/** Down, over to the lane, down along it, back and into the target. */
function beside(x: number, y: number, toX: number, toY: number, lane: number, from: number): [string, number, number] {
  const [high, low] = [from + 14, toY - 16];
  const [out, back] = [Math.sign(lane - x) * ROUND, Math.sign(toX - lane) * ROUND];
  const path = [
    `M${x} ${y}V${high - ROUND}Q${x} ${high} ${x + out} ${high}`,
    `H${lane - out}Q${lane} ${high} ${lane} ${high + ROUND}`,
    `V${low - ROUND}Q${lane} ${low} ${lane + back} ${low}`,
    `H${toX - back}Q${toX} ${low} ${toX} ${low + ROUND}V${toY}`,
  ].join("");
  return [path, lane, (high + low) / 2];
}
