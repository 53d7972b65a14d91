"""A server that repeats the key it was sent: the key comes back in no answer, no piece of one, and no error, wherever it is cut."""

import asyncio
import contextlib
import json
import os
import warnings
from base64 import b64encode
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb import errors
from orchestrator_nb.calls import Delta, Response, Started, ThinkingDelta
from orchestrator_nb.messages import Text, Thinking, ToolCall
from orchestrator_nb.providers import PROVIDERS
from orchestrator_nb.providers.keys import StaticKeys
from orchestrator_nb.providers.redaction import NOTICE, SHORTEST, Redaction, _shared
from orchestrator_nb.secret import Secret

KEY = "zQ8.plain-looking.9vT_w+k/=="  # no pattern knows it
URL = httpx2.URL("http://127.0.0.1:1/v1")
FORMS = {
    "plain": KEY,
    "quoted": quote(KEY, safe=""),
    "hex": KEY.encode().hex(),
    **{f"base64 {pad}": b64encode(b"xyz"[:pad] + KEY.encode() + b"tail").decode() for pad in range(3)},
}


def redaction(value=KEY):
    return Redaction(Secret("lab", value, frozenset({"http://127.0.0.1:1"})), URL)


def holds(text, value=KEY):
    """Whether the key, or eight signs of it in any form, can be read in the text."""
    forms = (value, quote(value, safe=""), value.encode().hex())
    bases = [b64encode(b"xyz"[:pad] + value.encode() + b"tail").decode()[4:-12] for pad in range(3)]
    return [form for form in (*forms, *bases) if form in text] or [
        at for at in range(len(value) - 7) if value[at : at + 8] in text
    ]


def pieced(pieces, kind=Delta, value=KEY):
    """What a screen shows of an answer that comes in these pieces."""
    seen = []
    out = redaction(value).pieces(seen.append)
    for piece in pieces:
        out(kind(piece))
    out.flush()
    assert all(type(event) is kind for event in seen)
    return "".join(event.text for event in seen)


@pytest.mark.parametrize("kind", [Delta, ThinkingDelta])
@pytest.mark.parametrize("form", ["plain", "quoted", "hex"])
def test_a_key_cut_into_two_pieces_at_any_place_is_not_shown(form, kind):
    said = f"You sent {FORMS[form]}, I think."
    for at in range(len(said) + 1):
        assert pieced([said[:at], said[at:]], kind) == "You sent [key], I think."


@pytest.mark.parametrize("form", FORMS)
def test_a_key_that_comes_sign_by_sign_is_not_shown(form):
    shown = pieced(f"a {FORMS[form]} b")
    assert "[key]" in shown
    assert not holds(shown)


