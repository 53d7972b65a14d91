/** Beside the picture: the form of the step that is chosen, or of the chain. */
import { type ReactNode, useId, useMemo, useRef } from "react";
import { useDesk } from "./context";
import { type Around, FieldOf, Messages, type Put } from "./fields";
import { at, gaps, inList, isMap, lists, moved, type Place, same, stepOf, under } from "./places";
import { Forms, groups } from "./schema";
import { figures, progress, sign } from "./signs";
import { useStore } from "./store";
import type { Chain, Json, Step, Terms } from "./wire";
import { yaml } from "./yaml";

export function Panel({ chain, terms, path }: { chain: Chain; terms: Terms | null; path: string | null }): ReactNode {
  const { wire } = useDesk();
  const step = stepOf(chain, path);
  if (step) {
    const fixed = wire.readonly || !terms || step.place === null;
    return (
      <section className="onb-panel" aria-label={`Step ${step.title}`}>
        <Now path={step.path} />
        {fixed ? <Look chain={chain} step={step} /> : <StepForm chain={chain} terms={terms} step={step} />}
      </section>
    );
  }
  return (
    <section className="onb-panel" aria-label="The chain">
      {wire.readonly || !terms ? (
        <p className="onb-faint">Choose a step to see its YAML: by a click, or with the arrow keys.</p>
      ) : (
        <HeadForm chain={chain} terms={terms} />
      )}
    </section>
  );
}

/** What the step is doing, with its last words. */
function Now({ path }: { path: string }): ReactNode {
  const { wire } = useDesk();
  const state = useStore(wire.live, (states) => states[path]);
  if (!state) return null;
  return (
    <div className="onb-now" data-state={state.state}>
      <strong>
        {sign(state)} {progress(state)}
      </strong>{" "}
      {figures(state)}
      {state.text && <p className="onb-words">{state.text}</p>}
    </div>
  );
}

function Look({ chain, step }: { chain: Chain; step: Step }): ReactNode {
  const value = step.place ? at(chain.value, step.place) : undefined;
  return (
    <>
      <h3>{step.title}</h3>
      {value === undefined ? (
        <p className="onb-faint">
          This step is in another chain, or was proposed while the chain ran: it is not written here.
        </p>
      ) : (
        <pre className="onb-yaml-look" tabIndex={-1}>
          {yaml(value)}
        </pre>
      )}
      {chain.problems
        .filter((one) => under(one.place, step.place ?? [""]))
        .map((one) => (
          <p className="onb-problem" key={`${one.line}${one.message}`}>
            ⚠ {one.message}
          </p>
        ))}
    </>
  );
}

function StepForm({ chain, terms, step }: { chain: Chain; terms: Terms; step: Step }): ReactNode {
  const { wire } = useDesk();
  const forms = useMemo(() => new Forms(terms.schema), [terms]);
  const place = step.place as Place;
  const value = at(chain.value, place);
  const now = useRef(step.path);
  now.current = step.path;
  /** Where the step stands when something is sent, not when it was typed. */
  const stands = (): Place | null => {
    const found = wire.known.value.chain && stepOf(wire.known.value.chain, now.current)?.place;
    if (!found) wire.say("That step has gone; what was typed into it was not taken.", true);
    return found ?? null;
  };
  const put: Put = (below, given) => {
    const there = stands();
    return there && wire.put([...there, ...below], given);
  };
  const around: Around = {
    put,
    problems: chain.problems,
    base: place,
    choices: terms.choices,
    forms,
    rename: (name) => {
      const there = stands();
      return there && wire.op({ do: "rename", place: there, name });
    },
    later: later(chain, step),
  };
  const own = chain.problems.filter((one) => same(one.place, place) || (!isMap(value) && under(one.place, place)));
  return (
    <>
      <h3>
        {step.title} <span className="onb-faint">{step.kind}</span>
      </h3>
      <Acts chain={chain} step={step} />
      <Messages id="" texts={own.map((one) => one.message)} />
      {Array.isArray(value) ? (
        <p className="onb-faint">A branch of several steps; choose one of them.</p>
      ) : (
        groups(forms.step, value).map((group) => (
          <fieldset className="onb-group" key={group.title}>
            <legend>{group.title}</legend>
            {group.title === "Name and input" && <Wires chain={chain} step={step} />}
            {group.fields.map((field) => (
              <FieldOf
                key={field.key}
                field={field}
                value={isMap(value) ? value[field.key] : undefined}
                place={[field.key]}
                around={around}
              />
            ))}
          </fieldset>
        ))
      )}
      {isMap(value) && <Branches value={value} put={put} />}
    </>
  );
}

