"""The fault matrix: every fault, every vendor, plain and streamed, over real HTTP, with everything on.

Each row of `EXPECTED` says what must come of a fault: the kind of error (or an answer), how many requests reach the vendor, how long we wait
between them, and who may have to pay. Waits without a hint are 0.5 s and 1 s, for the jitter stands still; all waits are over at once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from orchestrator_nb import config
from orchestrator_nb.calls import Delta, Request, Response, Retrying
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.config.paths import Paths
from orchestrator_nb.errors import CLASS_OF, Partial, ProviderError
from orchestrator_nb.kernel.breaker import Breaker
from orchestrator_nb.kernel.clock import SystemClock
from orchestrator_nb.kernel.continuation import continued
from orchestrator_nb.kernel.limits import Limiter
from orchestrator_nb.kernel.pipeline import build
from orchestrator_nb.kernel.retry import Backoff, retry
from orchestrator_nb.messages import Message
from orchestrator_nb.providers import PROVIDERS
from orchestrator_nb.providers.http import Exchange
from orchestrator_nb.providers.keys import StaticKeys
from orchestrator_nb.providers.network import Network
from orchestrator_nb.simulator import Simulator
from orchestrator_nb.simulator.elsewhere import NO_SUCH_HOST, refused_url, tls_server
from orchestrator_nb.simulator.faults import FAULTS

COMPAT_MODEL = "local-model"
PATIENT = Network()
"""For everything but silence: a busy machine must not be taken for a silent vendor."""
SHORT = Network(first_byte_s=0.3, gap_s=0.3, payload_s=0.5, total_s=10.0)
SILENT = {"slow-headers", "slow-first-byte", "stall", "comments-only"}
"""Faults that end when a clock does."""

MODELS = {
    "anthropic": ("anthropic", None),
    "gemini": ("gemini", None),
    "openai-responses": ("openai", "responses"),
    "openai-chat": ("openai", "chat"),
    "deepseek": ("deepseek", None),
    "mistral": ("mistral", None),
    "ollama": ("ollama", None),
    "compat": ("compat", None),
}


class HurriedClock(SystemClock):
    """Real time in which every sleep is over at once, and is counted as if it had been slept."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def wall(self) -> float:
        return super().wall() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    async def sleep(self, seconds: float) -> None:
        self.ahead += max(0.0, seconds)
        await asyncio.sleep(0)


def models(tmp: Path) -> dict[str, ModelSpec]:
    """One model for each column of the matrix, from the built-in catalogue."""
    catalog = config.load(Paths.find({"ORCHESTRATOR_NB_HOME": str(tmp)}), tmp, {}).catalog
    found = {}
    for column, (name, dialect) in MODELS.items():
        vendor = catalog.vendors["openai" if name == "compat" else name]
        spec = next(
            (m for m in catalog.models if m.vendor.name == vendor.name and not m.retired), ModelSpec(vendor, "llama3.2")
        )
        if name == "compat":
            vendor = replace(vendor, name="compat", kind="openai-compatible", key_name="COMPAT_KEY")
            spec = ModelSpec(vendor, COMPAT_MODEL, features=frozenset({"text"}))
        if dialect:
            vendor = replace(vendor, quirks=replace(vendor.quirks, dialect=dialect))
        found[column] = replace(spec, vendor=replace(vendor, key_name=vendor.key_name or "ANY_KEY"))
    return found


@dataclass(frozen=True)
class Outcome:
    """``waits`` are the pauses before retries; ``shown`` is the text that was streamed."""

    result: Response | ProviderError
    arrived: int
    waits: tuple[float, ...]
    shown: str

    @property
    def kind(self) -> str:
        return self.result.kind if isinstance(self.result, ProviderError) else "answer"

    @property
    def text(self) -> str:
        return self.result.partial if isinstance(self.result, ProviderError) else self.result.text

    @property
    def billed(self) -> str:
        return self.result.billed if isinstance(self.result, ProviderError) else "yes"


