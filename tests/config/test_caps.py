"""A cap on money is the user's: what came with a notebook may lower it, and nothing but the user's own files raises it."""

import re
from decimal import Decimal

import pytest

from orchestrator_nb.config.project import LOWERED
from orchestrator_nb.config.schema import keys
from orchestrator_nb.errors import ConfigError

KEYS = sorted(LOWERED)
USD = Decimal


def value(home, key, **how):
    return getattr(home.load(**how).settings.limits, key.partition(".")[2])


def sets(key, amount):
    return f"limits: {{{key.partition('.')[2]}: {amount}}}\n"


def variable(key):
    return f"ORCHESTRATOR_NB_{key.replace('.', '__').upper()}"


def test_every_cap_is_meant():
    assert {key for key in keys() if "max_cost" in key} == LOWERED


@pytest.mark.parametrize("key", KEYS)
def test_there_is_none_unless_somebody_sets_one_exactly_as_written(home, key):
    assert value(home, key) is None
    home.user(sets(key, "0.10"))
    assert value(home, key) == USD("0.1")


@pytest.mark.parametrize("key", KEYS)
def test_a_project_that_is_not_trusted_may_lower_it_and_never_raise_it(home, key):
    home.beside(sets(key, 3))
    assert value(home, key) == 3
    home.user(sets(key, 2))
    for amount in (3, "null"):
        home.beside(sets(key, amount))
        with pytest.raises(ConfigError, match=re.escape(f"{key}: found {amount}; a project may only lower it, here to 2 or less")):  # fmt: skip
            home.load()
    home.beside(sets(key, 1.5))
    assert value(home, key) == USD("1.5")


@pytest.mark.parametrize("key", KEYS)
def test_a_variable_may_lower_it_and_never_raise_it(home, key):
    assert value(home, key, environ={variable(key): "3"}) == 3
    path = home.user(sets(key, 2))
    assert value(home, key, environ={variable(key): "1"}) == 1
    for amount in ("3", "null"):
        with pytest.raises(ConfigError, match=r"a variable may not let more be spent than the cap in your own files allows \(2, ") as failure:  # fmt: skip
            home.load(environ={variable(key): amount})
        assert str(path) in str(failure.value)


@pytest.mark.parametrize(("name", "text"), [("PRICES__GPT", "{input: 0, output: 0}"), ("STORE__ENABLED", "false")])
def test_nor_may_a_variable_evade_it(home, name, text):
    environ = {f"ORCHESTRATOR_NB_{name}": text}
    home.load(environ=environ)
    home.user(sets("limits.max_cost_day_usd", 2))
    with pytest.raises(ConfigError, match="a variable may not let more be spent"):
        home.load(environ=environ)


@pytest.mark.parametrize("amount", ["-1", ".inf", "a lot"])
def test_a_cap_is_an_amount(home, amount):
    home.user(sets("limits.max_cost_usd", amount))
    with pytest.raises(ConfigError, match=r"limits\.max_cost_usd"):
        home.load()
