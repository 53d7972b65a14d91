/** The graph: xyflow draws it, Python laid it out. The keyboard goes from step to step by our own rules, as xyflow would make a tab stop of each. */
import {
  applyNodeChanges,
  type Connection,
  Controls,
  type Edge,
  type NodeChange,
  Panel,
  ReactFlow,
  ReactFlowProvider,
  useReactFlow,
} from "@xyflow/react";
import {
  type KeyboardEvent,
  type ReactNode,
  useCallback,
  useEffect,
  useImperativeHandle,
  useRef,
  useState,
} from "react";
import { useDesk } from "./context";
import { type Drawn, edgesOf, head, type Moved, nextTo, nodesOf, type Rect } from "./drawn";
import { StepNode } from "./node";
import { stepOf } from "./places";
import { Way } from "./way";
import type { Chain } from "./wire";

const KINDS = { step: StepNode };
const WAYS = { way: Way };

/** What the rest of the editor asks of the picture. */
export interface Canvas {
  arrange: () => void;
  fit: () => void;
  focus: (path: string) => void;
}

export function Picture(given: { chain: Chain; ref: React.Ref<Canvas> }): ReactNode {
  return (
    <ReactFlowProvider>
      <Flow {...given} />
    </ReactFlowProvider>
  );
}

function Flow({ chain, ref }: { chain: Chain; ref: React.Ref<Canvas> }): ReactNode {
  const desk = useDesk();
  const { wire, chosen } = desk;
  const flow = useReactFlow<Drawn, Edge>();
  const box = useRef<HTMLDivElement>(null);
  const moved = useRef<Moved>(new Map());
  const [nodes, setNodes] = useState<Drawn[]>(() => nodesOf(chain, moved.current, wire.readonly));
  const [edges, setEdges] = useState<Edge[]>([]);
  const [arrow, setArrow] = useState<string | null>(null);
  const draw = useCallback(() => {
    setNodes(nodesOf(chain, moved.current, wire.readonly));
    setEdges(edgesOf(chain, moved.current));
  }, [chain, wire]);
  useEffect(() => chosen.watch(() => chosen.value !== null && setArrow(null)), [chosen]); // a step or an arrow, not both
  const last = useRef(chain);
  useEffect(() => {
    draw();
    const [before, now] = [last.current, chain].map((one) => stepOf(one, chosen.value));
    last.current = chain;
    if (before && now && (before.x !== now.x || before.y !== now.y)) {
      reveal(flow, box.current, head(chain.graph, moved.current, now.path)); // it is elsewhere than it was
    }
  }, [draw, chain, chosen, flow]);

  const changed = useCallback((changes: NodeChange<Drawn>[]) => {
    const kept = new Map(moved.current);
    for (const change of changes) {
      if (change.type === "position" && change.position) kept.set(change.id, change.position);
    }
    moved.current = kept;
    setNodes((now) =>
      applyNodeChanges(
        changes.filter((change) => change.type === "position" || change.type === "dimensions"),
        now,
      ),
    );
  }, []);

  const focus = useCallback(
    (path: string) => {
      const seen = (tries: number) => {
        const found = box.current?.querySelector<HTMLElement>(`[data-path="${CSS.escape(path)}"]`);
        if (found) found.focus({ preventScroll: true });
        else if (tries) requestAnimationFrame(() => seen(tries - 1));
      };
      reveal(flow, box.current, head(chain.graph, moved.current, path));
      seen(20);
    },
    [chain, flow],
  );
  useImperativeHandle(
    ref,
    () => ({
      arrange: () => {
        moved.current = new Map();
        draw();
        begin(flow, box.current, chain);
      },
      fit: () => flow.fitView({ maxZoom: 1 }),
      focus,
    }),
    [chain, draw, flow, focus],
  );

  /** Letters and arrows on a step, or on the picture itself. */
  const pressed = (event: KeyboardEvent) => {
    const [step, picked] = [stepOf(chain, chosen.value), edges.find((edge) => edge.id === arrow)];
    const take = (act: () => void) => {
      event.preventDefault();
      event.stopPropagation();
      act();
    };
    if ((event.target as HTMLElement).closest(".react-flow__controls")) return;
    const by = ({ ArrowUp: -1, ArrowDown: 1 } as const)[event.key];
    if (step && by && event.altKey) return take(() => desk.shift(step, by));
    if (event.key.startsWith("Arrow")) {
      const next = step ? nextTo(chain.graph, moved.current, step.path, event.key) : chain.graph.nodes[0]?.path;
      return take(() => next && desk.choose(next, { node: true }));
    }
    if (event.key === "Home" || event.key === "End") {
      const end = chain.graph.nodes.at(event.key === "Home" ? 0 : -1);
      return take(() => end && desk.choose(end.path, { node: true }));
    }
    const away = event.key === "Delete" || event.key === "Backspace";
    if (picked && away) return take(() => disconnect(picked));
    if (picked && event.key === "Escape") return take(() => setArrow(null));
    if (!step) return;
    if (event.key === "Enter") return take(() => desk.choose(step.path, { form: true }));
    if (event.key === "Escape") return take(() => desk.choose(null));
    if (away) return take(() => desk.remove(step));
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "d") return take(() => desk.copy(step));
  };

  const ends = (edge: { source: string | null; target: string | null }) => {
    const [source, target] = [stepOf(chain, edge.source)?.place, stepOf(chain, edge.target)?.place];
    return source && target ? { source, target } : null;
  };
  const connect = (made: Connection) => {
    const places = ends(made);
    if (places) wire.op({ do: "connect", ...places });
  };
  const disconnect = (edge: Edge) => {
    const places = ends(edge);
    setArrow(null);
    if (places) wire.op({ do: "disconnect", ...places });
  };
  const pick = (edge: Edge) => {
    if (wire.readonly) return;
    desk.choose(null);
    setArrow(edge.id);
    box.current?.focus({ preventScroll: true });
  };

  return (
    <div
      className="onb-canvas"
      role="application" // a screen reader leaves the arrow keys to it
      ref={box}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: the one tab stop of the picture; arrows lead on
      tabIndex={0}
      aria-label="Picture of the chain: arrow keys go from step to step"
      onKeyDown={pressed}
    >
      <ReactFlow<Drawn, Edge>
        nodes={nodes}
        edges={edges.map((edge) => (edge.id === arrow ? { ...edge, className: `${edge.className} onb-picked` } : edge))}
        nodeTypes={KINDS}
        edgeTypes={WAYS}
        onNodesChange={changed}
        onNodeClick={(_, node) => desk.choose(node.id)}
        onEdgeClick={(_, edge) => pick(edge)}
        onPaneClick={() => {
          setArrow(null);
          desk.choose(null);
        }}
        onConnect={connect}
        onlyRenderVisibleElements
        disableKeyboardA11y
        nodesFocusable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        nodesConnectable={!wire.readonly}
        deleteKeyCode={null}
        selectionKeyCode={null}
        multiSelectionKeyCode={null}
        panActivationKeyCode={null}
        zoomOnScroll={false}
        zoomOnDoubleClick={false}
        preventScrolling={false}
        minZoom={0.1}
        maxZoom={2}
        onInit={() => begin(flow, box.current, chain)}
        onNodeDragStop={() => setEdges(edgesOf(chain, moved.current))}
      >
        <Controls showInteractive={false} />
        {arrow !== null && edges.some((edge) => edge.id === arrow) && (
          <Panel position="bottom-center" className="onb-arrow-hint" role="status">
            Delete takes this arrow away, Escape leaves it.
          </Panel>
        )}
      </ReactFlow>
      {!chain.graph.nodes.length && (
        <p className="onb-empty">
          {chain.problems.length
            ? "The steps cannot be read; the problems below say why."
            : "There is no step yet; add one above."}
        </p>
      )}
    </div>
  );
}

/** The beginning of the chain, as wide as it is, in a size that can be read. */
function begin(flow: ReturnType<typeof useReactFlow<Drawn, Edge>>, box: HTMLElement | null, chain: Chain): void {
  const room = box?.clientWidth ?? 0;
  const zoom = Math.min(1, Math.max(0.6, (room - 32) / Math.max(1, chain.graph.width)));
  void flow.setViewport({ x: Math.max(16, (room - chain.graph.width * zoom) / 2), y: 14, zoom });
}

/** Moves the picture only where the box is not in sight. */
function reveal(flow: ReturnType<typeof useReactFlow<Drawn, Edge>>, box: HTMLElement | null, rect: Rect | null): void {
  if (!rect || !box) return;
  const { x, y, zoom } = flow.getViewport();
  const [left, top] = [rect.x * zoom + x, rect.y * zoom + y];
  const [right, bottom] = [left + rect.w * zoom, top + rect.h * zoom];
  if (left >= 0 && top >= 0 && right <= box.clientWidth && bottom <= box.clientHeight) return;
  void flow.setCenter(rect.x + rect.w / 2, rect.y + rect.h / 2, { zoom });
}
