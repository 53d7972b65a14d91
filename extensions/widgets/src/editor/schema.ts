/** What a form asks for, from the chain's JSON Schema. */
import { isMap } from "./places";
import type { Json } from "./wire";

export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  type?: string | string[];
  enum?: Json[];
  const?: Json;
  anyOf?: Schema[];
  items?: Schema;
  properties?: Record<string, Schema>;
  additionalProperties?: Schema | boolean;
  required?: string[];
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  description?: string;
  default?: Json;
}

export type Field = { key: string; hint: string } & (
  | { is: "text"; long: boolean }
  | { is: "number"; whole: boolean; least: number | undefined; most: number | undefined }
  | { is: "flag" }
  | { is: "choice"; of: string[] }
  | { is: "names" }
  | { is: "map"; of: Schema | null }
  | { is: "piece"; short: string; fields: Field[] }
  | { is: "any" }
);

const STRUCTURE = new Set(["steps", "parallel", "switch.cases", "switch.default"]);

export class Forms {
  constructor(private readonly all: Schema) {}

  get step(): Field[] {
    return this.fields(this.resolved(this.all.$defs?.StepPiece ?? this.all.properties?.steps?.items ?? {}));
  }

  /** The chain's own keys. */
  get head(): Field[] {
    return this.fields(this.all).filter((field) => field.key !== "version");
  }

  fields(schema: Schema, within = ""): Field[] {
    return Object.entries(schema.properties ?? {})
      .filter(([key]) => !STRUCTURE.has(within + key))
      .map(([key, one]) => this.field(key, one));
  }

  field(key: string, given: Schema): Field {
    const forms = this.forms(given);
    const hint = (given.description ?? forms.find((form) => form.description)?.description ?? "").replaceAll("`", "");
    const base = { key, hint };
    const piece = forms.find((form) => form.properties);
    const types = new Set(forms.flatMap((form) => form.type ?? []));
    const choice = forms.find((form) => form.enum);
    if (piece) return { ...base, is: "piece", ...this.piece(key, piece, forms.length > 1) };
    if (choice) return { ...base, is: "choice", of: (choice.enum ?? []).map(String) };
    if (types.has("array") && types.has("string") && !types.has("object") && isText(forms)) {
      return { ...base, is: "names" };
    }
    const [map] = forms.filter((form) => form.type === "object");
    if (map && !types.has("string")) {
      return { ...base, is: "map", of: typeof map.additionalProperties === "object" ? map.additionalProperties : null };
    }
    const number = forms.find((form) => form.type === "integer" || form.type === "number");
    if (number && !types.has("string")) {
      const least = number.minimum ?? number.exclusiveMinimum;
      return { ...base, is: "number", whole: number.type === "integer", least, most: number.maximum };
    }
    if (types.has("boolean") && types.size === 1) return { ...base, is: "flag" };
    if (types.has("string") && !types.has("object") && !types.has("array")) {
      return { ...base, is: "text", long: /^a template|sentences/.test(hint) };
    }
    return { ...base, is: "any" };
  }

  /** The short form, where there is one, stands for the key that is needed, or for the first. */
  private piece(key: string, piece: Schema, short: boolean): { short: string; fields: Field[] } {
    const first = piece.required?.[0] ?? Object.keys(piece.properties ?? {})[0] ?? "";
    return { short: short ? first : "", fields: this.fields(piece, `${key}.`) };
  }

  /** The forms that a value may have; null, which only says that it may be left out, is none. */
  private forms(schema: Schema): Schema[] {
    const one = this.resolved(schema);
    const all = one.anyOf ? one.anyOf.flatMap((form) => this.forms(form)) : [one];
    return all.filter((form) => form.type !== "null");
  }

  private resolved(schema: Schema): Schema {
    const name = schema.$ref?.split("/").at(-1);
    return name === undefined ? schema : (this.all.$defs?.[name] ?? {});
  }
}

function isText(forms: Schema[]): boolean {
  return forms.some((form) => form.type === "array" && form.items?.type === "string");
}

/** A value of any kind as text that a person can change; `read` is its way back. */
export function shown(value: Json | undefined): string {
  if (value === undefined) return "";
  if (typeof value === "string")
    return typeof read(value) === "string" && !value.startsWith('"') ? value : JSON.stringify(value);
  return JSON.stringify(value, null, Array.isArray(value) || isMap(value) ? 1 : 0);
}

/** Numbers, true, false, null, lists and objects are meant as such; all else is text, and so is what stands in quotes. */
export function read(text: string): Json {
  if (/^\s*(\[|\{(?![{%])|"|-?\d|true\s*$|false\s*$|null\s*$)/.test(text)) {
    try {
      return JSON.parse(text) as Json;
    } catch {
      return text;
    }
  }
  return text;
}

const ASK = ["prompt", "role", "persona", "system", "model", "fallback", "mode", "options", "schema", "samples"];
const OF_KIND: [key: string, fields: string[]][] = [
  ["steps", []],
  ["parallel", []],
  ["switch", ["switch"]],
  ["use", ["use", "with"]],
  ["python", ["python", "with"]],
  ["plan", ["plan"]],
  ["prompt", ASK],
  ["role", ASK],
];
const GROUPS: [title: string, fields: string[]][] = [
  ["Name and input", ["id", "input", "save"]],
  ["When and how often", ["when", "each", "repeat"]],
  ["Failures and limits", ["on_error", "retry", "timeout", "budget"]],
];

/** Which fields a step of this kind has, in groups. What is set is shown in any case: nothing is hidden. */
export function groups(fields: Field[], value: Json | undefined): { title: string; fields: Field[] }[] {
  const set = isMap(value) ? Object.keys(value) : [];
  const own = OF_KIND.find(([key]) => set.includes(key))?.[1] ?? ASK;
  const named = GROUPS.flatMap(([, keys]) => keys);
  const more = set.filter((key) => !named.includes(key) && !own.includes(key));
  const wanted: [string, string[]][] = [["What it does", [...own, ...more]], ...GROUPS];
  const pick = (keys: string[]) => keys.flatMap((key) => fields.find((field) => field.key === key) ?? []);
  return wanted.map(([title, keys]) => ({ title, fields: pick(keys) })).filter((group) => group.fields.length);
}

/** Keys by which a step is of its kind: emptied, not taken away. */
export const KEEPS = new Set(["prompt", "role", "use", "python", "plan", "on", "ask", "task"]);
