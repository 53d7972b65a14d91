"""Tokens of output: as long as the same model's earlier answers to the same template were, else its other answers, else what is usual.

What is reckoned is the mean of a grid's answers, not each of them, so a range is narrower than answers are. Answers count only where the run asked for the
same form and the same effort: another schema or more thinking makes another length.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pvariance
from typing import Any, Final

from orchestrator_nb.calls import Params
from orchestrator_nb.canonical import canonical, plain
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.results.estimate import Tokens
from orchestrator_nb.store.lookback import Template, Used

USUAL: Final = Tokens(10, 120, 500)
"""Tokens of an answer in words, without thinking."""
THINKING: Final = Tokens(30, 300, 1_200)
"""What thinking adds, where it is on."""
MAYBE: Final = Tokens(0, 200, 800)
"""What thinking adds, where the vendor decides whether there is any."""
A_FIELD: Final = Tokens(3, 15, 60)
"""Tokens for each field of a schema."""
SHARE_OF_LIMIT: Final = 0.25
"""Of a ``max_tokens`` that the user set: who asks for room for 8,000 tokens may want more than is usual."""

_SHAPING: Final = ("effort", "thinking", "schema", "json", "tools")
_PRIOR: Final = 2
"""Earlier answers that what is usual weighs as much as."""
_USUAL_SPREAD: Final = 0.5
"""Of answers to one template, as a share of their mean."""
_USUAL_FAMILIES: Final = 0.6
"""Of different templates' means, as a standard deviation of their logarithms: most lie within a factor of two."""


@dataclass(frozen=True, slots=True)
class Length:
    """Tokens of an answer, on average over a grid. ``why`` is what it leans on, in words, without the model's name."""

    tokens: tuple[float, float, float]
    why: str


def shape_of(params: Mapping[str, Any]) -> str:
    """What of the parameters (plain values) decides about the length of an answer, beside its limit."""
    return canonical({name: params[name] for name in _SHAPING if params.get(name)})


def limit_of(model: ModelSpec, params: Params) -> int | None:
    """The most tokens that an answer may have, thinking included; ``None`` where nobody says."""
    return params.max_tokens or model.max_tokens or model.vendor.quirks.max_tokens_default or model.max_output


def length(
    model: ModelSpec, params: Params, template: Template | None, prompts: int, earlier: Sequence[Used]
) -> Length:
    """How long the answers to ``prompts`` different prompts are. ``earlier`` calls are this model's."""
    limit, shape = limit_of(model, params), shape_of(plain(params.given))
    same = [call for call in earlier if shape_of(call.params) == shape and call.answer.usage.output is not None]
    alike = [call for call in same if template is not None and is_telling(template) and call.template == template]
    if alike:
        return Length(_capped(_of_template(alike, limit, prompts), limit), "as in earlier runs of this template")
    if same and (wish := _of_wish(template)):
        tokens, why = wish
        thought = fmean(call.answer.usage.reasoning or 0 for call in same)
        around = [words + share * thought for words, share in zip(tokens, (0.5, 1, 2), strict=True)]
        return Length(_capped(around, limit), f"as the prompt says {why!r}, and thinking as in earlier runs")
    if same:
        return Length(_capped(_of_model(same, limit), limit), "as in earlier runs of the model with other prompts")
    return _usual(model, params, template, limit)


def is_telling(template: Template) -> bool:
    """Whether there is anything in the template beside its variables: else every question has the same one."""
    return bool(_VARIABLE.sub("", template.prompt).strip())


_VARIABLE: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def _capped(tokens: Iterable[float], limit: int | None) -> tuple[float, float, float]:
    low, likely, high = (min(number, limit) if limit else number for number in tokens)
    return low, likely, high


def _lengths(calls: Sequence[Used], limit: int | None) -> list[float]:
    return [max(min(call.answer.usage.output or 0, limit or math.inf), 1.0) for call in calls]


def _of_template(calls: Sequence[Used], limit: int | None, prompts: int) -> tuple[float, float, float]:
    """Within what the mean of so few, or so many, answers may differ from the mean of the earlier ones."""
    lengths, count = _lengths(calls, limit), len(calls)
    mean = fmean(lengths)
    spread = math.sqrt((pvariance(lengths) / mean**2 * count + _USUAL_SPREAD**2 * _PRIOR) / (count + _PRIOR))
    off = 0.08 + 1.8 * spread * math.sqrt(1 / count + 1 / prompts)
    return mean / (1 + off), mean, _uncut(calls, limit, mean) * (1 + off)


def _uncut(calls: Sequence[Used], limit: int | None, mean: float) -> float:
    """The mean if those that met their limit had gone on to the one of today."""
    cut = sum(
        call.answer.finish == "length" and (call.answer.usage.output or 0) < (limit or math.inf) for call in calls
    )
    if not cut:
        return mean
    further = min(limit or math.inf, 4 * mean)
    return mean + (further - mean) * cut / len(calls) if further > mean else mean


