/** Numbers as people read them. */

export function tokens(count: number | null): string {
  if (count === null) return "";
  if (count >= 1_000_000) return `${trim(count / 1_000_000)}M`;
  return count >= 1_000 ? `${trim(count / 1_000)}k` : String(count);
}

/** As the DataFrame's summary says it: two digits from a dollar on, more below. */
export function usd(amount: number): string {
  if (amount === 0) return "$0";
  if (amount < 0.000001) return "< $0.000001";
  return `$${amount.toFixed(amount >= 0.1 ? 2 : amount >= 0.001 ? 4 : 6)}`;
}

export function seconds(value: number): string {
  return value < 1 ? `${value.toFixed(2)} s` : `${value.toFixed(1)} s`;
}

/** `7 h 59 min`, `14 min 05 s`, `40 s`: how long something goes on. */
export function span(left: number): string {
  const whole = Math.max(0, Math.floor(left));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${String(rest).padStart(2, "0")} s` : `${rest} s`;
}

export function count(number: number, noun: string): string {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

function trim(number: number): string {
  return number.toFixed(1).replace(/\.?0+$/, "");
}