async def ask(
    spec: ModelSpec,
    base_url: str,
    *,
    stream: bool,
    arrived,
    prompt: str = "Tell me about rain.",
    network: Network = PATIENT,
) -> Outcome:
    """Ask once, with everything on; ``arrived`` counts the requests at the server."""
    clock = HurriedClock()
    limiter = Limiter(clock)
    exchange = Exchange(PROVIDERS, StaticKeys("good-key"), network, clock, limiter.observe)
    plan = Backoff(jitter=lambda: 1.0)
    handler = build(exchange, [continued(), retry(plan, clock), limiter.layer, Breaker(clock).layer])
    spec = replace(spec, vendor=replace(spec.vendor, base_url=base_url))
    request = Request(spec, (Message.user(prompt),), stream=stream)
    events, before = [], arrived()
    try:
        result: Response | ProviderError = await handler(request, events.append)
    except ProviderError as error:
        result = error
    finally:
        await exchange.aclose()
    waits = tuple(event.wait_s for event in events if isinstance(event, Retrying))
    shown = "".join(event.text for event in events if isinstance(event, Delta))
    return Outcome(result, arrived() - before, waits, shown)


@dataclass(frozen=True)
class Row:
    """What must come of a fault. ``plain`` and ``stream`` may differ from the row, and so may a single vendor (``but``)."""

    kind: str
    arrived: int = 1
    waits: tuple[float, ...] = ()
    billed: str = "no"
    text: bool = False


TWICE, THRICE = (0.5,), (0.5, 1.0)
ANSWER = Row("answer", billed="yes", text=True)
WORDLESS = Row("answer", billed="yes")
SERVER = Row("server", 3, THRICE)
BUSY = Row("overloaded", 3, THRICE)
LOST = Row("transient", 3, THRICE, "maybe")
LATE = Row("timeout", 3, THRICE, "maybe")
CUT = Row("truncated", billed="yes", text=True)
STALLED = Row("timeout", billed="yes", text=True)
UNREADABLE = Row("bad_response", 2, TWICE, "maybe")
NOTHING = Row("empty", 2, TWICE, "maybe")
BOMB = Row("response_too_large", billed="maybe")
LIMITED = Row("rate_limit", 3, THRICE)
HINTED = Row("rate_limit", 3, (1.0, 1.0))
MOVED = Row("redirect")

Expected = Row | tuple[Row, Row]
"""One row, or one for a plain call and one for a stream."""

