"""A chain from plain English: how a model is asked for it, and its answer, read, checked, and sent back with what is wrong. Nothing of it runs.

What comes back is a draft to accept or edit: the canonical YAML, so that what is shown is what would run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from orchestrator_nb.chains.answers import MOST_SIGNS, document_in
from orchestrator_nb.chains.chain import Ask, Chain, Propose, Switch
from orchestrator_nb.chains.graph import Node
from orchestrator_nb.chains.inwords import in_short
from orchestrator_nb.chains.load import read_value
from orchestrator_nb.chains.planning import planned
from orchestrator_nb.chains.problems import Origin, Problem, listed, sorted_problems
from orchestrator_nb.chains.world import World
from orchestrator_nb.chains.write import to_yaml
from orchestrator_nb.config.shapes import unknown
from orchestrator_nb.config.yaml import Place

FILE: Final = "<draft>"
TRIES: Final = 3
_DRAFTER: Final = (
    "You write workflows that ask language models, as chains in YAML. From the user's words you make the simplest chain that does it: few steps, clear prompts that say exactly what to do and what to give back, "
    "what is given from outside declared under inputs with its type, and outputs where more than the last value matters. You answer with the YAML only. It is checked and shown to the user, who decides whether it runs."
)


@dataclass(frozen=True, slots=True)
class Draft:
    """What a model made of somebody's words. ``text`` is the chain's YAML; where ``problems`` are left after all ``tries``, what the model wrote last."""

    text: str
    chain: Chain | None
    problems: tuple[Problem, ...] = ()
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Drafting:
    """What is to be drafted, and what the chain may name: the ``models`` that the user can ask (empty: none need be named), and everything in ``world``."""

    words: str
    models: tuple[str, ...] = ()
    world: World = field(default_factory=World)

    def draft(self, ask: Callable[[str, str], str], tries: int = TRIES) -> Draft:
        """The draft; ``ask(prompt, system)`` asks the model, at most ``tries`` times."""
        found: Draft | None = None
        for number in range(1, max(tries, 1) + 1):
            found = self.read(ask(self.request(found), self.system()), number)
            if not found.problems:
                break
        assert found  # noqa: S101  # there is one try at least
        return found

    def system(self) -> str:
        """The system prompt: the language, and everything that can be named."""
        return "\n\n".join([_DRAFTER, in_short(self._without()), "\n".join(self._known())])

    def request(self, refused: Draft | None = None) -> str:
        """The question: the user's words, and what was wrong with the draft before, if there was one."""
        asked = f"Write a chain that does this:\n{self.words}"
        if refused is None:
            return f"{asked}\n\nAnswer with the YAML only."
        return f"{asked}\n\nYou wrote:\n\n{refused.text[:MOST_SIGNS]}\n\nThat has problems:\n{listed(refused.problems)}\n\nAnswer with the whole YAML again, repaired, and nothing else."

    def read(self, answer: str, number: int = 1) -> Draft:
        """The answer as a draft."""
        document, problems = document_in(answer, FILE)
        if document is None:
            return Draft(answer, None, problems, number)
        reading = read_value(document.value, "draft", origin=Origin.of(document))
        if reading.chain is None:
            return Draft(answer, None, reading.problems, number)
        made, later = planned(reading.chain, self.world)
        found = [*reading.problems, *later]
        found += [problem for node in made.nodes for problem in self._beyond(node, reading.chain)] if made else []
        if found:
            return Draft(answer, None, sorted_problems(found), number)
        return Draft(to_yaml(reading.chain), reading.chain, (), number)

    def _without(self) -> frozenset[str]:
        """Keys of which nothing can be named."""
        kinds = {"python": self.world.functions, "use": self.world.chains, "mode": self.world.modes}
        gone = {key for key, known in kinds.items() if not known}
        return frozenset(gone | ({"with"} if {"python", "use"} <= gone else set()))

    def _known(self) -> Iterator[str]:
        world = self.world
        yield f"Roles: {', '.join(world.roles.roles)}. Personas: {', '.join(world.roles.personas)}."
        yield f"Models: {', '.join(self.models)}." if self.models else "Name no model."
        if world.functions:
            yield f"Python functions: {', '.join(sorted(world.functions))}."
        if world.chains:
            yield f"Chains for use: {', '.join(sorted(world.chains))}."
        if world.modes:
            yield f"Modes: {', '.join(sorted(world.modes))}."
        yield "The user chooses the model of steps that name none: name one only where it matters."

    def _beyond(self, node: Node, chain: Chain) -> Iterator[Problem]:
        """What a draft may not do, though a chain may: models nobody has spoken of, and trust in advance."""
        found: list[tuple[Place, tuple[str, ...]]]
        match node.step.do:
            case Ask() as ask:
                found = [(("model",), ask.model), (("fallback",), ask.fallback)]
            case Switch(ask=Ask() as ask):
                found = [(("switch", "model"), ask.model)]
            case Propose() as propose:
                found = [(("plan", "model"), propose.ask.model), (("plan", "allow"), propose.allow)]
                if propose.trusted:
                    why = "a draft does not trust what a model will propose; leave 'trusted' out."
                    yield chain.origin.problem((*node.place, "plan", "trusted"), why, step=node.path)
            case _:
                return
        for place, names in found:
            for name in names:
                if name not in self.models and name not in self.words:
                    why = f"{unknown(name, self.models, f'model {name!r}')}."
                    yield chain.origin.problem((*node.place, *place), why, step=node.path)
