"""All keys of an open vault at once: found in every form in which a server may repeat them, in one pass, and never in ordinary text."""

import asyncio
import base64
import contextlib
import json
import re
import secrets
import string
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb import errors
from orchestrator_nb.calls import Delta
from orchestrator_nb.forms import NOTHING, Forms, Sought
from orchestrator_nb.messages import Image, Message
from orchestrator_nb.providers.keys import StaticKeys
from orchestrator_nb.providers.redaction import Pieces
from orchestrator_nb.secret import Hidden

ODD = 'zQ8.plain"looking\\9vT_w+k/=='  # no pattern knows it; URLs and JSON write it in other ways
VALUES = {
    "ANTHROPIC_API_KEY": "sk-ant-api03-" + secrets.token_urlsafe(60),
    "OPENAI_API_KEY": "sk-proj-" + secrets.token_urlsafe(90),
    "GOOGLE_API_KEY": "AIza" + secrets.token_hex(17),
    "MISTRAL_API_KEY": secrets.token_hex(16),
    "LAB_KEY": ODD,
}


def forms(values=VALUES):
    return Forms(Sought(Hidden(value), f"[key {name}]", name) for name, value in values.items())


FOUND = {
    "raw": str,
    "quoted": lambda value: quote(value, safe=""),
    "JSON": lambda value: json.dumps(value)[1:-1],
    "quoted in small letters": lambda value: re.sub("%..", lambda code: code[0].lower(), quote(value, safe="")),
    "hex": lambda value: value.encode().hex(),
    "hex in capitals": lambda value: value.encode().hex().upper(),
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 after one sign": lambda value: base64.b64encode(b"x" + value.encode() + b"tail").decode(),
    "base64 after two": lambda value: base64.b64encode(b"xy" + value.encode() + b"tail").decode(),
    "basic": lambda value: base64.b64encode(f"user:{value}".encode()).decode(),
    "in an address": lambda value: f"https://example.com/v1?key={quote(value, safe='')}&x=1",
}
NOT_FOUND = {
    "reversed": lambda value: value[::-1],
    "in capitals": str.upper,
    "in HTML": lambda value: value.replace("/", "&#47;"),
    "cut by signs without width": "\u200b".join,
}


