"""Reading what others saved as conversations: lists of role/content messages, such as ``chat_YYYYMMDD_HHMMSS.json``.

Taken are a list of messages, or an object with ``messages`` (or ``history``, ``conversation``); roles by their usual names; content as text, as a list of parts, or as ``parts``
(or ``text``); ``provider`` and ``model`` on the whole, or on each message. What is none of these is refused with the number of the message.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from orchestrator_nb.conversations import Tree, Turn
from orchestrator_nb.messages import Image, Message, Part, Text

_ROLES: Final = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "system": "system",
    "developer": "system",
}
_LISTS: Final = ("messages", "history", "conversation")
_STAMP: Final = re.compile(r"(\d{8})_(\d{6})")
_DATA: Final = re.compile(r"data:(image/(?:png|jpeg|gif|webp));base64,(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Said:
    role: str
    parts: tuple[Part, ...]
    model: str | None
    at: float


def tree_of(chat: Any, name: str, new_id: Callable[[], str]) -> Tree:
    """The chat as a tree of one path. ``name`` is the file's, which may hold its time. Raises `ValueError`."""
    head: Mapping[str, Any] = chat if isinstance(chat, Mapping) else {}
    listed = chat if isinstance(chat, list) else next((head[key] for key in _LISTS if key in head), None)
    if not isinstance(listed, list) or not listed:
        raise ValueError("it holds no list of messages.")
    said = [_message(number, message, head, _when(name)) for number, message in enumerate(listed, 1)]
    system = head.get("system") or head.get("system_prompt")
    tree = Tree()
    for turn in _turns(said, system if isinstance(system, str) else None, new_id):
        tree = tree.with_turn(replace(turn, parent=tree.head))
    return tree


def _turns(said: list[_Said], system: str | None, new_id: Callable[[], str]) -> Iterator[Turn]:
    """What users said in a row is one question; an answer in more than one piece is one answer; a system message counts from the next question on."""
    asked: list[_Said] = []
    told: list[_Said] = []
    for one in [*said, None]:
        if told and (one is None or one.role != "assistant"):
            yield _turn(asked, told, system, new_id())
            asked, told = [], []
        if one is None:
            break
        if one.role == "system":
            system = "".join(part.text for part in one.parts if isinstance(part, Text)) or None
        else:
            (told if one.role == "assistant" else asked).append(one)
    if asked:
        yield _turn(asked, [], system, new_id())


def _turn(asked: list[_Said], told: list[_Said], system: str | None, name: str) -> Turn:
    answer = Message("assistant", _joined(told)) if told else None
    whole = answer is not None and bool(answer.text.strip())
    return Turn(
        name,
        None,
        (Message("user", _joined(asked)),) if asked else (),
        answer,
        "answered" if whole else "asked" if answer is None else "failed",
        why=None if whole else "there was no answer in the file",
        model=told[-1].model if told else None,
        system=system,
        at=(asked or told)[0].at,
    )


def _joined(said: list[_Said]) -> tuple[Part, ...]:
    parts: list[Part] = []
    for one in said:
        parts += [Text("\n\n")] * bool(parts) + list(one.parts)
    return tuple(parts)


def _message(number: int, message: Any, head: Mapping[str, Any], when: float) -> _Said:
    if not isinstance(message, Mapping):
        raise ValueError(f"message {number} is not an object with role and content.")
    role = message.get("role", message.get("sender"))
    if not isinstance(role, str) or role.lower() not in _ROLES:
        raise ValueError(f"message {number} has the role {role!r}; known are {', '.join(_ROLES)}.")
    found = next((message[key] for key in ("content", "parts", "text") if key in message), None)
    return _Said(_ROLES[role.lower()], _parts(number, found), _model(message, head), _at(message, when))


def _parts(number: int, content: Any) -> tuple[Part, ...]:
    if content is None:
        return ()
    pieces = content if isinstance(content, list) else [content]
    return tuple(_part(number, piece) for piece in pieces)


def _part(number: int, piece: Any) -> Part:
    if isinstance(piece, str):
        return Text(piece)
    if isinstance(piece, Mapping) and isinstance(piece.get("text"), str):
        return Text(piece["text"])
    if isinstance(piece, Mapping) and (image := _image(piece)) is not None:
        return image
    raise ValueError(f"message {number} holds something that is neither text nor an image.")


def _image(piece: Mapping[str, Any]) -> Image | None:
    """As OpenAI (a data URL) and Anthropic (a source) write it."""
    url, source = piece.get("image_url"), piece.get("source")
    url = url.get("url") if isinstance(url, Mapping) else url
    if isinstance(source, Mapping) and isinstance(source.get("data"), str):
        url = f"data:{source.get('media_type')};base64,{source['data']}"
    match = _DATA.fullmatch(url) if isinstance(url, str) else None
    try:
        return Image(b64decode(match[2], validate=True), match[1]) if match else None
    except (NoBase64, ValueError):
        return None


def _model(message: Mapping[str, Any], head: Mapping[str, Any]) -> str | None:
    vendor, model = (message.get(name) or head.get(name) for name in ("provider", "model"))
    if not isinstance(model, str):
        return None
    return f"{vendor.lower()}/{model}" if isinstance(vendor, str) and "/" not in model else model


def _at(message: Mapping[str, Any], when: float) -> float:
    """Seconds since the epoch, from a number or an ISO time; else the file's own time."""
    at = message.get("timestamp", message.get("at"))
    if isinstance(at, int | float) and not isinstance(at, bool) and 0 < at < 1e11:
        return float(at)
    try:
        return datetime.fromisoformat(at).timestamp() if isinstance(at, str) else when
    except (ValueError, OverflowError, OSError):
        return when


def _when(name: str) -> float:
    """The time in a name such as ``chat_20240501_101500``."""
    if (match := _STAMP.search(name)) is None:
        return 0.0
    try:
        return datetime.strptime("".join(match.groups()), "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
