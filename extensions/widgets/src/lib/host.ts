/** What the widgets need of the notebook around them. */
import type { AnyModel } from "@anywidget/types";

interface NotebookCell {
  getId(): string;
}
interface SharedNotebook {
  cells: NotebookCell[];
  insertCells(index: number, cells: { cell_type: "code"; source: string; metadata: Record<string, unknown> }[]): void;
}
interface LabManager {
  context?: { model?: { sharedModel?: Partial<SharedNotebook> } };
}

/** Puts new cells below the cell called `after`; false where this notebook cannot be reached from a widget (VS Code, Colab). */
export function insertCells(model: AnyModel, sources: string[], after: string | null): boolean {
  const notebook = (model.widget_manager as unknown as LabManager | undefined)?.context?.model?.sharedModel;
  if (!notebook?.cells || !notebook.insertCells) return false;
  const place = notebook.cells.findIndex((cell) => cell.getId() === after);
  if (place < 0) return false;
  notebook.insertCells(
    place + 1,
    sources.map((source) => ({ cell_type: "code", source, metadata: {} })),
  );
  return true;
}

/** Tells when the kernel has gone (it was restarted, or ended): no answer will come any more. Gives the way to stop listening. */
export function whenGone(model: AnyModel, tell: () => void): () => void {
  const name = "comm_live_update"; // https://github.com/jupyter-widgets/ipywidgets/blob/main/packages/base/src/widget.ts
  model.on(name, tell);
  return () => model.off(name, tell);
}

export const GONE = "The kernel has gone: run the cell to have this again.";

/** Whether the text is on the clipboard now. */
export async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
