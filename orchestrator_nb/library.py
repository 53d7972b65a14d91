"""The chains that are known by name: those of this notebook, of the user (the chains folder and config.yaml), and of the project, in this order. Reads files when asked; asks nobody.

What came with a notebook says only what every project may until the user trusts it (`orchestrator_nb.config.steps`); a chain that uses one is held to the same.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, overload

from orchestrator_nb.catalog import Catalog
from orchestrator_nb.chains.chain import Chain
from orchestrator_nb.chains.complaints import step_path
from orchestrator_nb.chains.language import TITLE
from orchestrator_nb.chains.load import CELL, Reading, read_all, read_value
from orchestrator_nb.chains.load import read as read_one
from orchestrator_nb.chains.planning import all_problems, check, planned
from orchestrator_nb.chains.problems import Origin, Problem, sorted_problems
from orchestrator_nb.chains.roles import PERSONAS, ROLES, Roles
from orchestrator_nb.chains.spelling import canonical
from orchestrator_nb.chains.templates import ready
from orchestrator_nb.chains.world import World
from orchestrator_nb.config import Config
from orchestrator_nb.config.chainfiles import ENDINGS, ChainFile, chains_in, is_one
from orchestrator_nb.config.files import bytes_of, printable, trusted_bytes
from orchestrator_nb.config.layers import Origin as Said
from orchestrator_nb.config.layers import Stamps, stamps
from orchestrator_nb.config.project import most_tokens
from orchestrator_nb.config.shapes import unknown
from orchestrator_nb.config.steps import beyond
from orchestrator_nb.config.yaml import MAX_BYTES
from orchestrator_nb.errors import ChainError, ConfigError, UnknownModel, UserError

Whose = Literal["user", "project", "notebook"]
F = TypeVar("F", bound=Callable[..., Any])

MOST_FILES: Final = 1_000
"""Of the chains folder."""
_OWN: Final = frozenset({"system", "user", "profile"})
"""The layers that nobody but the user and the administrator write: variables may be a project's, from its .env."""
_FUNCTION: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Kept:
    """A chain as it is known here. ``chain`` is there as far as it could be read, and sound where there are no ``problems``.

    ``text`` is that of its file, if it has one of its own; ``trusted`` whether it may call Python functions and say all that the user may.
    """

    chain: Chain | None
    problems: tuple[Problem, ...]
    origin: Whose
    path: Path | None = None
    text: str | None = None
    trusted: bool = True

    @property
    def sound(self) -> Chain:
        """The chain. Raises `ChainError` with all problems if there are any."""
        return Reading(self.chain, self.problems).sound


