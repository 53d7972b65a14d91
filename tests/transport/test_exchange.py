"""One exchange over real TCP: what goes out, what comes back, and what each failure on the way becomes."""

import asyncio
import socket
import time

import httpx2
import pytest

from orchestrator_nb import errors
from orchestrator_nb.calls import Delta, Started
from orchestrator_nb.providers import mishaps
from orchestrator_nb.providers.keys import EnvironmentKeys
from orchestrator_nb.providers.network import Network

BOTH = pytest.mark.parametrize("transport", ["thin", "httpx2"])


def run(work):
    return asyncio.run(work)


async def outcome(far, answer, *, transport="thin", stream=False, emit=lambda _event: None, **clocks):
    async with far.serve(answer) as there:
        return await far.ask(there.url, stream=stream, emit=emit, network=Network(transport=transport, **clocks))


@BOTH
def test_a_plain_answer_becomes_a_response_and_the_key_stands_in_its_header(far, transport):
    async def main():
        async with far.serve(far.OK) as there:
            events = []
            answer = await far.ask(there.url + "/v1", emit=events.append, network=Network(transport=transport))
            return answer, events, there.requests[0]

    answer, events, request = run(main())
    head = request.partition(b"\r\n\r\n")[0].decode().lower()
    assert (answer.text, answer.complete, answer.source) == ("Hello.", True, "live")
    assert events[0] == Started()
    assert head.startswith("post /v1/chat/completions http/1.1")
    assert f"authorization: bearer {far.KEY}" in head
    assert "accept-encoding: identity" in head
    assert head.count("host:") == head.count("content-length:") == head.count("content-type:") == 1


