"""Do not pay twice: a question that was answered before is answered from the store, and two that are the same at the same time are asked once.

A refusal, a cut-off and a failed answer are asked again; so are answers of the simulator, which cost nothing and are never taken for a model's; and so is
an answer for which a parameter was left out that goes out now.
It stands outside of `structure`: an answer that was good enough to be kept was judged by the same schema, which is part of its key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from orchestrator_nb.calls import Delta, Request, Response, ThinkingDelta, Waiting
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.store.answers import Answers, Found, whole
from orchestrator_nb.types import Clock, Emit, Handler, Layer

_UNDER_WAY: Final = Waiting("the same question is under way")


LeftOut = Callable[[Request], Collection[str]]
"""The sentences on what would be left out of a question now."""


class Cache:
    """The answers of a store, and the questions under way. Lives on one loop."""

    def __init__(self, answers: Answers, clock: Clock, left_out: LeftOut = lambda _: ()) -> None:
        self._answers, self._clock, self._left_out = answers, clock, left_out
        self._under_way: dict[str, asyncio.Future[Found | None]] = {}

    def layer(self, served: Callable[[float], object]) -> Layer:
        """The layer of one run. ``served`` hears of each served answer when it was given (seconds since the epoch)."""

        def layer(call: Handler) -> Handler:
            async def handle(request: Request, emit: Emit) -> Response:
                if request.model.vendor.simulated:
                    return await call(request, emit)
                if found := await self._found(request, emit):
                    served(found.at)
                    return _shown(found.response, emit)
                return await self._asked(call, request, emit)

            return handle

        return layer

    async def _found(self, request: Request, emit: Emit) -> Found | None:
        while (first := self._under_way.get(request.key)) is not None:
            emit(_UNDER_WAY)
            await asyncio.wait({first})  # which, unlike awaiting it, does not cancel it with this call
            if (found := first.result()) is not None:
                return found
        found = self._answers.find(request.key, "live")
        return None if found and self._is_outdated(request, found.response) else found

    def _is_outdated(self, request: Request, answer: Response) -> bool:
        """Something was left out when this was asked, and would not be now: what is known of the model has changed."""
        then = {notice for notice in answer.notices if notice.startswith(f"{request.model.ref} takes no ")}
        try:
            return bool(then) and not then <= {*self._left_out(request)}
        except OrchestratorError:  # it can no longer be asked so, and whoever asks is to hear it
            return True

    async def _asked(self, call: Handler, request: Request, emit: Emit) -> Response:
        key = request.key
        mine = self._under_way[key] = asyncio.get_running_loop().create_future()
        try:
            response = await call(request, emit)
            if whole(response) and response.source == "live":
                mine.set_result(Found(response, self._clock.wall()))
            return response
        finally:
            del self._under_way[key]
            if not mine.done():
                mine.set_result(None)


class Within:
    """The answers of one run that is recorded: its equal questions are one, as they are on the tape. Lives on one loop."""

    def __init__(self) -> None:
        self._answers: dict[str, asyncio.Future[Response | None]] = {}

    def layer(self, call: Handler) -> Handler:
        """The layer."""

        async def handle(request: Request, emit: Emit) -> Response:
            while (first := self._answers.get(request.key)) is not None:
                emit(_UNDER_WAY)
                await asyncio.wait({first})
                if (answer := first.result()) is not None:
                    return _shown(answer, emit)
            return await self._asked(call, request, emit)

        return handle

    async def _asked(self, call: Handler, request: Request, emit: Emit) -> Response:
        mine = self._answers[request.key] = asyncio.get_running_loop().create_future()
        try:
            response = await call(request, emit)
            if whole(response):
                mine.set_result(response)
            return response
        finally:
            if not mine.done():
                del self._answers[request.key]
                mine.set_result(None)


def _shown(answer: Response, emit: Emit) -> Response:
    """The events of an answer that is there at once."""
    if answer.thinking:
        emit(ThinkingDelta(answer.thinking))
    if answer.text:
        emit(Delta(answer.text))
    return answer if answer.source == "simulated" else replace(answer, source="cache")
