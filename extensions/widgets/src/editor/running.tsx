/** Save under a name, and run with inputs. */
import { type FormEvent, type ReactNode, useId } from "react";
import { useDesk } from "./context";
import { at, isMap } from "./places";
import { shown } from "./schema";
import type { Chain, Json } from "./wire";

interface Input {
  name: string;
  type: string;
  hint: string;
  given: string;
  needed: boolean;
}

function inputs(value: Json): Input[] {
  const all = at(value, ["inputs"]);
  if (!isMap(all))
    return [{ name: "input", type: "text", hint: "only if the first step takes one", given: "", needed: false }];
  return Object.entries(all).map(([name, one]) => {
    const long = isMap(one) ? one : { type: one };
    return {
      name,
      type: typeof long.type === "string" ? long.type : "text",
      hint: typeof long.description === "string" ? long.description : "",
      given: shown(long.default),
      needed: long.default === undefined,
    };
  });
}

function entered(event: FormEvent<HTMLFormElement>): Record<string, string> {
  event.preventDefault();
  const found: Record<string, string> = {};
  for (const [name, text] of new FormData(event.currentTarget))
    if (typeof text === "string" && text) found[name] = text;
  return found;
}

export function RunForm({ chain, close }: { chain: Chain; close: () => void }): ReactNode {
  const { wire } = useDesk();
  const id = useId();
  const run = (event: FormEvent<HTMLFormElement>) => {
    const given = entered(event);
    wire.live.set({});
    wire.say("…");
    if (wire.send("run", { inputs: given })) close();
  };
  return (
    <form className="onb-ask" aria-label="Run with these inputs" onSubmit={run}>
      {inputs(chain.value).map((one) => (
        <div className="onb-entry" key={one.name}>
          <label htmlFor={`${id}${one.name}`}>
            {one.name} <span className="onb-faint">{one.type}</span>
          </label>
          <textarea id={`${id}${one.name}`} name={one.name} rows={2} placeholder={one.given} required={one.needed} />
          {one.hint && <span className="onb-hint onb-faint">{one.hint}</span>}
        </div>
      ))}
      <div className="onb-row">
        <button type="submit" className="onb-button">
          Run now
        </button>
        <button type="button" className="onb-button" onClick={close}>
          Cancel
        </button>
      </div>
    </form>
  );
}

export function SaveForm({ chain, close }: { chain: Chain; close: () => void }): ReactNode {
  const { wire } = useDesk();
  const id = useId();
  return (
    <form
      className="onb-ask onb-row"
      aria-label="Save under a name"
      onSubmit={(event) => {
        const { name } = entered(event);
        if (name && wire.send("save", { name: name.trim(), overwrite: false })) close();
      }}
    >
      <label htmlFor={id}>Name</label>
      <input id={id} name="name" defaultValue={chain.name} required autoComplete="off" spellCheck={false} />
      <button type="submit" className="onb-button">
        Save under this name
      </button>
      <button type="button" className="onb-button" onClick={close}>
        Cancel
      </button>
    </form>
  );
}

/** There is another chain of that name. */
export function Exists({ name }: { name: string }): ReactNode {
  const { wire } = useDesk();
  return (
    <div className="onb-ask onb-row" role="alert">
      <span>There is another chain called {name}.</span>
      <button
        type="button"
        className="onb-button"
        onClick={() => wire.send("save", { name, overwrite: true }) && wire.forget()}
      >
        Replace it
      </button>
      <button type="button" className="onb-button" onClick={() => wire.forget()}>
        Keep it
      </button>
    </div>
  );
}
