"""Keys that already stand somewhere: the environment, a ``.env`` file, the system's keyring. Each is offered as `Hidden`, with the places it stands in; nothing is deleted there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orchestrator_nb.errors import UserError, VaultError
from orchestrator_nb.secret import Hidden
from orchestrator_nb.vault import dotenv

SERVICE: Final = "orchestrator-nb"
"""Under which the system's keyring is asked, unless another service is named."""

_HERE: Final = "in the environment of this process"


@dataclass(frozen=True, slots=True)
class Offer:
    """A key by name, and where it stands in plain text; without a ``value`` when it cannot be taken, and ``why``."""

    name: str
    value: Hidden | None
    places: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Offers:
    """What a source has. ``others`` counts the variables that nobody asked for, ``likely`` are those that are called like a key; ``odd`` says what was not read.

    ``file`` is the file that the keys stand in.
    """

    source: str
    found: tuple[Offer, ...] = ()
    others: int = 0
    likely: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    file: Path | None = None


def from_environment(environ: Mapping[str, str], names: Collection[str], folder: Path) -> Offers:
    """The variables of these names; also says which of them stand in the folder's ``.env``, where they mostly come from."""
    found = [name for name in names if environ.get(name)]
    places = _lines(folder / ".env", found)
    offers = (Offer(name, Hidden(environ[name]), (*places.get(name, ()), _HERE)) for name in found)
    return Offers("the environment", tuple(offers))


def from_file(path: Path, names: Collection[str], environ: Mapping[str, str]) -> Offers:
    """The variables of these names in a ``.env`` file. Raises `UserError` with the line for a file that is none."""
    variables = dotenv.read(path, names)
    offers = (
        Offer(name, found.value, (_place(path, found), *_here(name, environ)), found.why)
        for name, found in variables.found.items()
    )
    odd = tuple(f"{path}: {said}" for said in variables.odd())
    return Offers(str(path), tuple(offers), variables.others, variables.likely, odd, path)


def from_keyring(names: Iterable[str], service: str, environ: Mapping[str, str]) -> Offers:
    """The passwords that the system's keyring has under ``service`` for these names. Raises `UserError` where the library is missing, `VaultError`."""
    if (library := _library()) is None:
        raise UserError("the keyring library is not installed; run: pip install 'orchestrator-nb[keyring]'")
    source = f"the system's keyring ({service})"
    with suppress(Exception):  # each backend raises what it likes, maybe with what it was given
        held = {name: Hidden(library.get_password(service, name) or "") for name in names}
        found = (Offer(name, key, (f"in {source}", *_here(name, environ))) for name, key in held.items() if len(key))
        return Offers(source, tuple(found))
    raise VaultError("the system's keyring did not answer; see whether this works: python -m keyring --list-backends")


def _library() -> Any:
    try:
        import keyring  # an extra of ours: few have it, and it looks for the desktop's services
    except ImportError:
        return None
    return keyring


def _here(name: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    return (_HERE,) if environ.get(name) else ()


def _lines(path: Path, names: Collection[str]) -> dict[str, tuple[str, ...]]:
    with suppress(UserError):
        return {name: (_place(path, found),) for name, found in dotenv.read(path, names).found.items()}
    return {}


def _place(path: Path, found: dotenv.Found) -> str:
    lines = ", ".join(map(str, found.lines))
    return f"in {path}, line{'s' if len(found.lines) > 1 else ''} {lines}"
