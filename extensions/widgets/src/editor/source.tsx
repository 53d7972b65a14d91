/** The chain's text, changed by hand and taken over on demand. */
import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import { useDesk } from "./context";
import type { Chain } from "./wire";

export function Source({ chain }: { chain: Chain }): ReactNode {
  const { wire } = useDesk();
  const [text, setText] = useState(chain.text);
  const from = useRef(chain.text); // what it was when somebody began to type
  const area = useRef<HTMLTextAreaElement>(null);
  const id = useId();
  const changed = text !== from.current;
  useEffect(() => {
    setText((typed) => (typed === from.current || typed === chain.text ? chain.text : typed));
    if (area.current && (area.current.value === from.current || area.current.value === chain.text))
      from.current = chain.text;
  }, [chain.text]);
  const apply = () => wire.op({ do: "text", text });
  const go = (line: number) => {
    const lines = text.split("\n");
    const start = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    area.current?.focus();
    area.current?.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
    if (area.current) area.current.scrollTop = Math.max(0, line - 4) * 18;
  };
  return (
    <div className="onb-source">
      <label htmlFor={id} className="onb-unseen">
        The chain as YAML
      </label>
      <textarea
        id={id}
        ref={area}
        value={text}
        rows={24}
        spellCheck={false}
        wrap="off"
        readOnly={wire.readonly}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) apply();
          if (changed && (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") event.stopPropagation();
        }}
      />
      {!wire.readonly && (
        <div className="onb-row">
          <button type="button" className="onb-button" disabled={!changed} onClick={apply} title="Ctrl+Enter">
            Apply
          </button>
          <button
            type="button"
            className="onb-button"
            disabled={!changed}
            onClick={() => {
              from.current = chain.text;
              setText(chain.text);
            }}
          >
            Take back
          </button>
          {changed && from.current !== chain.text && <span>The chain has changed meanwhile; Apply replaces that.</span>}
        </div>
      )}
      {chain.problems.length > 0 && (
        <ul className="onb-lines" aria-label="Problems by line">
          {chain.problems.map((one, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: two may say the same of one place
            <li key={index}>
              <button type="button" className="onb-button" onClick={() => go(one.line)}>
                Line {one.line}
              </button>{" "}
              {one.message}
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