function HeadForm({ chain, terms }: { chain: Chain; terms: Terms }): ReactNode {
  const { wire } = useDesk();
  const forms = useMemo(() => new Forms(terms.schema), [terms]);
  const around: Around = {
    put: (place, given) => wire.put(place, given),
    problems: chain.problems,
    base: [],
    choices: terms.choices,
    forms,
    rename: null,
    later: [],
  };
  return (
    <>
      <h3>The chain</h3>
      <p className="onb-faint">Choose a step to change it.</p>
      {forms.head.map((field) => (
        <FieldOf
          key={field.key}
          field={field}
          value={at(chain.value, [field.key])}
          place={[field.key]}
          around={around}
        />
      ))}
    </>
  );
}

/** The steps to which a failure may lead: those below it in its list. */
function later(chain: Chain, step: Step): string[] {
  const here = inList(step.place);
  if (!here) return [];
  return chain.graph.nodes.flatMap((one) => {
    const there = inList(one.place);
    return there && same(there.list, here.list) && there.at > here.at ? [one.id] : [];
  });
}

function Acts({ chain, step }: { chain: Chain; step: Step }): ReactNode {
  const desk = useDesk();
  const id = useId();
  const [up, down] = [moved(chain, step, -1), moved(chain, step, 1)];
  const targets = lists(chain, step);
  return (
    <div className="onb-row">
      <button
        type="button"
        className="onb-button"
        disabled={!up}
        onClick={() => desk.shift(step, -1)}
        title="Alt+Up on the step"
      >
        Up
      </button>
      <button
        type="button"
        className="onb-button"
        disabled={!down}
        onClick={() => desk.shift(step, 1)}
        title="Alt+Down on the step"
      >
        Down
      </button>
      <button
        type="button"
        className="onb-button"
        disabled={!inList(step.place)}
        onClick={() => desk.copy(step)}
        title="Ctrl+D on the step"
      >
        Duplicate
      </button>
      <button type="button" className="onb-button" onClick={() => desk.remove(step)} title="Delete on the step">
        Delete
      </button>
      {targets.length > 0 && (
        <span className="onb-field">
          <label htmlFor={id} className="onb-unseen">
            Move {step.title} to
          </label>
          <select
            id={id}
            value=""
            onChange={(event) => {
              const to = targets[Number(event.target.value)];
              const list = to && at(chain.value, to.place);
              if (to && step.place)
                desk.wire.op({ do: "move", from: step.place, to: to.place, at: Array.isArray(list) ? list.length : 0 });
            }}
          >
            <option value="" disabled>
              Move to …
            </option>
            {targets.map((target, index) => (
              <option key={JSON.stringify(target.place)} value={index}>
                {target.label}
              </option>
            ))}
          </select>
        </span>
      )}
    </div>
  );
}

