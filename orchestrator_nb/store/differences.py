"""In what two questions differ, in words: for whoever changed a prompt a little and wonders why the tape has no answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import takewhile
from operator import eq
from typing import Any, Final

from orchestrator_nb.canonical import canonical

_AROUND: Final = 16
_MIDDLE: Final = 32
_SHOWN: Final = 40

Record = Mapping[str, Any]


def likeness(recorded: Record, asked: Record) -> float:
    """How alike two questions are: what the user would call the same question is worth most."""
    same = sum(weight for name, weight in _WEIGHTS.items() if recorded.get(name) == asked.get(name))
    return same + _MESSAGES * _alike(prompt(recorded), prompt(asked))


_MESSAGES: Final = 4.0
_WEIGHTS: Final = {"model": 2.0, "messages": 1.0, "params": 1.0, "system": 1.0, "origin": 0.5, "sample": 0.5}


def _alike(one: str, other: str) -> float:
    """The part that both begin and end with: 1 for the same text."""
    begin, end = _common(one, other)
    return (begin + end) / (max(len(one), len(other)) or 1) if one != other else 1.0


def _common(one: str, other: str) -> tuple[int, int]:
    begin = _prefix(one, other)
    return begin, _prefix(one[: begin - len(one) - 1 : -1], other[: begin - len(other) - 1 : -1])


def _prefix(one: str, other: str) -> int:
    return sum(takewhile(bool, map(eq, one, other)))


def prompt(record: Record) -> str:
    """The text of the last turn of the user; nothing where a record is not as we write it."""
    messages = record.get("messages")
    turns = [turn for turn in messages if isinstance(turn, dict)] if isinstance(messages, list) else []
    last = next((turn for turn in reversed(turns) if turn.get("role") == "user"), {})
    parts = last.get("parts")
    texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return "".join(text for text in texts if isinstance(text, str))


def differences(recorded: Record, asked: Record) -> str:
    """``its prompt is '…blue sky', not '…red sky'; its temperature is 0.2, not unset``."""
    return "; ".join(_each(recorded, asked)) or "nothing in it differs that can be named"


def _each(recorded: Record, asked: Record) -> Iterator[str]:
    for name, word in (("model", "model"), ("origin", "address"), ("kind", "dialect")):
        if recorded.get(name) != asked.get(name):
            yield _differs(word, _short(recorded.get(name)), _short(asked.get(name)))
            break  # another model has another address and dialect: that tells nobody anything
    yield from _of_texts("prompt", prompt(recorded), prompt(asked))
    if prompt(recorded) == prompt(asked) and recorded.get("messages") != asked.get("messages"):
        yield "it has another attachment or earlier turn"
    yield from _of_texts("system prompt", str(recorded.get("system") or ""), str(asked.get("system") or ""))
    yield from _of_params(recorded.get("params"), asked.get("params"))
    if recorded.get("sample") != asked.get("sample"):
        yield _differs("sample", _short(recorded.get("sample")), _short(asked.get("sample")))


def _differs(word: str, recorded: str, asked: str) -> str:
    return f"its {word} is {recorded}, not {asked}"


def _of_texts(word: str, recorded: str, asked: str) -> Iterator[str]:
    if recorded != asked:
        begin, end = _common(recorded, asked)
        yield _differs(word, _excerpt(recorded, begin, end), _excerpt(asked, begin, end))


def _excerpt(text: str, begin: int, end: int) -> str:
    """What lies between the common beginning and end, with a few signs around it."""
    start, stop = max(0, begin - _AROUND), len(text) - max(0, end - _AROUND)
    middle = text[begin : len(text) - end]
    shown = middle if len(middle) <= _MIDDLE else f"{middle[:_MIDDLE]}…"
    after = text[len(text) - end : stop] if len(middle) <= _MIDDLE else ""
    cut = "…" if stop < len(text) and after else ""
    return repr(f"{'…' if start else ''}{text[start:begin]}{shown}{after}{cut}")


def _of_params(recorded: Any, asked: Any) -> Iterator[str]:
    theirs, ours = (given if isinstance(given, Mapping) else {} for given in (recorded, asked))
    for name in sorted(theirs.keys() | ours.keys(), key=str):
        if theirs.get(name, ...) != ours.get(name, ...):
            yield _differs(name, _value(name, theirs), _value(name, ours))


def _value(name: str, given: Mapping[str, Any]) -> str:
    return _short(given[name]) if name in given else "unset"


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else canonical(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
