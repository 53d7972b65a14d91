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
  const names = (lists[word.offers] ?? []).filter((name) => name !== typed && fits(name, typed));
  return names.slice(0, MOST).map((name) => ({ text: `/${word.name} ${name}`, label: name, does: "" }));
}

function takes(word: Word): boolean {
  return word.usage.includes(" ");
}

function fits(name: string, typed: string): boolean {
  return name.toLowerCase().includes(typed.toLowerCase());
}