def _of_model(calls: Sequence[Used], limit: int | None) -> tuple[float, float, float]:
    """The middle of what its templates took, and as far around it as they differ."""
    families: dict[object, list[Used]] = defaultdict(list)
    for call in calls:
        families[call.template if call.template and is_telling(call.template) else call.run].append(call)
    means = [math.log(fmean(_lengths(family, limit))) for family in families.values()]
    count = len(means)
    spread = math.sqrt((pvariance(means) * count + _USUAL_FAMILIES**2 * _PRIOR) / (count + _PRIOR))
    factor = math.exp(min(1.4 * spread * math.sqrt(1 + 1 / count), math.log(4)))
    middle = math.exp(fmean(means))
    return middle / factor, middle, _uncut(calls, limit, middle) * factor


def _usual(model: ModelSpec, params: Params, template: Template | None, limit: int | None) -> Length:
    words, why = _of_words(params, template)
    thought = _of_thinking(model, params)
    low, likely, high = words.plus(thought)
    if params.max_tokens:
        high = max(high, round(SHARE_OF_LIMIT * params.max_tokens)) if words is USUAL else high
        low = min(low, max(params.max_tokens // 4, 1))
    low, likely, high = map(round, _capped((low, likely, high), limit))
    thinks = ", thinking included" if thought.high else ""
    return Length((low, likely, high), f"no earlier run to go by{why}: {low:,} to {high:,} tokens each{thinks}")


def _of_words(params: Params, template: Template | None) -> tuple[Tokens, str]:
    if params.schema is not None:
        fields = max(_fields(params.schema), 1)
        return Tokens(*(fields * each for each in A_FIELD)), ", the schema decides"
    if wish := _of_wish(template):
        return wish[0], f", the prompt says {wish[1]!r}"
    return USUAL, ""


def _of_wish(template: Template | None) -> tuple[Tokens, str] | None:
    """Tokens of the length that the prompt asks for, and its words."""
    wish = _wish(template.prompt) if template else None
    return (Tokens(max(wish[1] // 4, 1), wish[1], max(3 * wish[1], 24)), wish[0]) if wish else None


def _fields(schema: Any, depth: int = 8) -> int:
    """How many values an answer in this shape has, lists counted as three."""
    if not isinstance(schema, Mapping) or not depth:
        return 1
    if isinstance(inner := schema.get("properties"), Mapping):
        return sum(_fields(field, depth - 1) for field in inner.values())
    if schema.get("type") == "array":
        return 3 * _fields(schema.get("items"), depth - 1)
    return 1


_NUMBERS: Final = {"one": 1, "a single": 1, "a": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10}  # fmt: skip
_NUMBER: Final = rf"(\d{{1,4}}|{'|'.join(_NUMBERS)})"
_WISHES: Final = (
    (re.compile(r"\byes\W{0,3}(?:or|/|and)\W{0,3}no\b|\btrue\W{0,3}(?:or|/)\W{0,3}false\b", re.IGNORECASE), 3),
    (re.compile(r"\b(?:only|just) (?:with )?(?:a|one|the) (?:word|number|letter|label|name|digit)\b", re.IGNORECASE), 3),
    (re.compile(rf"\b{_NUMBER}[ -](?:\w+ )?words?\b", re.IGNORECASE), 1.5),
    (re.compile(rf"\b{_NUMBER}[ -](?:\w+ )?sentences?\b", re.IGNORECASE), 24),
    (re.compile(rf"\b{_NUMBER}[ -](?:\w+ )?(?:bullets?|points?|items?|reasons?|ideas?|steps?|tips?|examples?)\b", re.IGNORECASE), 28),
    (re.compile(rf"\b{_NUMBER}[ -](?:\w+ )?paragraphs?\b", re.IGNORECASE), 110),
)  # fmt: skip
"""What a prompt may say about the length of its answer, and tokens for each."""


def _wish(prompt: str) -> tuple[str, int] | None:
    """The first wish that the template holds, in its words and in tokens."""
    for pattern, tokens in _WISHES:
        if found := pattern.search(prompt):
            number = found[1].lower() if found.lastindex else "one"
            times = _NUMBERS.get(number) or int(number) if number else 1
            return " ".join(found[0].split()), max(round(times * tokens), 3)
    return None


def _of_thinking(model: ModelSpec, params: Params) -> Tokens:
    """What thinking adds to an answer, by what the user asked for and what the model can."""
    can = model.thinking != "none" or "thinking" in model.features
    always = "thinking_off" in model.refuses
    if (params.effort == "none" or params.thinking is False) and not always:
        return Tokens()
    if isinstance(params.thinking, int) and params.thinking is not True and params.thinking:
        return Tokens(THINKING.low, params.thinking // 4, params.thinking)
    if params.thinking or params.effort or always:
        return THINKING
    return MAYBE if can or "unlisted" in model.features else Tokens()
