/** The graph that Python laid out, as xyflow takes it. */
import { type Edge, MarkerType, type Node, Position } from "@xyflow/react";
import { role } from "./places";
import type { Chain, Graph, Step } from "./wire";

export type Drawn = Node<{ step: Step; role: string }, "step">;
export type Moved = ReadonlyMap<string, { x: number; y: number }>;

const HANDLE = 10;

export function nodesOf(chain: Chain, moved: Moved, fixed: boolean): Drawn[] {
  const graph = chain.graph;
  const known = new Set(graph.nodes.map((step) => step.path));
  return parentsFirst(graph).map((step) => ({
    id: step.path,
    type: "step",
    position: moved.get(step.path) ?? { x: step.x, y: step.y },
    width: step.w,
    height: step.h,
    measured: { width: step.w, height: step.h },
    handles: ports(step), // so that edges to steps out of sight are drawn, too
    data: { step, role: role(step.place) },
    draggable: !fixed,
    connectable: !fixed && step.place !== null,
    ...(step.parent !== null && known.has(step.parent) ? { parentId: step.parent } : {}),
  }));
}

function parentsFirst({ nodes }: Graph): Step[] {
  const inside = grouped(nodes);
  const known = new Set(nodes.map((step) => step.path));
  const below = (step: Step): Step[] => [step, ...(inside.get(step.path) ?? []).flatMap(below)];
  return nodes.filter((step) => step.parent === null || !known.has(step.parent)).flatMap(below);
}

function grouped(nodes: Step[]): Map<string | null, Step[]> {
  const found = new Map<string | null, Step[]>();
  for (const step of nodes) found.set(step.parent, [...(found.get(step.parent) ?? []), step]);
  return found;
}

function ports({ w, h }: Step): NonNullable<Drawn["handles"]> {
  const across = { x: w / 2 - HANDLE / 2, width: HANDLE, height: HANDLE };
  return [
    { type: "target", position: Position.Top, y: -HANDLE / 2, ...across },
    { type: "source", position: Position.Bottom, y: h - HANDLE / 2, ...across },
  ];
}

const COLOURS = { data: "var(--onb-edge)", goto: "var(--onb-alarm)", order: "var(--onb-edge)" };

export function edgesOf(chain: Chain, moved: Moved): Edge[] {
  const ways = courses(chain.graph, moved);
  const when = new Map(chain.graph.nodes.map((step) => [step.path, step.marks.find((mark) => /^when\b/.test(mark))]));
  const passes = (edge: { source: string; target: string }) => (ways.get(key(edge))?.aside ?? null) !== null;
  const told = new Set<string>();
  const straightFirst = [...chain.graph.edges].sort((one, other) => Number(passes(one)) - Number(passes(other)));
  const drawn = straightFirst.map(({ source, target, leads }) => {
    const said =
      leads === "goto" ? "on error" : leads === "order" ? "waits" : told.has(target) ? "" : (when.get(target) ?? "");
    if (leads === "data") told.add(target); // once for each step
    return {
      id: `${leads}\n${source}\n${target}`,
      source,
      target,
      className: `onb-edge-${leads}`,
      label: short(said),
      labelBgPadding: [4, 2],
      focusable: false,
      markerEnd: { type: MarkerType.ArrowClosed, color: COLOURS[leads], width: 16, height: 16 },
      type: "way",
      data: { aside: null, bend: null, ...ways.get(key({ source, target })), shift: leads === "goto" ? 18 : 0 },
    } satisfies Edge;
  });
  return drawn.reverse(); // words lie above the ways that pass by
}

function key({ source, target }: { source: string; target: string }): string {
  return `${source}\n${target}`;
}

function short(text: string): string {
  return text.length > 32 ? `${text.slice(0, 31)}…` : text;
}

