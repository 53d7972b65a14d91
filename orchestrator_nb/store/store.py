"""A session's store: the file, its ledger and its answers, opened together and closed together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

from orchestrator_nb.store.answers import Answers
from orchestrator_nb.store.database import Database
from orchestrator_nb.store.ledger import Ledger
from orchestrator_nb.store.marks import Marks
from orchestrator_nb.store.owners import Owners
from orchestrator_nb.types import Clock


class Store:
    """``ledger`` writes runs down and reads them back, ``answers`` serves identical questions. ``owners`` keeps a run under way from being
    taken up twice, ``marks`` keeps what a person thought of answers. ``database.notices`` tell what the user should know.

    ``keep_prompts`` False: of what was asked only the questions' keys are kept, and the answers. ``clean`` takes vendors' keys out of what is written.
    """

    def __init__(self, database: Database, *, keep_prompts: bool = True, clean: Callable[[str], str] = str) -> None:
        self.database, self.keep_prompts, self.clean = database, keep_prompts, clean
        self.answers = Answers(database, keep_prompts=keep_prompts, clean=clean)
        self.ledger = Ledger(database, self.answers, keep_prompts=keep_prompts, clean=clean)
        self.marks = Marks(database, keep_notes=keep_prompts, clean=clean)
        self.owners = Owners(database.path)

    @classmethod
    def open(cls, path: Path, *, clock: Clock, keep_prompts: bool = True, clean: Callable[[str], str] = str) -> Self:
        """The store at ``path``; in memory, with a notice, where that cannot be used."""
        return cls(Database.open(path, clock=clock), keep_prompts=keep_prompts, clean=clean)

    def close(self) -> None:
        """Write what is left and let go of the file."""
        self.database.close()
        self.owners.close()
