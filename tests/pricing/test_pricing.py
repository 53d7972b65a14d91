"""What a call cost: who is asked, in which order, and that unknown is never 0."""

import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import genai_prices
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.calls import Cost, Params, Request, Response, Usage
from orchestrator_nb.catalog import ModelSpec, Price, Vendor
from orchestrator_nb.config.loading import builtin
from orchestrator_nb.kernel.price import Worst
from orchestrator_nb.messages import Image, Message, Text, Thinking, ToolCall
from orchestrator_nb.pricing import PROVIDER_OF_KIND, Pricer, estimated, is_sound

CATALOG = builtin(date(2026, 11, 22))
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LISTED = f"genai-prices {genai_prices.__version__}" if hasattr(genai_prices, "__version__") else "genai-prices 0.2.3"
USAGE = Usage(input=1_000_000, output=100_000, cached=0, written=0)


def pricer(overrides=None, when=NOON):
    return Pricer(overrides, now=when.timestamp)


def cost(name, usage=USAGE, *, prices=None, when=NOON, **answer):
    spec = CATALOG.find(name) if isinstance(name, str) else name
    answer = {"model": spec.id, **answer}
    return pricer(prices, when)(Request(spec, (Message.user("hi"),)), Response(usage=usage, **answer))


def test_a_listed_model_is_priced_with_the_tables_version_as_its_source():
    assert cost("sonnet") == Cost(Decimal(3), LISTED)


@pytest.mark.parametrize(
    ("name", "usage", "usd"),
    [
        ("sonnet", Usage(1000, 0, cached=1000), "0.0001"),
        ("sonnet", Usage(1000, 0, written=1000), "0.0025"),
        ("sonnet", Usage(1000, 1000, cached=400, written=100), "0.01129"),
        ("haiku", Usage(100_000, 1000), "0.0105"),
        ("haiku", Usage(100_001, 1000), "0.0525005"),
        ("gpt", Usage(272_001, 0), "1.088004"),
        ("gpt-5.4-mini", Usage(1000, 0, written=1000), "0.00075"),
        ("flash", Usage(1000, 1000, reasoning=900), "0.0045"),
    ],
)
def test_cached_written_and_tiered_tokens_have_their_own_price(name, usage, usd):
    assert cost(name, usage).usd == Decimal(usd)


def test_the_worst_case_is_that_of_the_dearest_hour_and_of_the_dearest_kind_of_token():
    spec = CATALOG.find("deepseek/deepseek-v4-flash")
    request = Request(spec, (Message.user("hi"),), params=Params(max_tokens=1000))
    bounds = {
        Worst(now, now.hours)(request)
        for hour in range(24)
        if (now := pricer(when=NOON.replace(hour=hour))) is not None
    }
    assert len(bounds) == 1
    for hour in range(24):
        when = NOON.replace(hour=hour)
        assert cost(spec, Usage(2, 1000), when=when).usd <= min(bounds)
        assert Worst(pricer(when=when))(request) <= min(bounds)  # the control: by the hour of the question alone ...
    assert len({Worst(pricer(when=NOON.replace(hour=hour)))(request) for hour in range(24)}) > 1  # ... it is another
    sonnet = Request(CATALOG.find("sonnet"), (Message.user("hi" * 5000),), params=Params(max_tokens=1))
    assert Worst(pricer())(sonnet) > cost("sonnet", Usage(10_000, 1, written=10_000)).usd


def test_the_hour_of_the_call_counts():
    night, day = datetime(2026, 11, 20, 2, tzinfo=UTC), NOON

    assert cost("deepseek", when=night).usd == 2 * cost("deepseek", when=day).usd


def test_the_model_that_answered_is_priced_not_the_one_that_was_asked():
    assert cost("mistral-large-latest", Usage(1000, 100), model="mistral-large-2512").usd == Decimal("0.00065")
    assert cost("sonnet", model="claude-opus-5-5").usd == cost("opus").usd


def test_a_model_that_no_table_knows_has_no_price():
    assert cost("gpt", model="gpt-77-unheard-of") == Cost(None, "none")
    assert cost("openrouter/nobody/nothing") == Cost(None, "none")


def test_a_server_of_the_users_own_has_no_price_unless_the_user_gives_one():
    for name in ("ollama/llama3.1:8b", "vllm/gpt-4o", "lmstudio/claude-sonnet-5-5"):
        assert cost(name, Usage(10, 10)) == Cost(None, "none")
        assert cost(name, Usage(10, 10), prices={name: Price(Decimal(0), Decimal(0))}) == Cost(Decimal(0), "user")


def test_a_known_gateway_is_priced_by_its_own_table_and_a_strangers_name_is_not():
    assert cost("groq/llama-3.3-70b-versatile").source == LISTED
    stranger = ModelSpec(Vendor("not-openai-really", "openai-compatible", "https://host.example/v1"), "gpt-4o")
    assert cost(stranger, Usage(10, 10)) == Cost(None, "none")
    by_address = ModelSpec(
        Vendor("mine", "openai-compatible", "https://api.groq.com/openai/v1"), "llama-3.3-70b-versatile"
    )
    assert cost(by_address).usd == cost("groq/llama-3.3-70b-versatile").usd


def test_a_simulated_answer_costs_what_the_vendor_would_take():
    local = replace(
        CATALOG.find("sonnet"), vendor=replace(CATALOG.vendors["anthropic"], base_url="http://127.0.0.1:1/anthropic")
    )

    assert cost(local, source="simulated").usd == Decimal(3)


OWN = {
    "anthropic/*": Price(Decimal(1), Decimal(1)),
    "anthropic/claude-son*": Price(Decimal(2), Decimal(2)),
    "claude-opus-5-5": Price(Decimal(3), Decimal(3)),
    "*": Price(Decimal(9), Decimal(9)),
}


