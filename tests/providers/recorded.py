"""The recorded answers of tests/wire, as cases: the request that each answers, its bytes, and what they mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orchestrator_nb.calls import Event, Request, Response
from orchestrator_nb.catalog import ModelSpec, Quirks, Vendor
from orchestrator_nb.errors import ProviderError
from orchestrator_nb.messages import Message
from orchestrator_nb.providers import PROVIDERS
from orchestrator_nb.providers.faults import fault

WIRE = Path(__file__).parent.parent / "wire"

KINDS = {
    "anthropic": "anthropic",
    "deepseek": "deepseek",
    "gemini": "gemini",
    "mistral": "mistral",
    "ollama": "ollama",
    "openai_chat": "openai",
    "openai_compat": "openai-compatible",
    "openai_responses": "openai",
}


@dataclass(frozen=True)
class Case:
    """One recorded answer. ``hops`` are the further answers of one that comes in several."""

    folder: str
    name: str
    path: str
    status: int
    headers: dict[str, str]
    body: bytes
    expect: dict[str, Any] | None = None
    hops: tuple[bytes, ...] = field(default=())

    @property
    def id(self) -> str:
        return f"{self.folder}-{self.name}"

    @property
    def streams(self) -> bool:
        return self.status == 200 and (
            "stream" in self.headers["content-type"] or "ndjson" in self.headers["content-type"]
        )

    @property
    def request(self) -> Request:
        return ask(self.folder, stream=self.streams)


def ask(folder: str, text: str = "What is 2 + 2?", *, stream: bool = True, **quirks: Any) -> Request:
    """A request to the vendor of a folder."""
    kind = KINDS[folder]
    dialect = "responses" if folder == "openai_responses" else "chat"
    quirks = {"dialect": dialect, "cost_in_usage": folder == "openai_compat", **quirks}
    vendor = Vendor(folder, kind, f"http://127.0.0.1:1/{folder}", quirks=Quirks(**quirks))
    return Request(ModelSpec(vendor, "some-model"), (Message.user(text),), stream=stream)


def cases() -> Iterator[Case]:
    """Every recorded answer."""
    for folder in KINDS:
        for row in json.loads((WIRE / folder / "index.json").read_text("utf-8"))["scenarios"]:
            answer = row["response"]
            hops = tuple(json.dumps(hop["body"]).encode() for hop in row.get("sequence", ()))
            yield Case(
                folder,
                row["name"],
                row["request"]["path"],
                answer["status"],
                {name.lower(): value for name, value in answer["headers"].items()},
                (WIRE / folder / answer["body_file"]).read_bytes()
                if "body_file" in answer
                else json.dumps(answer["body"], ensure_ascii=False).encode(),
                row.get("expect"),
                hops,
            )


ALL = tuple(cases())
EXPECTED = tuple(case for case in ALL if case.expect is not None)
STREAMS = tuple(case for case in EXPECTED if case.streams)


@dataclass(frozen=True)
class Outcome:
    """What decoding came to: an answer or an error, and the events on the way."""

    response: Response | None
    error: ProviderError | None
    events: tuple[Event, ...] = ()

    @property
    def facts(self) -> tuple[Any, ...]:
        """What must not depend on how the bytes were cut."""
        error = self.error
        return (
            self.response,
            error
            and (type(error), str(error), error.kind, error.verdict, error.response, error.billed, error.request_id),
        )


def decode(request: Request, headers: dict[str, str], chunks: list[bytes], hide: Callable[[str], str] = str) -> Outcome:
    """Feed the pieces of one answer to its vendor's decoder."""
    decoder = PROVIDERS[request.model.vendor.kind].decoder(request, headers)
    decoder.hide = hide
    events: list[Event] = []
    try:
        for chunk in chunks:
            events.extend(decoder.feed(chunk))
        return Outcome(decoder.finish(), None, tuple(events))
    except ProviderError as error:
        return Outcome(None, error, tuple(events))


def play(case: Case, chunks: list[bytes] | None = None) -> Outcome:
    """What a recorded answer comes to, error status and further hops included."""
    if case.status != 200:
        request = case.request
        error = fault(case.status, case.headers, case.body, vendor=request.model.vendor.name, model=request.model.id)
        return Outcome(None, error)
    if not case.hops:
        return decode(case.request, case.headers, chunks or [case.body])
    whole: Response | None = None
    for hop in case.hops:
        outcome = decode(replace(case.request, resume=whole and whole.resume), case.headers, [hop])
        assert outcome.response is not None
        whole = (
            outcome.response if whole is None else replace(outcome.response, parts=whole.parts + outcome.response.parts)
        )
    return Outcome(whole, None)
