"""What ``%load_ext orchestrator_nb`` registers, and takes back on unload. Prints nothing, opens nothing, reads no key.

Only light modules are imported here: the session, pandas and all that follows come with the first magic that is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from orchestrator_nb.magics.awaiting import Transformer, transformer
from orchestrator_nb.magics.cell import Magics
from orchestrator_nb.magics.complete import matcher
from orchestrator_nb.magics.net import spread
from orchestrator_nb.magics.offers import Known
from orchestrator_nb.magics.shell import Shell
from orchestrator_nb.magics.terminal import guard, release


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was registered in one shell."""

    names: tuple[str, ...]
    transform: Transformer
    matcher: Callable[[Any], Any]
    take_net_back: Callable[[], None]


_LOADED: WeakKeyDictionary[Shell, Loaded] = WeakKeyDictionary()


def load(shell: Shell) -> None:
    """Registers ``%%llm``, ``%%onb``, ``%llm``, ``%onb``, ``%vault``, ``%%chain`` and ``%chain``. What belongs to somebody else stays theirs, and one line says so."""
    if shell in _LOADED:
        return
    magics = Magics(shell)
    names = _free_names(shell)
    for name in names:
        shell.register_magic_function(magics.cell, "cell", name)
        shell.register_magic_function(magics.line, "line", name)
    vault = _register_vault(shell, magics)
    chains = magics.chains
    chain = _register_chain(shell, magics)
    loaded = Loaded(
        (*names, *vault, *chain),
        transformer((*names, *chain), kernel=hasattr(shell, "kernel")),
        matcher(
            Known(
                magics.model_names,
                magics.setting_names,
                shell.user_ns,
                magics.profile_names,
                magics.key_names,
                magics.conversation_names,
                magics.branch_names,
                chains.chain_names,
                chains.roles,
                chains.function_names,
                chains.run_names,
                chains.templates,
                chains.input_names,
            )
        ),
        spread(shell),
    )
    shell.input_transformers_post.append(loaded.transform)
    shell.Completer.custom_matchers.append(loaded.matcher)
    guard(shell)
    _LOADED[shell] = loaded


def unload(shell: Shell) -> None:
    """Takes back everything that `load` registered; the session and its results stay."""
    if (loaded := _LOADED.pop(shell, None)) is None:
        return
    for name in loaded.names:
        shell.magics_manager.magics["cell"].pop(name, None)
        shell.magics_manager.magics["line"].pop(name, None)
    shell.input_transformers_post.remove(loaded.transform)
    shell.Completer.custom_matchers.remove(loaded.matcher)
    loaded.take_net_back()
    release(shell)


def _free_names(shell: Shell) -> tuple[str, ...]:
    owner = shell.find_cell_magic("llm") or shell.find_line_magic("llm")
    if owner is None:
        return ("llm", "onb")
    print(f"%%llm belongs to {_home(owner)}; use %%onb and %onb instead.")  # noqa: T201  # the one line that loading may say
    return ("onb",)


def _register_vault(shell: Shell, magics: Magics) -> tuple[str, ...]:
    """``%vault``, unless it is somebody else's; ``%onb vault`` does the same. ``%%vault`` only says that a value does not belong into a cell."""
    if (owner := shell.find_line_magic("vault") or shell.find_cell_magic("vault")) is not None:
        print(f"%vault belongs to {_home(owner)}; use %onb vault instead.")  # noqa: T201  # as above
        return ()
    shell.register_magic_function(magics.vault, "line_cell", "vault")
    return ("vault",)


def _register_chain(shell: Shell, magics: Magics) -> tuple[str, ...]:
    """``%%chain`` and ``%chain``, or ``%%onb_chain`` and ``%onb_chain`` where they are somebody else's."""
    name = "chain"
    if (owner := shell.find_line_magic("chain") or shell.find_cell_magic("chain")) is not None:
        name = "onb_chain"
        print(f"%%chain belongs to {_home(owner)}; use %%onb_chain and %onb_chain instead.")  # noqa: T201  # as above
    shell.register_magic_function(magics.chains.cell, "cell", name)
    shell.register_magic_function(magics.chains.line, "line", name)
    return (name,)


def _home(magic: Callable[..., Any]) -> str:
    return repr(magic.__module__.partition(".")[0])
