/** The grid on the page: only the rows and columns that are in sight are elements, whatever the size of the run. */
import { fresh, h } from "../lib/dom";
import { seconds, usd } from "../lib/say";
import { type Cell, type Data, kind, type Mark, over } from "./data";

/** In the size of the letters, so that a larger font has larger cells. */
const SIZES = { head: 12, column: 14, top: 2.4, row: 6.6, most: 31 };
/** Rows and columns beyond the edge that are drawn too, so that scrolling shows no gaps. */
const SPARE = 1;
/** Characters of a text that streams; of a longer one the end is shown. */
const MOST_TEXT = 1600;

export interface Acts {
  open: (place: number) => void;
  key: (place: number, key: string) => boolean;
  seen: (places: number[]) => void;
}

class CellView {
  readonly element = h("div", { role: "gridcell", class: "onb-cell", id: fresh("cell") });
  private readonly state = document.createTextNode("");
  private readonly figures = document.createTextNode("");
  private readonly marks = h("span", { class: "onb-marks" });
  private readonly text = document.createTextNode("");
  private readonly tail = h("div", { class: "onb-grid-tail" });

  constructor(readonly place: number) {
    const state = h("span", { class: "onb-state" }, this.state);
    const meta = h("div", { class: "onb-meta" }, state, h("span", { class: "onb-figures" }, this.figures), this.marks);
    this.tail.append(h("div", { class: "onb-grid-text", dir: "auto" }, this.text));
    this.element.append(meta, this.tail);
  }

  draw(cell: Cell, mark: Mark, now: number, letter: string): void {
    const group = kind(cell.state);
    this.element.dataset.kind = group;
    this.state.data = cell.state;
    this.figures.data = figures(cell, now);
    const told = said(mark, letter);
    this.marks.textContent = told.map(([sign]) => sign).join(" ");
    this.marks.title = told.map(([, words]) => words).join(", ");
    if (told.length) {
      this.marks.setAttribute("role", "img");
      this.marks.setAttribute("aria-label", this.marks.title);
    } else {
      this.marks.removeAttribute("role");
      this.marks.removeAttribute("aria-label");
    }
  }

  tick(cell: Cell, now: number): void {
    if (!over(cell.state)) this.figures.data = figures(cell, now);
  }

  put(text: string): void {
    if (this.text.data !== text) this.text.data = text;
  }

  add(text: string): void {
    this.text.appendData(text);
    const spare = this.text.length - MOST_TEXT;
    if (spare > MOST_TEXT / 4) this.text.deleteData(0, spare);
  }
}

export function figures(cell: Cell, now: number): string {
  if (!over(cell.state)) return cell.time === null ? "" : seconds(Math.max(0, now - cell.time));
  return [cell.time === null ? "" : seconds(cell.time), cell.usd === null ? "" : usd(cell.usd)]
    .filter(Boolean)
    .join(" · ");
}

function said(mark: Mark, letter: string): [string, string][] {
  const all: [string, string][] = [
    [letter, letter && `chosen for the comparison as ${letter}`],
    [mark.best ? "★" : "", "pinned as the best"],
    [mark.rating ? `${mark.rating}/5` : "", `rated ${mark.rating} of 5`],
    [mark.thumbs === "up" ? "▲" : mark.thumbs === "down" ? "▼" : "", `thumbs ${mark.thumbs}`],
    [mark.note ? "✎" : "", `note: ${mark.note}`],
  ];
  return all.filter(([sign]) => sign);
}

interface RowView {
  element: HTMLElement;
  head: HTMLElement;
  cells: Map<number, CellView>;
}

export class Table {
  readonly element = h("div", { role: "grid", class: "onb-scroll", tabindex: 0, "aria-label": "Prompts and models" });
  private readonly top = h("div", { role: "row", class: "onb-top", "aria-rowindex": 1 });
  private readonly corner = h("div", { role: "columnheader", class: "onb-corner", "aria-colindex": 1 }, "prompt");
  private readonly body = h("div", { role: "rowgroup", class: "onb-rows" });
  private readonly rows = new Map<number, RowView>();
  private readonly heads = new Map<number, HTMLElement>();
  /** What is shown now, by place. */
  private readonly shown = new Map<number, CellView>();
  private order: number[] = [];
  private at = { row: 0, column: 0 };
  private frame = 0;
  private told = "";
  private inSight = true;
  private readonly sight: IntersectionObserver | undefined;
  private readonly size: ResizeObserver | undefined;
  letters = new Map<number, string>();
  now: () => number = () => 0;

  constructor(
    private readonly data: Data,
    private readonly acts: Acts,
  ) {
    const head = h("div", { role: "rowgroup", class: "onb-top-group" }, this.top);
    this.element.append(head, this.body);
    this.element.addEventListener("scroll", () => this.soon());
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.element.addEventListener("click", (event) => this.clicked(event));
    if (typeof IntersectionObserver !== "undefined") {
      this.sight = new IntersectionObserver((entries) => {
        this.inSight = entries.at(-1)?.isIntersecting ?? true;
        this.tell();
      });
      this.sight.observe(this.element);
    }
    if (typeof ResizeObserver !== "undefined") {
      this.size = new ResizeObserver(() => this.soon());
      this.size.observe(this.element);
    }
  }

