/** A value that can be watched. */
import { useSyncExternalStore } from "react";

export class Store<T> {
  private readonly watchers = new Set<() => void>();

  constructor(public value: T) {}

  set(value: T): void {
    if (value === this.value) return;
    this.value = value;
    for (const one of [...this.watchers]) one();
  }

  readonly watch = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };
}

/** What `pick` takes of it; the component is drawn anew when that changes. */
export function useStore<T, P>(store: Store<T>, pick: (value: T) => P): P {
  return useSyncExternalStore(store.watch, () => pick(store.value));
}
