"""How much an account may still send: the vendor's token bucket, as seen from here. Arithmetic only; ``now`` is always the caller's.

The vendor's figures are old when they arrive. What makes them good is to remember, for each request, what had been spent when it left
(`Mark`): the level at this end is the level they tell, plus what has flowed in since that request left, less what was spent after it. The way
there takes as long for the next request as for that one, so the delay cancels out.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

SAFETY: Final = 0.98
"""We send a little slower than we may, and keep `RESERVE` of a bucket: requests overtake each other on their way."""
RESERVE: Final = 0.04
TICK_S: Final = 1e-4
"""Added to each wait, so that rounding never leaves a hair's breadth to wait for."""


class Mark(NamedTuple):
    """A request's place in what a bucket has spent, and when it left."""

    spent: float
    at: float
    amount: float = 1.0

    def moved(self, at: float) -> Mark:
        """The same, leaving at another time."""
        return Mark(self.spent, at, self.amount)


class Bucket:
    """A level that flows in at ``rate`` per second up to ``size``. Without a rate there is no limit (that we know of)."""

    def __init__(self, rate: float | None = None) -> None:
        self.rate = self.most = rate
        self.size = self.level = _burst(rate)
        self.at = self.spent = self.seen = 0.0
        self._latest, self._heard_of = -1.0, 0.0

    def wait_s(self, now: float, amount: float) -> float:
        """Seconds until ``amount`` may go; 0 when it may. What is larger than the bucket waits for a full one."""
        if self.rate is None:
            return 0.0
        self._flow(now)
        reserve = RESERVE * self.size
        missing = min(amount, self.size - reserve) + reserve - self.level
        return missing / (SAFETY * self.rate) + TICK_S if missing > 1e-9 * self.size else 0.0

    def take(self, now: float, amount: float) -> Mark:
        """Spend ``amount``."""
        self._flow(now)
        self.level -= amount
        self.spent += amount
        return Mark(self.spent, now, amount)

    def give_back(self, amount: float) -> None:
        """What was reckoned too much (negative: too little) is there again."""
        self.level = min(self.size, self.level + amount)

    def observe(self, now: float, mark: Mark, limit: float, remaining: float | None, window_s: float) -> None:
        """Learn from what the vendor said about the request of ``mark``: ``limit`` in ``window_s`` seconds, ``remaining`` now.

        When the bucket will be full again (the vendors' "reset") is not used: it means other things at other vendors. How much fits in it is the
        most that was ever seen there, for some count a minute's limit in smaller pieces. News older than we have says nothing about the level.
        """
        if limit <= 0:
            return
        self.rate = min(limit / window_s, self.most or math.inf)
        if remaining is None:
            self.size = min(self.size, limit)
            return
        self.seen = min(limit, max(self.seen, remaining + 1))
        self.size = self.seen if self.most is None else min(self.size, self.seen)
        self._heard_of += mark.amount
        if mark.spent > self._latest:
            self._flow(now)
            self._latest = mark.spent
            flowed = SAFETY * self.rate * (now - mark.at)
            level = min(self.size, remaining + flowed) - self._spent_since(mark)
            self.level = (
                level if self.most is None else min(self.level, level)
            )  # a limit that was set is kept whatever they say
        self.level = min(self.level, self.size)

    def _spent_since(self, mark: Mark) -> float:
        """What left after ``mark``. At the very start many leave at once and overtake each other: all that is not heard of counts then."""
        unheard = self.spent - self._heard_of if self.spent < 2 * self.seen else 0.0
        return max(self.spent - mark.spent, unheard)

    def restart(self, at: float, rate: float | None = None) -> None:
        """Empty but for one: what comes after the moment ``at`` is paced. ``rate`` replaces what was known."""
        if rate is not None:
            self.rate, self.size = rate, _burst(rate)
        if self.rate is not None:
            self.level, self.at = min(1.0 + RESERVE * self.size, self.size), at

    def _flow(self, now: float) -> None:
        """Let flow in what came since; time that goes back brings nothing."""
        if self.rate is not None and now > self.at:
            self.level = min(self.size, self.level + SAFETY * self.rate * (now - self.at))
        self.at = max(self.at, now)


def _burst(rate: float | None) -> float:
    """Half a second's worth: a vendor that allows a second's worth at once still has room when requests bunch up on their way."""
    return math.inf if rate is None else max(1.0, rate / 2)
