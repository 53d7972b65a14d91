/** The editor's side of the conversation with Python, which has the chain's text: what it sent last, and how to ask it for a change. */
import type { AnyModel } from "@anywidget/types";
import { GONE, whenGone } from "../lib/host";
import type { Place } from "./places";
import type { Schema } from "./schema";
import { Store } from "./store";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Leads = "data" | "goto" | "order";

export interface Step {
  path: string;
  place: Place | null;
  parent: string | null;
  id: string;
  kind: string;
  title: string;
  lines: string[];
  marks: string[];
  x: number;
  y: number;
  w: number;
  h: number;
  container: boolean;
  problems: number;
  slots: { label: string; place: Place }[];
}
export interface Graph {
  width: number;
  height: number;
  nodes: Step[];
  edges: { source: string; target: string; leads: Leads }[];
}
export interface Problem {
  line: number;
  column: number;
  step: string | null;
  key: string | null;
  place: Place | null;
  message: string;
}
export interface Chain {
  n: number;
  name: string;
  text: string;
  saved: boolean;
  path: string | null;
  undo: boolean;
  redo: boolean;
  value: Json;
  graph: Graph;
  problems: Problem[];
}
export interface Kind {
  kind: string;
  label: string;
  hint: string;
  template: Json;
}
export type Choices = Record<"models" | "roles" | "personas" | "chains" | "functions", string[]>;
export interface Terms {
  schema: Schema;
  kinds: Kind[];
  choices: Choices;
}
export interface State {
  state: "waiting" | "running" | "done" | "skipped" | "failed" | "stopped";
  done: number | null;
  total: number | null;
  text: string;
  cost_usd: number | null;
  seconds: number | null;
}
export type Op =
  | { do: "set"; place: Place; value: Json }
  | { do: "unset" | "remove"; place: Place }
  | { do: "add"; place: Place; at: number; value: Json }
  | { do: "move"; from: Place; to: Place; at: number }
  | { do: "rename"; place: Place; name: string }
  | { do: "connect" | "disconnect"; source: Place; target: Place }
  | { do: "text"; text: string };
type Message =
  | ({ kind: "schema" } & Terms)
  | ({ kind: "chain" } & Chain)
  | { kind: "live"; states: Record<string, State>; ended: boolean }
  | { kind: "exists"; name: string }
  | { kind: "said"; text: string; problem: boolean; n?: number | null };

/** What is shown of it all. A new object for each change. */
export interface Known {
  terms: Terms | null;
  chain: Chain | null;
  said: string;
  problem: boolean;
  exists: string | null;
  running: boolean;
  gone: boolean;
  refused: ReadonlyMap<number, string>;
}

const NOTHING: Known = {
  terms: null,
  chain: null,
  said: "",
  problem: false,
  exists: null,
  running: false,
  gone: false,
  refused: new Map(),
};

export class Wire {
  readonly known = new Store<Known>(NOTHING);
  /** By path. Apart from the rest: it changes ten times a second, and only the steps that it is about are drawn anew. */
  readonly live = new Store<Record<string, State>>({});
  readonly readonly: boolean;
  private n = 0;
  private readonly wanted = new Map<number, Place>();

  constructor(private readonly model: AnyModel) {
    this.readonly = model.get("readonly") === true;
  }

  /** Begins; gives the way to end. */
  listen(): () => void {
    const heard = (message: Message) => this.hear(message);
    this.model.on("msg:custom", heard);
    const deaf = whenGone(this.model, () => {
      this.change({ gone: true, running: false });
      this.say(GONE, true);
    });
    this.send("ready");
    return () => {
      deaf();
      this.model.off("msg:custom", heard);
    };
  }

  say(said: string, problem = false): void {
    this.change({ said, problem });
  }

  /** Asks for a change. The number under which it is answered, or null where nobody will. */
  op(op: Op): number | null {
    this.n += 1;
    return this.send("op", { n: this.n, op }) ? this.n : null;
  }

  /** Changes what stands at a place; undefined takes it away. */
  put(place: Place, value: Json | undefined): number | null {
    return this.op(value === undefined ? { do: "unset", place } : { do: "set", place, value });
  }

  add(place: Place, at: number, value: Json): void {
    this.follow(this.op({ do: "add", place, at, value }), [...place, at]);
  }

  /** When this op is answered, the step at this place is to be looked at. */
  follow(n: number | null, place: Place): void {
    if (n !== null) this.wanted.set(n, place);
  }

  /** The place that the newest answered op leads to. */
  followed(upTo: number): Place | null {
    let found: Place | null = null;
    for (const [n, place] of this.wanted) {
      if (n > upTo) continue;
      this.wanted.delete(n);
      if (!this.known.value.refused.has(n)) found = place;
    }
    return found;
  }

  send(kind: string, more: Record<string, unknown> = {}): boolean {
    if (this.known.value.gone) {
      this.say(GONE, true);
      return false;
    }
    this.model.send({ kind, ...more });
    return true;
  }

  forget(): void {
    this.change({ exists: null });
  }

  private change(more: Partial<Known>): void {
    this.known.set({ ...this.known.value, ...more });
  }

  private hear(message: Message): void {
    switch (message.kind) {
      case "schema":
        this.change({ terms: message });
        break;
      case "chain":
        if (this.known.value.chain && this.known.value.chain.text !== message.text) this.say(""); // it was of the text before
        this.n = Math.max(this.n, message.n); // the same chain in a second view: numbers go on from there
        this.change({ chain: { ...message, graph: told(message.graph) }, exists: null });
        break;
      case "live":
        this.live.set(kept(this.live.value, message.states));
        if (this.known.value.running === message.ended) this.change({ running: !message.ended });
        break;
      case "exists":
        this.change({ exists: message.name });
        break;
      case "said":
        if (message.problem && typeof message.n === "number") {
          this.change({ refused: new Map(this.known.value.refused).set(message.n, message.text) });
        }
        this.say(message.text, message.problem);
    }
  }
}

/** The new states; those that are as before are the same objects, and their steps are not drawn anew. */
function kept(old: Record<string, State>, states: Record<string, State>): Record<string, State> {
  const pairs = Object.entries(states).map(([path, state]) => {
    const before = old[path];
    return [path, before && JSON.stringify(before) === JSON.stringify(state) ? before : state] as const;
  });
  return Object.fromEntries(pairs);
}

/** Steps that are called alike, which is a problem that the chain may have for a while, are told from each other. */
function told(graph: Graph): Graph {
  const seen = new Map<string, number>();
  const nodes = graph.nodes.map((step) => {
    const number = (seen.get(step.path) ?? 0) + 1;
    seen.set(step.path, number);
    return number === 1 ? step : { ...step, path: `${step.path} (${number})` };
  });
  return { ...graph, nodes };
}
