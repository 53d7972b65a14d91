"""A server that puts a value of another type, or a key, in the place of any value of its answer: an answer or one of our errors, and the key in neither."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from recorded import ALL, Case, decode

from orchestrator_nb.calls import Request, Response
from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.errors import BadResponse, ProviderError
from orchestrator_nb.messages import Text, Thinking, ToolCall
from orchestrator_nb.providers import PROVIDERS
from orchestrator_nb.providers.faults import SHAPE, fault
from orchestrator_nb.providers.redaction import Redaction
from orchestrator_nb.secret import Secret

KEY = "zQ8.plain-looking.9vT_w+k/=="
ODD = (KEY, 10**400, -1.5, 5, None, True, "", "\ud800", "9" * 308 + "s" + "9" * 308 + "s", [], [KEY], {}, {KEY: KEY})
CASES = [case for case in ALL if not case.hops]
SHARE = 11
"""One mutation of so many is tried in every run; a prime, so that each kind of value comes everywhere."""


def redaction() -> Redaction:
    url = httpx2.URL("http://127.0.0.1:1/v1")
    return Redaction(Secret("lab", KEY, frozenset({"http://127.0.0.1:1"})), url)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, the whole of it too."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in inside:
        yield from places(child, (*path, name))


def put(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    whole = inner = copy.deepcopy(value)
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = odd
    return whole


def mutations(case: Case) -> Iterator[bytes]:
    """The body with one value replaced, for each value and each odd one."""
    lines = case.body.split(b"\n")
    for at, line in enumerate(lines):
        before, brace, rest = line.partition(b"{")
        try:
            value = json.loads(brace + rest)
        except ValueError:  # recorded broken
            continue
        for path, odd in itertools.product(list(places(value)), ODD):
            changed = before + json.dumps(put(value, path, odd)).encode()
            yield b"\n".join([*lines[:at], changed, *lines[at + 1 :]])


def read(case: Case, body: bytes) -> Any:
    """What the answer comes to, as the exchange would have it: an error as a value, and everything without the key."""
    clean, request = redaction(), case.request
    provider, model = PROVIDERS[request.model.vendor.kind], request.model
    try:
        if case.status != 200:
            vendor = model.vendor.name
            return fault(case.status, case.headers, body, vendor=vendor, model=model.id, hide=clean.text)
        if case.name == "models":
            return [clean.model(one) for one in provider.read_models(model.vendor, body)[0]]
        if case.name == "count_tokens":
            return provider.read_count(body)
    except SHAPE as caught:  # as the exchange does with lists and counts
        return BadResponse(type(caught).__name__, kind="bad_response")
    except ProviderError as error:
        return error
    return answered(request, case, body, clean)


def answered(request: Request, case: Case, body: bytes, clean: Redaction) -> Any:
    outcome = decode(request, case.headers, [body], clean.text)
    if (error := outcome.error) is not None:
        error.response = error.response and clean.response(error.response)
        return error
    assert outcome.response is not None
    return clean.response(outcome.response)


def look(found: Any) -> None:
    """The promise."""
    if isinstance(found, ProviderError):
        shown = f"{found} {found.response!r}"
        response = found.response
    else:
        shown, response = repr(found), found if isinstance(found, Response) else None
    assert KEY not in shown
    if response:
        typed(response)
    for model in found if isinstance(found, list) else ():
        typed_model(model)


def typed(response: Response) -> None:
    for text in (response.model, response.finish_raw, response.raw_id, response.resume):
        assert text is None or text.encode() is not None
    for part in response.parts:
        match part:
            case Text(text) | Thinking(text):
                text.encode()
            case ToolCall(name, tool, arguments):
                assert (name + tool).encode() is not None
                json.dumps(dict(arguments), ensure_ascii=False).encode()


def typed_model(model: ModelSpec) -> None:
    for text in (model.id, model.retired, model.successor, *model.aliases):
        assert text is None or text.encode() is not None


@pytest.mark.parametrize("folder", sorted({case.folder for case in CASES}))
def test_a_value_of_any_type_in_any_place_ends_in_an_answer_or_an_error_of_ours(folder: str):
    every = itertools.chain.from_iterable(
        ((case, body) for body in mutations(case)) for case in CASES if case.folder == folder
    )
    for case, body in itertools.islice(every, None, None, SHARE):
        look(read(case, body))


@pytest.mark.soak
def test_every_one_of_them():
    for case in CASES:
        for body in mutations(case):
            look(read(case, body))


@pytest.mark.parametrize("reason", [5, {"a": 1}, ["stop"], True])
def test_a_reason_that_is_no_text_is_a_bad_response(reason: Any):
    case = next(case for case in CASES if case.folder == "openai_compat" and case.status == 200 and case.streams)
    said = {"choices": [{"index": 0, "message": {"content": "fine"}, "finish_reason": reason}]}
    request = replace(case.request, stream=False)
    error = decode(request, {"content-type": "application/json"}, [json.dumps(said).encode()]).error
    assert type(error) is BadResponse
