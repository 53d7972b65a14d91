"""Every error a user can meet, by who must act.

OrchestratorError
├── UserError               fix the cell, the option or the file
│   ├── ConfigError         a file: names file, line, key, what was found, what is accepted
│   ├── UnknownModel        no such model; carries the nearest names
│   ├── TemplateError       the prompt's template
│   └── ChainError          a chain: everything that is wrong with it, at once
├── KeyMissing              no key for this vendor
├── VaultError              the vault
│   ├── VaultFormatError    its file is none, is damaged in its open part, or asks for too much work
│   ├── VaultAuthError      wrong password, or the file was altered: one sentence for both
│   └── VaultLocked         it is locked; the call can go on once somebody unlocks it
├── StoreError              what happens cannot be written down: disk full, damaged, written to by another
├── LimitError              a budget or a cap of the user's own
├── ReplayMiss              not on the tape
├── PluginError             a plugin misbehaved
└── ProviderError           the far side; carries vendor, model, status, kind, verdict, request id, partial answer
    ├── ProviderUnreachable · TLSFailure · Timeout · Transient        the way there
    ├── AuthFailed · Forbidden · QuotaExhausted · RateLimited         the account
    ├── BadRequest · ModelNotFound · TooLarge · ContentFiltered       the question
    ├── ServerFailure · BreakerOpen                                   the vendor
    ├── BadResponse · ResponseTooLarge · EmptyAnswer · UnexpectedRedirect · Partial · InvalidAnswer   the answer
    └── Cancelled · Skipped                                           the run

Messages are sentences: what failed, on what, and what to do next. They never hold a key, a header or a whole body.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    # Response is built on catalog, which raises our errors: the types alone go round
    from orchestrator_nb.calls import Response

Kind = Literal[
    "auth", "permission", "quota", "not_found", "invalid_request", "context_length", "content_filter", "too_large",
    "rate_limit", "overloaded", "timeout", "server", "truncated", "connection", "dns", "tls", "transient", "bad_response",
    "response_too_large", "empty", "redirect", "breaker_open", "invalid_json", "schema", "no_key", "cancelled", "skipped",
]  # fmt: skip


class OrchestratorError(Exception):
    """The root. Shown as one sentence in a notebook, whatever ``%xmode`` says; ``%llm last --trace`` shows the rest."""

    kind: str = "error"

    def __str__(self) -> str:
        """The sentence, safe to print: a name in it may come from a file or a server, and must not steer a terminal."""
        text = super().__str__()
        return text if text.isprintable() else "".join(map(_printable, text))

    def _render_traceback_(self) -> list[str]:
        """IPython's own hook: two lines instead of our stack. https://ipython.readthedocs.io/en/stable/config/integrating.html"""
        return [f"{type(self).__name__}: {self}"]


def _printable(sign: str) -> str:
    return sign if sign.isprintable() or sign in "\n\t" else ascii(sign)[1:-1]


class UserError(OrchestratorError):
    """Something the user wrote cannot be done; the message says what to write instead."""

    kind = "usage"


class ConfigError(UserError):
    """A configuration file or setting is wrong. ``where`` is ``file:line``, ``key`` the dotted key."""

    def __init__(self, message: str, *, where: str = "", key: str = "") -> None:
        super().__init__(": ".join(part for part in (where, key, message) if part))
        self.where, self.key = where, key


class UnknownModel(UserError):
    """No model has this name."""

    def __init__(self, name: str, nearest: list[str]) -> None:
        hint = f"; did you mean {' or '.join(repr(n) for n in nearest)}?" if nearest else "."
        super().__init__(f"unknown model {name!r}{hint} %llm models lists all of them.")
        self.name, self.nearest = name, nearest


class TemplateError(UserError):
    """A prompt template cannot be filled."""


