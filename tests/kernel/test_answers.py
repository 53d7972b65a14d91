"""The layers that look at an answer: its price, its structure, its pieces."""

import asyncio
from decimal import Decimal

import pytest

from orchestrator_nb.calls import Cost, Delta, Params, Response, Usage
from orchestrator_nb.errors import InvalidAnswer, Partial, ServerFailure
from orchestrator_nb.kernel.continuation import continued
from orchestrator_nb.kernel.pipeline import build
from orchestrator_nb.kernel.price import priced
from orchestrator_nb.kernel.structure import structured
from orchestrator_nb.messages import Text, ToolCall


def answers(*outcomes):
    """A vendor that gives these in turn, and notes what it was asked."""
    left = list(outcomes)

    async def vendor(request, emit):
        vendor.asked.append(request)
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        emit(Delta(outcome.text))
        return outcome

    vendor.asked = []
    return vendor


def says(text, **how):
    return Response("tiny", (Text(text),), **how)


def outcome(handler, request):
    return asyncio.run(handler(request, lambda _: None))


def a_cent_a_letter(request, response):
    return Cost(Decimal(len(response.text)) / 100, "user")


def test_an_answer_gets_its_price(ask):
    assert outcome(build(answers(says("four")), [priced(a_cent_a_letter)]), ask()).cost == Cost(Decimal("0.04"), "user")


def test_a_partial_answer_gets_its_price_too(ask):
    cut = Partial("cut", kind="truncated", response=says("ab", complete=False))
    with pytest.raises(Partial) as failure:
        outcome(build(answers(cut), [priced(a_cent_a_letter)]), ask())
    assert failure.value.response.cost.usd == Decimal("0.02")


def test_a_failure_without_an_answer_costs_nothing_to_price(ask):
    with pytest.raises(ServerFailure):
        outcome(build(answers(ServerFailure("no", kind="server")), [priced(a_cent_a_letter)]), ask())


SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


def test_a_schema_fills_parsed(ask):
    request = ask(params=Params(schema=SCHEMA))
    assert outcome(build(answers(says('{"age": 7}')), [structured()]), request).parsed == {"age": 7}


def test_json_fills_parsed(ask):
    assert outcome(build(answers(says("[1, 2]")), [structured()]), ask(params=Params(json=True))).parsed == [1, 2]


def test_without_a_wish_the_text_is_left_alone(ask):
    assert outcome(build(answers(says('{"age": 7}')), [structured()]), ask()).parsed is None


@pytest.mark.parametrize(
    ("text", "kind"), [("I am seven", "invalid_json"), ('{"age": "seven"}', "schema"), ("", "invalid_json")]
)
def test_an_answer_that_is_not_what_was_asked_for_is_an_error_that_keeps_it(ask, text, kind):
    vendor = answers(says(text, usage=Usage(3, 4)))
    with pytest.raises(InvalidAnswer) as failure:
        outcome(build(vendor, [structured()]), ask(params=Params(schema=SCHEMA)))
    error = failure.value
    assert (error.kind, error.partial, error.billed, error.verdict.again) == (kind, text, "yes", False)
    assert error.response.usage == Usage(3, 4)
    assert len(vendor.asked) == 1


def test_json_cut_at_the_length_limit_says_what_to_allow(ask):
    with pytest.raises(InvalidAnswer, match="max_tokens"):
        outcome(build(answers(says('{"age": ', finish="length")), [structured()]), ask(params=Params(json=True)))


def test_a_model_that_asks_for_a_tool_has_not_answered_yet(ask):
    asks = Response("tiny", (ToolCall("1", "look", {}),), finish="tool_calls")
    assert outcome(build(answers(asks), [structured()]), ask(params=Params(json=True))).parsed is None


def test_a_paused_answer_is_fetched_to_its_end_and_joined(ask):
    vendor = answers(
        says("One, ", finish="pause", resume="t1", usage=Usage(5, 2)),
        says("two, ", finish="pause", resume="t2", usage=Usage(5, 2)),
        says("three.", usage=Usage(5, 1), raw_id="last"),
    )
    events = []
    whole = asyncio.run(build(vendor, [continued()])(ask(), events.append))
    assert (whole.text, whole.finish, whole.usage, whole.raw_id) == ("One, two, three.", "stop", Usage(15, 5), "last")
    assert whole.parts == (Text("One, two, three."),)
    assert [request.resume for request in vendor.asked] == [None, "t1", "t2"]
    assert "".join(event.text for event in events) == whole.text


def test_a_pause_without_a_token_is_given_back_as_it_is(ask):
    vendor = answers(says("One", finish="pause"))
    assert outcome(build(vendor, [continued()]), ask()).finish == "pause"


def test_an_answer_without_end_stays_paused_after_sixteen_more_pieces(ask):
    vendor = answers(*(says(".", finish="pause", resume="again") for _ in range(40)))
    whole = outcome(build(vendor, [continued()]), ask())
    assert (whole.finish, whole.text, len(vendor.asked)) == ("pause", "." * 17, 17)


@pytest.mark.parametrize(
    "error",
    [ServerFailure("no", kind="server"), Partial("cut", kind="truncated", response=says("two", complete=False))],
)
def test_a_piece_that_fails_keeps_all_text_so_far(ask, error):
    vendor = answers(says("One, ", finish="pause", resume="t1", usage=Usage(5, 2)), error)
    with pytest.raises(type(error)) as failure:
        outcome(build(vendor, [continued()]), ask())
    assert failure.value.partial == ("One, two" if isinstance(error, Partial) else "One, ")
    assert not failure.value.response.complete
    assert failure.value.response.usage == Usage(5, 2)
