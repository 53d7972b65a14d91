"""How a session's answers are judged: in the store, and where that is switched off for as long as the session lives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from orchestrator_nb.errors import UserError
from orchestrator_nb.marks import Mark
from orchestrator_nb.runs import Call, Run
from orchestrator_nb.store.store import Store


class Judging:
    """``store`` and ``last`` tell the session's store and its last run as they are now."""

    def __init__(self, store: Callable[[], Store | None], last: Callable[[], Run | None]) -> None:
        self._store, self._last = store, last
        self._lock = threading.Lock()
        self._unkept: dict[str, Mark] = {}

    def mark(self, call_id: str, **changes: Any) -> Mark:
        """`Marks.set`. Without a store only answers of the session's last run can be judged, and that is forgotten when it ends."""
        if store := self._store():
            return store.marks.set(call_id, **changes)
        with self._lock:
            return self._mark(call_id, changes)

    def of(self, run_id: str, find: Callable[[], str]) -> Mapping[str, Mark]:
        """The marks of a run; ``find`` is asked for its id where there are none under that name."""
        if store := self._store():
            return store.marks.of(run_id) or store.marks.of(find())
        return {call: mark for call, mark in self._unkept.items() if call.rpartition("-")[0] == run_id}

    def _mark(self, call_id: str, changes: Mapping[str, Any]) -> Mark:
        judged = self._call(call_id)
        mark = self._unkept.get(call_id, Mark()).changed(**changes)
        if mark.best:
            for other in self._beside(judged):
                self._unkept[other] = replace(self._unkept[other], best=False)
        self._unkept[call_id] = mark
        self._unkept = {call: said for call, said in self._unkept.items() if said}
        return mark

    def _call(self, call_id: str) -> Call:
        run = self._last()
        for call in run.calls if run else ():
            if call.id == call_id:
                return call
        raise UserError(
            f"{call_id[:60]!r} is no answer of the last run that ended; while store.enabled is false, no other can be marked."
        )

    def _beside(self, judged: Call) -> list[str]:
        run = self._last()
        return [
            call.id
            for call in (run.calls if run else ())
            if call.id in self._unkept
            and call.id != judged.id
            and (call.item.row, call.item.at) == (judged.item.row, judged.item.at)
        ]