@pytest.mark.parametrize(
    ("name", "usd"), [("haiku", "1.1"), ("sonnet", "2.2"), ("opus", "3.3"), ("gpt", "9.9"), ("ollama/x", "9.9")]
)
def test_the_users_price_comes_first_and_the_most_exact_name_wins(name, usd):
    assert cost(name, prices=OWN, cost_reported=Decimal(7)) == Cost(Decimal(usd), "user")


def test_a_price_in_the_models_entry_is_the_users_too_but_below_the_overrides():
    spec = replace(CATALOG.find("sonnet"), price=Price(Decimal(4), Decimal(4), cached=Decimal(1)))

    assert cost(spec, Usage(1_000_000, 0, cached=500_000)) == Cost(Decimal("2.5"), "user")
    assert cost(spec, prices=OWN).usd == Decimal("2.2")


def test_what_the_server_reports_comes_before_the_table():
    assert cost("openrouter/x/y", cost_reported=Decimal("0.0123")) == Cost(Decimal("0.0123"), "server")
    assert cost("sonnet", cost_reported=Decimal("0")) == Cost(Decimal(0), "server")
    for nonsense in ("-1", "NaN", "Infinity"):
        assert cost("sonnet", cost_reported=Decimal(nonsense)) == Cost(Decimal(3), LISTED)


ABSURD = {
    "missing": Usage(),
    "no output": Usage(input=10),
    "no input": Usage(output=10),
    "negative input": Usage(-5, 10),
    "negative output": Usage(5, -10),
    "negative cached": Usage(5, 10, cached=-1),
    "more cached than input": Usage(5, 10, cached=6),
    "more written and cached than input": Usage(5, 10, cached=3, written=3),
    "more reasoning than output": Usage(5, 10, reasoning=11),
    "more than any model reads": Usage(10**12, 10),
    "more than the model writes": Usage(10, 10**9),
}


@pytest.mark.parametrize("kind", ABSURD)
def test_a_usage_that_is_missing_or_cannot_be_true_gives_an_estimate_that_says_so(kind):
    answer = {"parts": (Thinking("t" * 360), Text("x" * 3600))}

    result = cost("sonnet", ABSURD[kind], **answer)

    assert not is_sound(ABSURD[kind], CATALOG.find("sonnet"))
    assert result.source == "estimate"
    assert result.usd == (Decimal(1) * 2 + Decimal(1100) * 10) / 1_000_000


def test_an_estimate_counts_everything_that_was_said():
    request = Request(CATALOG.find("sonnet"), (Message.user("é" * 180, Image(b"", "image/png")),), system="s" * 36)
    answer = Response("m", (Text("x" * 36), ToolCall("1", "f", {"a": 1})))

    assert estimated(request, answer) == Usage(input=1500 + 110, output=12)


def test_an_estimate_without_a_price_is_unknown():
    assert cost("ollama/x", Usage()) == Cost(None, "none")


LISTED_MODELS = [m for m in CATALOG.models if m.vendor.kind in PROVIDER_OF_KIND and not m.retired and m.max_output]
SIZES = st.sampled_from([0, 1, 99_999, 100_000, 100_001, 200_000, 200_001, 272_000, 272_001]) | st.integers(
    0, 1_000_000
)


@settings(max_examples=300, deadline=None)
@given(
    spec=st.sampled_from(LISTED_MODELS),
    total=SIZES,
    cached=st.floats(0, 1),
    written=st.floats(0, 1),
    output=st.integers(0, 60_000),
    hour=st.integers(0, 23),
)
def test_our_multiplication_agrees_with_genai_prices_to_the_last_digit(spec, total, cached, written, output, hour):
    read = int(total * cached)
    usage = Usage(total, output, read, int((total - read) * written))
    when = NOON.replace(hour=hour)
    theirs = genai_prices.Usage(
        input_tokens=usage.input, output_tokens=output, cache_read_tokens=usage.cached, cache_write_tokens=usage.written
    )
    wide = replace(spec, context=10**7, max_output=10**7)
    result = cost(wide, usage, when=when)
    try:
        expected = genai_prices.calc_price(
            theirs, spec.id, provider_id=PROVIDER_OF_KIND[spec.vendor.kind], genai_request_timestamp=when
        ).total_price
    except LookupError:
        assert result == Cost(None, "none")
    else:
        assert result == Cost(expected, LISTED)


def test_every_current_model_but_the_unpublished_has_a_price():
    unknown = {m.id for m in LISTED_MODELS if cost(m, Usage(10, 10)).usd is None}

    assert unknown == {"devstral-medium-latest"}
    assert cost("gpt-6.2-sol", Usage(10, 10)) == Cost(None, "none")


def test_an_entry_of_the_table_without_token_prices_is_not_free():
    free = ModelSpec(Vendor("openrouter", "openai-compatible", "https://openrouter.ai/api/v1"), "openrouter/auto")

    assert cost(free, Usage(10, 10)).usd is None


def test_the_table_is_loaded_by_the_first_price_and_not_before():
    code = "import sys, orchestrator_nb.pricing as p; p.Pricer(); sys.exit('genai_prices' in sys.modules or 'pydantic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.alone
def test_ten_thousand_prices_take_less_than_half_a_second():
    price, spec = pricer(), CATALOG.find("haiku")
    request, answer = Request(spec, (Message.user("hi"),)), Response(spec.id, usage=Usage(1000, 100, 10))
    price(request, answer)

    began = time.process_time()
    for _ in range(10_000):
        price(request, answer)

    assert time.process_time() - began < 1
