/** One field of a form, for each kind of value that the schema knows. */
import { type KeyboardEvent, type ReactNode, useId, useState } from "react";
import { useDraft } from "./draft";
import { isMap, type Place, same, under } from "./places";
import { type Field, type Forms, KEEPS, read, type Schema, shown } from "./schema";
import type { Choices, Json, Problem } from "./wire";

/** Changes what stands at a place, from where the form stands; undefined takes it away. */
export type Put = (place: Place, value: Json | undefined) => number | null;

export interface Around {
  put: Put;
  problems: Problem[];
  /** Where the form itself stands. */
  base: Place;
  choices: Choices;
  forms: Forms;
  rename: ((name: string) => number | null) | null;
  later: string[];
}

interface Given {
  field: Field;
  value: Json | undefined;
  place: Place;
  around: Around;
}

const OFFERS: Record<string, keyof Choices> = {
  model: "models",
  fallback: "models",
  allow: "models",
  role: "roles",
  persona: "personas",
  use: "chains",
  python: "functions",
};
const WORDS: Record<string, string> = {
  id: "Name",
  on_error: "On error",
  wait_s: "Wait (s)",
  max: "Most turns",
  timeout: "Timeout (s)",
  budget: "Budget (USD)",
  max_cost: "Most cost (USD)",
  schema: "Structure of the answer",
};

export function label(key: string): string {
  return WORDS[key] ?? `${key.charAt(0).toUpperCase()}${key.slice(1).replaceAll("_", " ")}`;
}

export function FieldOf(given: Given): ReactNode {
  const { field, value, place, around } = given;
  if (field.key === "on_error") return <OnError {...given} />;
  if (field.key === "id" && around.rename) return <Name {...given} rename={around.rename} />;
  if (misfit(field, value)) return <Line {...given} text={shown(value)} read={anything} />;
  switch (field.is) {
    case "flag":
      return <Flag {...given} />;
    case "choice":
      return <Choice {...given} options={field.of} />;
    case "names":
      return <Names {...given} />;
    case "map":
      return <MapOf {...given} of={field.of} />;
    case "piece":
      return <Piece {...given} short={field.short} fields={field.fields} />;
    case "number":
      return <Line {...given} text={shown(value)} read={number} mode={field.whole ? "numeric" : "decimal"} />;
    case "text": {
      const empty = KEEPS.has(field.key) && value !== undefined ? "" : undefined;
      return <Line {...given} text={typeof value === "string" ? value : shown(value)} read={(text) => text || empty} />;
    }
    default:
      if (field.key === "outputs" && Array.isArray(value)) return <Names {...given} />;
      if (field.key === "outputs") return <MapOf {...given} of={null} />;
      return <Line {...given} text={shown(value)} read={anything} place={place} long />;
  }
}

/** A value that the field cannot show: it stands there as it is, so that nothing is hidden. */
function misfit(field: Field, value: Json | undefined): boolean {
  if (value === undefined || value === null) return false;
  if (field.is === "flag") return typeof value !== "boolean";
  return (field.is === "map" || (field.is === "piece" && !field.short)) && !isMap(value);
}

function number(text: string): Json | undefined {
  const trimmed = text.trim();
  if (!trimmed) return undefined;
  return Number.isFinite(Number(trimmed)) ? Number(trimmed) : trimmed; // what is no number, the schema says
}

function anything(text: string): Json | undefined {
  return text ? read(text) : undefined;
}

function complaints({ problems, base }: Around, place: Place, deep: boolean): string[] {
  const whole = [...base, ...place];
  return problems.filter((one) => (deep ? under(one.place, whole) : same(one.place, whole))).map((one) => one.message);
}

export function Messages({ id, texts }: { id: string; texts: string[] }): ReactNode {
  if (!texts.length) return null;
  return (
    <span id={id} className="onb-problem onb-beside" role="alert">
      {texts.map((text) => `⚠ ${text}`).join("\n")}
    </span>
  );
}

