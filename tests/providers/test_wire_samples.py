"""Every recorded answer means what its ``expect`` block says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from recorded import EXPECTED, Case, play

from orchestrator_nb.calls import Response
from orchestrator_nb.errors import CLASS_OF, ProviderError
from orchestrator_nb.providers.faults import LONGEST_WAIT_S

USAGE = {
    "input_total": "input",
    "cache_read": "cached",
    "cache_write": "written",
    "output": "output",
    "reasoning": "reasoning",
}


def test_there_are_exactly_130_expectations():
    assert len(EXPECTED) == 130


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: case.id)
def test_a_recorded_answer_means_what_is_expected(case: Case):
    outcome = play(case)
    expect = dict(case.expect or {})

    if wanted := expect.pop("error", None):
        assert outcome.error is not None
        check_error(outcome.error, wanted, case)
        assert outcome.error.partial == expect.pop("partial_text", "")
    else:
        assert outcome.response is not None, outcome.error
        check_answer(outcome.response, expect)
    assert not expect, "an expectation that was not looked at"


def check_error(error: ProviderError, wanted: dict[str, Any], case: Case) -> None:
    assert type(error) is CLASS_OF[error.kind]
    assert error.verdict.kind == error.kind
    if case.name == "truncated_stream":
        # The notes know no kind of its own for a stream without an end. Ours is "truncated": tried again only while no text has arrived.
        assert (error.kind, error.verdict.again) == ("truncated", False)
        return
    assert error.kind == wanted["kind"]
    assert error.verdict.again is wanted["retryable"]
    assert error.verdict.wait_s == wanted.get("retry_after")
    assert error.status == wanted.get("status", 200)
    assert (wanted.get("retry_after") or 0) <= LONGEST_WAIT_S or not error.verdict.again


def check_answer(response: Response, expect: dict[str, Any]) -> None:
    plain = {
        "text": response.text,
        "thinking": response.thinking,
        "stop": response.finish,
        "stop_raw": response.finish_raw,
    }
    plain |= {"model": response.model, "request_id": response.raw_id}
    for name in [name for name in expect if name in plain]:
        assert plain[name] == expect.pop(name), name
    calls = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in response.tool_calls]
    assert calls == expect.pop("tool_calls", [])
    if "cost_reported" in expect:
        assert response.cost_reported == Decimal(str(expect.pop("cost_reported")))
    check_usage(response, expect.pop("usage", {}))
    assert response.complete


def check_usage(response: Response, wanted: dict[str, int]) -> None:
    usage = response.usage
    for name, number in wanted.items():
        if name == "input_uncached":
            assert (usage.input or 0) - (usage.cached or 0) - (usage.written or 0) == number
        else:
            assert getattr(usage, USAGE[name]) == number, name
