"""Chains of every shape, for laws: valid in the language, though not always in their plan."""

from decimal import Decimal

from hypothesis import strategies as st

from orchestrator_nb.chains import (
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
from orchestrator_nb.chains.language import RESERVED

_TAKEN = RESERVED | {"and", "or", "not", "in", "is", "if", "else"}
_letters = "abcXYZ"
names = st.builds(lambda first, rest: first + rest, st.sampled_from(_letters), st.text("abz019_", max_size=4)).filter(
    lambda name: name not in _TAKEN
)
_odd = [
    "yes",
    "true",
    "null",
    "007",
    "1.5",
    "22:30",
    "- a",
    "a: b",
    "# no",
    "{{ a.b }} {% if x %}",
    "a\nb",
    "a\n\n  b\n",
    " led",
    "trailing \nx",
    "\ttab",
    "é\u2028ü",
    "\ufeffx",
    "'\"",
    "|",
    "&a",
    "*a",
    "!t",
    "<<",
    "@x",
    "%",
    "😀\n\n",
    "~",
    "1e9",
    "x\u0085y",
    "a # b",
    "0x1f",
    "=",
    ".5",
]
texts = st.sampled_from(_odd) | st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), include_characters="\n\t"), min_size=1, max_size=12
).filter(str.strip)
words = st.sampled_from(["analyze", "technical_writer", "my_own"])
several = st.lists(texts, min_size=0, max_size=3).map(tuple)
floats = st.floats(0.001, 1e6, allow_nan=False)
_scalars = st.sampled_from([None, True, False, 0, -1, 10**20, 0.1, -2.5e-7, 1e300, "", *_odd]) | st.floats(
    allow_nan=False, allow_infinity=False
)
_keys = texts.filter(lambda text: "\n" not in text and len(text) < 100)
json = (
    _scalars
    | st.lists(_scalars, max_size=3)
    | st.dictionaries(_keys, _scalars, max_size=2)
    | st.just([[], {}, [[1, {"a": [None]}]]])
)
objects = st.dictionaries(names, json, max_size=3)
money = st.none() | st.integers(0, 10**8).map(lambda cents: Decimal(cents) / 100)


def _retries():
    return st.none() | st.builds(Retry, st.integers(0, 20), st.floats(0, 3600))


def _on_errors():
    return st.one_of(
        st.none(),
        st.sampled_from([OnError("fail"), OnError("skip")]),
        st.builds(lambda value: OnError("default", value=value), json),
        st.builds(lambda name: OnError("goto", step=name), names),
    )


def _some(**fields):
    """At most three of the fields, so that a chain is quickly drawn."""
    return st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({name: fields[name] for name in chosen})
    )


def _asks():
    free = _some(
        role=words,
        persona=words,
        model=several,
        fallback=several,
        mode=texts,
        options=objects,
        schema=texts | objects,
        samples=st.integers(1, 100),
    )
    return st.builds(lambda prompt, rest: Ask(prompt=prompt, **rest), texts, free) | st.builds(
        Ask, prompt=st.none() | texts, system=texts
    )


def _branches(inner):
    return st.lists(inner, min_size=1, max_size=3, unique_by=lambda step: step.id).map(tuple)


@st.composite
def _switches(draw, inner):
    cases = draw(_branches(inner).filter(lambda cases: all(case.id != "default" for case in cases)))
    default = draw(st.none() | inner.map(lambda step: _renamed(step, "default")))
    if draw(st.booleans()):
        return Switch(cases, on=draw(texts), default=default)
    return Switch(cases, ask=Ask(prompt=draw(texts), model=draw(several), options=draw(objects)), default=default)


def _renamed(step, name):
    from dataclasses import replace

    return replace(step, id=name)


_planned = st.builds(
    lambda task, model, options, rest: Propose(Ask(prompt=task, model=model, options=options), **rest),
    texts, st.lists(texts, max_size=1).map(tuple), objects,
    _some(allow=several, max_steps=st.integers(1, 100), max_calls=st.integers(1, 10_000), max_cost_usd=money, trusted=st.booleans(), repair=st.integers(0, 10)),
)  # fmt: skip


def _steps(deeds):
    rest = _some(
        input=json,
        when=texts,
        each=st.builds(Each, texts | st.lists(_scalars, max_size=3), names, st.none() | st.integers(1, 1000)),
        repeat=st.builds(Repeat, st.integers(1, 1000), st.none() | texts),
        retry=_retries(),
        on_error=_on_errors(),
        timeout_s=floats,
        budget_usd=money,
        save=names,
    )
    return st.builds(lambda name, deed, more: Step(name, deed, **more), names, deeds, rest)


def _deeper(inner):
    return _steps(st.builds(Block, _branches(inner)) | st.builds(Parallel, _branches(inner)) | _switches(inner))


_leaf = _steps(_asks() | st.builds(Use, texts, objects) | st.builds(Python, texts, objects) | _planned)


@st.composite
def _simple(draw):
    """Shown by its name, and not as pages of strategies."""
    return draw(_leaf)


_whole = st.recursive(_simple(), _deeper, max_leaves=3)


@st.composite
def _one(draw):
    """Any step; shown by this name, and not as pages of strategies."""
    return draw(_whole)


steps = _one()
inputs = st.one_of(
    st.builds(Input, names, st.sampled_from(["text", "number", "any"])),
    st.builds(Input, names, st.just("any"), json, texts, st.lists(json, max_size=3).map(tuple)),
)
defaults = _some(
    model=several, persona=words, mode=texts, options=objects, fallback=several, retry=_retries(),
    on_error=_on_errors().filter(lambda act: act is None or act.act != "goto"), timeout_s=floats, budget_usd=money,
).map(lambda fields: Defaults(**fields))  # fmt: skip
outputs = st.dictionaries(names, texts.map(lambda text: "{{ x }}" + text), max_size=3)
_chains = st.builds(
    Chain, st.sampled_from(["a", "my-chain", "7_up"]), _branches(steps),
    st.lists(inputs, max_size=3, unique_by=lambda item: item.name).map(tuple), outputs, defaults, st.one_of(st.just(""), texts),
)  # fmt: skip


@st.composite
def _any_chain(draw):
    """As `_one`."""
    return draw(_chains)


chains = _any_chain()
