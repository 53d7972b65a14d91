"""Taking keys over from where they stand in plain text: the environment, a ``.env`` file, the system's keyring."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator_nb.binding import Binding, origin_of_text
from orchestrator_nb.errors import UserError
from orchestrator_nb.vault import imports, telling
from orchestrator_nb.vault.vault import Fact, Vault


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of an import: the keys that were stored, those that were not and why, and where keys still stand in plain text."""

    source: str
    stored: tuple[Fact, ...]
    refused: Mapping[str, str]
    left: tuple[str, ...]
    others: int
    likely: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    file: Path | None = None

    def lines(self) -> list[str]:
        """The same, to be told."""
        said = [*map(telling.stored, self.stored)]
        said += [f"{name} was not taken: {why}" for name, why in self.refused.items()]
        said += self.odd
        if self.others:
            keys = f"; like a key: {', '.join(self.likely)}; name those that you want, with --origin" * bool(
                self.likely
            )
            said.append(f"{self.others:,} other variable{'s' * (self.others > 1)} in {self.source}: ignored{keys}.")
        if self.left:
            how = f": onb scrub {shlex.quote(str(self.file))}" if self.file else "."
            said.append(
                f"still in plain text: {'; '.join(self.left)}. Nothing was deleted there; do so once all works with the vault{how}"
            )
        return said


class Importing:
    """Into ``vault``, by ``binding``; ``opened`` sees to it that the vault is open."""

    def __init__(self, vault: Vault, binding: Binding, opened: Callable[[], None]) -> None:
        self._vault, self._binding, self._opened = vault, binding, opened

    def take(self, offers: imports.Offers, listed: Sequence[str], origins: Iterable[str], *, replace: bool) -> Imported:
        """Store what was found of the ``listed`` names, or of all. Raises `UserError` when there is nothing to take."""
        given = frozenset(map(origin_of_text, origins))
        if given and not listed:
            raise UserError("name the keys that may go to --origin.")
        found = {offer.name: offer for offer in offers.found}
        refused = {name: f"it is not in {offers.source}." for name in listed if name not in found}
        if not found and not refused:
            odd = "".join(f" {said}" for said in offers.odd)
            raise UserError(
                f"none of the keys that the settings know is in {offers.source}; name the ones you mean.{odd}"
            )
        stored = []
        if any(offer.value is not None for offer in found.values()):
            self._opened()
        for name, offer in found.items():
            outcome = self._taken(offer, given, replace=replace)
            if isinstance(outcome, Fact):
                stored.append(outcome)
            else:
                refused[name] = outcome
        left = tuple(f"{offer.name} {telling.listed(offer.places)}" for offer in found.values())
        return Imported(
            offers.source, tuple(stored), refused, left, offers.others, offers.likely, offers.odd, offers.file
        )

    def _taken(self, offer: imports.Offer, given: frozenset[str], *, replace: bool) -> Fact | str:
        """The key as it is stored now, or why it is not."""
        if offer.value is None:
            return f"{offer.why}; set it by hand: %vault set {offer.name}"
        if self._vault.knows(offer.name) and not replace:
            return f"the vault has one (fp:{self._binding.fact(offer.name).fp}), which stays; --replace replaces it."
        try:
            where = given or self._binding.until_now(offer.name) or self._binding.origins_for(offer.name)
            return self._binding.put(offer.name, offer.value, where)
        except UserError as error:
            return str(error)
