"""What of a conversation goes back to a model: all that was said, and of what only its maker understands as much as that maker demands.

Thoughts carry the vendor's seal, which no other vendor takes and which is bound to what stood before it. Anthropic, Gemini and OpenAI's Responses want them back unchanged
beside calls of tools; DeepSeek wants the thoughts of such turns. So thoughts go back only to the model that had them, under the same system prompt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from orchestrator_nb.catalog import ModelSpec
from orchestrator_nb.conversations import Turn
from orchestrator_nb.messages import Image, Message, Part, Role, Text, Thinking, ToolCall, ToolResult

BLIND = "[an image that this model cannot see]"


def maker_of(model: ModelSpec) -> str:
    """Whom an answer's thoughts belong to: a vendor's address, dialect and model; what the simulator sealed is no vendor's."""
    vendor = model.vendor
    return " ".join((vendor.kind, "simulated" if vendor.simulated else "live", vendor.origin, model.id))


def echoed(path: Sequence[Turn], model: ModelSpec, system: str | None) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """The messages that stand before the next question, and sentences for the user about what was left out.

    They begin with a user and alternate. Of a turn that was cut off, or came from another model, the text goes on.
    """
    notices = [*_played(path, model)]
    blind = bool(model.features) and not model.features & {"vision", "unlisted"}
    messages = [message for turn in path for message in _of(turn, model, system)]
    if blind and any(isinstance(part, Image) for message in messages for part in message.parts):
        notices.append(f"{model.ref} cannot see images: those of earlier turns were left out.")
        messages = [replace(message, parts=tuple(map(_unseen, message.parts))) for message in messages]
    return alternating(messages), tuple(notices)


def _played(path: Sequence[Turn], model: ModelSpec) -> Iterator[str]:
    played = sum(" simulated " in f"{turn.maker}" for turn in path)
    if played and not model.vendor.simulated:
        yield f"{played:,} of the answers that {model.ref} is shown as its own are the simulator's."


def _of(turn: Turn, model: ModelSpec, system: str | None) -> Iterator[Message]:
    own = turn.maker == maker_of(model)
    yield from turn.question if own else map(_in_words, turn.question)
    if turn.answer is None:
        return
    if turn.outcome != "answered":
        yield Message.assistant(turn.answer.text)
    elif not own:
        yield _in_words(turn.answer)
    elif turn.system != system and not any(isinstance(part, ToolCall) for part in turn.answer.parts):
        yield _without_thoughts(turn.answer)
    else:
        yield turn.answer


def _in_words(message: Message) -> Message:
    """For another model: no thoughts, and calls of tools as text, for their ids and seals are their maker's."""
    said = tuple(_worded(part) for part in message.parts if not isinstance(part, Thinking))
    return Message("user" if message.role == "tool" else message.role, said)


def _worded(part: Part) -> Part:
    match part:
        case ToolCall():
            return Text(f"[called {part.name} with {json.dumps(dict(part.arguments), ensure_ascii=False)}]")
        case ToolResult():
            return Text(f"[{part.name} {'failed' if part.is_error else 'answered'}: {part.text}]")
        case _:
            return part


def _without_thoughts(message: Message) -> Message:
    return replace(message, parts=tuple(part for part in message.parts if not isinstance(part, Thinking)))


def _unseen(part: Part) -> Part:
    return Text(BLIND) if isinstance(part, Image) else part


def alternating(messages: Iterable[Message]) -> tuple[Message, ...]:
    """User and assistant in turn, beginning with the user, none of them empty: two of one role in a row become one."""
    found: list[Message] = []
    for message in messages:
        role: Role = "assistant" if message.role == "assistant" else "user"
        parts = tuple(part for part in message.parts if not (isinstance(part, Text) and not part.text))
        if not parts or (not found and role == "assistant"):
            continue
        if found and found[-1].role == role:
            found[-1] = Message(role, (*found[-1].parts, Text("\n\n"), *parts))
        else:
            found.append(Message(role, parts))
    return tuple(found)


def unanswered(path: Sequence[Turn]) -> tuple[ToolCall, ...]:
    """The calls of tools whose results the next question has to bring."""
    answer = path[-1].answer if path else None
    if answer is None or path[-1].outcome != "answered":
        return ()
    return tuple(part for part in answer.parts if isinstance(part, ToolCall))
