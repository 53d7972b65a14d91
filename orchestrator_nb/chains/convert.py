"""From checked pieces to the frozen chain: ids and short forms resolved, and the rules that concern several keys of one step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from orchestrator_nb.chains.chain import (
    ELSE,
    REQUIRED,
    Ask,
    Block,
    Chain,
    Deed,
    Defaults,
    Each,
    Input,
    OnError,
    Parallel,
    Propose,
    Python,
    Repeat,
    Retry,
    Step,
    Switch,
    Use,
)  # fmt: skip
from orchestrator_nb.chains.defaults import with_defaults
from orchestrator_nb.chains.language import (
    MOST_STEPS,
    NAME,
    RESERVED,
    ChainPiece,
    Common,
    InputPiece,
    OnErrorPiece,
    PlanPiece,
    StepPiece,
    SwitchPiece,
)
from orchestrator_nb.chains.problems import Origin
from orchestrator_nb.chains.spelling import canonical
from orchestrator_nb.chains.wants import wants_input
from orchestrator_nb.config.yaml import Place

KINDS: Final = ("steps", "parallel", "switch", "use", "python", "plan")
ASK_KEYS: Final = ("prompt", "role", "persona", "system", "model", "fallback", "mode", "options", "schema", "samples")
_ASKS: Final = ("prompt", "role", "persona", "system", "model")


@dataclass(frozen=True, slots=True)
class Slip:
    """Something wrong: where, in which step, and whether it may only follow from another mistake in it (``of_kind``)."""

    place: Place
    message: str
    path: str = ""
    step_place: Place = ()
    of_kind: bool = False


def chain(piece: ChainPiece, name: str, origin: Origin) -> tuple[Chain, list[Slip]]:
    """The chain, and what is wrong with it."""
    reader = _Reader(origin, around=frozenset(piece.inputs or {}))
    steps = reader.steps(piece.steps, ("steps",), "")
    if reader.count > MOST_STEPS:
        reader.slips.append(Slip(("steps",), f"{reader.count:,} steps; a chain may have {MOST_STEPS:,}."))
    defaults = reader.defaults(piece.defaults)
    inputs = tuple(_input(key, value) for key, value in (piece.inputs or {}).items())
    if piece.inputs is None and wants_input(tuple(with_defaults(step, defaults) for step in steps), surely=True):
        inputs = (Input("input"),)
    reader.outputs(piece.outputs or {})
    made = Chain(piece.name or name, steps, inputs, piece.outputs or {}, defaults, piece.description, origin)
    return made, reader.slips


def _input(name: str, piece: InputPiece) -> Input:
    default = piece.default if "default" in piece.model_fields_set else REQUIRED
    return Input(name, piece.type, default, piece.description, piece.choices or ())


@dataclass
class _Reader:
    origin: Origin
    slips: list[Slip] = field(default_factory=list)
    count: int = 0
    around: frozenset[str] = frozenset()
    """The names around the list of steps that is read just now: an id that is made up must not be one of them."""

    def steps(self, pieces: tuple[StepPiece, ...], place: Place, path: str) -> tuple[Step, ...]:
        names, around = _ids(pieces, self.around), self.around
        self.around = around | set(names)
        steps = tuple(
            self.step(piece, name, (*place, index), _joined(path, name))
            for index, (piece, name) in enumerate(zip(pieces, names, strict=True))
        )
        self.around = around
        return steps

    def branch(self, piece: StepPiece, name: str, place: Place, path: str) -> Step:
        if piece.id not in (None, name):
            self._slip(
                (*place, "id"),
                f"a branch is called by its own name, {name!r}; leave 'id' out.",
                _joined(path, name),
                place,
            )
        return self.step(piece, name, place, _joined(path, name))

    def step(self, piece: StepPiece, name: str, place: Place, path: str) -> Step:
        self.count += 1
        self._one_kind(piece, place, path)
        return Step(
            name, self._deed(piece, place, path), piece.input, piece.when,
            Each(piece.each.over, piece.each.name, piece.each.parallel) if piece.each else None,
            Repeat(piece.repeat.max, piece.repeat.until) if piece.repeat else None,
            _retry(piece), self._on_error(piece.on_error, place, path), piece.timeout, piece.budget, piece.save,
        )  # fmt: skip

    def _one_kind(self, piece: StepPiece, place: Place, path: str) -> None:
        given = _given(piece)
        kinds = [key for key in KINDS if key in given]
        asked = [key for key in ASK_KEYS if key in given]
        if not kinds and not given & set(_ASKS):
            message = "the step says nothing to do; give it 'prompt' or 'role', or 'steps', 'parallel', 'switch', 'use', 'python' or 'plan'."
            self._slip(place, message, path, place, of_kind=True)
        if len(kinds) > 1:
            self._slip(
                (*place, kinds[1]),
                f"{kinds[0]!r} and {kinds[1]!r} are two kinds of step; make them two steps.",
                path,
                place,
            )
        for key in asked if kinds else ():
            self._slip(
                (*place, key),
                f"{key!r} belongs to a step that asks, and this one has {kinds[0]!r}; make them two steps.",
                path,
                place,
            )
        if "with" in given and not {"use", "python"} & set(kinds):
            self._slip((*place, "with"), "'with' belongs to 'use' or 'python'.", path, place)
        if "system" in given and given & {"role", "persona"}:
            self._slip(
                (*place, "system"),
                "'system' stands in the place of 'role' and 'persona'; keep one of them.",
                path,
                place,
            )

    def _deed(self, piece: StepPiece, place: Place, path: str) -> Deed:
        if piece.steps is not None:
            return Block(self.steps(piece.steps, self.origin.items(place), path))
        if piece.parallel is not None:
            here = (*place, "parallel")
            return Parallel(
                tuple(self.branch(branch, name, (*here, name), path) for name, branch in piece.parallel.items())
            )
        if piece.switch is not None:
            return self._switch(piece.switch, (*place, "switch"), path)
        if piece.use is not None:
            return Use(piece.use, piece.with_ or {})
        if piece.python is not None:
            return Python(piece.python, piece.with_ or {})
        return _propose(piece.plan) if piece.plan is not None else _ask(piece)

    def _switch(self, piece: SwitchPiece, place: Place, path: str) -> Switch:
        if (piece.on is None) == (piece.ask is None):
            self._slip(place, "a switch has either 'on' or 'ask'.", path, place[:-1], of_kind=True)
        for key in ("model", "options"):
            if piece.ask is None and getattr(piece, key) is not None:
                self._slip((*place, key), f"{key!r} belongs to 'ask'.", path, place[:-1])
        ask = (
            Ask(prompt=piece.ask, model=piece.model or (), options=piece.options or {})
            if piece.ask is not None
            else None
        )
        cases = tuple(self.branch(case, name, (*place, "cases", name), path) for name, case in piece.cases.items())
        default = self.branch(piece.default, ELSE, (*place, ELSE), path) if piece.default else None
        return Switch(cases, piece.on, ask, default)

    def _on_error(self, piece: OnErrorPiece | None, place: Place, path: str) -> OnError | None:
        if piece is None:
            return None
        given = piece.model_fields_set
        if len(given) != 1:
            self._slip((*place, "on_error"), "on_error is fail, skip, {default: value} or {goto: step}.", path, place)
        if "default" in given:
            return OnError("default", value=piece.default)
        return OnError("goto", step=piece.goto) if piece.goto else OnError(piece.act or "fail")

    def defaults(self, piece: Common) -> Defaults:
        on_error = self._on_error(piece.on_error, ("defaults",), "")
        if on_error and on_error.act == "goto":
            self._slip(("defaults", "on_error"), "'goto' belongs to one step, not to all.", "", ())
        if piece.persona and piece.system:
            self._slip(("defaults", "system"), "'system' stands in the place of 'persona'; keep one of them.", "", ())
        persona = canonical(piece.persona) if piece.persona else None
        return Defaults(
            piece.model or (), persona, piece.mode, piece.system, piece.options or {}, piece.fallback or (), _retry(piece), on_error, piece.timeout, piece.budget
        )  # fmt: skip

    def outputs(self, outputs: dict[str, Any]) -> None:
        for name, value in outputs.items():
            if isinstance(value, str) and "{{" not in value and "{%" not in value:
                self._slip(
                    ("outputs", name),
                    f"this gives only the words {value[:60]!r}; for a value write '{{{{ name }}}}'.",
                    "",
                    (),
                )

    def _slip(self, place: Place, message: str, path: str, step_place: Place, *, of_kind: bool = False) -> None:
        self.slips.append(Slip(place, message, path, step_place, of_kind))


def _given(piece: StepPiece) -> set[str]:
    """The keys that say something."""
    fields = type(piece).model_fields
    return {fields[name].alias or name for name in piece.model_fields_set if getattr(piece, name) is not None}


def _ask(piece: StepPiece) -> Ask:
    return Ask(
        prompt=piece.prompt,
        role=canonical(piece.role) if piece.role else None,
        persona=canonical(piece.persona) if piece.persona else None,
        system=piece.system,
        model=piece.model or (),
        fallback=piece.fallback or (),
        mode=piece.mode,
        options=piece.options or {},
        schema=piece.schema_,
        samples=piece.samples,
    )


def _propose(piece: PlanPiece) -> Propose:
    ask = Ask(prompt=piece.task, model=(piece.model,) if piece.model else (), options=piece.options or {})
    return Propose(
        ask, piece.allow or (), piece.max_steps, piece.max_calls, piece.max_cost, piece.trusted, piece.repair
    )


def _retry(piece: Common) -> Retry | None:
    return Retry(piece.retry.times, piece.retry.wait_s) if piece.retry else None


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _ids(pieces: tuple[StepPiece, ...], around: frozenset[str]) -> list[str]:
    """The ids of a list of steps; who has none is called by its role, or by its place."""
    taken = {piece.id for piece in pieces if piece.id} | around
    found = []
    for number, piece in enumerate(pieces, 1):
        name = piece.id or free(wanted(piece.role, number), taken)
        taken.add(name)
        found.append(name)
    return found


def wanted(role: object, number: int) -> str:
    """What a step without an id is called by its role, or by its place in the list (from 1)."""
    role = canonical(role if isinstance(role, str) else "")
    return role if NAME.fullmatch(role) and role not in RESERVED else f"step_{number}"


def free(name: str, taken: set[str]) -> str:
    """The name, or with a number where it is taken."""
    number, found = 2, name
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    return found
