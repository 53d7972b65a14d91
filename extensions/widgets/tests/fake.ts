/** What stands in for the kernel: the traits and messages of one widget, as anywidget gives them to a view. */
type Handler = (...given: unknown[]) => void;

export class Kernel {
  readonly sent: { message: Record<string, unknown>; buffers: unknown[] }[] = [];
  private readonly handlers = new Map<string, Set<Handler>>();

  constructor(
    readonly traits: Record<string, unknown> = {},
    readonly widget_manager: unknown = undefined,
  ) {}

  get(name: string): unknown {
    return this.traits[name];
  }
  set(name: string, value: unknown): void {
    this.traits[name] = value;
    this.fire(`change:${name}`);
  }
  save_changes(): void {}
  on(name: string, handler: Handler): void {
    this.handlers.set(name, (this.handlers.get(name) ?? new Set()).add(handler));
  }
  off(name: string, handler: Handler): void {
    this.handlers.get(name)?.delete(handler);
  }
  send(message: Record<string, unknown>, _callbacks?: unknown, buffers: unknown[] = []): void {
    this.sent.push({ message, buffers });
  }
  /** A message from the kernel. */
  say(message: Record<string, unknown>): void {
    this.fire("msg:custom", message);
  }
  /** It was restarted. */
  end(): void {
    this.fire("comm_live_update");
  }
  get last(): Record<string, unknown> | undefined {
    return this.sent.at(-1)?.message;
  }
  get listeners(): number {
    return [...this.handlers.values()].reduce((sum, one) => sum + one.size, 0);
  }
  private fire(name: string, ...given: unknown[]): void {
    for (const handler of this.handlers.get(name) ?? []) handler(...given);
  }
}

/** The widget in the page, as a front end shows it; with the function that takes it away again. */
export function shown(widget: { render: unknown }, kernel: Kernel): { el: HTMLElement; close: () => void } {
  const el = document.createElement("div");
  document.body.replaceChildren(el);
  const render = widget.render as (props: { model: Kernel; el: HTMLElement }) => () => void;
  return { el, close: render({ model: kernel, el }) };
}

export function pressed(target: Element, key: string): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  target.dispatchEvent(event);
  return event;
}

export function found<T extends Element = HTMLElement>(el: Element, selector: string): T {
  const one = el.querySelector<T>(selector);
  if (!one) throw new Error(`nothing fits ${selector}`);
  return one;
}
