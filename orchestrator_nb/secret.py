"""A key as a handle: it names itself, shows a fingerprint, and lets its value out only to the origins it is bound to.

The value leaves through `Secret.release` alone, which the transport calls inside its auth flow. Python cannot hide a value from code that
runs in the same process; what this stops is files, outputs, tracebacks, logs and pickles.
"""

from __future__ import annotations

import contextlib
import hmac
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NoReturn, Self, TypeVar

from orchestrator_nb.errors import VaultError

T = TypeVar("T")

_FINGERPRINT_LABEL = b"orchestrator-nb fingerprint v1"


def fingerprint(value: str, key: bytes = _FINGERPRINT_LABEL) -> str:
    """The first 8 hex digits of HMAC-SHA256: tells two keys apart and gives no character of either away."""
    return hmac.digest(key, value.encode(), "sha256").hex()[:8]


class Opaque(ABC):
    """What shows its repr and nothing else: no attributes, no copy that lives on by itself, no pickle."""

    __slots__ = ()

    @abstractmethod
    def _shown(self) -> str:
        """The repr of one that is whole."""

    def __repr__(self) -> str:
        try:
            return self._shown()
        except AttributeError:  # it was interrupted while it was made, and a debugger shows the frame
            return f"<{type(self).__name__.lower()}, not made>"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __dir__(self) -> list[str]:
        return []

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError(
            f"{self!r} cannot be pickled; make it anew where it is needed, such as by opening the vault there"
        )


class Secret(Opaque):
    """An opaque key for one vendor. ``origins`` are ``scheme://host:port``; asking for another origin raises `VaultError`.

    ``name`` and ``place`` (``vault`` or ``environment``) are for the messages about it.
    """

    __slots__ = ("__fetch", "__fp", "__name", "__origins", "__place", "__vendor", "__weakref__")

    def __init__(
        self,
        vendor: str,
        value: str | Callable[[], str],
        origins: frozenset[str],
        *,
        fp: str | None = None,
        name: str = "",
        place: str = "",
    ) -> None:
        self.__fetch = value if callable(value) else lambda: value
        self.__origins = origins
        self.__vendor, self.__fp = vendor, fp
        self.__name, self.__place = name, place

    def release(self, origin: str) -> str:
        """The value, for a request that goes to ``origin`` and nowhere else."""
        if origin not in self.__origins:
            bound = f"{self!r} is bound to {', '.join(sorted(self.__origins))} and is not sent to {origin}"
            way_out = f"; if that address is yours: %vault origins {self.__name} {origin}"
            raise VaultError(bound + (way_out if self.__place == "vault" else "."))
        return self.__fetch()

    def refused(self) -> str:
        """What to do when its vendor does not take it; empty for a key without a name."""
        if not self.__name:
            return ""
        fp = self.__fp or self.__seen()
        return f"{self.__name} (fp:{fp}, from the {self.__place}) was refused; %vault set {self.__name} replaces it."

    def _shown(self) -> str:
        return f"<key {self.__vendor} fp:{self.__fp or self.__seen()}>"

    def __seen(self) -> str:
        """The fingerprint of the value as it is now; made when asked for, as each call has a handle and hardly any is shown."""
        try:
            return fingerprint(self.__fetch())
        except (KeyError, VaultError):  # taken back, or locked away
            return "gone"


def unseen(make: Callable[[], T]) -> T:
    """What ``make`` makes. An error of it, or an interrupt, comes without the frames in which values stood."""
    try:
        return make()
    except BaseException as error:
        error.__traceback__ = error.__context__ = error.__cause__ = None
        raise


class Hidden(Opaque):
    """A password or a key's value on its way from the prompt to the vault: it can be used, and wiped, but not seen.

    It holds a buffer of its own; `wipe` zeroes it, and so does its end. Python may keep copies of the text it was made of.
    """

    __slots__ = ("__buffer", "__weakref__")

    def __init__(self, text: str | bytes | bytearray) -> None:
        # a lone surrogate must not raise here: the error would carry the text
        self.__buffer = bytearray(text.encode(errors="surrogatepass") if isinstance(text, str) else text)

    def use(self, act: Callable[[bytearray], T]) -> T:
        """What ``act`` makes of the UTF-8 bytes; it must not keep them. An error of it, or an interrupt, comes without the frames in which they stood."""
        return unseen(lambda: act(self.__buffer))

    def wipe(self) -> None:
        """Zero the buffer; nothing is left to use."""
        self.__buffer[:] = bytes(len(self.__buffer))
        del self.__buffer[:]

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):  # an interrupt came before there was a buffer
            self.wipe()

    def __len__(self) -> int:
        return len(self.__buffer)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hidden) and hmac.compare_digest(self.__buffer, other.__buffer)

    __hash__ = None  # type: ignore[assignment]  # a hash would stand for the value

    def _shown(self) -> str:
        return "<hidden>"


class Veiled(Opaque, Mapping[str, str]):
    """A mapping that shows none of its values: it stands in frames and attributes that a debugger may print.

    Without ``values`` it is the environment of this process, which then stands in no frame at all. The names in ``once`` are read now and stay as they are.
    """

    __slots__ = ("__fixed", "__once", "__values")

    def __init__(self, values: Mapping[str, str] | None = None, once: Iterable[str] = ()) -> None:
        self.__values = os.environ if values is None else values
        self.__once = frozenset(once)
        self.__fixed = {name: self.__values[name] for name in self.__once if name in self.__values}

    def __getitem__(self, name: str) -> str:
        return self.__fixed[name] if name in self.__once else self.__values[name]

    def __iter__(self) -> Iterator[str]:
        yield from self.__fixed
        yield from (name for name in self.__values if name not in self.__once)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _shown(self) -> str:
        return f"<{len(self)} variables>"