EXPECTED: dict[str, tuple[Expected, dict[str, Expected]]] = {
    "400": (Row("invalid_request"), {}),
    "401": (Row("auth"), {}),
    "402": (Row("quota"), {}),
    "quota": (
        Row("quota"),
        {"mistral": LIMITED, "ollama": LIMITED},
    ),  # these two have no such words: a 429 like any other
    "403": (Row("permission"), {}),
    "404": (Row("not_found"), {}),
    "408": (Row("transient", 3, THRICE), {}),
    "409": (Row("transient", 3, THRICE), {}),
    "425": (Row("transient", 3, THRICE), {}),
    "413": (Row("too_large"), {}),
    "context": (Row("context_length"), {}),
    "422": (Row("invalid_request"), {}),
    "500": (SERVER, {}),
    "502": (SERVER, {}),
    "503": (BUSY, {}),
    "504": (Row("timeout", 3, THRICE), {}),
    "529": (BUSY, {}),
    "498": (BUSY, {}),
    "429": (HINTED, {"deepseek": LIMITED, "ollama": LIMITED}),  # they give no hint
    "429-seconds": (HINTED, {}),
    "429-ms": (HINTED, {}),
    "429-none": (LIMITED, {}),
    "429-negative": (LIMITED, {}),
    "429-garbage": (LIMITED, {}),
    "429-decade": (Row("rate_limit"), {}),
    "slow-headers": (LATE, {}),
    "slow-first-byte": (LATE, {}),
    "stall": ((LATE, STALLED), {}),
    "comments-only": (LATE, {}),
    "disconnect-before-headers": (LOST, {}),
    "reset-before-headers": (LOST, {}),
    "disconnect-before-body": (LOST, {}),
    "disconnect": ((LOST, CUT), {}),
    "reset": ((LOST, CUT), {}),
    "no-end": ((ANSWER, CUT), {}),
    # where the last event is the one that tells the end, its loss is a cut; [DONE] and message_stop only close what was told before
    "no-done": (ANSWER, dict.fromkeys(("gemini", "openai-responses", "ollama"), (ANSWER, CUT))),
    "empty-stream": (NOTHING, {}),
    "error-event": (
        (SERVER, Row("overloaded", billed="yes", text=True)),
        {vendor: (SERVER, Row("server", billed="yes", text=True)) for vendor in ("mistral", "ollama")},
    ),
    "error-event-first": ((SERVER, BUSY), {"mistral": SERVER, "ollama": SERVER}),
    "error-200": ((SERVER, BUSY), {"mistral": SERVER, "ollama": SERVER}),
    "malformed-json": ((UNREADABLE, Row("bad_response", billed="yes", text=True)), {}),
    "malformed-sse": (ANSWER, {"ollama": (ANSWER, UNREADABLE)}),  # in NDJSON every line is JSON
    "unknown-events": (ANSWER, {"ollama": (ANSWER, UNREADABLE)}),
    "comments": (ANSWER, {"ollama": (ANSWER, UNREADABLE)}),
    **dict.fromkeys(
        ["crlf", "lone-cr", "no-blank-line", "split-data", "byte-by-byte", "bom", "empty-deltas", "separators"],
        (ANSWER, {}),
    ),
    "html-502": (SERVER, {}),
    "html-200": (UNREADABLE, {}),
    **dict.fromkeys(["gzip-bomb", "double-gzip-bomb", "gzip-broken", "br-claimed", "zstd-claimed"], (BOMB, {})),
    "empty-body": (NOTHING, {}),
    "204": (NOTHING, {}),
    # Anthropic's and Ollama's empty content is an empty answer that ends in order; Gemini's stream just does not end
    "empty-choices": (
        NOTHING,
        {"anthropic": WORDLESS, "ollama": WORDLESS, "gemini": (NOTHING, Row("truncated", 3, THRICE, "maybe"))},
    ),
    "huge-body": (BOMB, {}),
    "endless-line": (BOMB, {}),
    "endless-headers": (BOMB, {}),
    "endless-events": ((BOMB, Row("response_too_large", billed="yes", text=True)), {}),
    "duplicate-chunks": (
        ANSWER,
        {},
    ),  # only Responses numbers its pieces; elsewhere a piece that comes twice cannot be told
    "reordered-chunks": (ANSWER, {"openai-responses": (ANSWER, Row("bad_response", billed="yes", text=True))}),
    **dict.fromkeys(["invalid-utf8", "split-utf8", "lone-surrogate", "nul"], (ANSWER, {})),
    **dict.fromkeys(["redirect", "redirect-301", "redirect-302", "redirect-308"], (MOVED, {})),
    **dict.fromkeys(["usage-missing", "usage-negative", "usage-absurd", "cost-mismatch"], (ANSWER, {})),
    "echo-headers": (Row("auth"), {}),
}

ELSEWHERE = {"429-date", "429-reset", "trickle"}
"""Faults with a test of their own below. Those without a row in the matrix are answers, and the vendors' own tests have them."""


@pytest.fixture(scope="module")
def sim():
    with Simulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def specs(tmp_path_factory):
    return models(tmp_path_factory.mktemp("home"))


@pytest.fixture
def asks(sim, specs):
    """``asks(column, stream, fault)``: what comes of the fault there."""

    def asks(column, stream, fault=None, *, network=PATIENT, **how):
        sim.clear()
        if fault:
            sim.fail(fault, **how)
        vendor = MODELS[column][0]
        return asyncio.run(
            ask(specs[column], sim.url(vendor), stream=stream, arrived=lambda: len(sim.requests), network=network)
        )

    return asks


def test_every_fault_of_the_matrix_has_its_row():
    assert {name for name, fault in FAULTS.items() if fault.rows} == EXPECTED.keys() | ELSEWHERE


