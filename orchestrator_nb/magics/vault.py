"""``%vault WORD …``: one small function per word. No word takes a password or a value: what looks like one is taken out of the cell again, and asked for instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from IPython.core.getipython import get_ipython

from orchestrator_nb.errors import ConfigError, UserError
from orchestrator_nb.keyring import Keyring
from orchestrator_nb.literals import looks_like_a_key
from orchestrator_nb.magics.args import nearest
from orchestrator_nb.magics.literals import kind_of, refuse_all
from orchestrator_nb.magics.manual import VAULT, vault_help
from orchestrator_nb.magics.place import takes_widgets
from orchestrator_nb.magics.shell import Shell, display, say
from orchestrator_nb.magics.words import split
from orchestrator_nb.vault import telling
from orchestrator_nb.vault.vault import Fact

if TYPE_CHECKING:
    import pandas as pd

    from orchestrator_nb.magics.cell import Magics

_ASSIGNED: Final = re.compile(r"(?:--)?[A-Za-z_]\w*=(?!https?://)(.+)")
_FILE: Final = re.compile(r"[.~]{0,2}/")
_WORD: Final = re.compile(r"[a-z][a-z-]{0,15}")


@dataclass(frozen=True, slots=True)
class Words:
    """What stood after a verb: words, and options with what followed them. ``usage`` is how the verb is written."""

    usage: str
    words: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]

    def names(self, least: int = 0, most: float = float("inf")) -> tuple[str, ...]:
        """The words, if there are enough and not too many. Raises `UserError` that shows how the verb is written, and none of the words."""
        if not least <= len(self.words) <= most:
            raise self.misused()
        return self.words

    def misused(self) -> UserError:
        """The error that shows how the verb is written."""
        return UserError(f"write it as: %vault {self.usage}")


def run(line: str, magics: Magics) -> Any:
    """Does what the line says. Raises `UserError` with the nearest verb when there is no such one."""
    verb, *rest = _split(line) or ["status"]
    if verb not in _VERBS:
        _unknown(magics.shell, verb, rest)
    _refuse_literals(magics.shell, verb, rest)
    words = _words(verb, rest)
    if (keyring := _keyring(verb, magics)) is None:
        return say("no vault is open in this kernel.")
    try:
        return _VERBS[verb](keyring, words)
    finally:
        for notice in keyring.notices:
            say(f"note: {notice}")


def _keyring(verb: str, magics: Magics) -> Keyring | None:
    """Locking must not fail for settings that have become unreadable; where there can be no session, there is nothing to lock."""
    try:
        session = magics.any_session
        return session.vault if verb in {"lock", "help"} else session.own_vault()
    except ConfigError:
        if verb != "lock":
            raise
    return None


def in_body(shell: Shell, body: str) -> UserError:
    """The error for ``%%vault`` with something below it: a value, most likely."""
    return refuse_all(shell, body.split(), "%vault set NAME asks for the value.")


def _split(line: str) -> list[str]:
    """As any magic's line; but where a quote is never closed, what it opens must not stand in the error."""
    try:
        return split(line)
    except UserError:
        return [word.strip("\"'") for word in line.split()]


def _unknown(shell: Shell, verb: str, rest: Iterable[str]) -> NoReturn:
    if literals := [word for word in (verb, *rest) if looks_like_a_key(word)]:
        raise refuse_all(shell, literals, "%vault set NAME asks for the value.")
    said = f"%vault has no word {verb!r}" if _WORD.fullmatch(verb) else "%vault has no such word"
    raise UserError(f"{said}{instead(verb, tuple(_VERBS))} %vault help lists them.")


def instead(verb: str, known: Sequence[str]) -> str:
    """The end of a sentence about a verb that does not exist. None that takes something away is proposed for a mere likeness."""
    word = verb.lower()
    if word in _SHOWING:
        return ": no verb shows a key; it goes to its vendor alone."
    if word in _RESTORING:
        return ": %vault tells which backups there are; copy one over the vault's file (docs/vault.md)."
    if word in _MEANT:
        return f"; did you mean {_MEANT[word]!r}?"
    return nearest(word, [name for name in known if name != "remove"])


_SHOWING: Final = frozenset({"get", "show", "export", "reveal", "print", "read", "view", "cat", "copy", "dump"})
_RESTORING: Final = frozenset({"restore", "backup", "backups", "rollback", "undo", "recover"})
_MEANT: Final[Mapping[str, str]] = {
    **dict.fromkeys(("rm", "delete", "del", "forget"), "remove"),
    **dict.fromkeys(("add", "put", "replace", "rotate"), "set"),
    **dict.fromkeys(("create", "new"), "init"),
    **dict.fromkeys(("password", "rekey"), "passwd"),
    **dict.fromkeys(("bind", "origin"), "origins"),
    "ls": "list",
    "open": "unlock",
    "close": "lock",
}


def _refuse_literals(shell: Shell, verb: str, rest: list[str]) -> None:
    file = [word for word in rest[:1] if verb == "import" and (_FILE.match(word) or Path(word).exists())]
    literals = [word for word in rest if looks_like_a_key(word) and word not in file]
    literals += [found[1] for word in rest if verb != "import" and (found := _ASSIGNED.fullmatch(word))]
    if verb in _ASKING:
        operands = _words(verb, rest, strict=False).words
        literals += operands[_ASKING[verb] :]
    if literals := [word for word in dict.fromkeys(literals) if word]:
        name = next((word for word in rest if word not in literals and re.fullmatch(r"[A-Z][A-Z0-9_]*", word)), "NAME")
        asks = (
            f"%vault set {name} asks for the value."
            if verb not in _PASSWORD
            else f"%vault {verb} asks for the password."
        )
        raise refuse_all(shell, literals, asks, kind_of(verb))


