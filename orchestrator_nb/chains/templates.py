"""Ready chains with parameters, as data beside this file: what there is, and a chain made from one.

A parameter stands in the chain as ``$name``: alone it becomes the value itself, inside a text the value's text. Parameters are put in once, before the chain is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

from orchestrator_nb.chains.chain import Chain
from orchestrator_nb.chains.inputs import is_a
from orchestrator_nb.chains.load import read_value
from orchestrator_nb.chains.work import Work
from orchestrator_nb.config.shapes import unknown
from orchestrator_nb.config.yaml import read, scalar
from orchestrator_nb.errors import UserError

_PARAMETER: Final = re.compile(r"\$([A-Za-z]\w*)")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that can be set when a chain is made. A ``default`` of null leaves it to the session (a model)."""

    name: str
    default: Any
    description: str
    type: str = "any"


@dataclass(frozen=True, slots=True)
class Ready:
    """A template: its parameters by name, and the value that they are put into."""

    name: str
    description: str
    parameters: Mapping[str, Parameter]
    body: Mapping[str, Any]

    def chain(self, name: str | None = None, values: Mapping[str, Any] | None = None) -> Chain:
        """A chain called ``name`` with these parameters. Raises `UserError` for one that is unknown or of another type, `ChainError` when no chain comes of it."""
        given = {key: self._value(key, value) for key, value in (values or {}).items()}
        known = {parameter.name: parameter.default for parameter in self.parameters.values()} | given
        return read_value({"description": self.description, **_put(self.body, known)}, name or self.name).sound

    def _value(self, key: str, value: Any) -> Any:
        if key not in self.parameters:
            raise UserError(f"{unknown(key, self.parameters, f'parameter {key!r} of the template {self.name!r}')}.")
        parameter = self.parameters[key]
        read = scalar(value) if isinstance(value, str) and parameter.type != "any" else value
        if parameter.type != "any" and not is_a(read, parameter.type):
            raise UserError(
                f"parameter {key!r} takes {'a whole number' if parameter.type == 'integer' else f'a {parameter.type}'}, not {value!r}."
            )
        return read


@cache
def ready() -> Mapping[str, Ready]:
    """The templates by name."""
    folder = resources.files(__package__) / "templates"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {name: _read(name, file.read_bytes()) for file in files for name in [file.name.removesuffix(".yaml")]}


def template(name: str) -> Ready:
    """One of `ready`. Raises `UserError` with the nearest name."""
    if name not in ready():
        raise UserError(f"{unknown(name, ready(), f'template {name!r}')}.")
    return ready()[name]


def _read(name: str, data: bytes) -> Ready:
    value = read(data, f"{name}.yaml").value
    parameters = {key: Parameter(key, **given) for key, given in value["parameters"].items()}
    return Ready(name, value["description"], parameters, value["chain"])


def _put(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _put(inner, known) for key, inner in value.items()}
    if isinstance(value, list):
        return [_put(inner, known) for inner in value]
    return _filled(value, known) if isinstance(value, str) else value


def _filled(text: str, known: Mapping[str, Any]) -> Any:
    whole = _PARAMETER.fullmatch(text)
    if whole and whole[1] in known:
        return known[whole[1]]
    return _PARAMETER.sub(lambda found: Work().text(known[found[1]]) if found[1] in known else found[0], text)