  close(): void {
    this.sight?.disconnect();
    this.size?.disconnect();
    cancelAnimationFrame(this.frame);
  }

  /** Shows these rows, in this order. */
  arrange(order: number[]): void {
    this.order = order;
    this.at.row = Math.min(this.at.row, Math.max(0, order.length - 1));
    this.element.setAttribute("aria-rowcount", String(order.length + 1));
    this.element.setAttribute("aria-colcount", String(this.data.columns.length + 1));
    this.draw();
  }

  /** Another run, or the same one told anew. */
  renew(): void {
    this.told = "";
    for (const one of [...this.rows.values()].map((row) => row.element)) one.remove();
    this.rows.clear();
    this.shown.clear();
  }

  change(places: Iterable<number>): void {
    for (const place of places) this.fill(place);
  }

  add(place: number, text: string): void {
    const whole = (this.data.texts.get(place) ?? "") + text;
    this.data.texts.set(place, whole.slice(-MOST_TEXT));
    this.shown.get(place)?.add(text);
  }

  put(place: number, text: string): void {
    this.data.texts.set(place, text);
    this.shown.get(place)?.put(text);
  }

  tick(now: number): void {
    for (const [place, view] of this.shown) {
      const cell = this.data.cells[place];
      if (cell) view.tick(cell, now);
    }
  }

  focus(): void {
    this.element.focus({ preventScroll: true });
  }

  /** The place that the keyboard stands on. */
  get active(): number | undefined {
    const row = this.order[this.at.row];
    return row === undefined ? undefined : this.data.place(row, this.at.column);
  }

