"""The simulator's life: threads and loops, records and counts, bounds, and the command in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from simulator_client import DOORS, Client

from orchestrator_nb.simulator import Simulator, serve


def until(true, seconds=5.0):
    """Wait for something that another thread does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


def test_it_lives_in_a_thread_of_its_own_and_leaves_nothing_behind():
    with Simulator() as sim:
        assert any(thread.name == "onb-simulator" and thread.daemon for thread in threading.enumerate())
        port = sim.port
    assert not any(thread.name == "onb-simulator" for thread in threading.enumerate())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_it_lives_in_a_running_loop():
    async def scene():
        async with Simulator() as sim:
            return await asyncio.to_thread(Client(sim).ask, "mistral")

    assert asyncio.run(scene()).status == 200


def test_it_ends_while_clients_are_still_waiting():
    with Simulator() as sim:
        line = socket.create_connection(("127.0.0.1", sim.port))
        body = b'{"model":"qwen3.5","messages":[{"role":"user","content":"hi"}]}'
        line.sendall(
            b"POST /ollama/api/chat HTTP/1.1\r\nhost: x\r\nx-sim-fault: slow-headers\r\ncontent-length: %d\r\n\r\n"
            % len(body)
            + body
        )
        line.settimeout(5)
        until(lambda: sim.active == 1)
    with line, contextlib.suppress(ConnectionResetError):
        assert line.recv(100) == b""
    assert not any(thread.name == "onb-simulator" for thread in threading.enumerate())


def test_a_request_is_recorded_as_it_came(sim, client):
    client.ask("anthropic", body={"system": "Be brief."})
    (record,) = sim.requests

    assert (record.vendor, record.method, record.path) == ("anthropic", "POST", "/v1/messages")
    assert record.headers["x-api-key"] == "k"
    assert record.body["system"] == "Be brief."
    assert 0 <= time.monotonic() - record.at < 5
    with pytest.raises(AttributeError):
        record.path = "/"
    sim.clear()
    assert sim.requests == ()


def test_clear_forgets_what_was_said_but_not_the_script():
    with Simulator(script=[{"match": ".*", "answer": "From the script."}]) as sim:
        sim.say(".*", "Said later.")
        assert b"Said later." in Client(sim).ask("mistral").body
        sim.clear()
        assert b"From the script." in Client(sim).ask("mistral").body


def test_open_connections_and_active_answers_are_counted_and_go_away(sim):
    sim.fail("stall")
    body = json.dumps({"model": "qwen3.5", "messages": [{"role": "user", "content": "hi"}]}).encode()
    head = f"POST /ollama/api/chat HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    lines = [socket.create_connection(("127.0.0.1", sim.port)) for _ in range(5)]
    for line in lines:
        line.sendall(head + body)
    until(lambda: (sim.open_connections, sim.active) == (5, 5))

    for line in lines:
        line.close()
    until(lambda: (sim.open_connections, sim.active) == (0, 0))


def test_one_connection_serves_many_requests_also_when_they_are_pipelined(sim):
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}).encode()
    request = (
        f"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        + body
    )
    with socket.create_connection(("127.0.0.1", sim.port), timeout=5) as line:
        line.sendall(request * 5)
        seen = b""
        while seen.count(b"HTTP/1.1 200") < 5 or not seen.endswith(b"}"):
            seen += line.recv(65_536)

    assert len(sim.requests) == 5


def test_a_thousand_connections_may_be_open_at_once(sim):
    lines = [socket.create_connection(("127.0.0.1", sim.port)) for _ in range(400)]
    until(lambda: sim.open_connections == 400)
    body = json.dumps({"model": "qwen3.5", "stream": False, "messages": [{"role": "user", "content": "hi"}]}).encode()
    for line in lines:
        line.sendall(
            f"POST /ollama/api/chat HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        )
    for line in lines:
        line.settimeout(10)
        assert line.recv(20).startswith(b"HTTP/1.1 200")
        line.close()


def test_a_request_that_is_too_large_is_refused(sim, client):
    path, _, _, auth = DOORS["anthropic"]
    seen = client.send("POST", path, b" " * (33 * 1024 * 1024), auth, patience=20)

    assert (seen.status, seen.json["error"]["type"]) == (413, "request_too_large")
    assert sim.requests[0].raw == b""


def test_a_head_that_is_too_large_is_refused(client):
    assert client.send("GET", "/anthropic", headers={"x-long": "a" * 100_000}).status in (400, 431)


def test_a_client_that_asks_to_go_on_is_told_to_go_on(sim):
    with socket.create_connection(("127.0.0.1", sim.port), timeout=5) as line:
        line.sendall(b"POST /ollama/api/chat HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 100")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", ""])  # all refused
def test_it_listens_on_loopback_only(host):
    with pytest.raises(ValueError, match="is not loopback"):
        Simulator(host=host)
    with pytest.raises(ValueError, match="is not loopback"):
        serve(0, host=host)


def test_a_port_in_use_is_an_error_at_once(sim):
    with pytest.raises(OSError, match="in use"), Simulator(port=sim.port):
        pass


def test_each_vendor_has_a_url_and_others_are_refused(sim):
    assert sim.url("openai") == f"http://127.0.0.1:{sim.port}/openai/v1"
    with pytest.raises(ValueError, match="unknown vendor 'acme'; use one of anthropic"):
        sim.url("acme")


def test_in_the_foreground_it_prints_its_urls_and_stops_on_ctrl_c():
    code = "from orchestrator_nb.simulator import serve; serve(0, say=lambda line: print(line, flush=True))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = [process.stdout.readline() for _ in range(15)]
            process.send_signal(signal.SIGINT)
            rest = process.stdout.read()
        finally:
            process.kill() if process.poll() is None and process.wait(10) is None else None
    assert "Simulating on http://127.0.0.1:" in lines[0]
    assert "/anthropic" in lines[1]
    assert "Stopped after 0 requests." in rest
    assert process.returncode == 0