class Library:
    """One session's chains and functions. ``config`` tells the settings as they are now. Safe to use from several threads."""

    def __init__(self, config: Callable[[], Config]) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._defined: dict[str, Chain] = {}
        self._functions: dict[str, Callable[..., Any]] = {}
        self._files: dict[Path, tuple[Stamps, dict[str, Kept]]] = {}
        self._said: tuple[Config | None, dict[str, tuple[tuple[str, Kept], ...]]] = (None, {})

    # What there is

    def all(self) -> Mapping[str, Kept]:
        """Every chain by name, also the broken ones, sorted. The notebook's stand before the user's, these before the project's."""
        found = dict[str, Kept]()
        config = self._config()
        settings = self._once(config, "settings", lambda: self._of_settings(config, own=True))
        for layer in (self._of_notebook(), self._of_folder(config), settings, self._of_project(config)):
            for name, kept in layer:
                found.setdefault(name, kept)
        return dict(sorted(found.items()))

    def find(self, name: str) -> Kept:
        """The chain called ``name``, sound or not. Raises `UserError` with the nearest name."""
        known = self.all()
        if name in known:
            return known[name]
        if name in ready():
            raise UserError(f"{name!r} is a template, from which a chain is made: %chain new NAME --from {name}")
        shown = printable(repr(name)[1:-1])
        if not known:
            raise UserError(f"unknown chain {shown!r}: none is kept yet; %chain new NAME --from refine makes one.")
        raise UserError(f"{unknown(name, known, f'chain {shown!r}')}.")

    def read(self, chain: str | Path | Chain) -> tuple[Chain, bool]:
        """The sound chain that is meant (a known name, a path that ends in .yaml or .yml, a text, or a `Chain`), and whether it may call Python functions.

        A text and a `Chain` are the notebook's own word; a file is trusted in the user's chains folder, or as part of a project that is.
        Raises `ChainError` with all problems, `UserError` for a name that is not known and a file that cannot be read.
        """
        if isinstance(chain, Chain):
            return chain, True
        if isinstance(chain, str) and not _is_path(chain):
            if not TITLE.fullmatch(chain.strip()):
                return self._sound(read_one(chain)), True
            kept = self.find(chain.strip())
        else:
            kept = self._at(Path(chain))
        return self._sound(Reading(kept.chain, kept.problems)), kept.trusted

    def _sound(self, reading: Reading) -> Chain:
        """The chain. Where its text is wrong, `ChainError` also has what is wrong with its plan."""
        if not reading.problems:
            return reading.sound
        raise ChainError(all_problems(reading, self.world()))

    @property
    def roles(self) -> Roles:
        """The roles and personas in force."""
        return _roles(self._config())

    def world(self, *, names: frozenset[str] = frozenset(), trusted: bool = True) -> World:
        """What a chain may name. ``names``: the columns of a frame; ``trusted``: whether Python functions may be called."""
        config = self._config()
        around = World(None, self.roles, _model_problem(config.catalog), frozenset(), self.functions.keys(), names)
        return replace(around, chains=self._usable(around, trusted=trusted), trusted=trusted)

    def _usable(self, around: World, *, trusted: bool) -> dict[str, Chain]:
        """The sound chains. Beside a trusted one, those of others only if they could also run without its trust."""
        known = {name: kept for name, kept in self.all().items() if kept.chain and not kept.problems}
        chains = {name: kept.chain for name, kept in known.items() if kept.chain}
        if not trusted:
            return chains
        apart = replace(around, chains=chains, names=frozenset(), trusted=False)
        return {name: chain for name, chain in chains.items() if known[name].trusted or not _needs_trust(chain, apart)}

    # What this notebook adds

    def define(self, name: str, chain: Chain) -> None:
        """Know a chain under a name for as long as this session lives. Raises `UserError` for what is no name."""
        _require_title(name)
        with self._lock:
            self._defined[name] = replace(chain, name=name)

    @overload
    def register(self, function: F, name: str | None = None) -> F: ...
    @overload
    def register(self, function: None = None, name: str | None = None) -> Callable[[F], F]: ...
    def register(self, function: Any = None, name: str | None = None) -> Any:
        """Let ``python`` steps call a function under its name, or ``name``; a decorator, with or without parentheses. Raises `UserError` for what is no name."""
        if function is None:
            return lambda later: self.register(later, name)
        title = str(name or getattr(function, "__name__", ""))
        if not _FUNCTION.fullmatch(title) or not callable(function):
            raise UserError(f"{title!r} is no name for a function; give one: register(function, name='score')")
        with self._lock:
            self._functions[title] = function
        return function

    @property
    def functions(self) -> Mapping[str, Callable[..., Any]]:
        """The functions of this notebook by name."""
        with self._lock:
            return dict(self._functions)

    def save(self, name: str, text: str, *, replace: bool = False, names: frozenset[str] = frozenset()) -> Path:
        """Keep a chain in the user's chains folder, as it is written. ``names`` are columns of a frame that it may name.

        Raises `ChainError` for an unsound text, `UserError` for what is no name and for one that is taken (unless ``replace``), `ConfigError` when the file cannot be written.
        """
        from orchestrator_nb.config.edit import replace_file  # only who writes needs it

        _require_title(name)
        path = self._config().paths.chains / f"{name}{ENDINGS[0]}"
        if not replace and (taken := self._taken(name)):
            raise UserError(
                f"there is a chain {name!r} already ({printable(taken)}); replace it, or take another name."
            )
        self._require_sound(name, text, names)
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise UserError(f"{printable(path)} is a link or no plain file, so nothing is written there; take it away.")
        replace_file(path, text if text.endswith("\n") else f"{text}\n")
        return path

    def _taken(self, name: str) -> str:
        """Where the user has a chain of that name, or a file that would be one; "" where nowhere."""
        kept = self.all().get(name)
        if kept and kept.origin == "user":
            return str(kept.path)
        files = (self._config().paths.chains / f"{name}{ending}" for ending in ENDINGS)
        return next((str(path) for path in files if path.is_symlink() or path.exists()), "")

    def _require_sound(self, name: str, text: str, names: frozenset[str]) -> None:
        if (size := len(text.encode("utf-8", "surrogatepass"))) > MAX_BYTES:
            raise UserError(f"the chain has {size:,} bytes; a file may have {MAX_BYTES:,}.")
        chain = read_one(text, file=CELL, name=name).sound
        if chain.name != name:
            raise UserError(f"the chain calls itself {chain.name!r}; save it under this name, or change its 'name'.")
        world = self.world(names=names)
        others = {title: other for title, other in (world.chains or {}).items() if title != name}
        if problems := check(text, file=CELL, name=name, world=_with(world, others)):
            raise ChainError(problems)

    # Where they come from

    def _of_notebook(self) -> Iterator[tuple[str, Kept]]:
        with self._lock:
            defined = dict(self._defined)
        yield from ((name, Kept(chain, (), "notebook")) for name, chain in defined.items())

    def _once(
        self, config: Config, what: str, read: Callable[[], Iterator[tuple[str, Kept]]]
    ) -> tuple[tuple[str, Kept], ...]:
        """What the same settings said before need not be read again."""
        with self._lock:
            if self._said[0] is not config:
                self._said = config, {}
            known = self._said[1]
        if what not in known:
            known[what] = tuple(read())
        return known[what]

    def _of_folder(self, config: Config) -> Iterator[tuple[str, Kept]]:
        seen = dict[str, Path]()
        for path in _files(config.paths.chains):
            for name, kept in self._of_file(path).items():
                if name not in seen:
                    yield name, kept
                elif path.stem not in seen:  # under another name, so that nobody looks for it in vain
                    yield path.stem, _second(kept, path, name, seen[name])
                seen.setdefault(name, path)

    def _of_file(self, path: Path) -> dict[str, Kept]:
        """The chains of one of the user's own files, read again when it has changed."""
        now = stamps([path])
        with self._lock:
            known = self._files.get(path)
        if known and known[0] == now:
            return known[1]
        found = _own_file(path)
        with self._lock:
            self._files[path] = now, found
        return found

    def _of_settings(self, config: Config, *, own: bool) -> Iterator[tuple[str, Kept]]:
        for name in config.value("chains"):
            for said in config.why(f"chains.{name}"):
                if (said.layer in _OWN) == own:
                    yield name, _of_setting(config, name, said)
                    break

    def _of_project(self, config: Config) -> tuple[tuple[str, Kept], ...]:
        return self._once(config, "project", lambda: self._beside(config))

    def _beside(self, config: Config) -> Iterator[tuple[str, Kept]]:
        beside = config.project
        for file in beside.chains if beside else ():
            yield from _of_project_file(config, file, trusted=beside is not None and beside.trusted)
        yield from self._of_settings(config, own=False)

    def _at(self, path: Path) -> Kept:
        """The chain in a file that somebody named."""
        config = self._config()
        path = (config.cwd or Path.cwd()) / path.expanduser()
        real = os.path.realpath(path)
        known = {
            name: kept
            for name, kept in self._by_file()
            if kept.path and kept.text is not None and os.path.realpath(kept.path) == real
        }
        found = known or in_file(path)
        if len(found) == 1:
            return next(iter(found.values()))
        raise UserError(f"{printable(path)} holds {len(found)} chains ({', '.join(found)}); put one into each file.")

    def _by_file(self) -> Iterator[tuple[str, Kept]]:
        config = self._config()
        yield from self._of_folder(config)
        yield from self._of_project(config)


