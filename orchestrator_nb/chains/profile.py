"""Where the time of a finished run went: its critical path, and what more parallelism could gain. Pure functions over spans of time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """One step, item or turn that ran: seconds on one clock, and the names of the spans that had to end before. ``waited_s`` of its time it waited for limits."""

    name: str
    started: float
    ended: float
    needs: frozenset[str] = frozenset()
    waited_s: float = 0.0

    @property
    def wall_s(self) -> float:
        """From its start to its end."""
        return self.ended - self.started


def critical_path(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The spans that decided when the run ended: the one that ended last, before it the one of its needs that ended last, and so on. First to last.

    Making any other span faster would have gained nothing. A need that has no span (a skipped step) is passed over.
    """
    known = {span.name: span for span in spans}
    path = list[Span]()
    now = max(known.values(), key=_end, default=None)
    while now is not None and now not in path:
        path.append(now)
        now = max((known[name] for name in now.needs if name in known), key=_end, default=None)
    return tuple(reversed(path))


def _end(span: Span) -> tuple[float, str]:
    return span.ended, span.name


def wall_s(spans: Iterable[Span]) -> float:
    """From the first start to the last end; 0 for a run without spans."""
    all_of_them = tuple(spans)
    return max(span.ended for span in all_of_them) - min(span.started for span in all_of_them) if all_of_them else 0.0


def least_s(spans: Iterable[Span]) -> float:
    """The time that the run would have taken with no limits at all: the longest way through its needs, without what was waited for limits.

    ``wall_s(spans) - least_s(spans)`` is what more parallelism could gain. Raises `ValueError` when the spans need each other in a circle.
    """
    known = {span.name: span for span in spans}
    done = dict[str, float]()
    while len(done) < len(known):
        ready = [
            span
            for span in known.values()
            if span.name not in done and all(name in done for name in span.needs & known.keys())
        ]
        if not ready:
            raise ValueError("the spans need each other in a circle")
        done |= {span.name: _own(span) + _before(span, done) for span in ready}
    return max(done.values(), default=0.0)


def _own(span: Span) -> float:
    return max(span.wall_s - span.waited_s, 0.0)


def _before(span: Span, done: Mapping[str, float]) -> float:
    return max((done[name] for name in span.needs if name in done), default=0.0)


def shares(spans: Iterable[Span]) -> dict[str, float]:
    """Each span's part of the critical path's time, 0 to 1; 0 for those that are not on it."""
    every = tuple(spans)
    path = critical_path(every)
    total = sum(span.wall_s for span in path)
    on_it = {span.name: span.wall_s / total if total else 0.0 for span in path}
    return {span.name: on_it.get(span.name, 0.0) for span in every}
