"""The graphs in LangGraph, by its own asynchronous API: a node per step in a row, or one node that is sent every item; each node asks by raw aiohttp.

LangGraph 1.2 and later minor versions are taken, in an environment of its own (requirements-langgraph.txt): 1 is the first that promises a stable API, which 2 may break.
No checkpointer is set, so nothing is written down on the way.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from importlib.metadata import version as installed
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from benchmarks.contenders import raw_aiohttp
from benchmarks.contenders.graphs import SIGNS, GraphContender

Ask = Callable[[str], Any]


class Row(TypedDict):
    """What the steps of a row pass on."""

    answer: str
    answers: Annotated[list[str], operator.add]


class Items(TypedDict):
    """What a map gathers: places with answers, for they come in any order."""

    questions: list[str]
    found: Annotated[list[tuple[int, str]], operator.add]


class Contender(GraphContender):
    def __init__(self) -> None:
        self._raw = raw_aiohttp.Contender()
        self._clients: dict[tuple[str, int], Any] = {}
        self._made: dict[Any, Any] = {}
        self._asking: tuple[Any, str, bool] | None = None
        self._questions: list[str] = []

    def version(self) -> str:
        return f"langgraph {installed('langgraph')}"

    async def graph(self, base: str, questions: list[str], parallel: int, stream: bool) -> list[Any]:
        if (base, parallel) not in self._clients:
            self._clients[base, parallel] = await self._raw.open(base, parallel)
        self._asking, self._questions = (self._clients[base, parallel], base, stream), questions
        if parallel == 1:
            row = self._compiled(len(questions), lambda: _row(len(questions), self._ask, lambda n: self._questions[n]))
            limit = {"recursion_limit": len(questions) + 10}
            return list((await row.ainvoke({"answer": "", "answers": []}, limit))["answers"])
        items = self._compiled("map", lambda: _map(self._ask))
        found = await items.ainvoke({"questions": questions, "found": []}, {"max_concurrency": parallel})
        return [answer for _, answer in sorted(found["found"])]

    def _compiled(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    async def _ask(self, question: str) -> str:
        assert self._asking is not None  # for the type checker
        client, base, stream = self._asking
        return await self._raw.ask(client, base, question, stream)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def _row(steps: int, ask: Ask, question: Callable[[int], str]) -> Any:
    graph = StateGraph(Row)
    for number in range(steps):

        async def node(state: Row, number: int = number) -> dict[str, Any]:
            answer = await ask(f"{question(number)} {state['answer'][:SIGNS]}")
            return {"answer": answer, "answers": [answer]}

        graph.add_node(f"s{number}", node)
        graph.add_edge(START if number == 0 else f"s{number - 1}", f"s{number}")
    graph.add_edge(f"s{steps - 1}", END)
    return graph.compile()


def _map(ask: Ask) -> Any:
    async def node(item: dict[str, Any]) -> dict[str, Any]:
        return {"found": [(item["place"], await ask(item["question"]))]}

    def each(state: Items) -> list[Send]:
        return [Send("a", {"place": n, "question": question}) for n, question in enumerate(state["questions"])]

    graph = StateGraph(Items)
    graph.add_node("a", node)
    graph.add_conditional_edges(START, each, ["a"])
    graph.add_edge("a", END)
    return graph.compile()
