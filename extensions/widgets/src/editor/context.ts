/** What the parts of the editor share. */
import { createContext, useContext } from "react";
import type { Store } from "./store";
import type { Step, Wire } from "./wire";

export interface Desk {
  wire: Wire;
  /** The path of the step that is looked at. */
  chosen: Store<string | null>;
  /** Counts the times that another step was chosen: each has a form of its own, which outlives that the step is called otherwise. */
  turn: { count: number };
  choose: (path: string | null, how?: { form?: boolean; node?: boolean }) => void;
  remove: (step: Step) => void;
  copy: (step: Step) => void;
  shift: (step: Step, by: 1 | -1) => void;
  undo: (kind: "undo" | "redo") => void;
}

export const DeskContext = createContext<Desk | null>(null);

export function useDesk(): Desk {
  const desk = useContext(DeskContext);
  if (!desk) throw new Error("outside the editor");
  return desk;
}
