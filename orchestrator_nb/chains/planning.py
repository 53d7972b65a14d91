"""From a frozen chain to a plan: what each step waits for, and everything that is wrong, found before the first call and told at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from orchestrator_nb.chains import flow, kinds
from orchestrator_nb.chains.chain import REQUIRED, Chain, Use
from orchestrator_nb.chains.defaults import with_defaults
from orchestrator_nb.chains.expressions import Template, faults, templates
from orchestrator_nb.chains.flow import Flow
from orchestrator_nb.chains.graph import Graph, Node
from orchestrator_nb.chains.inputs import is_a, misfit
from orchestrator_nb.chains.kinds import ANY, Kind
from orchestrator_nb.chains.load import Reading, read, read_value
from orchestrator_nb.chains.problems import Problem, sorted_problems
from orchestrator_nb.chains.rooms import Ref, Rooms
from orchestrator_nb.chains.vet import vet
from orchestrator_nb.chains.wants import saves_in
from orchestrator_nb.chains.work import ExpressionError
from orchestrator_nb.chains.world import World
from orchestrator_nb.chains.write import to_plain
from orchestrator_nb.config.shapes import unknown
from orchestrator_nb.config.yaml import Place
from orchestrator_nb.errors import ChainError

ANYWHERE: Final = World()
"""Nothing beyond the chain is known, so nothing beyond it is checked but roles and personas."""
MOST_USES: Final = 8
"""How deep chains may use chains."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A chain that can run. The steps of ``graph`` have the chain's defaults filled in; ``used`` are the plans of the chains that it uses, by name."""

    chain: Chain
    graph: Graph
    gives: Kind
    used: Mapping[str, Plan]
    depth: int = 0
    """How deep its chains use chains; 0 when it uses none."""
    world: World = field(default=ANYWHERE, compare=False, repr=False)
    """What it was planned in; what is proposed while it runs is planned in the same."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Every step, also inside others."""
        return self.graph.walk()

    def node(self, path: str) -> Node:
        """The step at a path such as ``polish.critique``. Raises `KeyError`."""
        for node in self.nodes:
            if node.path == path:
                return node
        raise KeyError(path)

    @property
    def outputs(self) -> dict[str, Any]:
        """The outputs' templates by name; without any, the last step's value under its id."""
        return dict(self.chain.outputs) or {last_output(self.chain): f"{{{{ {last_output(self.chain)} }}}}"}


def last_output(chain: Chain) -> str:
    """The name of the output of a chain that names none."""
    return chain.steps[-1].id


def plan(chain: Chain, world: World = ANYWHERE) -> Plan:
    """The plan of a chain. Raises `ChainError` with everything that is wrong."""
    made, problems = planned(chain, world)
    if problems or made is None:
        raise ChainError(problems)
    return made


def check(text: str, *, file: str = "<chain>", name: str | None = None, world: World = ANYWHERE) -> tuple[Problem, ...]:
    """Everything that is wrong with the chain in a text, whether in its language or in its plan; nothing is raised."""
    return all_problems(read(text, file=file, name=name), world)


def all_problems(reading: Reading, world: World = ANYWHERE) -> tuple[Problem, ...]:
    """What is wrong with the language of a text, and with the plan of what could be read of it."""
    if reading.chain is None:
        return reading.problems
    later = planned(reading.chain, world)[1]
    known = {(problem.line, problem.column) for problem in reading.problems}
    return sorted_problems(
        [*reading.problems, *(problem for problem in later if (problem.line, problem.column) not in known)]
    )


def planned(chain: Chain, world: World = ANYWHERE) -> Result:
    """The plan, as far as there is one, with the problems as values."""
    return _planned(chain, world, (), {})


Result = tuple[Plan | None, tuple[Problem, ...]]
Made = dict[str, Result]
"""The chains in use that were planned already: each is planned once, however many use it."""


def _planned(chain: Chain, world: World, above: tuple[str, ...], made: Made) -> Result:
    reading = _by_hand(chain)
    if reading.chain is None or reading.problems:
        return None, reading.problems
    return _Planner(reading.chain, world, above, made).planned()


def _by_hand(chain: Chain) -> Reading:
    """A chain that was not read from a text, as the language has it: what it refuses is refused, and a budget of 0.1 is exact."""
    return Reading(chain) if chain.origin.file else read_value(to_plain(chain), chain.name)


