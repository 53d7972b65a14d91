"""Leave a vendor alone that is ill, and a key that is refused.

    closed --3 failures in a row, or half of the last 5 to 20--> open for 5 s (doubling to 60 s while it stays ill)
    open   --the pause is over--> one call probes, the others wait for what it finds
    probe  --answered--> closed      probe --failed--> open, twice as long

There is one circuit for each (vendor, model, origin), and only failures that say the vendor is ill count: a refused question is an answer.
A refused key (401) closes the whole account, a forbidden model (403) that model, both until `reset`.

It stands innermost, so that it sees each attempt at the moment it would go out: whoever queued for a place before it opened is held too. The
error carries how long it stays open, and the retry outside waits that long.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from orchestrator_nb.calls import Request, Response, Waiting
from orchestrator_nb.errors import BreakerOpen, OrchestratorError, ProviderError, Verdict
from orchestrator_nb.types import Clock, Emit, Handler

ILL: Final = frozenset(
    {"server", "overloaded", "timeout", "connection", "dns", "transient", "truncated", "bad_response", "empty"}
)
IN_A_ROW: Final = 3
WINDOW: Final = (5, 20)
"""Half of the last 20 outcomes opens, judged from the fifth on."""
PAUSE_S: Final = (5.0, 60.0)

Where = tuple[str, str, str]


class Breaker:
    """All circuits of a session. `layer` is the layer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._circuits: dict[Where, _Circuit] = {}
        self._refused: dict[tuple[str, str | None], str] = {}

    def layer(self, call: Handler) -> Handler:
        """Ask only where it makes sense. Raises `BreakerOpen` without asking."""

        async def handle(request: Request, emit: Emit) -> Response:
            circuit = await self._enter(request, emit)
            with _Attempt(circuit, self._clock):
                try:
                    return await call(request, emit)
                except ProviderError as error:
                    self._note_refusal(request, error)
                    raise

        return handle

    def reset(self, vendor: str | None = None) -> None:
        """Forget refused keys and open circuits, of one vendor or of all: the key was changed, or the user asks again."""
        for where in [where for where in self._circuits if vendor in {None, where[0]}]:
            del self._circuits[where]
        for account in [account for account in self._refused if vendor in {None, account[0]}]:
            del self._refused[account]

    async def _enter(self, request: Request, emit: Emit) -> _Circuit:
        """The request's circuit, once it lets this call through."""
        model = request.model
        where = (model.vendor.name, model.id, model.vendor.base_url)
        while True:
            self._refuse_if_refused(request)
            circuit = self._circuits.get(where) or self._circuits.setdefault(where, _Circuit())
            if probe := circuit.probe_over:
                emit(Waiting(f"one call tries whether {model.ref} is well again"))
                await probe.wait()
            elif (wait_s := circuit.open_for(self._clock.monotonic())) > 0:
                raise _open(request, f"failed too often just now; it is asked again in {wait_s:.0f} s.", wait_s)
            else:
                return circuit

    def _note_refusal(self, request: Request, error: ProviderError) -> None:
        vendor, model = request.model.vendor.name, request.model.id
        if error.kind == "auth":
            self._refused[vendor, None] = f"was not asked: {vendor} refused the key; set the right one and run again."
        elif error.kind == "permission":
            self._refused[vendor, model] = "was not asked: this key may not use it; choose another model or key."

    def _refuse_if_refused(self, request: Request) -> None:
        vendor, model = request.model.vendor.name, request.model.id
        if why := self._refused.get((vendor, None)) or self._refused.get((vendor, model)):
            raise _open(request, why, None)


def _open(request: Request, why: str, wait_s: float | None) -> BreakerOpen:
    model = request.model
    return BreakerOpen(
        f"{model.ref} {why}",
        kind="breaker_open",
        vendor=model.vendor.name,
        model=model.id,
        verdict=Verdict(wait_s is not None, "breaker_open", wait_s),
    )


class _Attempt:
    """Watches one attempt. A cancelled one tells nothing."""

    __slots__ = ("_circuit", "_clock", "_era", "_probe")

    def __init__(self, circuit: _Circuit, clock: Clock) -> None:
        self._circuit, self._clock = circuit, clock

    def __enter__(self) -> None:
        self._era, self._probe = self._circuit.begin()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, OrchestratorError):
            well = error is None or error.kind not in ILL
            self._circuit.note(self._era, well, self._probe, self._clock.monotonic())
        self._circuit.end(self._probe)


class _Circuit:
    """One circuit: open until ``_until``, then half open until an attempt (the probe) has an outcome; closed when ``_until`` is None."""

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=WINDOW[1])
        self._until: float | None = None
        self._pause_s = PAUSE_S[0]
        self._era = 0
        self.probe_over: asyncio.Event | None = None

    def open_for(self, now: float) -> float:
        """Seconds until a probe may go; 0 when one may go now, or when closed."""
        return max(0.0, self._until - now) if self._until is not None else 0.0

    def begin(self) -> tuple[int, bool]:
        """An attempt begins: the circuit's era, and whether the attempt is the probe."""
        probe = self._until is not None
        if probe:
            self.probe_over = asyncio.Event()
        return self._era, probe

    def end(self, probe: bool) -> None:
        """An attempt has ended, one way or another."""
        if probe and self.probe_over is not None:
            self.probe_over.set()
            self.probe_over = None

    def note(self, era: int, well: bool, probe: bool, now: float) -> None:
        """How an attempt went; one from before the circuit last changed tells nothing new."""
        if era != self._era:
            return
        self._recent.append(well)
        if probe and well:
            self._change(until=None, pause_s=PAUSE_S[0])
        elif probe:
            self._change(now + self._pause_s, min(2 * self._pause_s, PAUSE_S[1]))
        elif not well and self._is_ill():
            self._change(now + PAUSE_S[0], 2 * PAUSE_S[0])

    def _is_ill(self) -> bool:
        recent = list(self._recent)
        in_a_row = len(recent) >= IN_A_ROW and not any(recent[-IN_A_ROW:])
        return in_a_row or (not recent[-1] and len(recent) >= WINDOW[0] and 2 * recent.count(False) >= len(recent))

    def _change(self, until: float | None, pause_s: float) -> None:
        self._until, self._pause_s = until, pause_s
        self._era += 1
        self._recent.clear()
