/** How far a step is, as a sign and in words: never by colour alone. */
import { seconds, usd } from "../lib/say";
import type { State } from "./wire";

const SIGNS: Record<State["state"], string> = {
  waiting: "○",
  running: "▶",
  done: "✓",
  skipped: "↷",
  failed: "✕",
  stopped: "■",
};

export function sign(state: State): string {
  return SIGNS[state.state] ?? "•";
}

export function progress(state: State): string {
  const many = state.total !== null && state.total !== undefined ? ` ${state.done ?? 0}/${state.total}` : "";
  return `${state.state}${many}`;
}

export function figures(state: State): string {
  const cost = state.cost_usd === null || state.cost_usd === undefined ? "" : usd(state.cost_usd);
  const took = state.seconds === null || state.seconds === undefined ? "" : seconds(state.seconds);
  return [cost, took].filter(Boolean).join(" · ");
}

const GLYPHS: Record<string, string> = {
  prompt: "✎",
  role: "☺",
  parallel: "⇉",
  switch: "◆",
  each: "≡",
  repeat: "↻",
  use: "↗",
  plan: "✦",
  python: "λ",
  block: "▤",
};

export function glyph(kind: string): string {
  return GLYPHS[kind] ?? "▫";
}

/** A mark as it is said, with a sign before it. */
export function marked(mark: string): string {
  if (/^when\b/.test(mark)) return `◇ ${mark}`;
  if (/^(for )?each\b/.test(mark)) return `≡ ${mark}`;
  if (/\bturns?\b/.test(mark)) return `↻ ${mark}`;
  return mark;
}
