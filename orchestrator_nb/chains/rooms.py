"""From steps to graphs: which name means which step, and what waits for what. Finds unknown names, names taken twice, circles, and jumps that lead nowhere."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from orchestrator_nb.chains.chain import Block, Each, Parallel, Propose, Step, Switch, inner
from orchestrator_nb.chains.graph import Graph, Node
from orchestrator_nb.chains.problems import Origin, Problem
from orchestrator_nb.chains.wants import may_be_skipped, saves_in, takes_before, words_of
from orchestrator_nb.config.yaml import Place
from orchestrator_nb.prompts.template import nearest

_ONLY: Final = {
    "item": "is known in a step with 'each' only",
    "index": "is known in a step with 'each' only",
    "previous": "is known in a step with 'repeat' only",
    "turn": "is known in a step with 'repeat' only",
    "current": "is known in 'until' only",
    "error": "is known in a step that a 'goto' leads to",
    "loop": "is known inside {% for %} only",
}
DECLARE: Final = " Declare what is given from outside under 'inputs'."
"""What to do about an unknown name, as the end of the sentence."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A name that a text uses: where, and what else can be named there."""

    name: str
    place: Place
    path: str
    visible: frozenset[str] = frozenset()


@dataclass
class Rooms:
    """Builds the graph of a chain and collects what is wrong with its names."""

    origin: Origin
    known: frozenset[str]
    problems: list[Problem] = field(default_factory=list)
    earlier: frozenset[str] = frozenset()
    """What is given or has ended before the step that is looked at just now: what steps that are proposed in its place may name."""

    def chain(self, steps: tuple[Step, ...]) -> Graph:
        """The graph of the whole chain."""
        self._saves(steps, ("steps",))
        self.earlier = self.known
        graph, free = self._room(steps, _places(("steps",), steps), "", self.known, named=True)
        for ref in free:
            if ref.name not in self.known:
                self.unknown(ref)
        self._first(steps)
        return graph

    def _first(self, steps: tuple[Step, ...]) -> None:
        """A chain whose first step takes an input must have one."""
        if "input" not in self.known and takes_before(steps[0], surely=True):
            reason = "it takes the value of the step before it, and is the first; declare an input called 'input', or give the step 'input' or 'prompt'."
            self._problem(("steps", 0), reason, steps[0].id)

    def _room(
        self, steps: tuple[Step, ...], places: list[Place], path: str, outer: frozenset[str], *, named: bool
    ) -> tuple[Graph, list[Ref]]:
        """A list of steps as a graph, and the names that it uses from around it."""
        local = self._local(steps, places, path, outer) if named else {}
        gaps, targets = self._jumps(steps, places, path)
        nodes, free, around = list[Node](), list[Ref](), self.earlier
        for index, (step, place) in enumerate(zip(steps, places, strict=True)):
            here = f"{path}.{step.id}" if path else step.id
            node, refs = self._node(step, place, here, outer | local.keys(), is_target=bool(targets.get(step.id)))
            needs = {local[ref.name] for ref in refs if ref.name in local} - {step.id}
            self._itself(step, [ref for ref in refs if local.get(ref.name) == step.id])
            free += [ref for ref in refs if ref.name not in local]
            node = _fed(node, steps, index, gaps)
            jumps = gaps.get(step.id, frozenset()) | targets.get(step.id, frozenset())
            nodes.append(
                replace(
                    node,
                    needs=frozenset(needs | set(node.given_by) | jumps),
                    skipped_by=gaps.get(step.id, frozenset()),
                    errors_of=targets.get(step.id, frozenset()),
                    reads=frozenset(ref.name for ref in refs if ref.name != step.id),
                )
            )
            self.earlier |= {step.id, *saves_in(step)} if named else set()
        self.earlier = around
        graph = Graph(tuple(nodes))
        self._circle(graph)
        return graph, free

    def _node(
        self, step: Step, place: Place, path: str, visible: frozenset[str], *, is_target: bool
    ) -> tuple[Node, list[Ref]]:
        """A step with the rooms in it, and all names that it uses from around it."""
        during = during_of(step)
        if step.each and step.each.name != "item" and step.each.name in visible:
            self._problem(
                (*place, "each", "as"), f"{step.each.name!r} is taken by a name around it; take another.", path
            )
        inside, refs, around = dict[str, Graph](), list[Ref](), self.earlier
        self.earlier |= during
        for name, steps in inner(step):
            places, below, room = self._inside(step, place, path, name, steps)
            graph, free = self._room(steps, places, below, visible | during, named=room)
            inside[name] = graph
            refs += [ref for ref in free if ref.name not in during]
        self.earlier = around
        if isinstance(step.do, Propose):
            refs += [Ref(name, (*place, "plan"), path) for name in sorted(self.earlier - during - {"input"})]
        extra = {"error"} if is_target else set()
        for words in words_of(step):
            seen = extra | {"input"} | (set() if words.early else during) | ({"current"} if words.late else set())
            where = (*place, *words.place)
            refs += [Ref(name, where, path, visible | seen) for name in sorted(words.names - seen)]
        return Node(step, path, place, takes_input=takes_before(step), inside=inside), [
            ref for ref in refs if ref.name not in extra
        ]

    def _inside(
        self, step: Step, place: Place, path: str, name: str, steps: tuple[Step, ...]
    ) -> tuple[list[Place], str, bool]:
        """Where the steps of a room stand, the path that leads there, and whether their ids are names in it."""
        match step.do:
            case Block():
                return _places(self.origin.items(place), steps), path, True
            case Parallel():
                return [(*place, "parallel", name)], path, False
            case Switch(default=default) if default is steps[0]:
                return [(*place, "switch", "default")], path, False
        return [(*place, "switch", "cases", name)], path, False

    # Names

    def _local(self, steps: tuple[Step, ...], places: list[Place], path: str, outer: frozenset[str]) -> dict[str, str]:
        """What can be named in a room: its steps, and what they save, by the step that gives it."""
        local: dict[str, str] = {}
        for step, place in zip(steps, places, strict=True):
            here = f"{path}.{step.id}" if path else step.id
            if step.id in local:
                self._problem((*place, "id"), f"there is another step {step.id!r}; names are given once.", here)
            elif step.id in outer:
                self._problem((*place, "id"), f"{step.id!r} is taken by a name around it; take another.", here)
            local[step.id] = step.id
        for step in steps:
            for name in saves_in(step):
                local.setdefault(name, step.id)
        return local

    def _saves(self, steps: tuple[Step, ...], place: Place) -> None:
        """Saved names are given once in the whole chain, and not by each of many items."""
        ids = _ids(steps)
        seen: set[str] = set()
        for step, where, path, many in _walk(self.origin, steps, place):
            if step.save is None:
                continue
            if many:
                self._problem(
                    (*where, "save"), "a step inside 'each' cannot save, as its items would overwrite each other.", path
                )
            if step.save in self.known or step.save in ids:
                self._problem(
                    (*where, "save"), f"{step.save!r} is already the name of a step or an input; take another.", path
                )
            elif step.save in seen and step.save in _twice(steps):
                self._problem((*where, "save"), f"{step.save!r} is saved twice; take another name.", path)
            seen.add(step.save)

    def _itself(self, step: Step, refs: list[Ref]) -> None:
        for ref in refs:
            if ref.name == step.id:
                hint = (
                    "what the turn before gave is called 'previous'" if step.repeat else "a step cannot wait for itself"
                )
                self._problem(ref.place, f"{ref.name!r} is this step itself; {hint}.", ref.path)
            elif ref.name != step.save:
                self._problem(
                    ref.place,
                    f"{ref.name!r} is saved in another part of the same step, which may not have run.",
                    ref.path,
                )
            else:
                self._problem(ref.place, f"{ref.name!r} is saved by this step itself.", ref.path)

    def unknown(self, ref: Ref) -> None:
        """Notes a name that nothing gives."""
        if ref.name in _ONLY:
            message = f"{ref.name!r} {_ONLY[ref.name]}."
        else:
            known = ref.visible - {*ref.path.split(".")}  # not the step itself, nor those that it is a part of
            hint = (
                nearest(ref.name, sorted(known))
                or f"; known here: {', '.join(sorted(known - _ONLY.keys())) or 'nothing'}.{DECLARE}"
            )
            message = f"{ref.name!r} is not known here{hint}"
        self._problem(ref.place, message, ref.path)

    # Jumps and circles

    def _jumps(
        self, steps: tuple[Step, ...], places: list[Place], path: str
    ) -> tuple[dict[str, frozenset[str]], dict[str, frozenset[str]]]:
        """For each step the failures that skip it, and those that lead to it."""
        ids = [step.id for step in steps]
        gaps, targets = dict[str, frozenset[str]](), dict[str, frozenset[str]]()
        for index, (step, place) in enumerate(zip(steps, places, strict=True)):
            if step.on_error is None or step.on_error.act != "goto":
                continue
            target = step.on_error.step
            if target not in ids[index + 1 :]:
                self._nowhere(
                    target,
                    ids[: index + 1],
                    ids[index + 1 :],
                    (*place, "on_error"),
                    f"{path}.{step.id}" if path else step.id,
                )
                continue
            for between in ids[index + 1 : ids.index(target, index)]:
                gaps[between] = gaps.get(between, frozenset()) | {step.id}
            targets[target] = targets.get(target, frozenset()) | {step.id}
        return gaps, targets

    def _nowhere(self, target: str, before: list[str], after: list[str], place: Place, path: str) -> None:
        if target in before:
            message = (
                f"'goto' leads forward only, and {target!r} does not stand behind this step; for a loop use 'repeat'."
            )
        else:
            message = f"there is no step {target!r} behind this one in its list{nearest(target, after) or '.'}"
        self._problem(place, message, path)

    def _circle(self, graph: Graph) -> None:
        if cycle := graph.cycle():
            node = graph[cycle[0]]
            self._problem(node.place, f"these steps wait for each other: {' → '.join(cycle)}.", node.path)

    def _problem(self, place: Place, message: str, path: str) -> None:
        self.problems.append(self.origin.problem(place, message, step=path))