  soon(): void {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw(): void {
    this.frame = 0;
    const size = this.sizes();
    this.element.style.height = `${Math.min(size.top + this.order.length * size.row, size.most) + 2}px`;
    this.body.style.height = `${this.order.length * size.row}px`;
    this.body.style.width = this.top.style.width = `${size.head + this.data.columns.length * size.column}px`;
    const rows = range(this.element.scrollTop, size.seenHeight, size.row, this.order.length);
    const columns = range(this.element.scrollLeft, size.seenWidth, size.column, this.data.columns.length);
    this.drawTop(columns, size);
    const wanted = new Set(rows.map((at) => this.order[at] ?? -1));
    for (const [row, view] of this.rows) if (!wanted.has(row)) this.drop(row, view);
    for (const at of rows) this.drawRow(at, columns, size);
    arranged(
      this.body,
      rows.map((at) => this.rows.get(this.order[at] ?? -1)?.element),
    );
    this.point();
    this.tell();
  }

  private sizes() {
    const em = Number.parseFloat(getComputedStyle(this.element).fontSize) || 13;
    const width = this.element.clientWidth || 900;
    const head = Math.min(SIZES.head * em, width * 0.3);
    const column = Math.max(
      Math.min(SIZES.column * em, width - head),
      (width - head) / Math.max(1, this.data.columns.length),
    );
    const [top, row, most] = [SIZES.top * em, SIZES.row * em, SIZES.most * em];
    return {
      head,
      column,
      top,
      row,
      most,
      seenWidth: width - head,
      seenHeight: (this.element.clientHeight || most) - top,
    };
  }

  private drawTop(columns: number[], size: { head: number; column: number; top: number }): void {
    this.corner.style.width = `${size.head}px`;
    for (const [column, head] of this.heads) {
      if (columns.includes(column)) continue;
      head.remove();
      this.heads.delete(column);
    }
    for (const column of columns) {
      const head = this.heads.get(column) ?? h("div", { role: "columnheader", class: "onb-head" });
      const name = this.data.columns[column] ?? "";
      if (head.textContent !== name) head.textContent = head.title = name;
      head.setAttribute("aria-colindex", String(column + 2));
      place(head, size.head + column * size.column, size.column);
      this.heads.set(column, head);
    }
    arranged(this.top, [this.corner, ...columns.map((column) => this.heads.get(column))]);
  }

  private drawRow(at: number, columns: number[], size: { head: number; column: number; row: number }): void {
    const row = this.order[at] ?? 0;
    const view = this.rows.get(row) ?? this.makeRow(row);
    view.element.style.top = `${at * size.row}px`;
    view.element.style.height = `${size.row}px`;
    view.element.setAttribute("aria-rowindex", String(at + 2));
    view.head.style.width = `${size.head}px`;
    for (const [column, cell] of view.cells) {
      if (columns.includes(column)) continue;
      cell.element.remove();
      view.cells.delete(column);
      this.shown.delete(cell.place);
    }
    for (const column of columns) {
      const number = this.data.place(row, column);
      if (number === undefined) continue;
      let cell = view.cells.get(column);
      if (!cell) {
        cell = new CellView(number);
        cell.element.setAttribute("aria-colindex", String(column + 2));
        view.cells.set(column, cell);
        this.shown.set(number, cell);
        this.fill(number);
      }
      place(cell.element, size.head + column * size.column, size.column);
    }
    arranged(view.element, [view.head, ...columns.map((column) => view.cells.get(column)?.element)]);
  }

  private makeRow(row: number): RowView {
    const prompt = this.data.rows[row] ?? "";
    const head = h("div", { role: "rowheader", class: "onb-row-head", "aria-colindex": 1, title: prompt, dir: "auto" });
    head.append(h("span", { class: "onb-faint" }, `${row + 1} `), prompt);
    const view = { element: h("div", { role: "row", class: "onb-grid-row" }), head, cells: new Map() };
    this.rows.set(row, view);
    return view;
  }

  private drop(row: number, view: RowView): void {
    view.element.remove();
    for (const cell of view.cells.values()) this.shown.delete(cell.place);
    this.rows.delete(row);
  }

  private fill(number: number): void {
    const view = this.shown.get(number);
    const cell = this.data.cells[number];
    if (!view || !cell) return;
    view.draw(cell, this.data.mark(number), this.now(), this.letters.get(number) ?? "");
    view.put(this.data.texts.get(number) ?? "");
  }

  /** Which texts are to come: those in sight, and none while the grid itself is not. */
  private tell(): void {
    const seen = this.inSight ? [...this.shown.keys()].sort((a, b) => a - b) : [];
    const told = seen.join();
    if (told === this.told) return;
    this.told = told;
    for (const known of this.data.texts.keys()) if (!this.shown.has(known)) this.data.texts.delete(known);
    this.acts.seen(seen);
  }

  // The keyboard

  private point(): void {
    for (const one of this.body.querySelectorAll(".onb-here")) one.classList.remove("onb-here");
    const active = this.active;
    const view = active === undefined ? undefined : this.shown.get(active);
    view?.element.classList.add("onb-here");
    if (view) this.element.setAttribute("aria-activedescendant", view.element.id);
    else this.element.removeAttribute("aria-activedescendant");
  }

  private key(event: KeyboardEvent): void {
    if (event.altKey || event.metaKey) return;
    if (this.moved(event)) {
      this.show();
    } else {
      const place = this.active;
      if (place === undefined || event.ctrlKey || !this.acts.key(place, event.key)) return;
    }
    event.preventDefault();
  }

  private moved(event: KeyboardEvent): boolean {
    const page = Math.max(1, Math.floor(this.sizes().seenHeight / this.sizes().row) - 1);
    const all = event.ctrlKey;
    const last = { row: this.order.length - 1, column: this.data.columns.length - 1 };
    const moves: Record<string, [number, number]> = {
      ArrowDown: [this.at.row + 1, this.at.column],
      ArrowUp: [this.at.row - 1, this.at.column],
      ArrowRight: [this.at.row, this.at.column + 1],
      ArrowLeft: [this.at.row, this.at.column - 1],
      PageDown: [this.at.row + page, this.at.column],
      PageUp: [this.at.row - page, this.at.column],
      Home: [all ? 0 : this.at.row, 0],
      End: [all ? last.row : this.at.row, last.column],
    };
    const to = moves[event.key];
    if (!to) return false;
    this.at = { row: clamp(to[0], last.row), column: clamp(to[1], last.column) };
    return true;
  }

  /** Scrolls to where the keyboard stands. */
  private show(): void {
    const size = this.sizes();
    this.element.scrollTop = near(this.element.scrollTop, this.at.row * size.row, size.row, size.seenHeight);
    this.element.scrollLeft = near(this.element.scrollLeft, this.at.column * size.column, size.column, size.seenWidth);
    this.draw();
  }

  private clicked(event: MouseEvent): void {
    const element = event.target instanceof Element ? event.target.closest(".onb-cell") : null;
    const found = [...this.shown].find(([, view]) => view.element === element);
    const cell = found && this.data.cells[found[0]];
    if (!found || !cell) return;
    this.at = { row: this.order.indexOf(cell.row), column: cell.column };
    this.point();
    if (!getSelection()?.toString()) this.acts.open(found[0]);
  }
}

/** In the page in the order in which they are seen, which is the one that is read out. Nothing is moved that stands right. */
function arranged(parent: HTMLElement, wanted: (HTMLElement | undefined)[]): void {
  let next = parent.firstElementChild;
  for (const one of wanted) {
    if (!one) continue;
    if (one === next) next = one.nextElementSibling;
    else parent.insertBefore(one, next);
  }
}

function place(element: HTMLElement, left: number, width: number): void {
  element.style.left = `${left}px`;
  element.style.width = `${width}px`;
}

function range(scrolled: number, seen: number, size: number, total: number): number[] {
  const first = Math.max(0, Math.floor(scrolled / size) - SPARE);
  const last = Math.min(total, Math.ceil((scrolled + seen) / size) + SPARE);
  return Array.from({ length: Math.max(0, last - first) }, (_, at) => first + at);
}

const clamp = (value: number, most: number) => Math.max(0, Math.min(value, most));

function near(scrolled: number, from: number, size: number, seen: number): number {
  return from < scrolled ? from : from + size > scrolled + seen ? from + size - seen : scrolled;
}
