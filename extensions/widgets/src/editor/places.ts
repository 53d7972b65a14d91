/** Places in the chain's plain value, and what stands at them. */
import type { Chain, Json, Op, Step } from "./wire";

export type Place = (string | number)[];

export function at(value: Json | undefined, place: Place): Json | undefined {
  let now = value;
  for (const key of place) {
    if (Array.isArray(now)) now = typeof key === "number" ? now[key] : undefined;
    else if (isMap(now) && Object.hasOwn(now, key)) now = now[key];
    else return undefined;
  }
  return now;
}

export function isMap(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function under(place: Place | null, above: Place): boolean {
  return place !== null && place.length >= above.length && above.every((key, index) => key === place[index]);
}

export function same(one: Place | null | undefined, other: Place | null | undefined): boolean {
  return !!one && !!other && one.length === other.length && under(one, other);
}

/** The list that the place is in, and where in it; null for a branch or a case, which has a name instead. */
export function inList(place: Place | null): { list: Place; at: number } | null {
  const last = place?.at(-1);
  return place && typeof last === "number" ? { list: place.slice(0, -1), at: last } : null;
}

/** What a step is in its parent: a case, or a branch. */
export function role(place: Place | null): string {
  const [above, last] = [place?.at(-2), place?.at(-1)];
  if (above === "cases") return `if ${last}`;
  if (above === "switch" && last === "default") return "otherwise";
  return above === "parallel" ? `branch ${last}` : "";
}

export function stepOf(chain: Chain, path: string | null): Step | undefined {
  return path === null ? undefined : chain.graph.nodes.find((node) => node.path === path);
}

/** Where steps can be added: what to say of it, and the op's place. */
export interface Gap {
  label: string;
  place: Place;
  at: number;
}

export function gaps(chain: Chain, step: Step | undefined): Gap[] {
  const found: Gap[] = [];
  const here = inList(step?.place ?? null);
  if (step && here) {
    found.push({ label: `after ${step.title}`, place: here.list, at: here.at + 1 });
    found.push({ label: `before ${step.title}`, place: here.list, at: here.at });
  }
  for (const slot of step?.slots ?? []) found.push({ label: `into ${slot.label}`, ...end(chain, slot.place) });
  found.push({ label: "at the end of the chain", ...end(chain, ["steps"]) });
  return found;
}

function end(chain: Chain, place: Place): { place: Place; at: number } {
  const list = at(chain.value, place);
  return { place, at: Array.isArray(list) ? list.length : isMap(list) ? 1 : 0 }; // a branch of one step becomes a list
}

/** Every list in which steps stand, to move one there; not those inside itself. */
export function lists(chain: Chain, step: Step): { label: string; place: Place }[] {
  const own = inList(step.place);
  const all = [
    { label: "the chain", place: ["steps"] as Place },
    ...chain.graph.nodes.flatMap((node) => node.slots.map((slot) => ({ ...slot, of: node.path }))),
  ];
  return all.filter((one) => !same(one.place, own?.list) && !(step.place && under(one.place, step.place)));
}

/** The same step once more, below itself. */
export function copyOf(chain: Chain, step: Step): Op | null {
  const here = inList(step.place);
  const value = step.place && at(chain.value, step.place);
  if (!here || !isMap(value)) return null;
  const copy: { [key: string]: Json } = { ...structuredClone(value), id: free(chain, step.id) };
  delete copy.save; // a name means one thing
  return { do: "add", place: here.list, at: here.at + 1, value: copy };
}

function free(chain: Chain, name: string): string {
  const taken = new Set(chain.graph.nodes.map((node) => node.id));
  for (let number = 2; ; number += 1) if (!taken.has(`${name}_${number}`)) return `${name}_${number}`;
}

/** Up or down in its own list; null where it is the first or the last. */
export function moved(chain: Chain, step: Step, by: 1 | -1): Op | null {
  const here = inList(step.place);
  const list = here && at(chain.value, here.list);
  if (!here || !step.place || !Array.isArray(list)) return null;
  const to = here.at + by;
  return to < 0 || to >= list.length ? null : { do: "move", from: step.place, to: here.list, at: to };
}
