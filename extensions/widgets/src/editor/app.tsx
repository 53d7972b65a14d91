/** The chain builder: bar, palette, picture or list or text, form, problems. */
import { type KeyboardEvent, type ReactNode, type RefObject, useEffect, useMemo, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { type Desk, DeskContext, useDesk } from "./context";
import { Mishap } from "./mishap";
import { Outline } from "./outline";
import { Palette, Panel } from "./panel";
import { type Canvas, Picture } from "./picture";
import { copyOf, moved, type Place, same, stepOf, under } from "./places";
import { Exists, RunForm, SaveForm } from "./running";
import { Source } from "./source";
import { Store, useStore } from "./store";
import type { Chain, Problem, Step, Wire } from "./wire";

export function mount(box: HTMLElement, wire: Wire): () => void {
  const react = createRoot(box);
  react.render(
    <Mishap>
      <Editor wire={wire} />
    </Mishap>,
  );
  const deaf = wire.listen(); // also while nothing can be drawn
  return () => {
    deaf();
    react.unmount();
  };
}

type View = "picture" | "outline" | "yaml";

function Editor({ wire }: { wire: Wire }): ReactNode {
  const known = useStore(wire.known, (all) => all);
  const [view, setView] = useState<View>("picture");
  const [asking, ask] = useState<"run" | "save" | null>(null);
  const canvas = useRef<Canvas>(null);
  const box = useRef<HTMLDivElement>(null);
  const chosen = useMemo(() => new Store<string | null>(null), []);
  const desk = useMemo<Desk>(() => makeDesk(wire, chosen, canvas, box), [wire, chosen]);
  const path = useChosen(desk, known.chain, canvas);
  const { chain, terms } = known;

  if (!chain) return <p role="status">{known.said || "The chain is on its way …"}</p>;
  const jump = (problem: Problem) => {
    const step = closest(chain, problem);
    if (!step && !problem.place?.length) return setView("yaml");
    if (view === "yaml") setView("picture");
    desk.choose(step?.path ?? null);
    setTimeout(() => toField(box.current, problem.place?.slice(step?.place?.length ?? 0) ?? []));
  };
  return (
    <DeskContext value={desk}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: undo and redo, from wherever the focus is */}
      <div className="onb-editor-all" ref={box} onKeyDown={(event) => undoKeys(event, desk)}>
        <Bar chain={chain} running={known.running} view={view} show={setView} ask={ask} canvas={canvas} />
        {asking === "run" && <RunForm chain={chain} close={() => ask(null)} />}
        {asking === "save" && <SaveForm chain={chain} close={() => ask(null)} />}
        {known.exists !== null && <Exists name={known.exists} />}
        <p className={`onb-said${known.problem ? " onb-problem" : ""}`} role="status" aria-live="polite">
          {known.said}
        </p>
        {!wire.readonly && terms && view !== "yaml" && <Palette chain={chain} terms={terms} path={path} />}
        {view === "yaml" ? (
          <Source chain={chain} />
        ) : (
          <div className="onb-desk">
            {view === "picture" ? <Picture chain={chain} ref={canvas} /> : <Outline chain={chain} />}
            <Panel key={desk.turn.count} chain={chain} terms={terms} path={path} />
          </div>
        )}
        {view !== "yaml" && <Problems all={chain.problems} jump={jump} />}
      </div>
    </DeskContext>
  );
}

function makeDesk(
  wire: Wire,
  chosen: Store<string | null>,
  canvas: RefObject<Canvas | null>,
  box: RefObject<HTMLDivElement | null>,
): Desk {
  const turn = { count: 0 };
  const now = () => wire.known.value.chain;
  const choose: Desk["choose"] = (path, how = {}) => {
    if (path !== chosen.value) turn.count += 1;
    chosen.set(path);
    if (path && how.node) canvas.current?.focus(path);
    if (path && how.form) setTimeout(() => toFirst(box.current));
  };
  return {
    wire,
    chosen,
    turn,
    choose,
    remove: (step) => {
      if (wire.readonly) return;
      if (!step.place) {
        wire.say("This step is in another chain; change it there.", true);
        return;
      }
      choose(null);
      wire.op({ do: "remove", place: step.place });
      box.current?.querySelector<HTMLElement>(".onb-canvas, .onb-outline button")?.focus();
    },
    copy: (step) => {
      const chain = now();
      const made = chain && !wire.readonly ? copyOf(chain, step) : null;
      if (made?.do === "add") wire.add(made.place, made.at, made.value);
    },
    shift: (step, by) => {
      const chain = now();
      const made = chain && !wire.readonly ? moved(chain, step, by) : null;
      if (made?.do === "move") wire.follow(wire.op(made), [...made.to, made.at]);
    },
    undo: (kind) => {
      if (!wire.readonly) wire.send(kind);
    },
  };
}

/** The first field of the form, or what there is to read. */
function toFirst(box: HTMLElement | null): void {
  const panel = box?.querySelector<HTMLElement>(".onb-panel");
  panel?.querySelector<HTMLElement>("[data-place], pre")?.focus();
}

