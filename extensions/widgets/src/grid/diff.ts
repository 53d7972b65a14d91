/** What two texts have in common, word by word (E. Myers, An O(ND) Difference Algorithm, 1986), with an end to how long it may take. */

export interface Piece {
  kind: "same" | "gone" | "new";
  text: string;
}

/** Words of each text that are compared; the rest is left out, and said. */
export const MOST_WORDS = 6000;
/** Differences that are looked for one by one; beyond that the middle counts as all different. */
const MOST_STEPS = 1000;

export function words(text: string): string[] {
  return text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];
}

export function diff(before: string, after: string): { pieces: Piece[]; cut: boolean } {
  const [a, b] = [words(before), words(after)];
  const cut = a.length > MOST_WORDS || b.length > MOST_WORDS;
  return { pieces: joined(compared(a.slice(0, MOST_WORDS), b.slice(0, MOST_WORDS))), cut };
}

function compared(a: string[], b: string[]): Piece[] {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  const middle = between(a.slice(start, a.length - end), b.slice(start, b.length - end));
  return [...same(a.slice(0, start)), ...middle, ...same(a.slice(a.length - end))];
}

function same(list: string[]): Piece[] {
  return list.map((text) => ({ kind: "same", text }));
}

function replaced(a: string[], b: string[]): Piece[] {
  return [...a.map((text) => ({ kind: "gone" as const, text })), ...b.map((text) => ({ kind: "new" as const, text }))];
}

function between(a: string[], b: string[]): Piece[] {
  if (!a.length || !b.length) return replaced(a, b);
  const most = Math.min(a.length + b.length, MOST_STEPS);
  const middle = most + 1;
  const furthest = new Int32Array(2 * most + 3).fill(-1);
  furthest[middle + 1] = 0;
  const trace: Front[] = [];
  for (let steps = 0; steps <= most; steps += 1) {
    const from = middle - steps - 1;
    trace.push({ from: from - middle, reached: furthest.slice(from, middle + steps + 2) });
    for (let k = -steps; k <= steps; k += 2) {
      const down = isDown(k, steps, (other) => furthest[middle + other] ?? -1);
      let x = (furthest[middle + (down ? k + 1 : k - 1)] ?? -1) + (down ? 0 : 1);
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) {
        x += 1;
        y += 1;
      }
      furthest[middle + k] = x;
      if (x >= a.length && y >= b.length) return walked(a, b, trace);
    }
  }
  return replaced(a, b);
}

/** How far each diagonal had been followed before a step. */
interface Front {
  from: number;
  reached: Int32Array;
}

/** Whether diagonal `k` is entered by a word that is new, and not by one that is gone. */
function isDown(k: number, steps: number, reached: (k: number) => number): boolean {
  return k === -steps || (k !== steps && reached(k - 1) < reached(k + 1));
}

function walked(a: string[], b: string[], trace: Front[]): Piece[] {
  const pieces: Piece[] = [];
  let [x, y] = [a.length, b.length];
  for (let steps = trace.length - 1; steps >= 0; steps -= 1) {
    const front = trace[steps];
    const reached = (k: number) => front?.reached[k - front.from] ?? -1;
    const k = x - y;
    const down = isDown(k, steps, reached);
    const before = down ? k + 1 : k - 1;
    const fromX = steps ? reached(before) : 0;
    const fromY = steps ? fromX - before : 0;
    while (x > fromX && y > fromY) {
      x -= 1;
      y -= 1;
      pieces.push({ kind: "same", text: a[x] ?? "" });
    }
    if (steps) pieces.push(down ? { kind: "new", text: b[fromY] ?? "" } : { kind: "gone", text: a[fromX] ?? "" });
    [x, y] = [fromX, fromY];
  }
  return pieces.reverse();
}

function joined(pieces: Piece[]): Piece[] {
  const found: Piece[] = [];
  for (const piece of pieces) {
    const last = found.at(-1);
    if (last?.kind === piece.kind) last.text += piece.text;
    else found.push({ ...piece });
  }
  return found;
}
