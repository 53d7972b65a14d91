"""How much stands in SQLite's write-ahead log: the file keeps its size when the log begins anew, so its size does not tell. https://sqlite.org/fileformat2.html#walformat"""

from __future__ import annotations

from pathlib import Path
from typing import Final

_HEADER: Final = 32
_FRAME: Final = 24


def reaches(log: Path, size: int) -> bool:
    """Whether the log goes on beyond ``size`` bytes: the page there carries the salt that the log has now. Raises `OSError`.

    No lock of SQLite's is on this file, so that it may be opened and closed.
    """
    with log.open("rb", buffering=0) as file:
        header = file.read(_HEADER)
        step = int.from_bytes(header[8:12], "big") + _FRAME
        file.seek(_HEADER + size // step * step)
        frame = file.read(_FRAME)
    return len(frame) == _FRAME and frame[8:16] == header[16:24]
