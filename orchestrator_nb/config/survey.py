"""What a project's files would change, in plain words, before anybody trusts them; works also where nothing can be loaded because of them.

Every name and value comes from a file that may be hostile: it is shown escaped and cut. The host of an address is never cut, for its end is what counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel

from orchestrator_nb.catalog import Catalog, ModelSpec, Vendor
from orchestrator_nb.config.chainfiles import ChainFile, chains_in
from orchestrator_nb.config.files import printable
from orchestrator_nb.config.layers import environment_layer, stack
from orchestrator_nb.config.loading import Building, builtin
from orchestrator_nb.config.paths import Paths
from orchestrator_nb.config.project import (
    NEVER,
    Project,
    judge,
    judge_vendor,
    merge_models,
    most_tokens,
)
from orchestrator_nb.config.schema import flatten, flatten_prompts
from orchestrator_nb.config.steps import beyond
from orchestrator_nb.config.trust import Seal
from orchestrator_nb.config.yaml import Document, Place
from orchestrator_nb.errors import ConfigError, UnknownModel, UserError

Stands = Literal["now", "trust", "never"]
"""Whether every project may do this, only a trusted one, or none."""

_CUT: Final = 80
_LONG: Final = 10 * _CUT
_HOST: Final = 260  # a host has 253 characters at most
_HEADINGS: Final[Mapping[Stands, str]] = {
    "now": "What every project may set:",
    "trust": "What it may set only once you trust it:",
    "never": "What no project may set, trusted or not:",
}


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that a file changes, and the line that does it."""

    stands: Stands
    place: str
    text: str


@dataclass(frozen=True, slots=True)
class Survey:
    """A project before trust. ``seal`` is what was read: storing it trusts exactly what these effects were made from, whatever the files say by then."""

    folder: Path
    seal: Seal | None
    trusted: bool
    changed: bool
    effects: tuple[Effect, ...]
    problems: tuple[str, ...]

    @property
    def asks(self) -> bool:
        """Whether trust would change anything."""
        return any(effect.stands != "now" for effect in self.effects)

    def sealed(self) -> Seal:
        """What to store. Raises `UserError` when trust would not help: the files could not be used all the same, or could change unseen."""
        if self.problems:
            raise UserError(f"{printable(self.problems[0])} Nothing was stored.")
        if never := next((effect for effect in self.effects if effect.stands == "never"), None):
            raise UserError(f"{never.place}: {never.text}. Nothing was stored; delete this first.")
        if self.seal is None:
            raise UserError(
                f"{printable(self.folder)} cannot be trusted: one of its files has a second name (a hard link), or the folder cannot be listed; copy the files."
            )
        return self.seal

    def __str__(self) -> str:
        return "\n".join([self._head(), *self._files(), *self._sections(), *map(printable, self.problems)])

    def _head(self) -> str:
        since = ", because it changed since you trusted it" if self.changed else ""
        return f"{_name(self.folder)} is {'trusted' if self.trusted else f'not trusted{since}'}."

    def _files(self) -> Iterator[str]:
        for name, digest in (self.seal.files if self.seal else {}).items():
            yield f"  {_name(name)}  {f'SHA-256 {digest[:16]}…' if digest else '(not read)'}"

    def _sections(self) -> Iterator[str]:
        for stands, heading in _HEADINGS.items():
            if here := [effect for effect in self.effects if effect.stands == stands]:
                yield heading
                yield from (f"  {effect.text}  ({effect.place})" for effect in here)


def survey(paths: Paths, cwd: Path, environ: Mapping[str, str], today: date | None = None) -> Survey | None:
    """What the project of a notebook in ``cwd`` would change, or ``None`` where there is none; files that were left alone are among the ``problems``.

    Raises `ConfigError` for what is wrong in the user's own files; what is wrong in the project's is among the ``problems``.
    """
    building = Building(builtin(today := today or datetime.now(UTC).date()), today)
    building.add_own(paths)
    environment, _ = environment_layer(environ)
    building.add_profile(environment)
    own = len(building.notices)
    if (project := building.find_project(cwd, paths)) is None:
        left = tuple(building.notices[own:])
        return Survey(cwd.resolve(), None, trusted=False, changed=False, effects=(), problems=left) if left else None
    problems = [str(project.problem)] if project.problem else []
    effects: list[Effect] = []
    try:
        effects += _settings(project, stack(building.layers), paths.settings)
        effects += _chain_files(project, most_tokens(stack(building.layers)))
        effects += _models(project, building.catalog, today, paths.models)
    except ConfigError as error:  # it would be one once the project is trusted, too
        problems.append(str(error))
    effects.sort(key=_in_order)
    return Survey(project.folder, project.seal, project.trusted, project.changed, tuple(effects), tuple(problems))