@given(st.text(max_size=200), st.data())
def test_an_answer_without_the_key_arrives_whole_however_it_is_cut(text, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert pieced(pieces) == text


@given(
    st.lists(
        st.sampled_from(["sk-", "sk", "s", "k", "-", "a", "abc", "sk-abc", "abcabcabc", "sk-abcabcabcabc", " "]),
        max_size=20,
    )
)
def test_a_key_that_repeats_its_own_beginning_is_found_and_its_look_alikes_are_kept(pieces):
    """The law: pieces show what the whole text would show, but for a beginning at the very end."""
    value, whole = "sk-abcabcabcabc", "".join(pieces)
    shown = pieced(pieces, value=value)
    assert value not in shown
    if value not in whole and not any(whole.endswith(value[:n]) for n in range(8, len(value))):
        assert shown == whole


def test_a_key_that_is_cut_off_by_the_end_is_not_shown_either():
    assert pieced(["it is ", KEY[:-1]]) == "it is [key]"
    assert redaction().response(Response("m", (Text(f"it is {KEY[:-1]}"),))).text == "it is [key]"
    assert redaction().text(f"lab/m: it is {KEY[:9]}… Check the key.") == "lab/m: it is [key]… Check the key."
    assert pieced(["it is ", KEY[:3]]) == f"it is {KEY[:3]}"


def test_other_events_pass_at_once():
    seen = []
    out = redaction().pieces(seen.append)
    out(Started())
    out(Delta("text"))
    assert seen == [Started(), Delta("text")]


@pytest.mark.parametrize("form", FORMS)
def test_every_field_of_a_response_is_cleaned_and_a_notice_says_so(form):
    said = FORMS[form]
    response = Response(
        f"m {said}",
        (Text(f"a {said}"), Thinking(said, said), ToolCall(said, said, {said: [said, {"x": said}], "n": 1})),
        finish_raw=said,
        raw_id=said,
        resume=said,
        notices=(said,),
    )
    clean = redaction().response(response)
    assert not holds(repr(clean))
    assert clean.notices[-1] == NOTICE
    assert clean.tool_calls[0].arguments["n"] == 1


def test_a_key_in_any_single_field_is_seen():
    for field in ("model", "finish_raw", "raw_id", "resume"):
        assert not holds(repr(redaction().response(Response(**{"model": "m", field: KEY}))))
    for part in (
        Thinking("", KEY),
        Thinking(KEY),
        ToolCall(KEY, "t", {}),
        ToolCall("i", "t", {"x": [1, KEY]}),
        Text(KEY),
    ):
        assert not holds(repr(redaction().response(Response("m", (part, Text("and more"))))))


@pytest.mark.parametrize("at", range(1, len(KEY)))
def test_a_key_spelled_across_two_parts_is_not_put_together_again(at):
    for kind in (Text, Thinking):
        response = Response("m", (kind(f"a {KEY[:at]}"), ToolCall("i", "t", {}), kind(f"{KEY[at:]} b")))
        clean = redaction().response(response)
        assert KEY not in clean.text + clean.thinking
        assert "a [key] b" in (clean.text, clean.thinking)


def test_an_answer_without_the_key_is_left_as_it_is():
    response = Response("m", (Text("plain words, sk-not-the-key-0123456789"), Thinking("hm", "seal")))
    assert redaction().response(response) is response


def test_ordinary_text_is_never_touched():
    lines = [f"line {n}: {'abc' * (n % 7)} {n * 7919:x} {b64encode(str(n).encode()).decode()}" for n in range(100_000)]
    one = redaction()
    assert one.text("\n".join(lines)) == "\n".join(lines)


@pytest.mark.parametrize("value", ["simulator", "x" * (SHORTEST - 1), "", "ümlaut-ümlaut-ümlaut", "\udcff" * 20])
def test_a_value_that_is_no_key_is_not_looked_for(value):
    one = redaction(value)
    assert one.pieces(print) is None
    assert one.text(f"a {value} b") == f"a {value} b"


def test_the_value_is_forgotten_at_the_end_and_shown_never():
    one = redaction()
    assert KEY not in repr(one) + repr(getattr(one, "__dict__", ""))
    one.forget()
    assert one.text(KEY) == KEY


# Over HTTP


def spoken(far, said, stream):
    """An OpenAI-like answer: plain, or a piece for each text in ``said``."""
    if not stream:
        body = {"model": "m", "choices": [{"message": {"content": "".join(said)}, "finish_reason": "stop"}]}
        return far.http(json.dumps(body).encode())
    events = [{"model": "m", "choices": [{"delta": {"content": piece}}]} for piece in said]
    events.append({"model": "m", "choices": [{"delta": {}, "finish_reason": "stop"}]})
    return far.sse(b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + b"data: [DONE]\n\n")


async def heard(far, said, stream):
    async def answer(_request, writer):
        writer.write(spoken(far, said, stream))
        await writer.drain()
        writer.close()

    events = []
    async with far.serve(answer) as there:
        one = far.exchange(keys=StaticKeys(KEY))
        try:
            return await one(far.question(there.url, stream=stream), events.append), events
        finally:
            await one.aclose()


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_repeats_the_key_arrives_without_it(far, stream):
    response, events = asyncio.run(heard(far, ["You sent ", KEY, ", I think."], stream))
    assert response.text == "You sent [key], I think."
    assert NOTICE in response.notices
    if stream:
        assert "".join(event.text for event in events if isinstance(event, Delta)) == response.text


def test_over_http_too_the_key_may_be_cut_anywhere(far):
    async def main():
        return [await heard(far, ["a ", KEY[:at], KEY[at:], " b"], stream=True) for at in range(1, len(KEY))]

    for response, events in asyncio.run(main()):
        assert response.text == "a [key] b"
        assert not holds(repr(events))


def test_a_stream_that_breaks_inside_the_key_keeps_its_text_without_it(far):
    async def answer(_request, writer):
        event = {"model": "m", "choices": [{"delta": {"content": f"a {KEY[:-2]}"}}]}
        writer.write(far.sse(b"data: " + json.dumps(event).encode() + b"\n\n"))
        await writer.drain()
        writer.close()

    async def main():
        async with far.serve(answer) as there:
            return await far.ask(there.url, stream=True, keys=StaticKeys(KEY))

    error = asyncio.run(main())
    assert type(error) is errors.Partial
    assert error.partial == "a [key]"


def test_an_error_event_whose_words_are_cut_inside_the_key_shows_no_half_of_it(far):
    async def answer(_request, writer):
        error = {"error": {"message": "x " * 249 + KEY, "code": 400}}
        writer.write(far.sse(b"data: " + json.dumps(error).encode() + b"\n\n"))
        await writer.drain()
        writer.close()

    async def main():
        async with far.serve(answer) as there:
            return await far.ask(there.url, stream=True, keys=StaticKeys(KEY))

    error = asyncio.run(main())
    assert "…" in str(error)
    assert KEY[:8] not in str(error)


def test_a_request_id_that_is_the_key_is_not_kept(far):
    async def answer(_request, writer):
        writer.write(far.http(b"{}", "500 No", "application/json", f"x-request-id: {KEY}"))
        await writer.drain()
        writer.close()

    async def main():
        async with far.serve(answer) as there:
            return await far.ask(there.url, keys=StaticKeys(KEY))

    assert asyncio.run(main()).request_id == "[key]"


def escaped(text):
    """As JSON may write any text."""
    return "".join(f"\\u{ord(sign):04x}" for sign in text)


def slashed(text):
    return text.replace("/", "\\/")  # as PHP and Django do


async def listed(far, body, kind="openai-compatible"):
    async with far.serve(far.http(body.encode())) as there:
        one = far.exchange(keys=StaticKeys(KEY))
        try:
            return await one.list_models(far.vendor(there.url, kind=kind))
        except errors.ProviderError as error:
            return error
        finally:
            await one.aclose()


@pytest.mark.parametrize("spelled", [str, escaped, slashed])
@pytest.mark.parametrize("kind", PROVIDERS)
def test_a_list_of_models_that_holds_the_key_is_read_without_it(far, kind, spelled):
    key = spelled(KEY)
    row = f'''{{"id": "model-{key}", "name": "models/model-{key}", "supportedGenerationMethods": ["generateContent"],
        "capabilities": {{"completion_chat": true}}, "aliases": ["{key}"], "deprecation_replacement_model": "{key}",
        "lifecycle": "retired", "retires_at": "{key}"}}'''
    (model,) = asyncio.run(listed(far, f'{{"data": [{row}], "models": [{row}]}}', kind))
    assert model.id.removeprefix("models/") == "model-[key]"
    assert not holds(repr(model))


@pytest.mark.parametrize("page", ["5", '{"a": 1}', '"\\ud800"', f'"{"x" * 70_000}"'])
def test_a_next_page_that_no_address_can_name_is_an_error_of_ours(far, page):
    for kind in ("gemini", "anthropic"):
        body = f'{{"data": [], "models": [], "has_more": true, "last_id": {page}, "nextPageToken": {page}}}'
        assert type(asyncio.run(listed(far, body, kind))) is errors.BadResponse


@pytest.mark.parametrize("spelled", [str, escaped, slashed])
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_shows_no_end_of_a_key_whose_beginning_looks_like_one(far, spelled, stream):
    key = "sk-zQ8abc/9vT_w+k/plain-looking=="  # a pattern knows what stands before the first slash
    body = f'{{"error": {{"message": "no {spelled(key)} here", "code": 401}}}}'

    async def main():
        said = far.sse(f"data: {body}\n\n".encode()) if stream else far.http(body.encode(), "401 No")

        async def answer(_request, writer):
            writer.write(said)
            await writer.drain()
            writer.close()

        async with far.serve(answer) as there:
            return await far.ask(there.url, stream=stream, keys=StaticKeys(key))

    error = asyncio.run(main())
    assert type(error) is errors.AuthFailed
    assert "no [key] here" in str(error)
    assert not holds(str(error), key)


# A vault that locks while the answer comes


@pytest.mark.parametrize("how", ["lock", "fork"])
def test_the_calls_own_key_stands_in_the_vaults_buffer_only_and_is_wiped_with_it(far, tmp_path, how):
    async def main():
        gate = asyncio.Event()
        first, second = (
            b"data: " + json.dumps({"model": "m", "choices": [choice]}).encode() + b"\n\n"
            for choice in (
                {"delta": {"content": "hello "}},
                {"delta": {"content": f"you sent {KEY} !"}, "finish_reason": "stop"},
            )
        )

        async def answer(_request, writer):
            writer.write(far.sse(first))
            await gate.wait()
            writer.write(second + b"data: [DONE]\n\n")
            await writer.drain()
            writer.close()

        def emit(event):
            events.append(event)
            if isinstance(event, Delta) and not gate.is_set():
                found.append(knows())
                if how == "lock":
                    keys.vault.lock()
                    found.append(knows())
                else:
                    found.append(in_a_child(knows))
                gate.set()

        def knows():
            return any(forms.held_by(KEY) for forms in list(_shared.values()))

        events, found = [], []
        async with far.serve(answer) as there:
            keys = far.VaultKeys(tmp_path / "vault", KEY, there.url)
            one = far.exchange(keys=keys, known=lambda: keys.vault.forms)
            try:
                return await one(far.question(there.url, stream=True), emit), events, found
            finally:
                await one.aclose()

    response, events, found = asyncio.run(main())
    assert found == [True, False]
    assert not holds(repr(events) + repr(response))
    assert response.text == "hello you sent [key] !"


def in_a_child(ask):
    """What a forked process answers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # forking with threads is what is tried here
        child = os.fork()
    if child:
        return bool(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    said = 2
    with contextlib.suppress(BaseException):
        said = int(ask())
    os._exit(said)