def _of_setting(config: Config, name: str, said: Said) -> Kept:
    """A chain of the settings."""
    beside, path = config.project, Path(said.source) if said.document else None
    origin = Origin.of(said.document, said.at) if said.document else Origin(said.source)
    reading = read_value(said.value, name, origin=origin)
    if said.layer in _OWN:
        return Kept(reading.chain, reading.problems, "user", path)
    trusted = said.layer == "project" and beside is not None and beside.trusted
    kept = Kept(reading.chain, reading.problems, "project", path, trusted=trusted)
    return kept if trusted else _judged(config, kept, said.value, origin)


def _of_project_file(config: Config, file: ChainFile, *, trusted: bool) -> Iterator[tuple[str, Kept]]:
    """The chains of a file that was read with the settings, for what was sealed is what counts."""
    if file.data is None:
        yield file.path.stem, _unread(file.path, file.problem, "project", trusted=trusted)
        return
    document = file.document()
    raw = {name: (root, value) for root, name, value in chains_in(document, file.path.stem)} if document else {}
    for name, kept in _read(file.data, file.path, "project", trusted=trusted).items():
        root, value = raw.get(name) or ((), document.value if document else None)
        origin = Origin.of(document, root) if document else Origin(str(file.path))
        yield name, kept if trusted else _judged(config, kept, value, origin)