class ChainError(UserError):
    """A chain cannot be run as it stands. ``problems`` are all that were found, in the order of the file; each has a line of the message."""

    def __init__(self, problems: Iterable[object]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class KeyMissing(OrchestratorError):
    """No key for a vendor. Names the ways out; never asks for the key in an argument."""

    kind = "no_key"


class VaultError(OrchestratorError):
    """The vault cannot be opened, read or written."""

    kind = "vault"


class VaultFormatError(VaultError):
    """The file is no vault of ours, is damaged in its open header, or asks for more work than allowed. Found before any key is derived."""


class VaultAuthError(VaultError):
    """Nothing more can be said without helping a guesser: one text for a wrong password, a flipped bit and bad padding."""

    def __init__(self) -> None:
        super().__init__("cannot open the vault: wrong password, or the file was altered.")


class VaultLocked(VaultError):
    """The vault is locked, and nobody could be asked for the password. What was under way can go on after `unlock`."""

    kind = "locked"


class StoreError(OrchestratorError):
    """The store of runs and answers cannot be written or read. What was acknowledged before is on disk."""

    kind = "store"


class LimitError(OrchestratorError):
    """A cap that the user set would be passed; nothing was sent."""

    kind = "budget"


class ReplayMiss(OrchestratorError):
    """The tape has no answer for this request."""

    kind = "replay_miss"


class PluginError(OrchestratorError):
    """A plugin failed; the message names it."""

    kind = "plugin"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about a failure: try ``again`` (at most ``most`` more times, when set) after ``wait_s`` seconds (``None``: our own backoff)."""

    again: bool
    kind: Kind
    wait_s: float | None = None
    most: int | None = None


class ProviderError(OrchestratorError):
    """A call failed on the far side or on the way.

    ``response`` holds what was received before it failed (text so far, usage), ``partial`` its text. ``billed`` says who pays:
    "no" (nothing was generated), "maybe" (the end is unknown: worst case), "yes" (tokens seen). ``simulated`` says that the simulator answered so.
    """

    retries: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        kind: Kind,
        vendor: str = "",
        model: str = "",
        status: int | None = None,
        verdict: Verdict | None = None,
        request_id: str | None = None,
        response: Response | None = None,
        billed: Literal["no", "maybe", "yes"] = "no",
    ) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.vendor, self.model, self.status, self.request_id = vendor, model, status, request_id
        self.verdict = verdict or Verdict(self.retries, kind)
        self.response, self.billed, self.simulated = response, billed, False

    @property
    def partial(self) -> str:
        """The answer's text so far, or ``""``."""
        return self.response.text if self.response else ""


class ProviderUnreachable(ProviderError):
    """Connection refused, reset while connecting, or the name does not resolve."""

    retries = True


class TLSFailure(ProviderError):
    """The certificate is not trusted. Never retried, never switched off."""


class Timeout(ProviderError):
    """One of the four clocks ran out before any text."""

    retries = True


class Transient(ProviderError):
    """408, 409, 425, or a connection lost before the body."""

    retries = True


class AuthFailed(ProviderError):
    """The vendor does not accept the key."""


class Forbidden(ProviderError):
    """The key may not do this."""


class QuotaExhausted(ProviderError):
    """The money or the day's allowance is used up; waiting seconds does not help."""


class RateLimited(ProviderError):
    """Too many at once."""

    retries = True


class BadRequest(ProviderError):
    """The vendor refuses the request as it stands."""


class ModelNotFound(ProviderError):
    """The vendor does not know the model."""


class TooLarge(ProviderError):
    """The request or the context is too long."""


class ContentFiltered(ProviderError):
    """The vendor refuses the content with an error status."""


class ServerFailure(ProviderError):
    """5xx and overload."""

    retries = True


class BreakerOpen(ProviderError):
    """The model failed too often just now; not asked again until the pause is over."""


class BadResponse(ProviderError):
    """The answer is not in the vendor's format (HTML from a proxy, broken JSON)."""

    retries = True


class ResponseTooLarge(ProviderError):
    """A cap on size, lines, events or depth was passed."""


class EmptyAnswer(ProviderError):
    """The vendor answered with nothing at all, which is not the same as an empty text."""

    retries = True


class UnexpectedRedirect(ProviderError):
    """A redirect; never followed, for a key must not travel."""


class Partial(ProviderError):
    """The answer broke off after text arrived; ``response`` keeps it, with ``complete`` False."""


class InvalidAnswer(ProviderError):
    """The model's text is not the JSON that was asked for; ``response`` keeps the text."""


class Cancelled(ProviderError):
    """The user, or the run's time limit, stopped it; ``response`` keeps the text that had arrived."""


class Skipped(ProviderError):
    """Not asked, because an earlier call of the run failed."""


CLASS_OF: dict[Kind, type[ProviderError]] = {
    "auth": AuthFailed,
    "permission": Forbidden,
    "quota": QuotaExhausted,
    "not_found": ModelNotFound,
    "invalid_request": BadRequest,
    "context_length": TooLarge,
    "content_filter": ContentFiltered,
    "too_large": TooLarge,
    "rate_limit": RateLimited,
    "overloaded": ServerFailure,
    "timeout": Timeout,
    "server": ServerFailure,
    "truncated": Partial,
    "connection": ProviderUnreachable,
    "dns": ProviderUnreachable,
    "tls": TLSFailure,
    "transient": Transient,
    "bad_response": BadResponse,
    "response_too_large": ResponseTooLarge,
    "empty": EmptyAnswer,
    "redirect": UnexpectedRedirect,
    "breaker_open": BreakerOpen,
    "invalid_json": InvalidAnswer,
    "schema": InvalidAnswer,
    "cancelled": Cancelled,
    "skipped": Skipped,
}
"""The class that carries each kind: the one place where the two vocabularies meet."""
