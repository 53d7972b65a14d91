"""A person's judgement of an answer: the best of its prompt, 1 to 5, thumbs, a note."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Self

from orchestrator_nb.errors import UserError

Thumbs = Literal["up", "down"]
MARKS: Final = ("best", "rating", "thumbs", "note")
"""What a mark says; the columns that it becomes."""
NOTE: Final = 4_000
"""Signs that a note may have."""


@dataclass(frozen=True, slots=True)
class Mark:
    """``best``: pinned as the best of its prompt. ``rating`` is 1 to 5. Raises `UserError` for anything else, and for a note of more than 4,000 signs."""

    best: bool = False
    rating: int | None = None
    thumbs: Thumbs | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        if self.best not in (True, False):
            raise UserError(f"best is True or False, not {_short(self.best)}.")
        if self.rating is not None and (type(self.rating) is not int or not 1 <= self.rating <= 5):
            raise UserError(f"a rating is a whole number from 1 to 5, not {_short(self.rating)}; 0 takes it away.")
        if self.thumbs not in (None, "up", "down"):
            raise UserError(f'thumbs are "up" or "down", not {_short(self.thumbs)}; "" takes them away.')
        if self.note is not None and not isinstance(self.note, str):
            raise UserError(f'a note is a text, not {_short(self.note)}; "" takes it away.')
        if self.note is not None and len(self.note) > NOTE:
            raise UserError(f"a note has {NOTE:,} signs at most, and this one has {len(self.note):,}; shorten it.")

    def changed(self, *, best: Any = None, rating: Any = None, thumbs: Any = None, note: Any = None) -> Self:
        """With what is given; ``None`` leaves as it is, and ``False``, ``0`` and ``""`` take away. Raises `UserError`."""
        return type(self)(
            self.best if best is None else best or False,
            self.rating if rating is None else rating or None,
            self.thumbs if thumbs is None else thumbs or None,
            self.note if note is None else note or None,
        )

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return self != Mark()


def record_of(mark: Mark) -> dict[str, Any]:
    """As JSON, without what is not said."""
    return {name: value for name, value in asdict(mark).items() if value}


def mark_of(record: Any) -> Mark:
    """What `record_of` wrote. Raises `ValueError` for a later version's."""
    if not isinstance(record, dict) or not record.keys() <= set(MARKS):
        raise ValueError("no mark of this version")
    return Mark(**record)


def _short(value: object) -> str:
    return repr(value)[:40]