class _Planner:
    def __init__(self, chain: Chain, world: World, above: tuple[str, ...], made: Made) -> None:
        self.chain, self.world, self.above, self.made = chain, world, (*above, chain.name), made
        self.problems: list[Problem] = []
        self.used: dict[str, tuple[Plan | None, Chain]] = {}

    def planned(self) -> tuple[Plan | None, tuple[Problem, ...]]:
        steps = tuple(with_defaults(step, self.chain.defaults) for step in self.chain.steps)
        inputs = frozenset(item.name for item in self.chain.inputs) | self.world.names
        rooms = Rooms(self.chain.origin, inputs)
        graph = rooms.chain(steps)
        self._inputs()
        for node in graph.walk():
            self.problems += vet(node, self.world, self.chain.origin)
            self._uses(node)
        self._output_names(rooms, steps)
        self.problems += rooms.problems
        gives = self._flow(graph) if not graph.cycle() else ANY
        plans = {name: made for name, (made, _) in self.used.items() if made is not None}
        depth = max((made.depth + 1 for made in plans.values()), default=0)
        return Plan(self.chain, graph, gives, plans, depth, self.world), sorted_problems(_once(self.problems))

    def _inputs(self) -> None:
        for item in self.chain.inputs:
            place = ("inputs", item.name)
            for choice in item.choices:
                if not is_a(choice, item.type):
                    self._problem((*place, "choices"), misfit(replace(item, choices=()), choice))
            if item.default is not REQUIRED and (reason := misfit(item, item.default)):
                self._problem((*place, "default"), reason)

    def _output_names(self, rooms: Rooms, steps: tuple[Any, ...]) -> None:
        visible = rooms.known | {step.id for step in steps} | {name for step in steps for name in saves_in(step)}
        for name, value in self.chain.outputs.items():
            place = ("outputs", name)
            for text in templates(value):
                for fault in faults(text, expression=False):
                    self._problem(place, str(fault), fault.line)
                for used in sorted(_names(text) - visible):
                    rooms.unknown(Ref(used, place, "", frozenset(visible)))

    def _flow(self, graph: Graph) -> Kind:
        walk = Flow(self.chain.origin, self._gives)
        known: dict[str, Kind] = {item.name: kinds.named(item.type) for item in self.chain.inputs}
        last = walk.room(graph, known, known.get("input", ANY))
        self.problems += walk.problems
        if not self.chain.outputs:
            return last
        values = self._values(graph, known, walk)
        return kinds.record({name: self._output(name, value, values) for name, value in self.chain.outputs.items()})

    def _output(self, name: str, value: Any, values: Mapping[str, Kind]) -> Kind:
        def note(line: int, message: str) -> None:
            self._problem(("outputs", name), message, line)

        return flow.filled(value, values, note)

    def _values(self, graph: Graph, known: Mapping[str, Kind], walk: Flow) -> dict[str, Kind]:
        quiet = Flow(self.chain.origin, self._gives)
        values = dict[str, Kind]()
        for node in graph.ordered():
            before = [values[name] for name in node.given_by if name in values]
            values[node.id] = quiet.step(
                node, {**known, **walk.saved, **values}, kinds.joined(before) if before else ANY
            )
        return {**known, **walk.saved, **values}

    # Other chains

    def _uses(self, node: Node) -> None:
        if not isinstance(node.step.do, Use) or self.world.chains is None:
            return
        name = node.step.do.chain
        place = (*node.place, "use")
        if name in self.above:
            self._problem(
                place, f"the chains use each other in a circle: {' → '.join((*self.above, name))}.", path=node.path
            )
        elif name not in self.world.chains:
            self._problem(place, f"{unknown(name, self.world.chains, 'chain')}.", path=node.path)
        elif name not in self.used:
            self._use(name, place, node.path)

    def _use(self, name: str, place: Place, path: str) -> None:
        """Plans a chain in use, unless that was done; the depth of a chain that is under way counts from the top."""
        assert self.world.chains is not None  # noqa: S101  # looked up just before
        chain = self.world.chains[name]
        too_deep = len(self.above) > MOST_USES
        if not too_deep and name not in self.made:
            self.made[name] = _planned(chain, replace(self.world, names=frozenset()), self.above, self.made)
        made, problems = self.made.get(name, (None, ()))
        self.used[name] = made, chain
        if too_deep or (made and len(self.above) + made.depth > MOST_USES):
            self._problem(place, f"chains use each other more than {MOST_USES} deep.", path=path)
        elif problems:
            self._problem(place, f"the chain {name!r} cannot run: {problems[0]}", path=path)

    def _gives(self, name: str) -> tuple[Chain, Kind] | None:
        if name not in self.used:
            return None
        made, chain = self.used[name]
        return chain, made.gives if made else ANY

    def _problem(self, place: Place, message: str, line: int = 1, *, path: str = "") -> None:
        self.problems.append(self.chain.origin.problem(place, message, step=path, text_line=line))


def _names(text: str) -> frozenset[str]:
    try:
        return Template.of(text).names
    except ExpressionError:
        return frozenset()


def _once(problems: list[Problem]) -> list[Problem]:
    return list(dict.fromkeys(problems))