@BOTH
def test_a_streamed_answer_is_emitted_piece_by_piece_before_it_ends(far, transport):
    async def main():
        heard, all_sent = [], asyncio.Event()

        async def answer(_request, writer):
            writer.write(far.STREAM_HEAD + far.chunk(far.event("Hel")))
            await all_sent.wait()  # the end is sent only after the first piece was heard
            writer.write(far.chunk(far.event("lo.", "stop")) + far.chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

        def emit(event):
            heard.append(event)
            if event == Delta("Hel"):
                all_sent.set()

        return await outcome(far, answer, transport=transport, stream=True, emit=emit), heard

    answer, heard = run(main())
    assert answer.text == "Hello."
    assert heard == [Started(), Delta("Hel"), Delta("lo.")]


def test_no_key_name_means_no_authorization_header_at_all(far):
    async def main():
        async with far.serve(far.OK) as there:
            await far.ask(there.url, key_name=None)
            return there.requests[0].lower()

    assert b"authorization" not in run(main())


def test_only_an_answer_from_loopback_that_says_so_is_marked_simulated(far):
    marked = far.http(far.chat(), "200 OK", "application/json", "x-simulated: 1")
    assert run(outcome(far, marked)).source == "simulated"
    assert run(outcome(far, far.OK)).source == "live"


def test_a_broken_answer_of_the_simulator_is_marked_too(far):
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-simulated: 1\r\nconnection: close\r\n\r\n"

    async def cut(_request, writer):
        writer.write(head + far.event("So far"))
        await writer.drain()
        writer.close()

    assert run(outcome(far, cut, stream=True)).response.source == "simulated"


def test_a_call_without_its_key_never_starts(far):
    async def main():
        events = []
        error = await far.ask("http://127.0.0.1:9", keys=EnvironmentKeys({}), emit=events.append)
        return type(error), events

    assert run(main()) == (errors.KeyMissing, [])


def test_rate_limit_headers_are_handed_to_the_limiter(far):
    async def main():
        hints = []
        answer = far.http(
            far.chat(),
            "200 OK",
            "application/json",
            "x-ratelimit-limit-requests: 50",
            "x-ratelimit-remaining-requests: 7",
        )
        async with far.serve(answer) as there:
            one = far.exchange(observe=lambda request, hint: hints.append((request.model.id, hint.requests_remaining)))
            await one(far.question(there.url), lambda _event: None)
            await one.aclose()
        return hints

    assert run(main()) == [("m", 7.0)]


STATUSES = {
    400: (errors.BadRequest, False), 401: (errors.AuthFailed, False), 402: (errors.QuotaExhausted, False),
    403: (errors.Forbidden, False), 404: (errors.ModelNotFound, False), 408: (errors.Transient, True),
    409: (errors.Transient, True), 413: (errors.TooLarge, False), 422: (errors.BadRequest, False),
    425: (errors.Transient, True), 429: (errors.RateLimited, True), 500: (errors.ServerFailure, True),
    502: (errors.ServerFailure, True), 503: (errors.ServerFailure, True), 529: (errors.ServerFailure, True),
}  # fmt: skip


@BOTH
@pytest.mark.parametrize("status", STATUSES)
def test_every_error_status_has_its_class_its_verdict_and_costs_nothing(far, status, transport):
    kind, again = STATUSES[status]
    error = run(outcome(far, far.http({"error": {"message": "because"}}, f"{status} No"), transport=transport))
    assert type(error) is kind
    assert (error.status, error.verdict.again, error.billed) == (status, again, "no")
    assert "because" in str(error)
    assert str(error).startswith("lab/m ")


def test_of_an_endless_error_body_only_the_beginning_is_read(far):
    async def answer(_request, writer):
        writer.write(b"HTTP/1.1 500 No\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(far.chunk(b"x" * 10_000))
            await writer.drain()

    error = run(outcome(far, answer))
    assert type(error) is errors.ServerFailure
    assert len(str(error)) < 700


def refused_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@BOTH
def test_a_refused_connection_is_unreachable_and_may_be_tried_again(far, transport):
    error = run(far.ask(f"http://127.0.0.1:{refused_port()}", network=Network(transport=transport)))
    assert type(error) is errors.ProviderUnreachable
    assert (error.kind, error.billed, error.verdict.again) == ("connection", "no", True)


@BOTH
def test_a_name_that_does_not_resolve_is_tried_once_more_at_most(far, transport):
    error = run(far.ask("https://no-such-host.invalid", network=Network(transport=transport)))
    assert type(error) is errors.ProviderUnreachable
    assert (error.kind, error.verdict.again, error.verdict.most) == ("dns", True, 1)


async def hang_up(_request, writer):
    writer.transport.abort()


@BOTH
def test_a_connection_lost_before_the_answer_is_transient_and_may_have_cost(far, transport):
    error = run(outcome(far, hang_up, transport=transport))
    assert type(error) is errors.Transient
    assert (error.verdict.again, error.billed) == (True, "maybe")


@BOTH
def test_a_stream_that_breaks_off_keeps_its_text_and_is_not_tried_again(far, transport):
    async def answer(_request, writer):
        writer.write(far.STREAM_HEAD + far.chunk(far.event("So far")))
        await writer.drain()
        writer.close()

    error = run(outcome(far, answer, transport=transport, stream=True))
    assert type(error) is errors.Partial
    assert (error.partial, error.response.complete, error.kind) == ("So far", False, "truncated")
    assert (error.verdict.again, error.billed) == (False, "yes")


@BOTH
def test_a_connection_lost_after_the_end_of_the_answer_loses_nothing(far, transport):
    async def answer(_request, writer):
        writer.write(far.STREAM_HEAD + far.chunk(far.event("All", "stop")) + far.chunk(b"data: [DONE]\n\n"))
        await writer.drain()
        writer.transport.abort() if transport == "thin" else writer.close()

    async def later(request, writer):
        await answer(request, writer)

    result = run(outcome(far, later, transport=transport, stream=True))
    assert getattr(result, "text", result) == "All"


@pytest.mark.parametrize("content_type", ["text/html", "text/html; charset=utf-8", "image/png", "application/pdf"])
def test_a_web_page_is_never_taken_for_an_answer(far, content_type):
    error = run(outcome(far, far.http(b"<html>Welcome to the hotel</html>", "200 OK", content_type)))
    assert type(error) is errors.BadResponse
    assert (error.verdict.again, error.verdict.most, error.billed) == (True, 1, "maybe")
    assert "hotel" not in str(error)


@pytest.mark.parametrize(
    "garbage",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"\0\1\2\3",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    ],
)
def test_a_server_that_does_not_speak_http_is_a_bad_response(far, garbage):
    error = run(outcome(far, garbage))
    assert isinstance(error, errors.BadResponse)
    assert error.verdict.most == 1


def test_interim_answers_are_passed_over(far):
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 3 + b"HTTP/1.1 100 Continue\r\n\r\n"
    assert run(outcome(far, interim + far.OK)).text == "Hello."


def test_headers_after_the_body_do_not_count(far):
    body = far.http(far.chat()).partition(b"\r\n\r\n")[2]
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n" + far.chunk(
        body
    )
    assert run(outcome(far, answer + b"0\r\nx-simulated: 1\r\n\r\n")).source == "live"


