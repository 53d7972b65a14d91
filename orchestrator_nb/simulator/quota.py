"""What an account may do: requests and tokens in buckets that fill steadily, and truthful figures about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Quota:
    """The allowance of each key at each vendor; ``None`` is without limit.

    ``burst`` is how many requests may come at once; without it, one second's worth of ``requests_per_second`` or one minute's worth of
    ``requests_per_minute``. The tighter of the two rates counts.
    """

    requests_per_second: float | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    burst: float | None = None

    def __post_init__(self) -> None:
        for name in ("requests_per_second", "requests_per_minute", "tokens_per_minute", "burst"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"quota: {name} has to be more than 0, found {value!r}; leave it out for no limit.")

    def requests(self) -> Bucket | None:
        """A full bucket of requests."""
        per_second, per_minute = self.requests_per_second, self.requests_per_minute
        if per_second is None and per_minute is None:
            return None
        if per_minute is None or (per_second is not None and per_second * 60 <= per_minute):
            assert per_second is not None  # noqa: S101 - for the type checker; the line above says so
            return Bucket(self.burst or max(per_second, 1.0), per_second)
        return Bucket(self.burst or max(per_minute, 1.0), per_minute / 60)

    def tokens(self) -> Bucket | None:
        """A full bucket of tokens."""
        per_minute = self.tokens_per_minute
        return None if per_minute is None else Bucket(per_minute, per_minute / 60)


class Bucket:
    """A token bucket; ``now`` is always the caller's."""

    def __init__(self, size: float, per_second: float) -> None:
        self.size, self.per_second = size, per_second
        self.level, self.at = size, 0.0

    def fill(self, now: float) -> None:
        """Bring the level up to the present."""
        self.level = min(self.size, self.level + max(now - self.at, 0.0) * self.per_second) if self.at else self.size
        self.at = now

    def wait_s(self, amount: float) -> float:
        """Seconds until the amount is there; 0 when it is. What never fits waits for a full bucket."""
        return max(0.0, (min(amount, self.size) - self.level) / self.per_second)

    def full_in_s(self) -> float:
        """Seconds until the bucket is full."""
        return (self.size - self.level) / self.per_second


@dataclass(frozen=True, slots=True)
class Gauge:
    """One limit at one moment: ``limit`` per minute, ``remaining`` what may be taken now, ``reset_s`` until the bucket is full."""

    limit: int
    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class State:
    """What the vendor may say in headers after a request was taken or refused."""

    requests: Gauge | None
    tokens: Gauge | None
    cost: int = 0
    wait_s: float = 0.0
    short_of: Literal["", "requests", "tokens"] = ""


class Meter:
    """The buckets of one key at one vendor."""

    def __init__(self, quota: Quota) -> None:
        self._requests, self._tokens = quota.requests(), quota.tokens()

    def take(self, cost: int, now: float) -> State:
        """Take one request and its tokens, or nothing at all when one of them is short."""
        waits = {"requests": _wait(self._requests, 1.0, now), "tokens": _wait(self._tokens, float(cost), now)}
        short_of: Literal["requests", "tokens"] = "tokens" if waits["tokens"] > waits["requests"] else "requests"
        if waits[short_of] > 0:
            return State(_gauge(self._requests), _gauge(self._tokens), cost, waits[short_of], short_of)
        for bucket, amount in ((self._requests, 1.0), (self._tokens, float(cost))):
            if bucket is not None:
                bucket.level -= min(amount, bucket.size)
        return State(_gauge(self._requests), _gauge(self._tokens), cost)


def _wait(bucket: Bucket | None, amount: float, now: float) -> float:
    if bucket is None:
        return 0.0
    bucket.fill(now)
    return bucket.wait_s(amount)


def _gauge(bucket: Bucket | None) -> Gauge | None:
    return (
        None
        if bucket is None
        else Gauge(round(bucket.per_second * 60), max(0, int(bucket.level + 1e-9)), bucket.full_in_s())
    )
