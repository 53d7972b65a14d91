/** What is known of a run, in plain lists, and in which order its rows are shown. Nothing here touches the page. */

export interface Mark {
  best: boolean;
  rating: number | null;
  thumbs: "up" | "down" | null;
  note: string | null;
}
/** What is to be changed; `false`, 0 and "" take away. */
export type Change = { best?: boolean; rating?: number; thumbs?: "up" | "down" | ""; note?: string };
export interface Totals {
  t: number;
  /** How many calls ended how. */
  ended: Record<string, number>;
  money: Record<string, number>;
  over: boolean;
}
export interface GridMessage extends Totals {
  kind: "grid";
  columns: string[];
  rows: string[];
  at: number[];
  names: string[];
  s: (number | null)[];
  budget: number | null;
  stoppable: boolean;
  /** Whether the static result stands beside it and is to be seen once the run has ended. */
  folds: boolean;
}
export interface TickMessage extends Totals {
  kind: "tick";
  names?: string[];
  s: (number | null)[];
  x: (number | string)[];
  r: (number | string)[];
}
export interface Cell {
  row: number;
  column: number;
  state: string;
  /** Seconds since the run began at which it did, or once it has ended, that it took. */
  time: number | null;
  usd: number | null;
  first: number | null;
}
export type Order = "prompt" | "time" | "cost" | "state" | "rating";
export type Only = "all" | "running" | "queued" | "answered" | "failed" | "rated";

const STEPS = ["queued", "asked", "thinking", "answering"];
const FAILED = ["failed", "cancelled", "skipped", "over budget"];

/** Which of a few kinds a state is of. */
export function kind(state: string): "queued" | "running" | "answered" | "failed" {
  if (state === "queued") return "queued";
  if (FAILED.includes(state)) return "failed";
  return STEPS.includes(state) || /^(waiting|retrying)/.test(state) ? "running" : "answered";
}

export const over = (state: string) => ["answered", "failed"].includes(kind(state));

const NO_MARK: Mark = { best: false, rating: null, thumbs: null, note: null };

export class Data {
  columns: string[] = [];
  rows: string[] = [];
  cells: Cell[] = [];
  totals: Totals = { t: 0, ended: {}, money: {}, over: false };
  budget: number | null = null;
  /** By row and column, the place of the call that stands there. */
  private places = new Map<number, number>();
  private names: string[] = [];
  readonly marks = new Map<number, Mark>();
  /** What is seen of the texts of the cells that are watched. */
  readonly texts = new Map<number, string>();

  begin(message: GridMessage): void {
    this.columns = message.columns;
    this.rows = message.rows;
    this.names = message.names;
    this.budget = message.budget;
    this.places.clear();
    this.cells = [];
    for (let place = 0; place * 2 < message.at.length; place += 1) {
      const [row = 0, column = 0] = message.at.slice(place * 2, place * 2 + 2);
      this.cells.push({ row, column, state: "queued", time: null, usd: null, first: null });
      this.places.set(row * this.columns.length + column, place);
    }
    this.enter(message.s);
    this.totals = message;
  }

  /** Takes what is new; gives the places that changed. */
  tick(message: TickMessage): number[] {
    if (message.names) this.names = message.names;
    this.totals = message;
    return this.enter(message.s);
  }

  private enter(states: (number | null)[]): number[] {
    const changed: number[] = [];
    for (let at = 0; at + 4 < states.length; at += 5) {
      const place = states[at] ?? -1;
      const cell = this.cells[place];
      if (!cell) continue;
      cell.state = this.names[states[at + 1] ?? -1] ?? "";
      cell.time = states[at + 2] ?? null;
      cell.usd = states[at + 3] ?? null;
      cell.first = states[at + 4] ?? null;
      changed.push(place);
    }
    return changed;
  }

  place(row: number, column: number): number | undefined {
    return this.places.get(row * this.columns.length + column);
  }

  cellAt(row: number, column: number): Cell | undefined {
    const place = this.place(row, column);
    return place === undefined ? undefined : this.cells[place];
  }

  mark(place: number): Mark {
    return this.marks.get(place) ?? NO_MARK;
  }

  /** Rows in the order wanted, without those that do not fit; a row fits when one of its cells does. */
  order(by: Order, column: number, only: Only, found: Set<number> | null): number[] {
    const rows = this.rows.map((_, row) => row).filter((row) => this.fits(row, only, found));
    if (by === "prompt") return rows;
    const value = new Map(rows.map((row) => [row, this.value(row, column, by)]));
    const of = (row: number) => value.get(row) ?? Number.POSITIVE_INFINITY;
    return rows.sort((a, b) => (of(a) === of(b) ? a - b : of(a) - of(b)));
  }

  private fits(row: number, only: Only, found: Set<number> | null): boolean {
    if (only === "all" && !found) return true;
    return this.columns.some((_, column) => {
      const place = this.place(row, column);
      const cell = place === undefined ? undefined : this.cells[place];
      if (place === undefined || !cell || (found && !found.has(place))) return false;
      return only === "all" || (only === "rated" ? this.rated(place) : kind(cell.state) === only);
    });
  }

  private rated(place: number): boolean {
    const { best, rating, thumbs, note } = this.mark(place);
    return Boolean(best || rating || thumbs || note);
  }

  /** Small is first: the quickest, the cheapest, failures before answers, the best rated. What is not known is last. */
  private value(row: number, column: number, by: Order): number {
    const place = this.place(row, column);
    const cell = place === undefined ? undefined : this.cells[place];
    const last = Number.POSITIVE_INFINITY;
    if (place === undefined || !cell) return last;
    if (by === "time") return over(cell.state) ? (cell.time ?? last) : last;
    if (by === "cost") return cell.usd ?? last;
    if (by === "state") return ["failed", "running", "answered", "queued"].indexOf(kind(cell.state));
    const { best, rating, thumbs } = this.mark(place);
    const thumb = thumbs === "up" ? 0.5 : thumbs === "down" ? -0.5 : 0;
    return best || rating || thumbs ? -((best ? 10 : 0) + (rating ?? 0) + thumb) : last;
  }
}