# The four clocks


async def never(_request, _writer):
    await asyncio.Event().wait()


@BOTH
def test_the_first_byte_has_a_clock(far, transport):
    error = run(outcome(far, never, transport=transport, first_byte_s=0.05))
    assert type(error) is errors.Timeout
    assert (error.verdict.again, error.billed) == (True, "maybe")
    assert "0.05 s (timeouts.first_byte_s)" in str(error)


@BOTH
def test_a_gap_in_a_stream_keeps_the_text_so_far(far, transport):
    async def answer(request, writer):
        writer.write(far.STREAM_HEAD + far.chunk(far.event("So far")))
        await never(request, writer)

    error = run(outcome(far, answer, transport=transport, stream=True, gap_s=0.05))
    assert type(error) is errors.Partial
    assert (error.kind, error.partial, error.verdict.again) == ("timeout", "So far", False)
    assert "timeouts.gap_s" in str(error)


def test_an_answer_whose_end_came_is_whole_even_when_the_server_keeps_the_line_open(far):
    async def answer(request, writer):
        writer.write(far.STREAM_HEAD + far.chunk(far.event("All", "stop") + b"data: [DONE]\n\n"))
        await never(request, writer)

    assert run(outcome(far, answer, stream=True, gap_s=0.05)).text == "All"


@pytest.mark.parametrize("sign", [b": keep-alive\n\n", b"\n", b'event: ping\ndata: {"type": "ping"}\n\n'])
def test_signs_of_life_alone_do_not_keep_a_stream_alive(far, sign):
    async def answer(_request, writer):
        writer.write(far.STREAM_HEAD)
        while True:
            writer.write(far.chunk(sign))
            await writer.drain()
            await asyncio.sleep(0.01)

    error = run(outcome(far, answer, stream=True, first_byte_s=0.1, payload_s=0.1, gap_s=5))
    assert type(error) is errors.Timeout
    assert "signs of life" in str(error)


