/** What somebody types, until Python has taken it. It is sent when the field is left or after a moment without a key, and stays in the field when it is refused. */
import { useCallback, useEffect, useRef, useState } from "react";
import { useDesk } from "./context";
import { useStore } from "./store";

const IDLE_MS = 400;

interface Hand {
  text: string;
  /** Not sent yet. */
  dirty: boolean;
  /** The number under which it was sent, what it took the place of, until there is an answer. */
  sent: { n: number; instead: string } | null;
  kept: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export interface Draft {
  text: string;
  refusal: string;
  type: (text: string) => void;
  flush: () => void;
  revert: () => void;
  /** Whether there is something that Python does not have. */
  pending: () => boolean;
}

/** `committed` is the text that Python has; `send` gives the number of the op. Without `idle`, it is sent only when the field is left. */
export function useDraft(committed: string, send: (text: string) => number | null, idle = true): Draft {
  const { wire } = useDesk();
  const answered = useStore(wire.known, (known) => known.chain?.n ?? 0);
  const refused = useStore(wire.known, (known) => known.refused);
  const [text, show] = useState(committed);
  const [refusal, refuse] = useState("");
  const hand = useRef<Hand>({ text: committed, dirty: false, sent: null, kept: false, timer: undefined });
  const now = useRef({ committed, send });
  now.current = { committed, send };

  useEffect(() => {
    const held = hand.current;
    const settle = () => {
      held.text = committed;
      held.kept = false;
      show(committed);
      refuse("");
    };
    if (held.sent) {
      const why = refused.get(held.sent.n);
      const unchanged = committed === held.sent.instead && committed !== held.text;
      if (why !== undefined || (answered >= held.sent.n && unchanged)) {
        held.sent = null;
        held.kept = true;
        refuse(why ?? "This was not taken.");
      } else if (answered >= held.sent.n) {
        held.sent = null;
        if (!held.dirty) settle();
      }
    } else if (!held.dirty && !held.kept) settle();
  }, [committed, answered, refused]);

  const flush = useCallback(() => {
    const held = hand.current;
    clearTimeout(held.timer);
    if (!held.dirty) return;
    if (held.text === now.current.committed && !held.sent) {
      held.dirty = false;
      held.kept = false;
      refuse("");
      return;
    }
    const n = now.current.send(held.text);
    if (n === null) return; // nobody to take it: it stays
    held.dirty = false;
    held.sent = { n, instead: now.current.committed };
  }, []);
  useEffect(() => flush, [flush]);

  const type = useCallback(
    (typed: string) => {
      const held = hand.current;
      Object.assign(held, { text: typed, dirty: true, kept: false });
      show(typed);
      refuse("");
      clearTimeout(held.timer);
      if (idle) held.timer = setTimeout(flush, IDLE_MS);
    },
    [flush, idle],
  );
  const revert = useCallback(() => {
    const held = hand.current;
    clearTimeout(held.timer);
    Object.assign(held, { text: now.current.committed, dirty: false, kept: false });
    show(now.current.committed);
    refuse("");
  }, []);
  const pending = useCallback(() => hand.current.dirty || hand.current.kept, []);
  return { text, refusal, type, flush, revert, pending };
}