/** One text: a line, or several. */
function Line({
  field,
  place,
  around,
  text,
  read,
  mode,
  long,
  title,
  hideLabel,
}: Given & {
  text: string;
  read: (text: string) => Json | undefined;
  mode?: "numeric" | "decimal";
  long?: boolean;
  title?: string;
  hideLabel?: boolean;
}): ReactNode {
  const [id, list, note, wrong] = [useId(), useId(), useId(), useId()];
  const draft = useDraft(text, (typed) => around.put(place, read(typed)));
  const offers =
    around.choices[OFFERS[field.key] ?? ("" as keyof Choices)] ?? (field.key === "goto" ? around.later : []);
  const texts = [...complaints(around, place, true), ...(draft.refusal ? [draft.refusal] : [])];
  const shared = {
    id,
    value: draft.text,
    spellCheck: false,
    autoComplete: "off",
    "data-place": JSON.stringify(place),
    "aria-invalid": texts.length > 0,
    "aria-describedby": `${note} ${wrong}`,
    onBlur: draft.flush,
    onKeyDown: (event: KeyboardEvent) => keys(event, draft),
  };
  const several = long ?? (field.is === "text" && field.long);
  return (
    <div className="onb-entry">
      <label htmlFor={id} className={hideLabel ? "onb-unseen" : undefined}>
        {title ?? label(field.key)}
      </label>
      {several ? (
        <textarea
          {...shared}
          rows={Math.min(
            12,
            Math.max(
              field.key === "prompt" || field.key === "task" ? 4 : field.is === "text" ? 2 : 1,
              draft.text.split("\n").length,
            ),
          )}
          onChange={(event) => draft.type(event.target.value)}
        />
      ) : (
        <input
          {...shared}
          list={offers.length ? list : undefined}
          inputMode={mode}
          onChange={(event) => draft.type(event.target.value)}
        />
      )}
      {offers.length > 0 && (
        <datalist id={list}>
          {offers.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
      )}
      <Messages id={wrong} texts={texts} />
      {!hideLabel && <Hint id={note} text={field.hint} />}
    </div>
  );
}

function Hint({ id, text }: { id: string; text: string }): ReactNode {
  return text ? (
    <span id={id} className="onb-hint onb-faint">
      {text}
    </span>
  ) : null;
}

/** Escape takes back what was typed and not taken; Ctrl+Z is the field's own while there is such. */
function keys(event: KeyboardEvent, draft: { revert: () => void; pending: () => boolean }): void {
  const undoes = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
  if (undoes && draft.pending()) event.stopPropagation();
  if (event.key === "Escape" && draft.pending()) {
    draft.revert();
    event.stopPropagation();
  }
}

/** Its references follow it, so it is sent as a whole: when the field is left, or on Enter. */
function Name({ field, value, place, around, rename }: Given & { rename: (name: string) => number | null }): ReactNode {
  const [id, note, wrong] = [useId(), useId(), useId()];
  const draft = useDraft(shown(value), (text) => rename(text.trim()), false);
  const texts = [...complaints(around, place, true), ...(draft.refusal ? [draft.refusal] : [])];
  return (
    <div className="onb-entry">
      <label htmlFor={id}>{label(field.key)}</label>
      <input
        id={id}
        value={draft.text}
        spellCheck={false}
        autoComplete="off"
        data-place={JSON.stringify(place)}
        aria-invalid={texts.length > 0}
        aria-describedby={`${note} ${wrong}`}
        onChange={(event) => draft.type(event.target.value)}
        onBlur={draft.flush}
        onKeyDown={(event) => {
          if (event.key === "Enter") draft.flush();
          keys(event, draft);
        }}
      />
      <Messages id={wrong} texts={texts} />
      <Hint id={note} text="what names it in templates follows" />
    </div>
  );
}

function Flag({ field, value, place, around }: Given): ReactNode {
  const [id, note, wrong] = [useId(), useId(), useId()];
  return (
    <div className="onb-entry">
      <span className="onb-tick">
        <input
          id={id}
          type="checkbox"
          checked={value === true}
          data-place={JSON.stringify(place)}
          aria-describedby={`${note} ${wrong}`}
          onChange={(event) => around.put(place, event.target.checked || undefined)}
        />
        <label htmlFor={id}>{label(field.key)}</label>
      </span>
      <Messages id={wrong} texts={complaints(around, place, true)} />
      <Hint id={note} text={field.hint} />
    </div>
  );
}

function Choice({ field, value, place, around, options }: Given & { options: string[] }): ReactNode {
  const [id, note, wrong] = [useId(), useId(), useId()];
  const now = value === undefined ? "" : shown(value);
  const all = now && !options.includes(now) ? [now, ...options] : options;
  return (
    <div className="onb-entry">
      <label htmlFor={id}>{label(field.key)}</label>
      <select
        id={id}
        value={now}
        data-place={JSON.stringify(place)}
        aria-describedby={`${note} ${wrong}`}
        onChange={(event) => around.put(place, event.target.value || undefined)}
      >
        <option value="">–</option>
        {all.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
      <Messages id={wrong} texts={complaints(around, place, true)} />
      <Hint id={note} text={field.hint} />
    </div>
  );
}

/** One text or a list of texts: a line for each, and an empty one for the next. */
function Names({ field, value, place, around }: Given): ReactNode {
  const [name, note, wrong] = [useId(), useId(), useId()];
  const all = Array.isArray(value) ? value.map(shown) : value === undefined ? [] : [shown(value)];
  const set = (index: number, text: string) => {
    const next = all.slice();
    if (text.trim()) next[index] = text.trim();
    else next.splice(index, 1);
    const one = next.length === 1 && !Array.isArray(value) ? next[0] : undefined;
    return around.put(place, next.length ? (one ?? next) : undefined);
  };
  const plain: Field = { key: field.key, hint: "", is: "text", long: false };
  const silent = { ...around, problems: [] };
  return (
    <fieldset className="onb-entry onb-names" aria-describedby={`${note} ${wrong}`}>
      <legend id={name}>{label(field.key)}</legend>
      {[...all, ""].map((text, index) => (
        <Line
          // biome-ignore lint/suspicious/noArrayIndexKey: a line is known by its place
          key={index}
          field={plain}
          value={text}
          place={place}
          around={{ ...silent, put: (_, typed) => set(index, typeof typed === "string" ? typed : "") }}
          text={text}
          read={(typed) => typed}
          title={index < all.length ? `${label(field.key)} ${index + 1}` : `add to ${label(field.key)}`}
          hideLabel
        />
      ))}
      <Messages id={wrong} texts={complaints(around, place, true)} />
      <Hint id={note} text={field.hint} />
    </fieldset>
  );
}

/** Values by names that the person gives. */
function MapOf({ field, value, place, around, of }: Given & { of: Schema | null }): ReactNode {
  const [next, setNext] = useState("");
  const [id, note, wrong] = [useId(), useId(), useId()];
  const all = isMap(value) ? Object.entries(value) : [];
  const add = () => {
    const key = next.trim();
    if (!key || all.some(([known]) => known === key)) return;
    const first: Json = of ? "text" : "";
    around.put(isMap(value) ? [...place, key] : place, isMap(value) ? first : { [key]: first });
    setNext("");
  };
  return (
    <fieldset className="onb-entry" aria-describedby={`${note} ${wrong}`}>
      <legend>{label(field.key)}</legend>
      {all.map(([key, one]) => {
        const inner = of ? around.forms.field(key, of) : ({ key, hint: "", is: "any" } satisfies Field);
        return (
          <div className="onb-pair" key={key}>
            <FieldOf
              field={{ ...inner, key, hint: "" }}
              value={one}
              place={[...place, key]}
              around={{ ...around, rename: null }}
            />
            <button
              type="button"
              className="onb-button"
              aria-label={`Remove ${key}`}
              onClick={() => around.put(all.length > 1 ? [...place, key] : place, undefined)}
            >
              ✕
            </button>
          </div>
        );
      })}
      <div className="onb-row">
        <label htmlFor={id} className="onb-unseen">
          New name in {label(field.key)}
        </label>
        <input
          id={id}
          value={next}
          placeholder="name"
          size={12}
          onChange={(event) => setNext(event.target.value)}
          onKeyDown={(event) => event.key === "Enter" && add()}
        />
        <button type="button" className="onb-button" onClick={add}>
          Add
        </button>
      </div>
      <Messages id={wrong} texts={complaints(around, place, false)} />
      <Hint id={note} text={field.hint} />
    </fieldset>
  );
}

/** A value with fields of its own. Where it has a short form (`retry: 2`), that is kept as long as it says all. */
function Piece({ field, value, place, around, short, fields }: Given & { short: string; fields: Field[] }): ReactNode {
  const [note, wrong] = [useId(), useId()];
  const inner = (key: string) => (isMap(value) ? value[key] : key === short ? value : undefined);
  const put: Put = (where, given) => {
    const [key, ...deeper] = where.slice(place.length);
    if (typeof key !== "string") return around.put(where, given);
    if (isMap(value)) {
      const last = given === undefined && !deeper.length && Object.keys(value).every((one) => one === key);
      return around.put(last ? place : where, given);
    }
    if (key === short && !deeper.length) return around.put(place, given);
    if (given === undefined) return null;
    const nested = deeper.reduceRight<Json>((made, part) => ({ [part]: made }), given);
    return around.put(place, { ...(value === undefined ? {} : { [short]: value }), [key]: nested });
  };
  return (
    <details className="onb-entry onb-piece" open={value !== undefined || undefined}>
      <summary>{label(field.key)}</summary>
      <Hint id={note} text={field.hint} />
      <Messages id={wrong} texts={complaints(around, place, false)} />
      {fields.map((one) => (
        <FieldOf
          key={one.key}
          field={one}
          value={inner(one.key)}
          place={[...place, one.key]}
          around={{ ...around, put }}
        />
      ))}
    </details>
  );
}

const AFTER = ["fail", "skip", "default", "goto"] as const;

/** One of four, of which two have a value. */
function OnError({ field, value, place, around }: Given): ReactNode {
  const [id, wrong] = [useId(), useId()];
  const of = isMap(value) ? (AFTER.find((one) => one in value) ?? shown(value.act)) : shown(value);
  const change = (to: string) => {
    if (to === "default") around.put(place, { default: "" });
    else if (to === "goto") around.put(place, { goto: around.later[0] ?? "" });
    else around.put(place, to || undefined);
  };
  const more = { field: { key: of, hint: "", is: "any" } satisfies Field, place: [...place, of], around };
  return (
    <div className="onb-entry">
      <label htmlFor={id}>{label(field.key)}</label>
      <select id={id} value={of} data-place={JSON.stringify(place)} onChange={(event) => change(event.target.value)}>
        <option value="">as in defaults, else fail</option>
        <option value="fail">fail: end the chain</option>
        <option value="skip">skip: leave null</option>
        <option value="default">default: leave this value</option>
        <option value="goto">goto: go on at a later step</option>
      </select>
      {isMap(value) && of === "default" && (
        <Line {...more} value={value.default} text={shown(value.default)} read={(text) => read(text)} />
      )}
      {isMap(value) && of === "goto" && (
        <Line {...more} value={value.goto} text={shown(value.goto)} read={(text) => text} title="Go to" />
      )}
      <Messages id={wrong} texts={complaints(around, place, !isMap(value))} />
    </div>
  );
}
