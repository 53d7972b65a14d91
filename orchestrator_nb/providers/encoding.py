"""What the encoders of all dialects share: which of the user's wishes go out, which cannot, and the bytes.

A parameter that the user did not set never goes out. One that this model or dialect does not take is left out with a sentence for
the user; where leaving it out would change what is asked, the request is refused instead.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from orchestrator_nb.calls import Params, Request
from orchestrator_nb.catalog import Quirks
from orchestrator_nb.errors import UserError
from orchestrator_nb.messages import Image, Text
from orchestrator_nb.providers.draft import mend
from orchestrator_nb.providers.schemas import in_words

PLAIN = ("temperature", "top_p", "top_k", "stop", "seed", "presence_penalty", "frequency_penalty")
"""The parameters that are one value in one place of the body."""


_JSON: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
"""`json.dumps` would make one for each call."""


class Asking:
    """One request being translated: its parameters, what its model can do, and the sentences for the user so far."""

    def __init__(self, request: Request, quirks: Quirks, *, json_word: bool = True) -> None:
        """``json_word``: the dialect's JSON mode wants the word JSON in the prompt, or there is no such mode."""
        self.request, self.quirks, self._json_word = request, quirks, json_word
        self.model, self.params = request.model, request.params
        self.notices: list[str] = []
        self._check()

    def plain(self, takes: Mapping[str, str]) -> dict[str, Any]:
        """The plain parameters under the names of this dialect; ``takes`` maps ours to theirs."""
        given = self.params.given
        return {takes[name]: _listed(given[name]) for name in PLAIN if name in given and self._taken(name, takes)}

    def refuses(self, name: str) -> bool:
        """Whether the catalogue says that this model rejects or ignores a parameter."""
        return name in self.model.refuses

    def leave_out(self, name: str, instead: str = "it was not sent") -> None:
        """Tell the user that a parameter does not go out."""
        self.notices.append(f"{self.model.ref} takes no {name}; {instead}.")

    @property
    def known(self) -> bool:
        """Whether the catalogue knows what this model can do; one that a user merely named is asked whatever the user wants."""
        return bool(self.model.features) and "unlisted" not in self.model.features

    @property
    def max_tokens(self) -> int | None:
        """What the user set, in the cell or in the model's entry."""
        return self.params.max_tokens if self.params.max_tokens is not None else self.model.max_tokens

    @property
    def effort(self) -> str | None:
        """The effort that goes out. Raises `UserError` for one that the model does not have, naming those it has."""
        effort = self.params.effort
        if effort is None:
            return None
        if self.model.efforts and effort not in self.model.efforts:
            raise UserError(
                f"{self.model.ref} has no effort {effort!r}; it takes {', '.join(self.model.efforts)}. Set one of these."
            )
        if self.refuses("effort") or (self.known and not self.model.efforts):
            self.leave_out("effort")
            return None
        return effort

    @property
    def thinking(self) -> bool | int | None:
        """The wish about thinking, if this model can follow one. ``False`` to a model that does not think needs no word."""
        wish = self.params.thinking
        if wish is None or (self.model.thinking == "none" and self.known and wish is False):
            return None
        if self.refuses("thinking") or (self.model.thinking == "none" and self.known):
            self.leave_out("thinking")
            return None
        if wish is False and self.refuses("thinking_off"):
            self.leave_out("thinking=False", "it thinks all the same")
            return None
        return wish

    def budget_only_as_switch(self, wish: bool | int) -> bool:
        """For a model that is told only whether to think, not how long."""
        if not isinstance(wish, bool):
            self.leave_out(
                "number of thinking tokens", "it thinks as long as it likes" if wish else "it was asked not to"
            )
        return bool(wish)

    @property
    def system(self) -> str | None:
        """The system prompt with what the dialect has no field for: a schema in words, or the word JSON."""
        extra = self._in_words()
        return "\n\n".join(text for text in (self.request.system, extra) if text) or None

    def wire_body(self, body: dict[str, Any]) -> bytes:
        """UTF-8 JSON with the user's ``extra`` merged in. Lone surrogates become U+FFFD, with a sentence."""
        try:
            text = _JSON.encode(_merged(body, self.params.extra))
        except (ValueError, TypeError) as error:
            reason = str(error)
        else:
            return self._utf8(text)
        raise UserError(f"the request to {self.model.ref} is not JSON ({reason}); check its numbers and extra options.")

    def _utf8(self, text: str) -> bytes:
        try:
            return text.encode()
        except UnicodeEncodeError:
            self.notices.append("The prompt has characters that are not valid Unicode; each was replaced by U+FFFD.")
        return mend(text).encode()

    def _taken(self, name: str, takes: Mapping[str, str]) -> bool:
        if name in takes and not self.refuses(name):
            return True
        self.leave_out(name)
        return False

    def _check(self) -> None:
        """What may not be left out without changing the question."""
        messages = self.request.messages
        if not any(message.parts for message in messages):
            raise UserError("the prompt is empty; write what the model should answer.")
        if not self.known:
            return
        if "vision" not in self.model.features and any(isinstance(p, Image) for m in messages for p in m.parts):
            raise UserError(f"{self.model.ref} cannot see images; ask a model with vision (%llm models).")
        if (self.params.tools and "tools" not in self.model.features) or (self.params.tools and self.refuses("tools")):
            raise UserError(f"{self.model.ref} takes no tools; ask a model that does (%llm models).")

    def _in_words(self) -> str | None:
        params = self.params
        if params.schema is not None and self.schema_form == "object":
            self.leave_out("JSON Schema", "the schema is named in the system prompt instead")
            return in_words(params.schema)
        if params.json and params.schema is None and self._json_word and not self._says_json():
            self.notices.append(f"{self.model.ref} answers in JSON only when told so; the system prompt says it.")
            return "Answer only with JSON."
        return None

    @property
    def schema_form(self) -> str:
        """``schema`` or ``object``; raises `UserError` when the vendor has neither and a schema is asked for."""
        form = self.quirks.json_schema
        if form == "schema" and self.known and "json_schema" not in self.model.features:
            form = "object" if "json" in self.model.features else form
        if form == "none" and (self.params.schema is not None or self.params.json):
            raise UserError(
                f"{self.model.vendor.name} cannot answer by a schema; describe the JSON in the prompt instead."
            )
        return form

    def _says_json(self) -> bool:
        """OpenAI and DeepSeek refuse JSON mode unless the prompt has the word. https://api-docs.deepseek.com/guides/json_mode"""
        texts = [self.request.system or "", *(message.text for message in self.request.messages)]
        return any("json" in text.lower() for text in texts)


def data_url(image: Image) -> str:
    """``data:image/png;base64,...``"""
    return f"data:{image.media_type};base64,{base64(image)}"


def base64(image: Image) -> str:
    """The bytes of an image in base64."""
    return b64encode(image.data).decode()


def joined(parts: tuple[Any, ...]) -> str:
    """The text parts in one string."""
    return "".join(part.text for part in parts if isinstance(part, Text))


def merged_quirks(own: Quirks, theirs: Quirks) -> Quirks:
    """A dialect's quirks, with those that a vendor's entry sets on top."""
    plain = Quirks()
    names = Quirks.__dataclass_fields__
    return Quirks(**{
        name: getattr(own if getattr(theirs, name) == getattr(plain, name) else theirs, name) for name in names
    })  # fmt: skip


def wants_json(params: Params) -> bool:
    """Whether the answer shall be JSON, by a schema or not."""
    return params.json or params.schema is not None


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _merged(body: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """``extra`` over ``body``; objects are merged, so that one option does not push out its neighbours."""
    both = dict(body)
    for key, value in extra.items():
        mine = both.get(key)
        both[key] = _merged(mine, value) if isinstance(mine, Mapping) and isinstance(value, Mapping) else value
    return both