def _fed(node: Node, steps: tuple[Step, ...], index: int, gaps: dict[str, frozenset[str]]) -> Node:
    """The node with the steps that its input may come from, nearest first. Behind a ``goto`` there may be none, and then its input is null."""
    if not node.takes_input and not _looks_back(node):
        return node
    found, always = list[str](), False
    own = gaps.get(node.id, frozenset())
    for before in reversed(steps[:index]):
        found.append(before.id)
        jumps = before.on_error is not None and before.on_error.act == "goto" and before.id not in own
        always = always or not may_be_skipped(before)
        if always and not jumps and gaps.get(before.id, frozenset()) <= own:
            break
    return replace(node, given_by=tuple(found), from_outside=not always)


def _looks_back(node: Node) -> bool:
    """Whether the first turn's ``previous``, which is the step's input, is named."""
    step = node.step
    if step.repeat is None or step.input is not None or step.each is not None:
        return False
    within = (part.step for graph in node.inside.values() for part in graph.walk())
    return any("previous" in words.names for part in (step, *within) for words in words_of(part))


def during_of(step: Step) -> frozenset[str]:
    """The names that a step's items and turns give to what is in it."""
    items = {step.each.name, "index"} if isinstance(step.each, Each) else set()
    return frozenset(items | ({"previous", "turn"} if step.repeat else set()))


