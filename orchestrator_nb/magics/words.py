"""Splits a magic's first line into words, as a shell would, but keeps ``{{ … }}`` and ``[ … ]`` in one piece.

Quotes group and vanish; inside brackets they stay, for there they belong to a literal (``--grid tone=['dry', 'warm']``).
"""

from __future__ import annotations

from orchestrator_nb.errors import UserError

_CLOSING = {"{{": "}}", "[": "]", "(": ")", "{": "}"}


def split(line: str) -> list[str]:
    """The words of ``line``. Raises `UserError` for a quote or bracket that is never closed."""
    words: list[str] = []
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
            continue
        word, at = _word(line, at)
        words.append(word)
    return words


def _word(line: str, at: int) -> tuple[str, int]:
    """The word that starts at ``at``, and where it ends."""
    pieces: list[str] = []
    while at < len(line) and not line[at].isspace():
        if line[at] in "\"'":
            end = _end_of_quote(line, at)
            pieces.append(_unescape(line[at + 1 : end - 1], line[at]))
        elif line[at] in "[({":
            end = _end_of_bracket(line, at)
            pieces.append(line[at:end])
        else:
            end = at + 1
            pieces.append(line[at])
        at = end
    return "".join(pieces), at


def _end_of_quote(line: str, at: int) -> int:
    end = at + 1
    while end < len(line) and line[end] != line[at]:
        end += 2 if line[end] == "\\" else 1
    if end >= len(line):
        raise UserError(
            f"unclosed {line[at]!r} in the first line, from {_shorten(line[at:])!r}; close it, or write long text below."
        )
    return end + 1


def _end_of_bracket(line: str, at: int) -> int:
    opening = "{{" if line.startswith("{{", at) else line[at]
    closing, end = _CLOSING[opening], at + len(opening)
    while end < len(line):
        if line.startswith(closing, end):
            return end + len(closing)
        if line[end] in "\"'":
            end = _end_of_quote(line, end)
        elif line[end] in "[({":
            end = _end_of_bracket(line, end)
        else:
            end += 1
    raise UserError(
        f"unclosed {opening!r} in the first line, from {_shorten(line[at:])!r}; close it, or put the value in quotes."
    )


def _unescape(text: str, quote: str) -> str:
    """Only the quote itself and the backslash can be escaped, so that paths stay what they are."""
    return text.replace("\\" + quote, quote).replace("\\\\", "\\") if "\\" in text else text


def _shorten(text: str, most: int = 30) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
