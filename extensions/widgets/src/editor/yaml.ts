/** A plain value as YAML, to look at. What is saved is Python's text, never this. */
import { isMap } from "./places";
import type { Json } from "./wire";

export function yaml(value: Json, indent = ""): string {
  if (Array.isArray(value) && value.length)
    return value.map((one) => `${indent}- ${below(one, `${indent}  `)}`).join("\n");
  if (isMap(value) && Object.keys(value).length) {
    return Object.entries(value)
      .map(([key, one]) => `${indent}${word(key)}:${after(one, indent)}`)
      .join("\n");
  }
  return `${indent}${scalar(value)}`;
}

function below(value: Json, indent: string): string {
  return typeof value === "string" && value.includes("\n") ? block(value, indent) : yaml(value, indent).trimStart();
}

function after(value: Json, indent: string): string {
  if (typeof value === "string" && value.includes("\n")) return ` ${block(value, `${indent}  `)}`;
  const nested = (Array.isArray(value) && value.length) || (isMap(value) && Object.keys(value).length);
  return nested ? `\n${yaml(value, `${indent}  `)}` : ` ${scalar(value)}`;
}

function block(text: string, indent: string): string {
  const lines = text.replace(/\n$/, "").split("\n");
  return [text.endsWith("\n") ? "|" : "|-", ...lines.map((line) => (line ? indent + line : ""))].join("\n");
}

function scalar(value: Json): string {
  return typeof value === "string" ? word(value) : JSON.stringify(value);
}

function word(text: string): string {
  const plain = /^[A-Za-z][^:#{}[\],&*!|>'"%@`]*$/.test(text) && !/\s$/.test(text);
  return plain && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(text) ? text : JSON.stringify(text);
}