def _in_order(effect: Effect) -> tuple[str, int]:
    file, _, line = effect.place.rpartition(":")
    return file, int(line)


def _settings(project: Project, below: Mapping[str, Any], own: Path) -> Iterator[Effect]:
    for document, key, value, place in _values(project):
        what = {"key": key, "value": value, "place": place, "document": document}
        stands = _stands(project, partial(judge, **what, user=below, own=own))
        if stands == "now" and key in below and below[key] == value:
            continue
        why = f": refused for good, for {NEVER[key.partition('.')[0]]}" if stands == "never" else ""
        change = f"{_shown(below[key])} → {_shown(value)}" if key in below else _shown(value)
        yield Effect(stands, _place(document, place), f"{_name(key)}: {change}{why}")
        for at, text in _beyond(value, most_tokens(below)) if key.startswith("chains.") else ():
            yield Effect(stands, _place(document, (*place, *at)), f"{_name(key)}: {text}")


def _beyond(chain: Any, most: int) -> Iterator[tuple[Place, str]]:
    """What a chain asks for that not every project may, step by step: it must not stand behind the cut of a long one."""
    for place, value in beyond(chain, most):
        yield place, f"{_in_words(place)}: {_shown(value, _LONG)}"


def _chain_files(project: Project, most: int) -> Iterator[Effect]:
    """What the chain files add, and what they ask for."""
    for file in project.chains:
        if (document := file.document()) is None:
            what = file.problem or _shown((file.data or b"").decode("utf-8", "backslashreplace").strip())
            yield Effect("now", f"{_name(file.name)}:1", f"chains.{_name(file.path.stem)}: {what}")
            continue
        for root, name, value in chains_in(document, file.path.stem):
            key = f"chains.{_name(name)}"
            yield Effect("now", _in_folder(file, document, root), f"{key}: {_shown(value)}")
            for place, text in _beyond(value, most):
                yield Effect("trust", _in_folder(file, document, (*root, *place)), f"{key}: {text}")


def _in_folder(file: ChainFile, document: Document, place: Place) -> str:
    return f"{_name(file.name)}:{document.where(place).rpartition(':')[2]}"


def _in_words(place: Place) -> str:
    """``step 3: pro: step 1: python``."""
    words = (f"step {part + 1}" if isinstance(part, int) else _name(part) for part in place if part not in _AROUND)
    return ": ".join(words)


_AROUND: Final = frozenset({"steps", "parallel", "switch", "cases"})
"""What stands around steps, and need not be said."""


def _values(project: Project) -> Iterator[tuple[Document, str, Any, Place]]:
    """Everything that the files set."""
    if project.settings:
        shape, document = project.settings
        for name, part in shape.profiles.items():
            yield document, f"profiles.{name}", part, ("profiles", name)
        yield from ((document, *found) for found in flatten(shape))
    if project.models and (prompts := project.models[0].system_prompts):
        yield from ((project.models[1], *found) for found in flatten_prompts(prompts))


def _stands(project: Project, judged: Callable[[Project], None]) -> Stands:
    """Who may: the project as it is without trust, with it, or nobody."""
    if _passes(judged, replace(project, trusted=False)):
        return "now"
    return "trust" if _passes(judged, replace(project, trusted=True)) else "never"


def _passes(judged: Callable[[Project], None], project: Project) -> bool:
    try:
        judged(project)
    except ConfigError:
        return False
    return True


def _models(project: Project, before: Catalog, today: date, own: Path) -> Iterator[Effect]:
    """What models.yaml changes: the catalogue with it, compared with the one without."""
    if not project.models:
        return
    file, document = project.models
    after = merge_models(replace(project, trusted=True), before, today, own)
    for name, entry in file.vendors.items():
        stands = _stands(project, partial(judge_vendor, name=name, entry=entry, catalog=before, own=own))
        texts = [*_vendor(before, after.vendors[name]), *_specs(name, before, after)]
        if not texts and stands != "now":
            texts = [f"{_name(name)}: what is so already"]  # said in a way that only a trusted file may
        for text in texts:
            yield Effect(stands, _place(document, (name,)), text)