def test_no_piece_is_slow_to_be_told_from_a_sign_of_life(far):
    pieces = [b"\n" * 60_000 + b"x: 1\n\n", b": " * 30_000 + b"\nid: 1\n\n"]

    async def answer(_request, writer):
        writer.write(far.STREAM_HEAD + b"".join(map(far.chunk, pieces)) + far.chunk(far.event("All", "stop")))
        writer.write(far.chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    started = time.process_time()
    assert run(outcome(far, answer, stream=True)).text == "All"
    assert time.process_time() - started < 5


def test_the_whole_attempt_has_a_clock_that_pieces_do_not_move(far):
    async def answer(_request, writer):
        writer.write(far.STREAM_HEAD)
        while True:
            writer.write(far.chunk(far.event("x")))
            await writer.drain()
            await asyncio.sleep(0.01)

    error = run(outcome(far, answer, stream=True, total_s=0.15))
    assert type(error) is errors.Partial
    assert "timeouts.total_s" in str(error)
    assert error.partial.startswith("xxx")


def test_connecting_has_a_clock(far):
    async def main():
        full = socket.socket()  # its queue is full, so the next connection is never accepted
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with full, socket.socket() as first, socket.socket() as second:
            for other in (first, second):
                other.setblocking(False)
                other.connect_ex(full.getsockname())
            return await far.ask(f"http://127.0.0.1:{full.getsockname()[1]}", network=Network(connect_s=0.1))

    error = run(main())
    assert type(error) is errors.Timeout
    assert error.billed == "no"


# The table of mishaps


def exported_errors():
    found = (getattr(httpx2, name) for name in httpx2.__all__ if name != "main")
    return [thing for thing in found if isinstance(thing, type) and issubclass(thing, Exception)]


@pytest.mark.parametrize("error", exported_errors(), ids=lambda error: error.__name__)
def test_every_error_that_httpx2_exports_has_a_row_of_its_own_and_is_caught(error):
    assert error in [kind for kind, _ in mishaps.TABLE]
    assert issubclass(error, mishaps.CAUGHT)


def test_no_row_is_hidden_by_one_above_it():
    for place, (kind, _) in enumerate(mishaps.TABLE):
        assert not [above for above, _ in mishaps.TABLE[:place] if issubclass(kind, above)], kind


@pytest.mark.parametrize(("kind", "row"), mishaps.TABLE, ids=lambda thing: getattr(thing, "__name__", ""))
def test_every_row_makes_an_error_and_says_its_name_and_next_step(kind, row):
    error = mishaps.broken("lab/m", row, None, "lab", "m")
    assert type(error) is errors.CLASS_OF[row.kind]
    assert str(error).startswith("lab/m ")
    assert str(error).endswith(".")


def test_an_error_carries_no_cause_and_no_frame_of_the_http_library(far):
    async def main():
        async with far.serve(hang_up) as there:
            return [
                await far.ask(url, network=Network(transport=transport))
                for transport in ("thin", "httpx2")
                for url in (there.url, f"http://127.0.0.1:{refused_port()}", "https://no-such-host.invalid")
            ]

    for error in run(main()):
        assert isinstance(error, errors.ProviderError)
        assert error.__context__ is None
        assert error.__cause__ is None
        assert not [name for name in frames(error.__traceback__) if "httpx2" in name or "httpcore" in name]


def frames(trace):
    while trace:
        yield trace.tb_frame.f_code.co_filename
        trace = trace.tb_next


# What else an exchange can do


def test_the_models_of_a_vendor_are_read(far):
    async def main():
        listing = {"object": "list", "data": [{"id": "small", "max_model_len": 512}, {"id": "large"}]}
        async with far.serve(far.http(listing)) as there:
            one = far.exchange()
            models = await one.list_models(far.vendor(there.url + "/v1"))
            await one.aclose()
            return models, there.requests[0]

    models, request = run(main())
    assert [model.id for model in models] == ["small", "large"]
    assert request.startswith(b"GET /v1/models HTTP/1.1")


def test_a_server_that_always_has_another_page_is_an_error_after_a_hundred(far):
    async def main():
        page = {"data": [{"id": "m", "type": "model"}], "has_more": True, "last_id": "m"}
        async with far.serve(far.http(page)) as there:
            one = far.exchange()
            with pytest.raises(errors.ResponseTooLarge, match="pages"):
                await one.list_models(far.vendor(there.url, kind="anthropic"))
            await one.aclose()
            return len(there.requests)

    assert run(main()) == 100


def test_tokens_are_counted_where_the_vendor_counts_them(far):
    async def main():
        async with far.serve(far.http({"input_tokens": 42})) as there:
            one = far.exchange()
            counts = [
                await one.count_tokens(far.question(there.url, kind=kind))
                for kind in ("anthropic", "openai-compatible")
            ]
            await one.aclose()
            return counts

    assert run(main()) == [42, None]


def test_an_error_while_listing_names_the_vendor(far):
    async def main():
        async with far.serve(far.http({"error": {"message": "no"}}, "401 Unauthorized")) as there:
            one = far.exchange()
            with pytest.raises(errors.AuthFailed, match="lab"):
                await one.list_models(far.vendor(there.url))
            await one.aclose()

    run(main())
