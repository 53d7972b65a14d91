"""One answer as it stands on a tape: what was asked, what came back (or how the model refused), and how long it took."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator_nb.calls import Response, Source
from orchestrator_nb.errors import CLASS_OF, ProviderError
from orchestrator_nb.records import response_of, response_record

BILLED: Final = ("no", "maybe", "yes")


@dataclass(frozen=True, slots=True)
class Entry:
    """Exactly one of ``response`` and ``error`` is there. ``started_at`` is seconds since the epoch, ``latency_s`` and ``ttft_s`` are seconds.

    ``request`` is a question's record (`orchestrator_nb.records.request_record`). An error is new with every reading, for raising one changes it.
    """

    request: Mapping[str, Any]
    response: Response | None = None
    error: ProviderError | None = None
    started_at: float | None = None
    latency_s: float | None = None
    ttft_s: float | None = None
    attempts: int = 0

    @property
    def answer(self) -> Response | None:
        """The answer, whole or partial."""
        return self.response or (self.error.response if self.error else None)

    @property
    def source(self) -> Source:
        """Where the answer came from when it was recorded."""
        answer, error = self.answer, self.error
        return answer.source if answer else "simulated" if error and error.simulated else "live"


def entry_record(entry: Entry) -> dict[str, Any]:
    """The entry as JSON. Raises `ValueError` for what JSON cannot hold."""
    outcome = {"response": response_record(entry.response)} if entry.response else {"error": _error_record(entry.error)}
    times = {name: value for name in _TIMES if (value := getattr(entry, name)) is not None}
    return {"request": entry.request, **outcome, "took": times}


def _error_record(error: ProviderError | None) -> dict[str, Any]:
    if error is None:
        raise ValueError("there is no outcome to keep.")
    full = {
        "kind": error.kind,
        "message": _line(str(error)),
        "vendor": _line(error.vendor),
        "model": _line(error.model),
        "status": error.status,
        "request_id": error.request_id and _line(error.request_id),
        "billed": error.billed,
        "simulated": error.simulated,
        "response": response_record(error.response) if error.response is not None else None,
    }
    return {name: value for name, value in full.items() if value or name in _ALWAYS}


def _line(text: str) -> str:
    return text if text.isprintable() else "".join(sign if sign.isprintable() else " " for sign in text)


_MOST: Final = 10**12
"""Seconds, tokens and dollars beyond this are no figures of a call, and would break the arithmetic of whoever reads them."""


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_MOST < value < _MOST


def _is_line(value: object) -> bool:
    """An error's words are printed as they are: nothing in them may steer a terminal."""
    return isinstance(value, str) and value.isprintable()


def _is_count(value: object) -> bool:
    return isinstance(value, int) and _is_number(value)


_ALWAYS: Final = frozenset({"kind", "message"})
_TIMES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "started_at": _is_number,
    "latency_s": _is_number,
    "ttft_s": _is_number,
    "attempts": _is_count,
}


def entry_of(record: Any) -> Entry:
    """The entry that `entry_record` wrote. Raises `ValueError` for anything it did not write."""
    if not isinstance(record, dict) or not {"request", "took"} <= record.keys() <= {"request", "took", *_OUTCOMES}:
        raise ValueError("it has not the fields of an answer.")
    if len(record) != 3 or not isinstance(record["request"], dict):
        raise ValueError("it holds not exactly one question and one outcome.")
    times = record["took"]
    if not isinstance(times, dict) or not all(name in _TIMES and _TIMES[name](value) for name, value in times.items()):
        raise ValueError("its times are no times.")
    if "response" in record:
        return Entry(record["request"], _answer_of(record["response"]), **times)
    return Entry(record["request"], error=_error_of(record["error"]), **times)


def _answer_of(record: Any) -> Response:
    response = response_of(record)
    if response.source not in {"live", "simulated"}:
        raise ValueError("it was not recorded from a model.")
    used = response.usage
    figures = (
        used.input,
        used.output,
        used.cached,
        used.written,
        used.reasoning,
        response.cost.usd,
        response.cost_reported,
    )
    for figure in figures:
        if figure is not None and not -_MOST < figure < _MOST:
            raise ValueError("its tokens or its cost are beyond measure.")
    return response


_OUTCOMES: Final = frozenset({"response", "error"})
_ERROR: Final[Mapping[str, Callable[[Any], bool]]] = {
    "kind": lambda value: isinstance(value, str) and value in CLASS_OF,
    "message": _is_line,
    "vendor": _is_line,
    "model": _is_line,
    "status": _is_count,
    "request_id": _is_line,
    "billed": lambda value: value in BILLED,
    "simulated": lambda value: isinstance(value, bool),
    "response": lambda value: isinstance(value, dict),
}


def _error_of(record: Any) -> ProviderError:
    if not isinstance(record, dict) or not record.keys() >= _ALWAYS or not all(map(_fits, record.items())):
        raise ValueError("its error is none of ours.")
    given = dict(record)
    message, simulated, response = given.pop("message"), given.pop("simulated", False), given.pop("response", None)
    kind = given["kind"]
    error = CLASS_OF[kind](message, response=_answer_of(response) if response else None, **given)
    error.simulated = simulated
    return error


def _fits(pair: tuple[Any, Any]) -> bool:
    name, value = pair
    return name in _ERROR and _ERROR[name](value)
