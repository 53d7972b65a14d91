"""The second net of a notebook: an open vault's keys are not shown in the tracebacks and rich outputs of anybody's code.

The first net is that our own code never holds a key where it could be shown. This one is for other code that was given a key: the error of an SDK, a Verbose frame that
shows it. What a program prints, files it writes, and variables that a debugger looks into pass by it. Taken back on unload.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from orchestrator_nb.magics.shell import Shell

_HOOKED: Final = ("display_pub", "displayhook")


def spread(shell: Shell) -> Callable[[], None]:
    """Covers the shell; gives the function that takes it back."""
    before = shell._showtraceback

    def show(kind: type[BaseException], error: BaseException, lines: list[str]) -> Any:
        return before(*_clean(kind, error, lines))

    shell._showtraceback = show
    shell.events.register("post_run_cell", _answer)
    hooked = [found for name in _HOOKED if hasattr(found := getattr(shell, name), "register_hook")]
    for each in hooked:  # in a kernel; on the thread of the cells, as the hooks are kept for each thread
        each.register_hook(_message)

    def take_back() -> None:
        if vars(shell).get("_showtraceback") is show:  # else somebody put his own above ours
            del shell._showtraceback
        shell.events.unregister("post_run_cell", _answer)
        for each in hooked:
            each.unregister_hook(_message)

    return take_back


def _without_keys(text: str) -> str:
    """Where nobody has opened a vault yet, its module is not even loaded."""
    vaults = sys.modules.get("orchestrator_nb.vault.vault")
    return vaults.without_keys(text) if vaults else text


def _clean(
    kind: type[BaseException], error: BaseException, lines: list[str]
) -> tuple[type[BaseException], BaseException, list[str]]:
    error = _safe(error)
    return (kind if isinstance(error, kind) else type(error)), error, [_without_keys(line) for line in lines]


def _safe(error: BaseException) -> BaseException:
    """The error itself, or one of the same name whose words hold no key."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001  # an error that cannot even be told is shown as IPython likes
        return error
    if (clean := _without_keys(said)) == said:
        return error
    kind = type(error)
    likeness: type[Exception] = type(kind.__name__, (Exception,), {"__module__": kind.__module__})
    return likeness(clean)


def _answer(result: Any) -> None:
    """The kernel's reply to the front end repeats the error's words."""
    if result.error_in_exec is not None:
        result.error_in_exec = _safe(result.error_in_exec)


def _message(message: dict[str, Any]) -> dict[str, Any]:
    data = message["content"].get("data", {})
    for mime, shown in data.items():
        if isinstance(shown, str):
            data[mime] = _without_keys(shown)
    return message
