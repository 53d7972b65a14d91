"""What the chain builder's forms ask for: the language's schema, a template of each kind of step, and the names to choose from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from orchestrator_nb.chains.language import schema

if TYPE_CHECKING:
    from orchestrator_nb.sessions import Session

_MOST: Final = 1_000


def terms(session: Session, name: str) -> dict[str, Any]:
    """As the browser gets it; ``name`` is the chain's own, which it cannot use."""
    chosen = choices(session, name)
    return {"schema": schema(), "kinds": kinds(chosen), "choices": chosen}


def choices(session: Session, name: str = "") -> dict[str, list[str]]:
    """The names that a step may say."""
    library = session.chains
    return {
        "models": _models(session)[:_MOST],
        "roles": sorted(library.roles.roles)[:_MOST],
        "personas": sorted(library.roles.personas)[:_MOST],
        "chains": [title for title, kept in library.all().items() if kept.chain and title != name][:_MOST],
        "functions": sorted(library.functions)[:_MOST],
    }


def _models(session: Session) -> list[str]:
    """Those that can be asked, short names first."""
    absent, today = session.missing_keys(), datetime.now(UTC).date().isoformat()
    models = [one for one in session.catalog.models if not one.retired or one.retired > today]
    ready = [one for one in models if one.vendor.name not in absent] or models
    return [*(alias for one in ready for alias in one.aliases[:1]), *(one.ref for one in ready)]


def kinds(chosen: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Every kind of step with the least that it needs; each takes the value of the step before it."""
    chain, function = (chosen[key][0] if chosen[key] else other for key, other in _OTHERS)
    rows: list[tuple[str, str, str, dict[str, Any]]] = [
        ("prompt", "Ask", "one question to a model", {"prompt": "{{ input }}"}),
        ("role", "Role", "what to do, by name: analyze, critique, summarize …", {"role": "summarize"}),
        ("each", "For each", "the same for each item of a list", {"each": ["one", "two"], "prompt": "{{ item }}"}),
        ("repeat", "Repeat", "turns, until a condition is true", _REPEAT),
        ("parallel", "Parallel", "branches at the same time", {"parallel": {"one": _ASK, "two": _ASK}}),
        ("switch", "Switch", "one of several branches", {"switch": _SWITCH}),
        ("block", "Block", "several steps as one", {"steps": [{"id": "first", "prompt": "{{ input }}"}]}),
        ("use", "Use", "another chain as a step", {"use": chain}),
        ("python", "Python", "a function that the notebook has registered", {"python": function}),
        (
            "plan",
            "Plan",
            "a model proposes further steps, which then run",
            {"plan": {"task": "{{ input }}", "max_steps": 3}},
        ),
    ]
    return [{"kind": kind, "label": label, "hint": hint, "template": step} for kind, label, hint, step in rows]


_ASK: Final = {"prompt": "{{ input }}"}
_REPEAT: Final = {"repeat": {"max": 3, "until": "similarity(previous, current) >= 0.95"}, "prompt": "{{ previous }}"}
_SWITCH: Final = {"ask": "Is this a question? yes or no: {{ input }}", "cases": {"yes": _ASK}, "default": _ASK}
_OTHERS: Final = (("chains", "other_chain"), ("functions", "function_name"))
