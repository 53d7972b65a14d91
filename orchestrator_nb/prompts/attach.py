"""Files beside the prompt: a text file becomes a fenced block after it, an image becomes an `Image` part. Decided by content, never by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from orchestrator_nb.errors import UserError
from orchestrator_nb.messages import Image, Part, Text

TEXT_CAP: Final = 1024 * 1024
"""Bytes of one text file; about 250,000 tokens, the largest common context."""
IMAGE_CAP: Final = 10 * 1024 * 1024
"""Bytes of one image; vendors accept 5 to 20 MB."""


def attach(paths: Iterable[str | Path]) -> tuple[Part, ...]:
    """The parts for these files, in their order. Raises `UserError` for what is missing, too large, or neither text nor image."""
    return tuple(_part(Path(path).expanduser()) for path in paths)


def _part(path: Path) -> Part:
    data = _read(path)
    if media_type := image_type(data):
        return Image(data, media_type)
    if len(data) > TEXT_CAP:
        raise UserError(f"{str(path)!r} is larger than {TEXT_CAP // 1024:,} KiB of text; attach a part of it.")
    return Text(_fenced(path.name, _decoded(path, data)))


def image_type(data: bytes) -> str | None:
    """The media type by the first bytes, or ``None``. https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern"""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _read(path: Path) -> bytes:
    if not path.exists():
        raise UserError(f"no file {str(path)!r}{_neighbour(path)}")
    if not path.is_file():
        raise UserError(f"{str(path)!r} is not a regular file; attach files one by one.")
    try:
        with path.open("rb") as file:
            data = file.read(IMAGE_CAP + 1)
    except OSError as error:
        reason = error.strerror
    else:
        if len(data) <= IMAGE_CAP:
            return data
        reason = f"it is larger than {IMAGE_CAP // 1024**2} MiB"
    raise UserError(f"{str(path)!r} cannot be attached: {reason}.")


def _neighbour(path: Path) -> str:
    """The nearest file name in the same folder, as the end of a sentence."""
    here = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    found = difflib.get_close_matches(path.name, here, n=1)
    return (
        f"; did you mean {str(path.parent / found[0])!r}?" if found else f" (looked in {str(path.parent.resolve())!r})."
    )


def _decoded(path: Path, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UserError(
            f"{str(path)!r} is neither UTF-8 text nor a PNG, JPEG, GIF or WebP image; convert it before attaching it."
        )
    return text


def _fenced(name: str, text: str) -> str:
    """The fence is longer than any run of backticks in the text, so that the text cannot end it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"\n\n{name}\n{fence}\n{text.rstrip(chr(10))}\n{fence}"
