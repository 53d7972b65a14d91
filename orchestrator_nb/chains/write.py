"""A chain as plain values and as its canonical YAML: what is not said is left out, short forms where they say it all. `load` reads it back to an equal chain."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import yaml

from orchestrator_nb.chains.chain import (
    REQUIRED,
    VERSION,
    Ask,
    Block,
    Chain,
    Defaults,
    Each,
    Input,
    OnError,
    Parallel,
    Propose,
    Python,
    Repeat,
    Retry,
    Step,
    Switch,
    Use,
)
from orchestrator_nb.config.yaml import scalar

Plain = dict[str, Any]


def to_plain(chain: Chain) -> Plain:
    """The chain as the JSON value that a file of version 2 has."""
    return {
        "version": VERSION,
        "name": chain.name,
        **_said(description=chain.description),
        "inputs": {given.name: _input(given) for given in chain.inputs},
        **_said(defaults=_common(chain.defaults)),
        "steps": [_step(step) for step in chain.steps],
        **_said(outputs=_copied(chain.outputs)),
    }


def to_yaml(chain: Chain) -> str:
    """The chain as YAML, with texts of several lines as blocks."""
    return dumped(to_plain(chain))


def dumped(value: Any) -> str:
    """A plain value as YAML that our reader reads back to the same."""
    text: str = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def _said(**keys: Any) -> Plain:
    """The keys that say something."""
    return {key: value for key, value in keys.items() if value not in (None, "", {}, [], ())}


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list | tuple) else value


def _input(given: Input) -> Any:
    default = {} if given.default is REQUIRED else {"default": _copied(given.default)}
    rest = default | _said(description=given.description, choices=_copied(given.choices))
    return {"type": given.type, **rest} if rest else given.type


def _step(step: Step, *, named: bool = True) -> Plain:
    return {
        **({"id": step.id} if named else {}),
        **_deed(step),
        **({} if step.input is None else {"input": _copied(step.input)}),
        **_said(
            when=step.when,
            each=_each(step.each),
            repeat=_repeat(step.repeat),
            retry=_retry(step.retry),
            on_error=_on_error(step.on_error),
            timeout=step.timeout_s,
            budget=_money(step.budget_usd),
            save=step.save,
        ),
    }


def _deed(step: Step) -> Plain:  # noqa: PLR0911  # one of each kind
    match step.do:
        case Ask() as ask:
            return _ask(ask)
        case Block(steps):
            return {"steps": [_step(inner) for inner in steps]}
        case Parallel(branches):
            return {"parallel": {branch.id: _step(branch, named=False) for branch in branches}}
        case Switch() as switch:
            return {"switch": _switch(switch)}
        case Use(chain, given):
            return {"use": chain, **_said(**{"with": _copied(given)})}
        case Python(function, given):
            return {"python": function, **_said(**{"with": _copied(given)})}
        case Propose() as propose:
            return {"plan": _propose(propose)}


def _ask(ask: Ask) -> Plain:
    said = _said(
        role=ask.role,
        persona=ask.persona,
        system=ask.system,
        prompt=ask.prompt,
        model=_several(ask.model),
        fallback=_several(ask.fallback),
        mode=ask.mode,
        options=_copied(ask.options),
        samples=ask.samples,
    )
    return said if ask.schema is None else {**said, "schema": _copied(ask.schema)}


def _switch(switch: Switch) -> Plain:
    ask = switch.ask or Ask()
    return {
        **_said(on=switch.on, ask=ask.prompt, model=_several(ask.model), options=_copied(ask.options)),
        "cases": {case.id: _step(case, named=False) for case in switch.cases},
        **({"default": _step(switch.default, named=False)} if switch.default else {}),
    }


def _propose(propose: Propose) -> Any:
    ask, usual = propose.ask, Propose(propose.ask)
    rest = _said(
        model=_several(ask.model),
        options=_copied(ask.options),
        allow=_several(propose.allow),
        max_cost=_money(propose.max_cost_usd),
    )
    numbers = {name: getattr(propose, name) for name in ("max_steps", "max_calls", "trusted", "repair")}
    rest |= {name: value for name, value in numbers.items() if value != getattr(usual, name)}
    return {"task": ask.prompt, **rest} if rest else ask.prompt


def _common(defaults: Defaults) -> Plain:
    return {
        **_said(
            model=_several(defaults.model),
            persona=defaults.persona,
            mode=defaults.mode,
            system=defaults.system,
            options=_copied(defaults.options),
            fallback=_several(defaults.fallback),
            retry=_retry(defaults.retry),
            on_error=_on_error(defaults.on_error),
            timeout=defaults.timeout_s,
            budget=_money(defaults.budget_usd),
        ),
    }


def _several(names: tuple[str, ...]) -> Any:
    return names[0] if len(names) == 1 else list(names)


def _each(each: Each | None) -> Any:
    if each is None:
        return None
    over = _copied(each.over)
    rest = _said(**{"as": each.name if each.name != "item" else None}, parallel=each.parallel)
    return {"over": over, **rest} if rest or not over else over


def _repeat(repeat: Repeat | None) -> Any:
    if repeat is None:
        return None
    return {"max": repeat.max, "until": repeat.until} if repeat.until is not None else repeat.max


def _retry(retry: Retry | None) -> Any:
    if retry is None:
        return None
    return {"times": retry.times, "wait_s": retry.wait_s} if retry.wait_s or not retry.times else retry.times


def _on_error(on_error: OnError | None) -> Any:
    match on_error:
        case None:
            return None
        case OnError("default", value):
            return {"default": _copied(value)}
        case OnError("goto", step=step):
            return {"goto": step}
        case OnError(act):
            return act


def _money(usd: Decimal | None) -> Any:
    return None if usd is None else int(usd) if usd == int(usd) else float(usd)


class Dumper(yaml.SafeDumper):
    """Blocks for long texts, no aliases, and quotes wherever our reader would take a text for something else."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Every value is written out."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _style(text: str) -> str | None:
    """A block for lines, quotes for what YAML would read as something else, else what PyYAML likes best."""
    if any(not sign.isprintable() and sign != "\n" for sign in text) or not isinstance(scalar(text), str):
        return '"'
    if "\n" not in text:
        return None
    fits = not any(line != line.rstrip() for line in text.split("\n")) and not text.startswith(("\n", " "))
    return "|" if fits else '"'


def _float(dumper: yaml.SafeDumper, number: float) -> yaml.ScalarNode:
    digits = repr(number)
    if "." not in digits:
        digits = digits.replace("e", ".0e")  # YAML 1.1, which PyYAML writes, takes 1e+300 for a text
    return dumper.represent_scalar("tag:yaml.org,2002:float", digits)


Dumper.add_representer(str, _text)
Dumper.add_representer(float, _float)