/** What the step gets its input from: the keyboard's way to draw an edge, or to take one away. */
function Wires({ chain, step }: { chain: Chain; step: Step }): ReactNode {
  const { wire } = useDesk();
  const id = useId();
  const comes = chain.graph.edges.filter((edge) => edge.target === step.path && edge.leads === "data");
  const sources = comes.flatMap((edge) => stepOf(chain, edge.source) ?? []);
  const others = chain.graph.nodes.filter(
    (one) => one.place && one.path !== step.path && !under(one.place, step.place ?? [""]),
  );
  return (
    <div className="onb-entry">
      {sources.map((source) => (
        <span className="onb-row" key={source.path}>
          from <strong>{source.title}</strong>
          {source.place && (
            <button
              type="button"
              className="onb-button"
              aria-label={`Disconnect from ${source.title}`}
              onClick={() =>
                source.place && step.place && wire.op({ do: "disconnect", source: source.place, target: step.place })
              }
            >
              Disconnect
            </button>
          )}
        </span>
      ))}
      <label htmlFor={id}>Connect from</label>
      <select
        id={id}
        value=""
        onChange={(event) => {
          const source = stepOf(chain, event.target.value);
          if (source?.place && step.place) wire.op({ do: "connect", source: source.place, target: step.place });
        }}
      >
        <option value="" disabled>
          Take the input from …
        </option>
        {others.map((one) => (
          <option key={one.path} value={one.path}>
            {one.path}
          </option>
        ))}
      </select>
    </div>
  );
}

/** The branches of a parallel or the cases of a switch: to add one, or to take one away. What is in them is changed at their own steps. */
function Branches({ value, put }: { value: { [key: string]: Json }; put: Put }): ReactNode {
  const name = useRef<HTMLInputElement>(null);
  const id = useId();
  const [place, title] = isMap(value.parallel) ? [["parallel"], "Branches"] : [["switch", "cases"], "Cases"];
  const all = at(value, place);
  if (!isMap(all)) return null;
  const add = () => {
    const key = name.current?.value.trim();
    if (!name.current || !key || Object.hasOwn(all, key)) return name.current?.focus();
    put([...place, key], { prompt: "What shall be asked here?" });
    name.current.value = "";
  };
  const otherwise = isMap(value.switch) && value.switch.default === undefined;
  return (
    <fieldset className="onb-group">
      <legend>{title}</legend>
      {Object.keys(all).map((key) => (
        <span className="onb-row" key={key}>
          <strong>{key}</strong>
          <button
            type="button"
            className="onb-button"
            aria-label={`Remove ${key}`}
            onClick={() => put([...place, key], undefined)}
          >
            Remove
          </button>
        </span>
      ))}
      <span className="onb-row">
        <label htmlFor={id} className="onb-unseen">
          New in {title}
        </label>
        <input id={id} ref={name} size={12} placeholder="name" onKeyDown={(event) => event.key === "Enter" && add()} />
        <button type="button" className="onb-button" onClick={add}>
          Add
        </button>
        {otherwise && (
          <button
            type="button"
            className="onb-button"
            onClick={() => put(["switch", "default"], { prompt: "What shall be asked otherwise?" })}
          >
            Add otherwise
          </button>
        )}
      </span>
    </fieldset>
  );
}

/** Adds a step of a kind at a place. */
export function Palette({ chain, terms, path }: { chain: Chain; terms: Terms; path: string | null }): ReactNode {
  const { wire } = useDesk();
  const id = useId();
  const where = useRef<HTMLSelectElement>(null);
  const all = gaps(chain, stepOf(chain, path));
  const add = (template: Json) => {
    const gap = all[Number(where.current?.value ?? 0)] ?? all.at(-1);
    if (gap) wire.add(gap.place, gap.at, template);
  };
  return (
    <fieldset className="onb-palette">
      <legend>Add a step</legend>
      <span className="onb-field">
        <label htmlFor={id}>Where</label>
        <select id={id} ref={where} key={path ?? ""}>
          {all.map((gap, index) => (
            <option key={gap.label} value={index}>
              {gap.label}
            </option>
          ))}
        </select>
      </span>
      {terms.kinds.map((kind) => (
        <button
          type="button"
          className="onb-button"
          key={kind.kind}
          title={kind.hint}
          onClick={() => add(kind.template)}
        >
          {kind.label}
        </button>
      ))}
    </fieldset>
  );
}
