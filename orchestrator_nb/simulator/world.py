"""What happens to a request between its arrival and its answer: key, route, rules, fault, quota, answer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from orchestrator_nb.simulator import awkward, faults, wrecks
from orchestrator_nb.simulator.answers import AGAIN, answer
from orchestrator_nb.simulator.asking import Answer, Ask
from orchestrator_nb.simulator.faults import Board, Scene
from orchestrator_nb.simulator.quota import Meter, Quota, State
from orchestrator_nb.simulator.script import Script
from orchestrator_nb.simulator.vendor import JSON, Keys, Refusal, Vendor
from orchestrator_nb.simulator.wire import MARK, Arrived, Deed, Raw, Reply, Stream, dumps


@dataclass(frozen=True, slots=True)
class Performance:
    """What to send, how long to wait before it, and between its pieces (seconds)."""

    deed: Deed
    first_s: float = 0.0
    gap_s: float = 0.0


class World:
    """The state that all connections share. Used by one thread, except for ``script`` and ``board``, which are replaced whole."""

    def __init__(
        self,
        *,
        script: Script,
        seed: int = 0,
        pace: float = 0.0,
        latency: float = 0.0,
        quota: Quota | Mapping[str, Quota] | None = None,
        key: str | None = None,
        lively: bool = False,
        awkward: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.script, self.board = script, Board()
        self.seed, self.pace, self.latency = seed, pace, latency
        self.lively, self.awkward, self.clock = lively, awkward, clock
        self.elsewhere_url = ""
        self._quota, self._keys = quota, Keys(key)
        self._meters: dict[tuple[str, str], Meter] = {}
        self._asked: Counter[tuple[str, str, str]] = Counter()
        self._serial = 0

    def play(self, vendor: Vendor, call: Arrived) -> Performance:
        """The answer to a request."""
        self._serial += 1
        try:
            played = self._play(vendor, call)
        except Refusal as refusal:
            played = Performance(refusal.reply)
        except (TypeError, AttributeError, KeyError, ValueError, IndexError):
            # a body of the right outer form with something of a wrong type deep inside: the vendors answer 400 as well
            played = Performance(vendor.error(400, message="The request body has a value of a wrong type."))
        if isinstance(played.deed, Raw):
            return played
        return replace(played, deed=played.deed.with_headers(vendor.extra_headers(self._serial) + MARK))

    def _play(self, vendor: Vendor, call: Arrived) -> Performance:
        vendor.check_key(call, self._keys)
        route = vendor.route(call)
        fault = faults.named(call.headers.get("x-sim-fault"))
        if isinstance(route, Reply):
            scene = Scene(vendor, call, None, lambda _: route, self.elsewhere_url)
            return Performance(fault.play(scene) if fault else route)
        ask = vendor.read(call)
        if route == "count":
            return Performance(Reply(200, dumps(vendor.count(ask)), JSON))
        order = self.board.pick(ask)
        by_model = faults.named(ask.name.removeprefix("sim-")) if ask.name.startswith("sim-") else None
        fault = fault or by_model or (order.fault if order else None)
        return self._ask(vendor, call, ask, fault, order.seconds if order else None)

    def _ask(
        self, vendor: Vendor, call: Arrived, ask: Ask, fault: faults.Fault | None, seconds: float | None
    ) -> Performance:
        state = self._take(vendor, call, ask)
        if state.short_of:
            return Performance(vendor.rate_limited(state).with_headers(vendor.limit_headers(state)))
        answers = self._answers(vendor, ask)
        first_s, gap_s = self._speed(ask)
        if fault is not None:
            scene = Scene(
                vendor,
                call,
                ask,
                lambda change: self._deed(vendor, ask, tuple(map(change, answers))),
                self.elsewhere_url,
                seconds,
            )
            return Performance(fault.play(scene), first_s, gap_s)
        if (cut_after := answers[0].cut_after) is not None:
            deed: Deed = wrecks.unfinished(
                self._deed(vendor, ask, (replace(answers[0], text=answers[0].text[:cut_after]),))
            )
        else:
            deed = self._deed(vendor, ask, answers).with_headers(vendor.limit_headers(state))
        return Performance(deed, first_s + answers[0].delay_s, gap_s)

    def _take(self, vendor: Vendor, call: Arrived, ask: Ask) -> State:
        quota = self._quota.get(vendor.name) if isinstance(self._quota, Mapping) else self._quota
        if quota is None:
            return State(None, None)
        account = (vendor.name, vendor.key(call))
        meter = self._meters.setdefault(account, Meter(quota))
        return meter.take(ask.input_tokens + min(ask.max_tokens or 256, 256), self.clock())

    def _answers(self, vendor: Vendor, ask: Ask) -> tuple[Answer, ...]:
        again = self._again(ask)
        answers = tuple(answer(ask, self.script, self.seed, again + n) for n in range(ask.n))
        if ask.given and not answers[0].resumed and not ask.model.prefill:
            raise Refusal(
                vendor.error(
                    400,
                    message="This model does not support assistant message prefill. The conversation must end with a user message.",
                )
            )
        return tuple(map(awkward.text, answers)) if self.awkward else answers

    def _again(self, ask: Ask) -> int:
        """Lively models answer a repeated prompt differently, unless it comes with a seed."""
        if not self.lively or ask.seed is not None:
            return 0
        same = (ask.vendor, ask.name, ask.prompt)
        self._asked[same] += 1
        return (self._asked[same] - 1) * AGAIN

    def _speed(self, ask: Ask) -> tuple[float, float]:
        if not self.lively:
            return self.latency, self.pace
        return self.latency + ask.model.first_s, self.pace + ask.model.gap_s

    def _deed(self, vendor: Vendor, ask: Ask, answers: tuple[Answer, ...]) -> Reply | Stream:
        if not ask.stream:
            return Reply(200, dumps(vendor.whole(ask, answers)), JSON)
        headers = (("content-type", vendor.stream_type(ask)), ("cache-control", "no-cache"))
        stream = Stream(tuple(vendor.frames(ask, answers)), headers, vendor.stream_form(ask))
        return awkward.stream(stream, vendor.name) if self.awkward else stream