def _places(place: Place, steps: Collection[Step]) -> list[Place]:
    return [(*place, index) for index in range(len(steps))]


def _ids(steps: Iterable[Step]) -> frozenset[str]:
    """The ids that are names somewhere: all but those of branches."""
    found = set[str]()
    for step in steps:
        found.add(step.id)
        for _, within in inner(step):
            found |= (
                _ids(within)
                if isinstance(step.do, Block)
                else _ids(part for branch in within for _, below in inner(branch) for part in below)
            )
    return frozenset(found)


def _twice(steps: Iterable[Step]) -> frozenset[str]:
    names = [name for step in steps for name in saves_in(step)]
    return frozenset(name for name in names if names.count(name) > 1)


def _walk(
    origin: Origin, steps: Iterable[Step], place: Place, path: str = "", *, many: bool = False
) -> Iterable[tuple[Step, Place, str, bool]]:
    """Every step with its place, its path, and whether it is done many times at once."""
    for index, step in enumerate(steps):
        yield from _one(origin, step, (*place, index), f"{path}.{step.id}" if path else step.id, many)


def _one(origin: Origin, step: Step, place: Place, path: str, many: bool) -> Iterable[tuple[Step, Place, str, bool]]:
    yield step, place, path, many
    many = many or step.each is not None
    match step.do:
        case Block(steps):
            yield from _walk(origin, steps, origin.items(place), path, many=many)
        case Parallel(branches):
            for branch in branches:
                yield from _one(origin, branch, (*place, "parallel", branch.id), f"{path}.{branch.id}", many)
        case Switch(cases, default=default):
            for case in cases:
                yield from _one(origin, case, (*place, "switch", "cases", case.id), f"{path}.{case.id}", many)
            if default:
                yield from _one(origin, default, (*place, "switch", "default"), f"{path}.{default.id}", many)
