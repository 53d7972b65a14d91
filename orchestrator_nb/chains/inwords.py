"""The chain language in short, for a model that is to write it: made from the keys themselves and what they say of themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from orchestrator_nb.chains.convert import KINDS
from orchestrator_nb.chains.functions import FILTERS, FUNCTIONS, TESTS, Function
from orchestrator_nb.chains.language import ChainPiece, EachPiece, Piece, PlanPiece, RepeatPiece, StepPiece, SwitchPiece

_SECTIONS: Final[dict[str, type[Piece]]] = {
    "The chain": ChainPiece,
    "A step": StepPiece,
    "each, in its long form": EachPiece,
    "repeat, in its long form": RepeatPiece,
    "switch": SwitchPiece,
    "plan, in its long form": PlanPiece,
}

EXAMPLE: Final = """\
steps:
  - id: notes
    each: {over: papers, as: paper}
    prompt: |
      List the facts in this paper.
      {{ paper }}
  - id: report
    prompt: |
      Compare these papers.
      {% for note in notes %}
      Paper {{ loop.index }}: {{ note }}
      {% endfor %}
  - id: polished
    repeat: {until: "similarity(previous, current) >= 0.95", max: 3}
    prompt: "Improve this text. Answer with the text only.\\n{{ input }}"
"""
"""A chain over an input `papers`."""

_RULES: Final = """\
Texts are templates: {{ expression }}, {% if %} … {% elif %} … {% else %} … {% endif %}, {% for x in list %} … {% endfor %}. In YAML's { } and after a key, a text with a comma, colon or brace stands in quotes; longer texts stand as blocks behind |.
A step waits for the steps that it names; all others run at the same time. A step without prompt asks its input. An id is given once and is none of the names that are known already.
Not allowed in YAML: anchors, aliases, tags, merge keys, a key twice, a second document.
"""


def in_short(without: Collection[str] = ()) -> str:
    """Keys, expressions, rules and an example, without some keys of the chain and of steps."""
    sections = {title: piece for title, piece in _SECTIONS.items() if title.partition(",")[0] not in without}
    parts = ["\n".join([f"{title}:", *_keys(piece, without)]) for title, piece in sections.items()]
    kinds = ", ".join(kind for kind in KINDS if kind not in without)
    parts.append(f"A step asks a model (it has prompt or role), or it has exactly one of {kinds}.")
    return "\n\n".join([*parts, _expressions(), _RULES + f"Example, over an input called papers:\n\n{EXAMPLE}"])


def _keys(piece: type[Piece], without: Collection[str]) -> Iterator[str]:
    for name, field in piece.model_fields.items():
        if (key := field.alias or name) not in without:
            yield f"- {key}: {field.description}"


def _expressions() -> str:
    return "\n".join(
        [
            "Expressions know names, 'texts', numbers, true, false, none, [lists], a.b, a[0], == != < <= > >= in, and or not, + - * /, ~ (joins texts), a if b else c.",
            f"Functions: {', '.join(map(_called, FUNCTIONS, FUNCTIONS.values()))}.",
            f"Filters: {', '.join(FILTERS)}. Tests: {', '.join(f'is {name}' for name in TESTS)}. Nothing else can be called.",
        ]
    )


def _called(name: str, function: Function) -> str:
    """``round(a, [b]) gives a number``."""
    letters = "abc"[: function.most]
    arguments = ", ".join(letter if place < function.least else f"[{letter}]" for place, letter in enumerate(letters))
    return f"{name}({arguments}){'' if function.gives == 'any' else f': {function.gives}'}"