def _judged(config: Config, kept: Kept, value: Any, origin: Origin) -> Kept:
    """What is not trusted says only what every project may, and names only models that the user's own files or the package know."""
    most = most_tokens({"params.max_tokens": config.value("params.max_tokens")})
    found = [origin.problem(place, _REFUSED, step=step_path(value, place)) for place, _ in beyond(value, most)]
    if kept.chain is not None:
        strict = World(roles=_roles(config), model_problem=_listed_only(config.own_catalog), trusted=False)
        found += [problem for problem in planned(kept.chain, strict)[1] if _is_about_models(problem)]
    return replace(kept, problems=sorted_problems([*kept.problems, *found]))


def _roles(config: Config) -> Roles:
    """The user's own texts, and those of others. Until these are trusted they add names, and do not change what a built-in one says."""
    own, others = dict[str, dict[str, Any]](), dict[str, dict[str, Any]]()
    trusted = config.project is not None and config.project.trusted
    for kind, built_in in (("roles", ROLES), ("personas", PERSONAS)):
        own[kind], others[kind] = {}, {}
        for name in config.value(kind):
            for said in reversed(config.why(f"{kind}.{name}")):
                if said.layer in _OWN:
                    own[kind][name] = said.value
                elif canonical(name) not in built_in or (trusted and said.layer == "project"):
                    others[kind][name] = said.value
    return Roles(own["roles"], own["personas"], others["roles"], others["personas"])


_REFUSED: Final = "a project's file may not say this, for it came with the notebook; %llm trust shows what it asks for."


def _is_about_models(problem: Problem) -> bool:
    return problem.key.rpartition(".")[2] in {"model", "fallback"}


def _own_file(path: Path) -> dict[str, Kept]:
    """The chains in a file of the user's by name; one that cannot be read under the file's."""
    try:
        data = trusted_bytes(path)
    except ConfigError as error:
        return {path.stem: _unread(path, str(error).removeprefix(f"{error.where}: "), "user")}
    return {} if data is None else _read(data, path, "user")


def in_file(path: Path) -> dict[str, Kept]:
    """The chains in any file by name, also the broken ones; they may call no Python functions. Raises `UserError` when it cannot be read."""
    found = bytes_of(path, lambda _path, _status: None)
    if found is None:
        raise UserError(f"{printable(path)}: there is no such file.")
    return _read(found[0], path, "user", trusted=False)


def _read(data: bytes, path: Path, origin: Whose, *, trusted: bool = True) -> dict[str, Kept]:
    if len(data) > MAX_BYTES:
        return {path.stem: _unread(path, f"a chain file may have {MAX_BYTES:,} bytes.", origin, trusted=trusted)}
    text = data.decode("utf-8-sig", "surrogateescape")
    shown = text.encode("utf-8", "replace").decode("utf-8")
    return {
        name: Kept(reading.chain, reading.problems, origin, path, shown, trusted)
        for name, reading in read_all(text, file=str(path)).items()
    }


def _unread(path: Path, reason: str, origin: Whose, *, trusted: bool = True) -> Kept:
    return Kept(None, (Problem(str(path), 1, 1, "", "", reason),), origin, path, trusted=trusted)


def _second(kept: Kept, path: Path, name: str, first: Path) -> Kept:
    reason = f"the chain calls itself {name!r}, as that in {first.name} does; change the name in one of them."
    return replace(kept, chain=None, problems=(Problem(str(path), 1, 1, "", "name", reason),))


def _files(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if is_one(path.name)]
    except OSError:
        return []
    return sorted(found)[:MOST_FILES]


def _is_path(text: str) -> bool:
    return "\n" not in text and text.strip().endswith(ENDINGS)


def _require_title(name: str) -> None:
    if not TITLE.fullmatch(name):
        raise UserError(f"{printable(repr(name)[1:-1])!r} is no chain's name: letters, digits, _ and -, 64 at most.")


def _with(world: World, chains: Mapping[str, Chain]) -> World:
    return replace(world, chains=chains)


def _needs_trust(chain: Chain, world: World) -> bool:
    """Whether a chain, or one that it uses, says what only a trusted one may."""
    return any(problem.key.rpartition(".")[2] in {"python", "use"} for problem in planned(chain, world)[1])


def _model_problem(catalog: Catalog) -> Callable[[str], str]:
    def problem(name: str) -> str:
        try:
            catalog.match(name)
        except UnknownModel as error:
            return str(error)
        return ""

    return problem


def _listed_only(catalog: Catalog) -> Callable[[str], str]:
    listed = {spec.ref for spec in catalog.models}

    def problem(name: str) -> str:
        try:
            spec = catalog.find(name)
        except UnknownModel as error:
            return str(error)
        return "" if spec.ref in listed else str(UnknownModel(name, catalog.nearest(name)))

    return problem