def readable(text, value):
    """Whether the value, or most of it, can be read in the text."""
    decoded = [text]
    for word in text.replace('"', " ").split():
        for start in range(4):
            piece = word[start:]
            with contextlib.suppress(ValueError):
                decoded.append(base64.b64decode(piece[: len(piece) // 4 * 4]).decode("latin-1"))
    return any(value[4:-6] in one for one in decoded)


@pytest.mark.parametrize("form", FOUND)
def test_every_key_is_found_in_every_form(form):
    for name, value in VALUES.items():
        said = FOUND[form](value)
        shown = forms().without(f"it is {said} !")
        assert f"[key {name}]" in shown
        assert value not in shown
        assert not readable(shown, value)


@pytest.mark.parametrize("form", NOT_FOUND)
def test_what_is_written_in_these_ways_is_not_found(form):
    """Said so in the documentation."""
    said = NOT_FOUND[form](ODD)
    assert forms().without(said) == said


def test_a_hundred_thousand_ordinary_lines_are_left_as_they_are():
    look_alikes = [
        "a risk-averse desk-proof task-specific ask-anyone plan",
        "sk-not-a-key-0123456789",
        "AIzaNothing",
        *(f"id {secrets.token_hex(16)} {base64.b64encode(secrets.token_bytes(24)).decode()}" for _ in range(1000)),
    ]
    lines = [f"{n}: {look_alikes[n % len(look_alikes)]} {'word ' * (n % 9)}" for n in range(100_000)]
    one = forms()
    assert [line for line in lines if one.without(line) != line or one.uncut(line) != line] == []
    assert one.without("\n".join(lines)) == "\n".join(lines)


@pytest.mark.parametrize("name", VALUES)
def test_a_stream_shows_no_key_wherever_it_is_cut(name):
    said = f"a {VALUES[name]} b"
    for at in range(len(said) + 1):
        seen = []
        pieces = Pieces(seen.append, forms())
        for piece in (said[:at], said[at:]):
            pieces(Delta(piece))
        pieces.flush()
        assert "".join(event.text for event in seen) == f"a [key {name}] b"


@settings(max_examples=100)
@given(st.text(alphabet=string.ascii_letters + "-_ \nzQ8.sk", max_size=200), st.data())
def test_any_other_stream_arrives_whole_however_it_is_cut(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    seen = []
    pieces = Pieces(seen.append, forms())
    for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True):
        pieces(Delta(text[a:b]))
    pieces.flush()
    assert "".join(event.text for event in seen) == text


def test_what_is_wiped_is_forgotten_and_no_whole_form_is_kept():
    value = Hidden(ODD)
    one = Forms([Sought(value, "[key]")])
    assert one.without(ODD) == "[key]"
    kept = repr(
        [getattr(one, f"_Forms__{name}") for name in ("heads", "beginnings", "edges", "hint", "keys", "search")]
    )
    assert not [at for at in range(len(ODD) - 4) if ODD[at : at + 5] in kept]
    value.wipe()
    assert one.without(f"a {ODD}") == f"a {ODD}"
    assert NOTHING.without(ODD) == ODD


def test_a_short_value_is_an_ordinary_word():
    one = forms({"LAB_KEY": "hello"})
    assert not one
    assert one.without("hello") == "hello"


# Over HTTP


def asked(far, body, *, known=NOTHING, stream=False, question=None, keys=None):
    """One call to a server that gives these bytes; the response or the error, what was shown on the way, and what arrived there."""

    async def answer(_request, writer):
        writer.write(body)
        await writer.drain()
        writer.close()

    async def main():
        async with far.serve(answer) as there:
            one, seen = far.exchange(keys=keys or StaticKeys(far.KEY), known=lambda: known), []
            try:
                return (
                    await one(question(there.url) if question else far.question(there.url, stream=stream), seen.append),
                    seen,
                    there.requests,
                )
            except errors.OrchestratorError as error:
                return error, seen, there.requests
            finally:
                await one.aclose()

    return asyncio.run(main())


@pytest.mark.parametrize("form", FOUND)
def test_a_server_that_repeats_another_vaulted_key_does_not_get_it_shown(far, form):
    said = FOUND[form](ODD)
    good, _, _ = asked(far, far.http(far.chat(f"it is {said} !")), known=forms())
    bad, _, _ = asked(far, far.http({"error": {"message": f"not {said} !"}}, "400 Bad"), known=forms())
    assert "[key LAB_KEY]" in good.text
    assert "[key LAB_KEY]" in str(bad)
    assert ODD not in repr(good) + str(bad)
    assert any("repeated a key of yours" in notice for notice in good.notices)


def test_in_a_stream_too_at_every_offset_of_the_other_key(far):
    for at in range(1, len(ODD)):
        body = far.sse(
            far.event(f"a {ODD[:at]}"), far.event(f"{ODD[at:]} b"), far.event("", "stop"), b"data: [DONE]\n\n"
        )
        answer, seen, _ = asked(far, body, known=forms(), stream=True)
        assert answer.text == "a [key LAB_KEY] b"
        assert ODD[:8] not in repr(seen)


def questions(far):
    """Every place in which a key could stand in a question."""
    from dataclasses import replace

    from orchestrator_nb.calls import Params, Tool

    picture = b"\x89PNG\r\n\x1a\n" + ODD.encode() + bytes(40)
    return {
        "prompt": lambda url: replace(far.question(url), messages=(Message.user(f"use {ODD}"),)),
        "long prompt": lambda url: replace(far.question(url), messages=(Message.user("word " * 9000 + ODD),)),
        "system": lambda url: replace(far.question(url), system=f"You are {ODD}."),
        "picture": lambda url: replace(far.question(url), messages=(Message.user("see", Image(picture, "image/png")),)),
        "stop": lambda url: replace(far.question(url), params=Params(stop=(ODD,))),
        "extra": lambda url: replace(far.question(url), params=Params(extra={"user": ODD})),
        "tool": lambda url: replace(far.question(url), params=Params(tools=(Tool("t", f"Call {ODD}.", {}),))),
        "base64": lambda url: replace(far.question(url), messages=(Message.user(FOUND["base64"](ODD)),)),
    }  # fmt: skip


@pytest.mark.parametrize("place", ["prompt", "long prompt", "system", "picture", "stop", "extra", "tool", "base64"])
def test_a_question_that_holds_a_vaulted_key_is_not_sent_and_the_key_is_named(far, place):
    error, _, requests = asked(far, far.OK, known=forms(), question=questions(far)[place])
    assert type(error) is errors.UserError
    assert "LAB_KEY" in str(error)
    assert ODD not in str(error)
    assert requests == []
    control, _, sent = asked(far, far.OK, question=questions(far)[place])  # a build that does not look
    assert (control.text, len(sent)) == ("Hello.", 1)


def test_the_calls_own_key_stands_in_no_question_either(far):
    from dataclasses import replace

    error, _, requests = asked(
        far, far.OK, question=lambda url: replace(far.question(url), messages=(Message.user(far.KEY),))
    )
    assert type(error) is errors.UserError
    assert requests == []
