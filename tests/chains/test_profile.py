"""Where the time went: the critical path and what more parallelism could gain, from spans alone."""

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.chains.profile import Span, critical_path, least_s, shares, wall_s


def span(name, started, ended, *needs, waited=0.0):
    return Span(name, started, ended, frozenset(needs), waited)


RUN = [
    span("a", 0, 2),
    span("b", 0, 5),
    span("c", 2, 3, "a"),
    span("d", 5, 9, "c", "b", waited=1),
    span("e", 3, 4, "c", "skipped"),
]


def test_the_path_goes_back_from_the_end_along_what_was_waited_for():
    assert [part.name for part in critical_path(RUN)] == ["b", "d"]
    assert shares(RUN) == {"a": 0, "b": 5 / 9, "c": 0, "d": 4 / 9, "e": 0}


def test_without_limits_the_longest_way_is_what_remains():
    assert wall_s(RUN) == 9
    assert least_s(RUN) == 8
    assert (critical_path([]), wall_s([]), least_s([]), shares([])) == ((), 0, 0, {})


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5), st.sets(st.integers(0, 9), max_size=3)), max_size=10))
def test_a_run_that_never_waits_is_as_long_as_its_critical_path(drawn):
    """Spans that begin as soon as what they need has ended: then the path explains every second."""
    spans = []
    for index, (length, _, before) in enumerate(drawn):
        needs = [spans[other] for other in before if other < index]
        start = max((part.ended for part in needs), default=0)
        spans.append(span(str(index), start, start + length, *(part.name for part in needs)))
    assert sum(part.wall_s for part in critical_path(spans)) == wall_s(spans) == least_s(spans)