/** The path of the chosen step. After an op it is the step that the op was about; a step with another name is known by its place. */
function useChosen(desk: Desk, chain: Chain | null, canvas: RefObject<Canvas | null>): string | null {
  const { wire, chosen, turn } = desk;
  const path = useStore(chosen, (one) => one);
  const last = useRef<Place | null>(null);
  const there = chain && stepOf(chain, path);
  const found =
    there ??
    (path !== null && last.current ? chain?.graph.nodes.find((one) => same(one.place, last.current)) : undefined);
  last.current = found?.place ?? null;
  useEffect(() => {
    if (!chain) return;
    const wanted = wire.followed(chain.n);
    const step = wanted && chain.graph.nodes.find((one) => same(one.place, wanted));
    if (step) {
      if (step.path !== chosen.value) turn.count += 1;
      chosen.set(step.path);
      canvas.current?.focus(step.path);
    } else chosen.set(stepOf(chain, chosen.value)?.path ?? found?.path ?? null);
  }, [wire, chain, chosen, turn, canvas, found]);
  return found?.path ?? null;
}

/** The innermost step that a problem is in. */
function closest(chain: Chain, problem: Problem): Step | undefined {
  const around = chain.graph.nodes.filter((one) => one.place && under(problem.place, one.place));
  around.sort((one, other) => (other.place?.length ?? 0) - (one.place?.length ?? 0));
  return around[0] ?? chain.graph.nodes.find((one) => one.path === problem.step || one.id === problem.step);
}

/** The field for the place, or the nearest that the form has. */
function toField(box: HTMLElement | null, place: Place): void {
  const all = [...(box?.querySelectorAll<HTMLElement>(".onb-panel [data-place]") ?? [])];
  for (let length = place.length; length > 0; length -= 1) {
    const wanted = JSON.stringify(place.slice(0, length));
    const field = all.find(
      (one) => one.dataset.place === wanted || one.dataset.place?.startsWith(`${wanted.slice(0, -1)},`),
    );
    const folded = field?.closest("details");
    if (folded) folded.open = true;
    if (field) {
      field.focus();
      return;
    }
  }
  toFirst(box);
}

function undoKeys(event: KeyboardEvent, desk: Desk): void {
  if (!(event.ctrlKey || event.metaKey)) return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  desk.undo(key === "y" || event.shiftKey ? "redo" : "undo");
}

const VIEWS: [View, string][] = [
  ["picture", "Picture"],
  ["outline", "List"],
  ["yaml", "YAML"],
];

function Bar({
  chain,
  running,
  view,
  show,
  ask,
  canvas,
}: {
  chain: Chain;
  running: boolean;
  view: View;
  show: (view: View) => void;
  ask: (what: "run" | "save" | null) => void;
  canvas: RefObject<Canvas | null>;
}): ReactNode {
  const { wire, undo } = useDesk();
  const wrong = chain.problems.length;
  const save = () => (chain.path ? wire.send("save", { name: chain.name, overwrite: true }) : ask("save"));
  return (
    <div className="onb-row onb-bar">
      <h3>
        {chain.name}
        <span className="onb-faint">
          {wire.readonly ? "" : chain.saved ? " saved" : " not saved"}
          {wrong ? ` · ${wrong} problem${wrong === 1 ? "" : "s"}` : ""}
        </span>
      </h3>
      <fieldset className="onb-views">
        <legend className="onb-unseen">View</legend>
        {VIEWS.map(([one, words]) => (
          <button type="button" className="onb-button" key={one} aria-pressed={view === one} onClick={() => show(one)}>
            {words}
          </button>
        ))}
      </fieldset>
      {view === "picture" && (
        <>
          <Button text="Arrange" act={() => canvas.current?.arrange()} title="every step where it was laid out" />
          <Button text="Fit" act={() => canvas.current?.fit()} title="the whole picture in sight" />
        </>
      )}
      {!wire.readonly && (
        <>
          <Button text="Undo" act={() => undo("undo")} off={!chain.undo} title="Ctrl+Z" />
          <Button text="Redo" act={() => undo("redo")} off={!chain.redo} title="Ctrl+Shift+Z" />
          <Button
            text="Check"
            act={() => wire.send("check")}
            title="against the models, roles and chains as they are now"
          />
          <Button text="Save" act={save} />
          <Button text="Save as …" act={() => ask("save")} />
          {running ? (
            <Button text="Stop" act={() => wire.send("stop")} />
          ) : (
            <Button
              text="Run …"
              act={() => ask("run")}
              off={wrong > 0}
              title={wrong ? "not before its problems are solved" : ""}
            />
          )}
        </>
      )}
    </div>
  );
}

function Button({
  text,
  act,
  off,
  title,
}: {
  text: string;
  act: () => void;
  off?: boolean;
  title?: string;
}): ReactNode {
  return (
    <button type="button" className="onb-button" onClick={act} disabled={off} title={title}>
      {text}
    </button>
  );
}

function Problems({ all, jump }: { all: Problem[]; jump: (problem: Problem) => void }): ReactNode {
  if (!all.length) return null;
  return (
    <section className="onb-problems" aria-label="Problems">
      <ul>
        {all.map((one, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two may say the same of one place
          <li key={index}>
            <button type="button" onClick={() => jump(one)}>
              <span className="onb-faint">
                line {one.line}
                {one.step ? `, ${one.step}` : ""}
                {one.key ? `, ${one.key}` : ""}:
              </span>{" "}
              {one.message}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