/** The next step in a direction, as the eye would go; a container stands where its title is. */
export function nextTo(graph: Graph, moved: Moved, from: string, key: string): string | null {
  const places = corners(graph, moved);
  const here = places.get(from);
  if (!here) return graph.nodes[0]?.path ?? null;
  const across = { ArrowLeft: -1, ArrowRight: 1 }[key] ?? 0;
  const down = { ArrowUp: -1, ArrowDown: 1 }[key] ?? 0;
  let [best, least] = [null as string | null, Number.POSITIVE_INFINITY];
  for (const [path, there] of places) {
    const [dx, dy] = [there.x - here.x, there.y - here.y];
    const ahead = dx * across + dy * down;
    const aside = Math.abs(dx * down) + Math.abs(dy * across);
    if (path === from || ahead < 1 || (across && aside > ahead)) continue;
    const far = ahead + 2 * aside;
    if (far < least) [best, least] = [path, far];
  }
  return best;
}

function origin(steps: Map<string, Step>, moved: Moved, path: string | null): { x: number; y: number } {
  const step = path === null ? undefined : steps.get(path);
  if (!step) return { x: 0, y: 0 };
  const own = moved.get(step.path) ?? step;
  const above = origin(steps, moved, step.parent);
  return { x: own.x + above.x, y: own.y + above.y };
}

/** The box of a step's head, from the corner of the picture: of a large container only so much as says what it is. */
export function head(graph: Graph, moved: Moved, path: string): Rect | null {
  const step = graph.nodes.find((one) => one.path === path);
  const steps = new Map(graph.nodes.map((one) => [one.path, one]));
  return step ? { ...origin(steps, moved, path), w: step.w, h: Math.min(step.h, 80) } : null;
}

/** The middle of each step's title, from the corner of the picture. */
function corners(graph: Graph, moved: Moved): Map<string, { x: number; y: number }> {
  const steps = new Map(graph.nodes.map((step) => [step.path, step]));
  return new Map(
    graph.nodes.map((step) => {
      const { x, y } = origin(steps, moved, step.path);
      return [step.path, { x: x + step.w / 2, y: y + Math.min(step.h, 40) / 2 }];
    }),
  );
}

export interface Rect {
  x: number;
  y: number;
  w: number;
  h: number;
}

/** How an edge runs: straight down to `bend`, where taller steps stand beside its source; `aside` of the steps in its way, on their left. */
interface Course {
  aside: number | null;
  bend: number | null;
}

function courses(graph: Graph, moved: Moved): Map<string, Course> {
  const steps = new Map(graph.nodes.map((step) => [step.path, step]));
  const rect = (step: Step): Rect => ({ ...step, ...moved.get(step.path) });
  const rooms = grouped(graph.nodes);
  const found = new Map<string, Course>();
  let lanes = 0;
  for (const { source, target } of graph.edges) {
    const [from, to] = [steps.get(source), steps.get(target)];
    if (!from || !to || from.parent !== to.parent) continue;
    const [start, end, corner] = [rect(from), rect(to), origin(steps, moved, from.parent)];
    const others = (rooms.get(from.parent) ?? []).filter((one) => one !== from && one !== to).map(rect);
    const low = start.y + start.h;
    const beside = others.filter((one) => one.y < low && one.y + one.h > low && one.y + one.h < end.y);
    const bend = Math.max(low, ...beside.map((one) => one.y + one.h));
    const between = others.filter((one) => one.y >= low && one.y + one.h <= end.y);
    const course: Course = { aside: null, bend: bend > low ? bend + corner.y : null };
    if (between.some((one) => crosses(one, { ...start, h: bend - start.y }, end))) {
      course.aside = Math.min(...between.map((one) => one.x)) - 10 - 7 * (lanes % 4) + corner.x; // lanes beside each other
      lanes += 1;
    }
    found.set(key({ source, target }), course);
  }
  return found;
}

/** Whether the straight way from the lower middle of `start` to the upper middle of `end` leads through the box, or nearly. */
function crosses(box: Rect, start: Rect, end: Rect): boolean {
  const [low, high] = [start.y + start.h, end.y];
  const x = (y: number) =>
    start.x + start.w / 2 + ((end.x + end.w / 2 - start.x - start.w / 2) * (y - low)) / (high - low || 1);
  return [box.y, box.y + box.h].some((y) => x(y) > box.x - 6 && x(y) < box.x + box.w + 6);
}
