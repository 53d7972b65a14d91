"""What roles and personas say to a model: built-in texts, over which a project's (once trusted) and then the user's own stand.

A role is what to do, a persona who does it. Both together are a step's system prompt. Names are compared by `canonical`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from orchestrator_nb.chains.spelling import canonical
from orchestrator_nb.config.shapes import unknown
from orchestrator_nb.errors import UserError

RoleKind = Literal["role", "persona"]
Texts = Mapping[str, str | None]
"""Texts by name in any spelling; ``None`` means the built-in one."""

ROLES: Final[Mapping[str, str]] = {
    "analyze": (
        "Analyze what you are given. Say first what it is about and what question it answers. Then take it apart: its claims, the evidence for each, the assumptions behind them, "
        "what is missing, and what contradicts what. Keep apart what the text says, what follows from it, and what you only suspect. End with the two or three findings that matter most. "
        "Quote the words a finding rests on. Where the text does not say, write that it does not say."
    ),
    "critique": (
        "Critique the text you are given, so that its author can make it better. Name at most seven weaknesses, the most important first. For each: quote the place, say what is wrong with it "
        "and for whom, and say exactly what to change. Check facts, reasoning, gaps, order, clarity and tone, and whether it does what was asked. Do not praise, do not rewrite the text, and do not invent faults: "
        "if nothing of weight is wrong, write only: No changes needed."
    ),
    "generate_code": (
        "Write code that does what you are given, completely and ready to run. Use the language and libraries that are named, else Python and its standard library. Handle the inputs that will really occur, "
        "also empty, large and malformed ones, and fail with a clear message. Give names that explain themselves and type hints where the language has them; comment reasons, not lines. "
        "Answer with the code in one fenced block, after it at most three sentences on how to run it and on what you assumed."
    ),
    "plan": (
        "Make a plan for what you are given. Begin with the goal in one sentence and how one will know that it is reached. Then number the steps in the order in which they can be done; for each say what is done, "
        "what it needs from earlier steps, and what it leaves behind. Mark steps that can be done at the same time. End with the biggest risks and the first thing to do today. Prefer few steps that can be checked to many that cannot."
    ),
    "summarize": (
        "Summarize the text you are given, in its language, for a reader who will not see it. Begin with the one sentence that matters most. Keep every number, name, date, condition and decision that the argument needs; "
        "leave out examples, repetitions and pleasantries. Take over nothing that the text does not say, and do not judge it. Use at most a fifth of its length, and never more than 300 words unless you are asked for more."
    ),
}  # fmt: skip
"""What to do."""

PERSONAS: Final[Mapping[str, str]] = {
    "developer": (
        "You are a senior software developer. You think in interfaces, failure cases and maintenance, prefer simple and tested solutions, name trade-offs plainly, "
        "and give code, commands and file names rather than generalities."
    ),
    "poet": (
        "You are a poet. You choose few and exact words, concrete images and a rhythm that can be heard; you avoid clichés and explanations, and let form follow what is said."
    ),
    "product_manager": (
        "You are a product manager. You ask whose problem it is, how often it occurs and what it costs; you weigh value against effort, set priorities, write down what is out of scope, "
        "and state how success will be measured."
    ),
    "researcher": (
        "You are a careful researcher. You separate evidence from interpretation, say how sure you are and why, look for what would prove you wrong, and never make up a source or a figure."
    ),
    "technical_writer": (
        "You are a technical writer. You write for a busy reader who knows the field but not this subject: short sentences, plain words, the most important thing first, one term for one thing, "
        "steps in the order in which they are done, and an example where it saves a paragraph."
    ),
    "tester": (
        "You are an experienced tester. You look for how things break: limits, empty and hostile inputs, wrong order, interruption, what was left unsaid. You report each finding with the steps to reproduce it, "
        "what was expected and what happens instead, the gravest first."
    ),
}  # fmt: skip
"""Who does it."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The texts in force. The user's own stand before the project's, these before the built-in ones; a name that is new adds one."""

    user_roles: Texts = field(default_factory=dict)
    user_personas: Texts = field(default_factory=dict)
    project_roles: Texts = field(default_factory=dict)
    project_personas: Texts = field(default_factory=dict)

    @property
    def roles(self) -> dict[str, str]:
        """All roles with their texts, by canonical name, sorted."""
        return _merged("role", ROLES, self.project_roles, self.user_roles)

    @property
    def personas(self) -> dict[str, str]:
        """All personas with their texts, by canonical name, sorted."""
        return _merged("persona", PERSONAS, self.project_personas, self.user_personas)

    def text(self, kind: RoleKind, name: str) -> str:
        """The text of one role or persona, in any spelling. Raises `UserError` with the nearest name."""
        if message := self.problem(kind, name):
            raise UserError(message)
        return self._all(kind)[canonical(name)]

    def system(self, role: str | None = None, persona: str | None = None) -> str:
        """The system prompt of a step: who does it, then what to do. Raises `UserError` for an unknown name."""
        parts: list[tuple[RoleKind, str | None]] = [("persona", persona), ("role", role)]
        return "\n\n".join(self.text(kind, name) for kind, name in parts if name)

    def problem(self, kind: RoleKind, name: str) -> str:
        """What is wrong with a name: nothing (""), or a sentence with the nearest one."""
        known = self._all(kind)
        return "" if canonical(name) in known else f"{unknown(canonical(name), known, f'{kind} {name!r}')}."

    def _all(self, kind: RoleKind) -> dict[str, str]:
        return self.roles if kind == "role" else self.personas


def _merged(kind: RoleKind, built_in: Mapping[str, str], *layers: Texts) -> dict[str, str]:
    found = dict(built_in)
    for layer in layers:
        found |= {canonical(name): text for name, text in layer.items() if text is not None and text.strip()}
        found |= {name: _plain(kind, name) for name in _new(layer, found)}
    return dict(sorted(found.items()))


def _new(layer: Texts, found: Mapping[str, str]) -> Iterable[str]:
    return [canonical(name) for name in layer if canonical(name) not in found]


def _plain(kind: RoleKind, name: str) -> str:
    """What a name of one's own says when it has no text: the predecessor's files only list names."""
    words = name.replace("_", " ")
    return f"Your task: {words}." if kind == "role" else f"You are a {words}."


class AnyRoles(Roles):
    """Finds nothing wrong with any name: for a chain that has run already and is only looked at, where its owner's texts may not be."""

    def problem(self, kind: RoleKind, name: str) -> str:  # noqa: ARG002 - it is `Roles.problem`
        """Nothing."""
        return ""