_PASSWORD: Final = frozenset({"init", "unlock", "passwd", "lock"})
_ASKING: Final[Mapping[str, int]] = {"set": 1, **dict.fromkeys(_PASSWORD, 0)}
"""Verbs that ask, and the number of words that they take: any other word is the answer, written too early."""


def _words(verb: str, rest: list[str], *, strict: bool = True) -> Words:
    """Raises `UserError` for an option that the verb does not have; otherwise, where not ``strict``, it is left out."""
    usage = next(command.usage for command in VAULT if command.name == verb)
    takes = _OPTIONS.get(verb, {})
    words: list[str] = []
    options: dict[str, tuple[str, ...]] = {}
    coming = iter(rest)
    for word in coming:
        flag, equals, value = word.partition("=")
        if not flag.startswith("--"):
            words.append(word)
        elif flag in takes:
            found = () if not takes[flag] else (value if equals else next(coming, ""),)
            options[flag] = (*options.get(flag, ()), *found)
        elif strict:
            raise Words(usage, (), {}).misused()
    return Words(usage, tuple(words), options)


_OPTIONS: Final[Mapping[str, Mapping[str, bool]]] = {
    "set": {"--origin": True},
    "import": {"--service": True, "--origin": True, "--replace": False},
    "passwd": {"--keep-backups": False},
}
"""Of each verb, and whether something follows."""


def _status(keyring: Keyring, words: Words) -> None:
    words.names(0, 0)
    for line in keyring.about():
        say(line)


def _panel(keyring: Keyring, words: Words) -> None:
    words.names(0, 0)
    if not takes_widgets(get_ipython()):
        from orchestrator_nb.widgets.vault_still import still

        display(still(keyring))
        return None
    from orchestrator_nb.widgets import VaultPanel  # ipywidgets and anywidget: only when a widget is wanted

    return VaultPanel(keyring).show()


def _init(keyring: Keyring, words: Words) -> None:
    words.names(0, 0)
    keyring.init()


def _unlock(keyring: Keyring, words: Words) -> None:
    words.names(0, 0)
    was_open = keyring.vault.still_open()
    keyring.unlock()
    status = keyring.status()
    say(
        f"{'open already' if was_open else 'open'}; it locks after {telling.span(status.idle_left_s)} without use, in {telling.span(status.limit_left_s)} in any case."
    )


def _lock(keyring: Keyring, words: Words) -> None:
    words.names(0, 0)
    keyring.lock()
    say("locked; keys and values are wiped from this kernel." if keyring.vault.exists else "there is no vault yet.")


def _set(keyring: Keyring, words: Words) -> None:
    [name] = words.names(1, 1)
    say(telling.stored(keyring.set(name, origins=words.options.get("--origin", ()))))


def _remove(keyring: Keyring, words: Words) -> None:
    [name] = words.names(1, 1)
    keyring.remove(name)
    say(f"{name} is removed. The vendor still takes it: revoke it there if nobody should use it any more.")


def _list(keyring: Keyring, words: Words) -> pd.DataFrame:
    import pandas as pd  # the other verbs do without

    words.names(0, 0)
    columns = ["name", "vendor", "origins", "fingerprint", "created", "rotated"]
    return pd.DataFrame([_row(fact) for fact in keyring.list()], columns=columns).astype(
        {"created": "datetime64[s, UTC]", "rotated": "datetime64[s, UTC]"}
    )


def _row(fact: Fact) -> tuple[Any, ...]:
    times = (datetime.fromtimestamp(time, UTC) if time else None for time in (fact.created, fact.rotated))
    return fact.name, fact.vendor, " ".join(fact.origins), f"fp:{fact.fp}", *times


def _import(keyring: Keyring, words: Words) -> None:
    source, *names = words.names(1)
    how: Any = {"origins": words.options.get("--origin", ()), "replace": "--replace" in words.options}
    if source == "env":
        found = keyring.import_env(*names, **how)
    elif source == "keyring":
        found = keyring.import_keyring(*names, service=words.options.get("--service", ("orchestrator-nb",))[-1], **how)
    else:
        found = keyring.import_file(source, *names, **how)
    for line in found.lines():
        say(line)


def _passwd(keyring: Keyring, words: Words) -> None:
    words.names(0, 0)
    keep = "--keep-backups" in words.options
    keyring.passwd(keep_backups=keep)
    say(f"the password is changed; backups under the old one are {'kept' if keep else 'deleted'}.")


def _origins(keyring: Keyring, words: Words) -> None:
    name, *urls = words.names(1)
    say(telling.stored(keyring.origins(name, *urls)))


def _help(_keyring: Keyring, words: Words) -> None:
    words.names(0, 0)
    say(vault_help())


_VERBS: Final[Mapping[str, Callable[[Keyring, Words], Any]]] = {
    "status": _status,
    "panel": _panel,
    "init": _init,
    "unlock": _unlock,
    "lock": _lock,
    "set": _set,
    "remove": _remove,
    "list": _list,
    "import": _import,
    "passwd": _passwd,
    "origins": _origins,
    "help": _help,
}
