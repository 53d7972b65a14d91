"""A chain as a settings file or a chain file says it, unread: which models it names, and what it asks for that not every project may.

Only keys are looked at here, and only so far as to know where steps stand; what a chain means, and what is wrong with it, `orchestrator_nb.chains` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestrator_nb.config.yaml import Place

ALLOWED_CHAIN_KEYS: Final = frozenset({"version", "name", "description", "inputs", "defaults", "steps", "outputs"})
ALLOWED_STEP_KEYS: Final = frozenset(
    {
        "id", "name", "role", "persona", "model", "prompt", "system", "fallback", "options", "samples", "schema", "input", "when", "each", "repeat",
        "retry", "on_error", "timeout", "budget", "save", "steps", "parallel", "switch", "use", "with",
    }
)  # fmt: skip
"""What a step may say in a project that is not trusted: texts, known models, and the order of things. Not ``python``, which runs code; not ``mode``, which may bring tools; not ``plan``, with which a model writes steps."""
ALLOWED_SWITCH_KEYS: Final = frozenset({"on", "ask", "model", "options", "cases", "default"})
ALLOWED_OPTIONS: Final = frozenset({"temperature", "max_tokens"})
"""Options that spend nothing more and bring nothing else into a request."""

Named = tuple[Place, Any]


def named_models(chain: Any) -> Iterator[tuple[Place, str]]:
    """Every model that a chain names."""
    for place, step, _ in _asking(chain):
        for key in ("model", "fallback"):
            value = step.get(key)
            if isinstance(value, str):
                yield (*place, key), value
            elif isinstance(value, list):
                yield from (((*place, key, index), name) for index, name in enumerate(value) if isinstance(name, str))


def beyond(chain: Any, most_tokens: int) -> Iterator[Named]:
    """What a chain asks for that only a trusted project may, with the value."""
    if not isinstance(chain, Mapping):
        return  # a text of one line: roles, personas, models
    yield from _not_in(chain, ALLOWED_CHAIN_KEYS, ())
    for place, step, allowed in _asking(chain):
        if allowed is None:
            continue  # its key is refused as a whole
        yield from _not_in(step, allowed, place)
        yield from _options(step.get("options"), (*place, "options"), most_tokens)


def _not_in(value: Mapping[str, Any], allowed: frozenset[str], place: Place) -> Iterator[Named]:
    yield from (((*place, key), found) for key, found in value.items() if key not in allowed)


def _options(options: Any, place: Place, most_tokens: int) -> Iterator[Named]:
    if not isinstance(options, Mapping):
        return
    yield from _not_in(options, ALLOWED_OPTIONS, place)
    tokens = options.get("max_tokens")
    if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int) or tokens > most_tokens):
        yield (*place, "max_tokens"), tokens


def _asking(chain: Any) -> Iterator[tuple[Place, Mapping[str, Any], frozenset[str] | None]]:
    """Everything in a chain that can name models and options, with the keys that are allowed: the defaults, every step, the questions of ``switch`` and ``plan``."""
    if not isinstance(chain, Mapping):
        return
    if isinstance(chain.get("defaults"), Mapping):
        yield ("defaults",), chain["defaults"], ALLOWED_STEP_KEYS
    for place, step in steps(chain):
        yield place, step, ALLOWED_STEP_KEYS
        for key, allowed in (("switch", ALLOWED_SWITCH_KEYS), ("plan", None)):
            if isinstance(step.get(key), Mapping):
                yield (*place, key), step[key], allowed


def steps(chain: Any) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """Every step of a chain, also inside others, with its place."""
    waiting: list[Named] = [(("steps",), chain.get("steps"))] if isinstance(chain, Mapping) else []
    while waiting:
        place, found = waiting.pop()
        if isinstance(found, list):
            waiting += [((*place, index), step) for index, step in reversed([*enumerate(found)])]
        elif isinstance(found, Mapping):
            yield place, found
            waiting += reversed([*_inside(found, place)])


def _inside(step: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, Any]]:
    yield (*place, "steps"), step.get("steps")
    if isinstance(branches := step.get("parallel"), Mapping):
        yield from (((*place, "parallel", name), branch) for name, branch in branches.items())
    if isinstance(switch := step.get("switch"), Mapping):
        if isinstance(cases := switch.get("cases"), Mapping):
            yield from (((*place, "switch", "cases", name), case) for name, case in cases.items())
        yield (*place, "switch", "default"), switch.get("default")
