"""A plan as a tree of plain text, for terminals and screen readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator_nb.chains.labels import State, clean, given, kind, marks
from orchestrator_nb.chains.planning import Plan
from orchestrator_nb.chains.scene import Part, Space, scene
from orchestrator_nb.figures import count, cut


def outline(plan: Plan, states: Mapping[str, State] | None = None) -> str:
    """The steps with what they wait for, and after a run what became of them."""
    chain, known = plan.chain, states or {}
    head = [f"{clean(chain.name)}: {clean(chain.description)}" if chain.description else clean(chain.name)]
    head += [f"given: {cut(given(chain), 300)}"] if chain.inputs else []
    tree = [f"{left} {words}" for left, words in _space(scene(plan), known, "")]
    return "\n".join([*head, *tree, f"gives: {cut(', '.join(map(clean, plan.outputs)), 300)}"])


def _space(space: Space, states: Mapping[str, State], left: str) -> Iterator[tuple[str, str]]:
    for index, part in enumerate(space.parts):
        last = index == len(space.parts) - 1
        yield from _part(
            part, space, index, states, (f"{left}{'└─' if last else '├─'}", f"{left}{'   ' if last else '│  '}")
        )


def _part(
    part: Part, space: Space, index: int, states: Mapping[str, State], lefts: tuple[str, str]
) -> Iterator[tuple[str, str]]:
    yield lefts[0], _line(part, space, index, states)
    several = len(part.spaces) > 1 or any(inner.name for inner in part.spaces)
    if not several:
        for inner in part.spaces:
            yield from _space(inner, states, lefts[1])
        return
    for place, inner in enumerate(part.spaces):  # branches and cases: a step each
        end = place == len(part.spaces) - 1
        yield from _part(
            inner.parts[0],
            inner,
            0,
            states,
            (f"{lefts[1]}{'└─' if end else '├─'}", f"{lefts[1]}{'   ' if end else '│  '}"),
        )


def _line(part: Part, space: Space, index: int, states: Mapping[str, State]) -> str:
    step = part.node.step
    said = "; ".join(cut(words, 100) for _, words in marks(step))
    sources = [arrow.source for arrow in space.arrows if arrow.target == index and arrow.leads == "data"]
    waits = "" if sources in ([], [index - 1]) else f"← {', '.join(clean(space.parts[i].node.id) for i in sources)}"
    closed = f"({count(part.closed, 'step')})" if part.closed else ""
    state = states.get(part.path)
    became = f"[{state.words}{', critical' if state.critical else ''}]" if state else "[not reached]" if states else ""
    words = (clean(part.node.id), cut(kind(step), 120), closed, f"({said})" if said else "", waits, became)
    return "  ".join(filter(None, words))
