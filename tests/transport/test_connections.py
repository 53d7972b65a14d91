"""The thin transport by itself, behind httpx2's client and alone: reuse, expiry, cancelling, backpressure."""

import asyncio
import random
import socket

import httpx2
import pytest

from orchestrator_nb.providers.network import Network
from orchestrator_nb.providers.transport import Shards, ThinTransport


def run(work):
    return asyncio.run(work)


def client(**network):
    transport = ThinTransport(Network(**network))
    return httpx2.AsyncClient(transport=transport, trust_env=False), transport


def test_it_serves_an_ordinary_httpx2_client(far):
    async def main():
        async with far.serve(far.http({"ok": True})) as there:
            http, transport = client()
            async with http:
                answers = [await http.get(there.url + "/a?b=c"), await http.post(there.url, json={"x": 1})]
                assert there.accepted == transport.open_connections == 1
            return [answer.json() for answer in answers], there.requests, transport.open_connections

    bodies, requests, left = run(main())
    assert bodies == [{"ok": True}] * 2
    assert requests[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert requests[1].endswith(b'{"x":1}')
    assert left == 0


def test_a_body_of_unknown_length_is_sent_whole(far):
    async def pieces():
        yield b"one "
        yield b"two"

    async def main():
        async with far.serve(far.OK) as there:
            http, _ = client()
            async with http:
                await http.post(there.url, content=pieces())
            return there.requests[0]

    request = run(main())
    assert request.endswith(b"\r\n\r\none two")
    assert b"chunked" not in request


def test_the_clients_own_read_timeout_works(far):
    async def silent(_request, _writer):
        await asyncio.Event().wait()

    async def main():
        async with far.serve(silent) as there:
            http, transport = client()
            async with http:
                with pytest.raises(httpx2.ReadTimeout):
                    await http.get(there.url, timeout=0.05)
                return await there.all_closed(), transport.open_connections

    assert run(main()) == (True, 0)


def test_the_connection_used_last_is_used_next(far):
    async def main():
        async with far.serve(far.OK) as there:
            http, transport = client()
            async with http:
                await asyncio.gather(*(http.get(there.url) for _ in range(5)))
                opened = there.accepted
                for _ in range(20):
                    await http.get(there.url)
                return opened, there.accepted, transport.open_connections

    assert run(main()) == (5, 5, 5)


def test_no_more_connections_than_allowed_and_every_call_gets_its_turn(far):
    async def main():
        async with far.serve(far.OK) as there:
            http, _ = client(max_connections=3)
            async with http:
                answers = await asyncio.gather(*(http.get(there.url) for _ in range(50)))
            return [answer.status_code for answer in answers], there.accepted

    assert run(main()) == ([200] * 50, 3)


def test_an_idle_connection_is_closed_when_its_time_is_over(far):
    async def main():
        async with far.serve(far.OK) as there:
            http, transport = client(keep_alive_s=0.05)
            async with http:
                await asyncio.gather(*(http.get(there.url) for _ in range(4)))
                assert transport.open_connections == 4
                return await there.all_closed(), transport.open_connections

    assert run(main()) == (True, 0)


@pytest.mark.parametrize("loop_has_seen_it", [True, False])
def test_a_connection_that_the_server_closed_while_idle_is_replaced_without_an_error(far, loop_has_seen_it):
    async def main():
        writers = []

        async def answer(_request, writer):
            writers.append(writer)
            writer.write(far.OK)

        async with far.serve(answer) as there:
            http, _ = client()
            async with http:
                await http.get(there.url)
                writers[0].get_extra_info("socket").shutdown(socket.SHUT_RDWR)  # now, before the client's loop can look
                if loop_has_seen_it:
                    await there.all_closed()
                return (await http.get(there.url)).status_code, there.accepted, len(there.requests)

    assert run(main()) == (200, 2, 2)


def test_a_request_is_never_sent_twice_on_its_own(far):
    async def hang_up(_request, writer):
        writer.transport.abort()

    async def main():
        async with far.serve(hang_up) as there:
            http, _ = client()
            async with http:
                with pytest.raises(httpx2.ReadError):
                    await http.post(there.url, json={})
            return len(there.requests)

    assert run(main()) == 1


@pytest.mark.parametrize("lines", [("connection: close",), ()], ids=["close", "keep-alive"])
def test_a_server_that_wants_no_reuse_gets_none(far, lines):
    async def main():
        async with far.serve(far.http({}, "200 OK", "application/json", *lines)) as there:
            http, _ = client()
            async with http:
                for _ in range(3):
                    await http.get(there.url)
            return there.accepted

    assert run(main()) == (3 if lines else 1)


def test_a_connection_that_says_more_than_asked_is_not_used_again(far):
    async def main():
        async with far.serve(far.OK + b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison") as there:
            http, _ = client()
            async with http:
                answers = [await http.get(there.url) for _ in range(3)]
            return [b"poison" in answer.content for answer in answers], there.accepted

    assert run(main()) == ([False] * 3, 3)


@pytest.mark.parametrize("header", [b"secret\r\ny: z", b"secret\ny", b"secret\ry", b"secret\0y"])
def test_a_header_can_not_smuggle_another_line(far, header):
    async def main():
        async with far.serve(far.OK) as there:
            http, _ = client()
            async with http:
                with pytest.raises(httpx2.LocalProtocolError) as caught:
                    await http.get(there.url, headers=[(b"a", header)])
            return there.requests, str(caught.value)

    requests, message = run(main())
    assert requests == []
    assert "secret" not in message


def test_a_slow_reader_stops_the_server_instead_of_filling_memory(far):
    async def main():
        sent = 0

        async def flood(_request, writer):
            nonlocal sent
            writer.write(far.STREAM_HEAD)
            for _ in range(2000):
                writer.write(far.chunk(b"x" * 65536))
                await writer.drain()
                sent += 65536

        async with far.serve(flood) as there:
            http, _ = client()
            async with http, http.stream("GET", there.url) as answer:
                pieces = answer.aiter_raw()
                await anext(pieces)
                before = -1
                while before != sent:  # until the server stands still
                    before = sent
                    await asyncio.sleep(0.05)
                stood_at = sent
                for _ in range(50):
                    await anext(pieces)
                await asyncio.sleep(0.05)
                return stood_at, sent

    stood_at, later = run(main())
    assert stood_at < 24 * 2**20  # what the kernel's own buffers take, of 125 MiB
    assert later > stood_at


async def slow(_request, writer, far):
    await asyncio.sleep(random.uniform(0, 0.02))
    writer.write(far.STREAM_HEAD + far.chunk(far.event("Hel")))
    await asyncio.sleep(random.uniform(0, 0.02))
    writer.write(far.chunk(far.event("lo.", "stop")) + far.chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")


@pytest.mark.parametrize("transport", ["thin", "httpx2"])
def test_twenty_rounds_of_fifty_cancelled_calls_leave_a_healthy_pool_and_no_socket(far, transport):
    async def main():
        healthy = 0
        async with far.serve(lambda request, writer: slow(request, writer, far)) as there:
            one = far.exchange(Network(transport=transport, max_connections=10))
            question, chance = far.question(there.url, stream=True), random.Random(38)
            for turn in range(20):
                calls = [asyncio.ensure_future(one(question, lambda _event: None)) for _ in range(50)]
                if turn % 2:
                    for call in calls:
                        asyncio.get_running_loop().call_later(chance.uniform(0, 0.03), call.cancel)
                else:
                    await asyncio.sleep(chance.uniform(0, 0.03))
                    for call in calls:
                        call.cancel()
                await asyncio.wait(calls)
                answers = await asyncio.gather(*(one(question, lambda _event: None) for _ in range(5)))
                healthy += [answer.text for answer in answers] == ["Hello."] * 5
            together = await asyncio.gather(*(one(question, lambda _event: None) for _ in range(10)))
            assert there.open <= 10
            await one.aclose()
            closed = await there.all_closed()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        return healthy, len(together), closed, left

    assert run(main()) == (20, 10, True, set())


def test_a_cancelled_call_closes_its_socket_and_no_other(far):
    async def main():
        async def answer(request, writer):
            if b"/wait" in request:
                await asyncio.Event().wait()
            writer.write(far.OK)

        async with far.serve(answer) as there:
            http, transport = client()
            async with http:
                await http.get(there.url)
                waiting = [asyncio.ensure_future(http.get(there.url + "/wait")) for _ in range(3)]
                await there.asked(4)
                for call in waiting:
                    call.cancel()
                await asyncio.wait(waiting)
                await there.all_closed()
                assert transport.open_connections == 0
                return (await http.get(there.url)).status_code

    assert run(main()) == 200


def test_closing_while_calls_are_under_way_ends_them_with_an_error_and_leaves_no_socket(far):
    async def silent(_request, _writer):
        await asyncio.Event().wait()

    async def main():
        async with far.serve(silent) as there:
            one = far.exchange()
            calls = [asyncio.ensure_future(one(far.question(there.url), lambda _event: None)) for _ in range(8)]
            await there.asked(8)
            await one.aclose()
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            return {type(outcome).__name__ for outcome in outcomes}, await there.all_closed()

    assert run(main()) == ({"Transient"}, True)


def test_httpx2s_own_transport_is_cut_into_small_pools(far):
    async def main():
        async with far.serve(far.OK) as there:
            shards = Shards(Network(max_connections=50))
            async with httpx2.AsyncClient(transport=shards, trust_env=False) as http:
                await asyncio.gather(*(http.get(there.url) for _ in range(50)))
                return len(shards._shards), [shard.busy for shard in shards._shards]

    count, busy = run(main())
    assert count == 3
    assert busy == [0, 0, 0]
