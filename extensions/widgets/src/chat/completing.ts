/** What Tab offers for an order: the words behind a slash, and then the names that such a word takes. */

export interface Word {
  name: string;
  usage: string;
  does: string;
  offers: string;
}
export type Lists = Record<string, string[]>;
export interface Offer {
  /** What the field holds when it is taken. */
  text: string;
  label: string;
  does: string;
}

const MOST = 12;

export function offers(text: string, words: Word[], lists: Lists): Offer[] {
  if (!text.startsWith("/") || text.startsWith("//") || text.includes("\n")) return [];
  const space = text.indexOf(" ");
  if (space < 0) {
    return words
      .filter((word) => word.name.startsWith(text.slice(1).toLowerCase()))
      .map((word) => ({ text: `/${word.name}${takes(word) ? " " : ""}`, label: `/${word.usage}`, does: word.does }));
  }
  const word = words.find((one) => one.name === text.slice(1, space).toLowerCase());
  const typed = text.slice(space + 1).trimStart();
  if (!word?.offers) return [];
  const known = lists[word.offers] ?? [];
  if (known.includes(typed)) return [];
  const names = known.filter((name) => fits(name, typed)).sort((a, b) => place(a, typed) - place(b, typed));
  return names.slice(0, MOST).map((name) => ({ text: `/${word.name} ${name}`, label: name, does: "" }));
}

function takes(word: Word): boolean {
  return word.usage.includes(" ");
}

/** Those that begin with it come first. */
function place(name: string, typed: string): number {
  return name.toLowerCase().startsWith(typed.toLowerCase()) ? 0 : 1;
}

function fits(name: string, typed: string): boolean {
  return name.toLowerCase().includes(typed.toLowerCase());
}
