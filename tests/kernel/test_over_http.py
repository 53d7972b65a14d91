"""Many calls over real HTTP: interrupted at any moment, and against a quota."""

import asyncio
import random
import threading
import time

import pytest

from orchestrator_nb.calls import Request
from orchestrator_nb.catalog import Limits, ModelSpec, Vendor
from orchestrator_nb.errors import Cancelled, ProviderError
from orchestrator_nb.kernel.breaker import Breaker
from orchestrator_nb.kernel.clock import SystemClock
from orchestrator_nb.kernel.fanout import fan_out
from orchestrator_nb.kernel.limits import Limiter
from orchestrator_nb.kernel.pipeline import build
from orchestrator_nb.kernel.portal import Portal
from orchestrator_nb.kernel.retry import Backoff, retry
from orchestrator_nb.messages import Message
from orchestrator_nb.providers import PROVIDERS
from orchestrator_nb.providers.http import Exchange
from orchestrator_nb.providers.keys import StaticKeys
from orchestrator_nb.providers.network import Network
from orchestrator_nb.runs import Call, Item
from orchestrator_nb.simulator import Simulator
from orchestrator_nb.simulator.quota import Quota


class Line:
    """The whole pipeline on a portal, to one simulated vendor."""

    def __init__(self, sim, portal, limits=Limits()):  # noqa: B008 - frozen
        self.portal, self.clock = portal, SystemClock()
        limiter = Limiter(self.clock, parallel=500)
        self.exchange = Exchange(PROVIDERS, StaticKeys("good"), Network(), self.clock, limiter.observe)
        layers = [retry(Backoff(), self.clock), limiter.layer, Breaker(self.clock).layer]
        self.handler = build(self.exchange, layers)
        self.model = ModelSpec(
            Vendor("compat", "openai-compatible", sim.url("compat"), "KEY", limits=limits), "local-model"
        )

    def items(self, count, text="Tell me about rain"):
        return [Item(Request(self.model, (Message.user(f"{text} {row}"),)), row) for row in range(count)]

    def submit(self, items, parallel, **how):
        return self.portal.submit(fan_out(self.handler, items, parallel=parallel, clock=self.clock, **how))

    def close(self):
        self.portal.run(self.exchange.aclose())


async def _others():
    """Tasks on the portal's loop beside this one, once those that end now have ended."""
    for _ in range(3):
        await asyncio.sleep(0)
    return len(asyncio.all_tasks()) - 1


def test_an_interrupt_at_any_moment_leaves_no_task_and_no_socket_and_the_next_run_is_well():
    """20 rounds of 100 calls, stopped at random."""
    dice, portal = random.Random(3), Portal("cancel")
    with Simulator(latency=0.01, pace=0.002) as sim:
        line = Line(sim, portal)
        try:
            finished = []
            for _ in range(20):
                job = line.submit(line.items(100), 25)
                threading.Event().wait(dice.random() * 0.25)
                began = time.monotonic()
                job.cancel()
                calls = job.result(timeout=20)
                assert time.monotonic() - began < 5.0
                assert len(calls) == 100
                assert all(call.response or isinstance(call.error, Cancelled) for call in calls)
                finished.append(sum(call.response is not None for call in calls))
                assert portal.run(_others()) == 0
                well = line.submit(line.items(20), 20).result(timeout=20)
                assert all(call.response for call in well), [call.error for call in well]
            assert len(set(finished)) > 4, "the moments did differ"
            line.close()
            _until(lambda: sim.open_connections == 0)
        finally:
            portal.close()


def _until(true, within_s=2.0):
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end
        threading.Event().wait(0.005)


@pytest.mark.slow
@pytest.mark.parametrize("limits", [Limits(), Limits(requests_per_minute=3_000)], ids=["headers only", "known limit"])
@pytest.mark.alone
def test_a_quota_is_used_up_and_hardly_ever_passed(limits):
    """300 calls, 100 at a time, 50 per second. `make bench` runs the 2,000."""
    portal = Portal("quota")
    with Simulator(latency=0.2, quota=Quota(requests_per_second=50, burst=50)) as sim:
        line = Line(sim, portal, limits)
        try:
            began = time.monotonic()
            calls = line.submit(line.items(300), 100).result(timeout=60)
            took = time.monotonic() - began
            line.close()
        finally:
            portal.close()
        assert all(call.response for call in calls)
        refused = len(sim.requests) - 300
    assert refused <= (0 if limits.requests_per_minute else 20), "20 at the start are what 2,000 calls may cost"
    assert took <= 1.15 * (300 - 50) / 50 + 1.0


def test_failures_are_rows_and_every_success_is_kept():
    """Half of the questions are refused."""
    portal = Portal("failures")
    with Simulator() as sim:
        sim.fail("400", match="refuse this")
        line = Line(sim, portal)
        try:
            pairs = zip(line.items(50), line.items(50, "refuse this"), strict=True)
            calls = line.submit([item for pair in pairs for item in pair], 16).result(timeout=30)
            line.close()
        finally:
            portal.close()
    assert [call.error is None for call in calls] == [True, False] * 50
    assert all(isinstance(call.error, ProviderError) and call.error.kind == "invalid_request" for call in calls[1::2])


def test_a_handler_on_our_loop_may_call_the_blocking_door_over_http():
    portal = Portal("nested")
    with Simulator() as sim:
        line = Line(sim, portal)

        async def plugin():
            return portal.block(line.submit(line.items(5), 5))

        try:
            calls = portal.run(plugin())
            line.close()
        finally:
            portal.close()
    assert all(isinstance(call, Call) and call.response for call in calls)