COLUMNS = pytest.mark.parametrize("column", MODELS)
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@pytest.mark.parametrize("fault", EXPECTED)
@COLUMNS
def test_a_fault_has_the_outcome_of_its_row(asks, sim, fault, column):
    for stream in (False, True):
        outcome = asks(column, stream, fault, network=SHORT if fault in SILENT else PATIENT)
        usual, others = EXPECTED[fault]
        expected = others.get(column, usual)
        row = expected if isinstance(expected, Row) else expected[stream]
        found = Row(outcome.kind, outcome.arrived, outcome.waits, outcome.billed, bool(outcome.text))
        assert found == row, outcome.result
        _consistent(outcome, column)
        assert not sim.elsewhere, "no redirect is followed"


def _consistent(outcome, column):
    """What holds for every outcome."""
    result = outcome.result
    if isinstance(result, Response):
        assert result.complete
        assert result.source == "simulated"
        return
    assert result.__context__ is None
    assert isinstance(result, CLASS_OF[result.kind] | Partial)
    assert result.vendor == MODELS[column][0]
    if result.partial:
        assert not result.response.complete
        assert outcome.shown == result.partial, "the text so far is what was shown"


@BOTH
@COLUMNS
def test_a_date_as_hint_is_waited_for(asks, column, stream):
    outcome = asks(column, stream, "429-date", seconds=5)
    assert (outcome.kind, outcome.arrived) == ("rate_limit", 3)
    assert all(2.5 <= wait_s <= 7.0 for wait_s in outcome.waits)


@BOTH
@pytest.mark.parametrize("column", ["anthropic", "openai-responses", "openai-chat", "compat"])
def test_the_reset_of_an_exhausted_limit_is_waited_for(asks, column, stream):
    outcome = asks(column, stream, "429-reset", seconds=5)
    assert (outcome.kind, outcome.arrived) == ("rate_limit", 3)
    assert all(2.5 <= wait_s <= 6.0 for wait_s in outcome.waits)  # whole seconds, less the way there


@BOTH
@COLUMNS
def test_a_hint_is_waited_for_in_full(asks, column, stream):
    assert asks(column, stream, "429-seconds", seconds=37).waits == (37.0, 37.0)


@BOTH
@COLUMNS
def test_a_hint_of_ten_years_is_told_in_the_error(asks, column, stream):
    outcome = asks(column, stream, "429-decade")
    assert outcome.result.verdict.wait_s > 300_000_000


@COLUMNS
def test_an_answer_that_only_trickles_ends_with_the_total_clock(asks, column):
    outcome = asks(column, True, "trickle", network=replace(SHORT, total_s=0.4))
    assert outcome.kind == "timeout"
    assert outcome.arrived == (1 if outcome.text else 3)


@BOTH
@COLUMNS
def test_what_passes_is_forgiven(asks, column, stream):
    outcome = asks(column, stream, "500", times=2)
    assert (outcome.kind, outcome.arrived, outcome.waits) == ("answer", 3, THRICE)
    assert not stream or outcome.shown == outcome.text


@COLUMNS
def test_a_gemini_answer_in_two_pieces_is_one_answer(asks, column):
    outcome = asks(column, True, "continuation", times=1)
    assert outcome.arrived == (2 if column == "gemini" else 1)
    assert outcome.result.finish == "stop"


@COLUMNS
@pytest.mark.parametrize(
    ("place", "kind", "tries"),
    [(refused_url, "connection", 3), (lambda: NO_SUCH_HOST.replace("http:", "https:"), "dns", 2)],
    ids=["refused", "dns"],
)
def test_a_vendor_that_is_not_there_is_unreachable(specs, monkeypatch, column, place, kind, tries):
    outcome = asyncio.run(ask(specs[column], place(), stream=True, arrived=int))
    assert (outcome.kind, outcome.billed, outcome.waits) == (kind, "no", THRICE[: tries - 1])


@COLUMNS
@pytest.mark.parametrize("flaw", ["self-signed", "expired", "wrong-host"])
def test_a_bad_certificate_is_never_tried_twice(specs, tmp_path, column, flaw):
    with tls_server(flaw) as (url, authority):
        network = SHORT
        if flaw != "self-signed":
            (tmp_path / "ca.pem").write_bytes(authority)
            network = replace(SHORT, ca_file=str(tmp_path / "ca.pem"))
        outcome = asyncio.run(ask(specs[column], url, stream=True, arrived=int, network=network))
    assert (outcome.kind, outcome.billed, outcome.waits) == ("tls", "no", ())
