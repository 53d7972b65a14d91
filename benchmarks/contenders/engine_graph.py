"""The graphs on our engine alone, asked by raw aiohttp: what LangGraph is to be compared with, for neither keeps, limits, prices or retries anything."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from benchmarks.contenders import raw_aiohttp
from benchmarks.contenders.graphs import SIGNS, GraphContender
from orchestrator_nb import __version__
from orchestrator_nb.chains.chain import Ask, Chain, Each, Input, Step
from orchestrator_nb.chains.engine import Engine
from orchestrator_nb.chains.planning import Plan, plan
from orchestrator_nb.chains.walk import Question
from orchestrator_nb.kernel.clock import SystemClock

INPUTS = (Input("questions", "list"),)


def chain(steps: int, parallel: int, model: tuple[str, ...] = ()) -> Chain:
    """A row of steps, or with several in parallel a map."""
    if parallel > 1:
        each = Each("questions", parallel=parallel)
        return Chain("map", (Step("a", Ask("{{ item }}", model=model), each=each),), INPUTS)
    carried = f" {{{{ input[:{SIGNS}] }}}}"
    asked = (f"{{{{ questions[{n}] }}}}{carried if n else ''}" for n in range(steps))
    made = tuple(Step(f"s{n}", Ask(prompt, model=model)) for n, prompt in enumerate(asked))
    outputs = {"answers": [f"{{{{ s{n} }}}}" for n in range(steps)]}
    return Chain("row", made, INPUTS, outputs)


@lru_cache
def planned(steps: int, parallel: int) -> Plan:
    """Made once, as LangGraph's is compiled once."""
    return plan(chain(steps, parallel))


class Contender(GraphContender):
    def __init__(self) -> None:
        self._raw = raw_aiohttp.Contender()
        self._clients: dict[tuple[str, int], Any] = {}

    def version(self) -> str:
        return f"orchestrator-nb {__version__}"

    async def graph(self, base: str, questions: list[str], parallel: int, stream: bool) -> list[Any]:
        if (base, parallel) not in self._clients:
            self._clients[base, parallel] = await self._raw.open(base, parallel)
        client = self._clients[base, parallel]

        async def asked(question: Question) -> str:
            return await self._raw.ask(client, base, question.prompt, stream)

        made = planned(len(questions) if parallel == 1 else 0, parallel)
        (found,) = (await Engine(asked, SystemClock()).run(made, {"questions": questions})).values()
        return list(found)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
