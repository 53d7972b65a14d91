"""One room of steps under way: which may begin and which have ended, with which values, and what a failure leads to. Knows no time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator_nb.chains.chain import Ask, OnError
from orchestrator_nb.chains.expressions import Expression
from orchestrator_nb.chains.graph import Graph, Node
from orchestrator_nb.chains.walk import Frame
from orchestrator_nb.errors import OrchestratorError


class Room:
    """``values`` by id of the steps that have ended; ``failure`` is what ends the room once nothing runs in it any more."""

    def __init__(self, graph: Graph, given: Any) -> None:
        self._given = given
        self._missing = {node.id: len(node.needs) for node in graph.nodes}
        self._waiting: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for name in node.needs:
                self._waiting.setdefault(name, []).append(node)
        self._free = [node for node in graph.nodes if not node.needs]
        self.values: dict[str, Any] = {}
        self.failure: OrchestratorError | None = None
        self._skipped: set[str] = set()
        self._errors: dict[str, str] = {}

    def ready(self) -> list[Node]:
        """What may begin now, and was not told of before; nothing after a failure."""
        found, self._free = self._free, []
        return [] if self.failure else found

    def skips(self, node: Node, frame: Frame) -> bool:
        """Whether it is passed over: by a ``goto``, by its ``when``, or as it has nothing to ask."""
        if node.skipped_by & self._errors.keys():
            return True
        if node.step.when is not None and not Expression.of(node.step.when).condition(self.seen(node, frame)):
            return True
        asks = isinstance(node.step.do, Ask) and node.step.do.prompt is None
        return asks and node.step.input is None and node.step.each is None and self.before(node) is None

    def before(self, node: Node) -> Any:
        """The value that it takes its input from."""
        for name in node.given_by:
            if name not in self._skipped:
                return self.values[name]
        return self._given if node.from_outside or not node.given_by else None

    def seen(self, node: Node, frame: Frame) -> Mapping[str, Any]:
        """The names that it sees."""
        error = next((self._errors[name] for name in sorted(node.errors_of) if name in self._errors), None)
        return frame.seen(self.values, self.before(node), error)

    def end(self, node: Node, value: Any) -> None:
        """It has its value, and what waits for nothing else may begin."""
        self.values[node.id] = value
        for later in self._waiting.pop(node.id, ()):
            self._missing[later.id] -= 1
            if not self._missing[later.id]:
                self._free.append(later)

    def skip(self, node: Node) -> None:
        """It has none, and what comes next takes its input from before it."""
        self.end(node, None)
        self._skipped.add(node.id)

    def fail(self, node: Node, otherwise: OnError, error: OrchestratorError) -> None:
        """What a failure leaves."""
        match otherwise.act:
            case "default":
                self.end(node, otherwise.value)
            case "skip":
                self.skip(node)
            case "goto":
                self._errors[node.id] = str(error)
                self.skip(node)
            case "fail":
                self.failure = self.failure or error
