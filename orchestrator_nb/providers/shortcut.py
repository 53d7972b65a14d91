"""Reading a payload without parsing it, when it differs from the one before in nothing but its piece of text.

Most payloads of a stream are such: 200 bytes around one word. Two payloads with the same bytes before and after one JSON string, where
the string has neither quote nor backslash, mean the same but for that string. So this changes how long reading takes, never what is read.
"""

from __future__ import annotations

_PATIENCE = 4
"""After so many payloads that do not repeat (they carry a number or padding), no more is learnt: learning costs too."""


class Shortcut:
    """Knows what stood around the last piece of text. Forgets it as soon as anything else is said."""

    __slots__ = ("_after", "_before", "_length", "_misses", "ready")

    def __init__(self) -> None:
        self.ready = False
        self._before = self._after = b""
        self._length = self._misses = 0

    def text(self, data: bytes) -> str | None:
        """The piece of text in ``data``, or ``None`` when it has to be parsed."""
        self.ready = False
        if len(data) < self._length or not (data.startswith(self._before) and data.endswith(self._after)):
            self._misses += 1
            return None
        piece = data[len(self._before) : len(data) - len(self._after)]
        if b'"' in piece or b"\\" in piece:
            return None
        try:
            text = piece.decode()
        except UnicodeDecodeError:
            return None
        self.ready = True
        self._misses = 0
        return text

    def learn(self, data: bytes, text: str) -> None:
        """``data`` was parsed and says ``text`` and nothing else."""
        quoted = b'"%b"' % text.encode("utf-8", "replace")
        if self._misses >= _PATIENCE or b"\\" in data or data.count(quoted) != 1:
            return
        before, _, after = data.partition(quoted)
        self._before, self._after = before + b'"', b'"' + after
        self._length = len(self._before) + len(self._after)
        self.ready = True
