"""The words that a chat takes instead of a question: ``/model haiku``. Reading them is all that happens here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from orchestrator_nb.errors import UserError
from orchestrator_nb.magics.args import nearest


@dataclass(frozen=True, slots=True)
class Word:
    """One of them: how it is written, what it does, and which list completes what follows (``models``, ``providers``, ``personas``, ``roles``, ``conversations``)."""

    usage: str
    does: str
    offers: str = ""

    @property
    def name(self) -> str:
        """Without the slash."""
        return self.usage.split()[0]


WORDS: Final = (
    Word("help", "this list"),
    Word("model NAME", "ask this model from now on", "models"),
    Word("provider NAME", "ask this vendor's first model from now on", "providers"),
    Word("persona [NAME]", "speak to a persona from now on; without a name, to nobody in particular", "personas"),
    Word("system [TEXT]", "the system prompt from now on; without a text, none"),
    Word("save NAME", "keep what was said on this path under another name, too"),
    Word("load NAME", "go to another conversation", "conversations"),
    Word("clear", "begin anew; what was said stays, as a branch"),
    Word("export FILE.md|FILE.json", "write this path (md) or all branches (json) to a file"),
)

HELP: Final = (
    "\n".join(f"/{word.usage}: {word.does}" for word in WORDS) + "\nWhat begins with // is sent with one slash."
)


@dataclass(frozen=True, slots=True)
class Order:
    """A word and what follows it."""

    name: str
    rest: str


def read(text: str) -> Order | str:
    """The order in a text, or the question. Raises `UserError` for a word that is none."""
    text = text.strip()
    if not text.startswith("/"):
        return text
    if text.startswith("//"):
        return text[1:]
    name, _, rest = text[1:].partition(" ")
    name = name.strip().lower()
    known = {word.name: word for word in WORDS}
    if name not in known:
        near = nearest(f"/{name}", [f"/{one}" for one in known])
        raise UserError(f"there is no /{name[:40]}{near} /help lists them; // sends a slash.")
    order = Order(name, rest.strip())
    _require(known[name], order)
    return order


def _require(word: Word, order: Order) -> None:
    _, _, wanted = word.usage.partition(" ")
    if wanted and not wanted.startswith("[") and not order.rest:
        raise UserError(f"/{word.usage}: {word.does}.")
    if order.rest and not wanted:
        raise UserError(f"/{word.name} takes nothing after it.")
