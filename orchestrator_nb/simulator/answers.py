"""From an ask to an answer: the script first, else seeded text; then stop sequences, the token limit and the counts."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from random import Random
from typing import Any, Final

from orchestrator_nb.simulator import prose
from orchestrator_nb.simulator.asking import Answer, Ask, Counts, Finish, Tool, ToolCall, tokens
from orchestrator_nb.simulator.instance import instance
from orchestrator_nb.simulator.script import Script

AGAIN: Final = 16
"""How many samples apart two answers to a repeated prompt are: one request may ask for several."""


def answer(ask: Ask, script: Script, seed: int, sample: int = 0) -> Answer:
    """The answer to an ask: always the same for the same script, seed and sample.

    Thinking never takes more than half of ``max_tokens``, so that short limits still give text; the fault ``length-empty`` is for the rest.
    """
    choose = Random(_number(seed, ask, sample))  # noqa: S311 - has to be repeatable, nothing here is secret
    said = script.find(ask.name, ask.prompt)
    thinking = (said.thinking if said else "") or (prose.muse(ask.prompt, choose) if ask.thinks else "")
    if not ask.thinks:
        thinking = ""
    calls = said.tool_calls if said else _calls(ask, choose)
    text = said.text(sample // AGAIN + sample % AGAIN) if said else "" if calls else _text(ask, choose)
    drawn = Answer(text=text, counts=None, thinking=thinking, tool_calls=calls, id=f"{choose.getrandbits(64):016x}")
    if said:
        drawn = replace(drawn, delay_s=said.delay, cut_after=said.cut_after)
    fitted = _fit(_resumed(drawn, ask), ask)
    return replace(fitted, finish=said.finish) if said and said.finish else fitted


def _number(seed: int, ask: Ask, sample: int) -> int:
    key = f"{seed}\0{ask.name}\0{ask.system}\0{ask.prompt}\0{ask.seed}\0{sample}"
    return int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest())


def _text(ask: Ask, choose: Random) -> str:
    schema = (
        ask.schema if ask.schema is not None else _described(f"{ask.system}\n{ask.prompt}") if ask.json_mode else None
    )
    if schema is not None:
        return json.dumps(instance(schema, ask.prompt, choose), ensure_ascii=False)
    if ask.json_mode:
        value: dict[str, Any] = {
            "answer": prose.write(ask.prompt, "plain", choose),
            "keywords": list(prose.keywords(ask.prompt)[:4]),
        }
        return json.dumps(value, ensure_ascii=False)
    return prose.write(ask.prompt, ask.model.style, choose)


def _described(text: str) -> dict[str, Any] | None:
    """The JSON Schema of an object that the text holds: in JSON mode a model keeps to one that it is told in words."""
    for start in (place.start() for place in re.finditer(r"\{", text)):
        try:
            value, _ = json.JSONDecoder().raw_decode(text, start)
        except ValueError:
            continue
        if isinstance(value, dict) and isinstance(value.get("properties"), dict):
            return value
    return None


def _calls(ask: Ask, choose: Random) -> tuple[ToolCall, ...]:
    tool = _wanted(ask)
    return (ToolCall(tool.name, instance(tool.schema or {"type": "object"}, ask.prompt, choose)),) if tool else ()


def _wanted(ask: Ask) -> Tool | None:
    """The tool to call: a forced one, or the one whose name or description the prompt speaks of."""
    if not ask.tools or ask.tool_choice == "none" or (ask.after_tool and ask.tool_choice == "auto"):
        return None
    if ask.tool_choice not in ("auto", "any"):
        return next((tool for tool in ask.tools if tool.name == ask.tool_choice), None)
    words = {word.lower() for word in prose.keywords(ask.prompt)}
    spoken = next((tool for tool in ask.tools if words & _words_of(tool)), None)
    return spoken or (ask.tools[0] if ask.tool_choice == "any" else None)


def _words_of(tool: Tool) -> set[str]:
    return {word.lower() for word in re.split(r"\W|_", f"{tool.name} {tool.about}") if len(word) > 3}


def _resumed(drawn: Answer, ask: Ask) -> Answer:
    if ask.given and drawn.text.startswith(ask.given):
        return replace(drawn, text=drawn.text[len(ask.given) :], thinking="", resumed=True)
    return drawn


def _fit(drawn: Answer, ask: Ask) -> Answer:
    text, finish, stopped_at = drawn.text, "tool_calls" if drawn.tool_calls else "stop", None
    hits = [(text.find(mark), mark) for mark in ask.stop if mark and mark in text]
    if hits:
        at, stopped_at = min(hits)
        text, finish = text[:at], "stop_sequence"
    thinking, limit = drawn.thinking, ask.max_tokens
    if limit is not None:
        thinking = thinking[: 4 * (limit // 2)]
        room = limit - tokens(thinking)
        if tokens(text) > room:
            text, finish, stopped_at = text[: 4 * room], "length", None
    called = sum(tokens(call.name) + tokens(json.dumps(call.arguments)) for call in drawn.tool_calls)
    counts = Counts(ask.input_tokens, tokens(text) + called, tokens(thinking))
    return replace(drawn, text=text, thinking=thinking, finish=_finish(finish), stopped_at=stopped_at, counts=counts)


def _finish(name: str) -> Finish:
    return name  # type: ignore[return-value]  # only the literals above reach this line
