"""Places and rates: how many calls run at once, and how fast new ones start.

A call takes, in this order, a place at its vendor, its turn in the lane of its account and model, and one of the places of the session.
Whoever waits for a turn holds no place that another vendor could use.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Final

from orchestrator_nb.calls import Request, Response, Waiting
from orchestrator_nb.catalog import Vendor
from orchestrator_nb.errors import ProviderError
from orchestrator_nb.kernel.lane import Lane, Turn
from orchestrator_nb.messages import Image, Text, Thinking, ToolResult
from orchestrator_nb.providers.hints import RateHint
from orchestrator_nb.types import Clock, Emit, Handler

ANSWER_TOKENS: Final = 256
IMAGE_TOKENS: Final = 1000
"""What an answer and an image are reckoned at, before the vendor tells."""

_Places = asyncio.Semaphore | nullcontext[None]
_UNLIMITED: Final = nullcontext()


class Limiter:
    """The places and lanes of a session: at most ``parallel`` calls under way. `layer` is the layer; `observe` hears the headers."""

    def __init__(self, clock: Clock, *, parallel: int = 64) -> None:
        self._clock, self._parallel = clock, parallel
        self._places = asyncio.Semaphore(parallel)
        self._vendor_places: dict[str, asyncio.Semaphore] = {}
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._turns: dict[int, Turn] = {}

    def layer(self, call: Handler) -> Handler:
        """Call when there is room. Emits `Waiting`; raises `RateLimited` when the vendor's pause is too long to wait for."""

        async def handle(request: Request, emit: Emit) -> Response:
            vendor = request.model.vendor
            async with _announced(self._places_of(vendor), vendor.name, emit):
                with await self._lane(request).turn(request, tokens_of(request), emit) as turn:
                    async with _announced(self._places, "this session", emit):
                        return await self._called(call, request, emit, turn)

        return handle

    async def _called(self, call: Handler, request: Request, emit: Emit, turn: Turn) -> Response:
        turn.leave(self._clock.monotonic())
        self._turns[id(request)] = turn
        try:
            return turn.answered(await call(request, turn.watch(emit)))
        except ProviderError as error:
            turn.failed(error)
            raise
        finally:
            self._turns.pop(id(request), None)

    def widen(self, parallel: int) -> None:
        """Let ``parallel`` calls run at once, if that is more: what is asked for one run goes over the setting, never over a vendor's own limit."""
        while self._parallel < parallel:
            self._parallel += 1
            self._places.release()

    def observe(self, request: Request, hint: RateHint) -> None:
        """What the vendor's headers say, told as soon as they arrive."""
        if turn := self._turns.get(id(request)):
            turn.lane.observe(turn, hint)

    def _places_of(self, vendor: Vendor) -> _Places:
        if vendor.limits.parallel is None:
            return _UNLIMITED
        if (places := self._vendor_places.get(vendor.name)) is None:
            places = self._vendor_places[vendor.name] = asyncio.Semaphore(vendor.limits.parallel)
        return places

    def _lane(self, request: Request) -> Lane:
        vendor = request.model.vendor
        if (lane := self._lanes.get((vendor.name, request.model.id))) is None:
            lane = self._lanes[vendor.name, request.model.id] = Lane(vendor.limits, self._clock)
        return lane


def _announced(places: _Places, whose: str, emit: Emit) -> _Places:
    """``places``, about to be entered; a wait for one is told."""
    if isinstance(places, asyncio.Semaphore) and places.locked():
        emit(Waiting(f"a free place at {whose}"))
    return places


def tokens_of(request: Request) -> float:
    """A rough count of the tokens this will cost: four characters each, and what may come back. The answer's usage corrects it."""
    said = sum(_size(part) for message in request.messages for part in message.parts) + len(request.system or "")
    return said / 4 + (request.params.max_tokens or ANSWER_TOKENS)


def _size(part: object) -> int:
    """Characters; an image counts as its tokens would."""
    match part:
        case Text() | Thinking() | ToolResult():
            return len(part.text)
        case Image():
            return 4 * IMAGE_TOKENS
        case _:
            return 0