def _vendor(before: Catalog, new: Vendor) -> Iterator[str]:
    name = _name(new.name)
    if (old := before.vendors.get(new.name)) is None:
        yield f"a new vendor {name} ({new.kind}) at {_address(new.base_url)}; {_key(before, new)}"
        return
    if old.base_url != new.base_url:
        yield f"the address of {name}: {_address(old.base_url)} → {_address(new.base_url)}; {_key(before, new)}"
    elif old.key_name != new.key_name:
        yield f"the key of {name}: {old.key_name} → {_name(new.key_name)}; {_key(before, new)}"
    for field in ("kind", "quirks", "limits"):
        if getattr(old, field) != getattr(new, field):
            yield f"{field} of {name}: {_changes(getattr(old, field), getattr(new, field))}"


def _key(before: Catalog, new: Vendor) -> str:
    """Who gets to see which key: those that the user's own vendors use stay with these."""
    if new.key_name is None:
        return "it is sent no key"
    bound = [vendor.base_url for vendor in before.vendors.values() if vendor.key_name == new.key_name]
    if not bound:
        return f"it would be sent the key {_name(new.key_name)}, if you have one of that name"
    if any(_origin(address) == _origin(new.base_url) for address in bound):
        return f"it would be sent the key {_name(new.key_name)}, as now"
    return f"it would not be sent the key {_name(new.key_name)}, which goes to {', '.join(map(_address, bound))} only"


def _specs(vendor: str, before: Catalog, after: Catalog) -> Iterator[str]:
    """The models of one vendor that are new or other, and the names that mean another model than before."""
    known = {spec.ref: spec for spec in before.models}
    for spec in after.models:
        if spec.vendor.name != vendor:
            continue
        old = known.get(spec.ref)
        if old is None:
            yield f"a new model {_name(spec.ref)}"
        elif changes := _changes(old, spec, but=("vendor", "aliases")):
            yield f"{_name(spec.ref)}: {changes}"
        yield from _names(spec, before, after)


def _names(spec: ModelSpec, before: Catalog, after: Catalog) -> Iterator[str]:
    for name in (*spec.aliases, spec.id):
        if after.find(name).ref != spec.ref:
            continue
        try:
            meant = before.find(name).ref
        except UnknownModel:
            meant = ""
        if meant and meant != spec.ref:
            yield f"{_name(name)} means {_name(spec.ref)} instead of {_name(meant)}"
        elif not meant and name != spec.id:
            yield f"{_name(name)} means {_name(spec.ref)}"


def _changes(old: Any, new: Any, but: tuple[str, ...] = ()) -> str:
    """The fields that differ, or the two values."""
    if not hasattr(old, "__dataclass_fields__"):
        return f"{_shown(old)} → {_shown(new)}"
    pairs = ((f.name, getattr(old, f.name), getattr(new, f.name)) for f in fields(old) if f.name not in but)
    return ", ".join(f"{name} {_shown(a)} → {_shown(b)}" for name, a, b in pairs if a != b)


def _place(document: Document, place: Place) -> str:
    """``file:line`` without the folder, which stands above."""
    return Path(document.where(place)).name


def _origin(address: str) -> tuple[object, ...]:
    """For words only: where keys really go is judged by the library that sends."""
    parts = urlsplit(address)
    try:
        return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:  # a port that is none
        return (address,)


def _address(address: str) -> str:
    """An address, its host in full and letters of other alphabets shown for what they are."""
    parts = urlsplit(address)
    host = parts.netloc if len(parts.netloc) <= _HOST else f"{parts.netloc[:_CUT]}…{parts.netloc[-_HOST:]}"
    path = parts.path if len(parts.path) <= _CUT else f"{parts.path[:_CUT]}…"
    return _ascii(f"{parts.scheme}://{host}{path}")


def _name(name: object) -> str:
    """A name: what is not ASCII is shown as an escape, so that no name looks like another."""
    text = str(name)
    return _ascii(text if len(text) <= 2 * _CUT else f"{text[:_CUT]}…{text[-_CUT:]}")


def _ascii(text: str) -> str:
    return "…".join(ascii(part)[1:-1] for part in text.split("…"))


def _shown(value: object, cut: int = _CUT) -> str:
    """A value on one line: control and bidi characters escaped, long ones cut with their length."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_unset=True)
    if isinstance(value, dict):
        cut = _LONG
    if isinstance(value, frozenset):
        value = sorted(value)
    text = repr(value)
    return text if len(text) <= cut else f"{text[:cut]}… ({len(text):,} characters)"
