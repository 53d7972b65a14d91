/** What can be chosen, and what a search finds: plain values. */

export interface Choice {
  ref: string;
  id: string;
  aliases: string[];
  context: number | null;
  price: [number, number] | null;
  can: string[];
  options: string[];
  efforts: string[];
  calls: number;
  latency_s: number | null;
  usd: number | null;
}

export interface Group {
  vendor: string;
  note: string;
  models: Choice[];
}

export interface Field {
  kind: "number" | "whole" | "text" | "effort" | "thinking";
  low: number | null;
  high: number | null;
  takes: string;
}

export interface Offer {
  groups: Group[];
  absent: { vendor: string; why: string }[];
  fields: Record<string, Field>;
}

export type Options = Record<string, Record<string, string>>;

/** The text in which a search looks: names, vendor, abilities. */
export function haystack(choice: Choice): string {
  return [choice.ref, ...choice.aliases, ...choice.can].join(" ").toLowerCase();
}

/** Whether every word of the search stands somewhere in it. */
export function matches(hay: string, search: string): boolean {
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word));
}

/** Adds it, or takes it away; the order is that of choosing. */
export function toggled(chosen: readonly string[], ref: string): string[] {
  return chosen.includes(ref) ? chosen.filter((one) => one !== ref) : [...chosen, ref];
}

/** With one option of one model changed; an empty value takes it away. */
export function withOption(options: Options, ref: string, name: string, value: string): Options {
  const { [name]: _, ...rest } = options[ref] ?? {};
  const own = value === "" ? rest : { ...rest, [name]: value };
  const { [ref]: __, ...others } = options;
  return Object.keys(own).length ? { ...others, [ref]: own } : others;
}
