"""The vault's settings have bounds, so that no file can make a password cheap to guess or an unlock endless."""

import pytest

from orchestrator_nb.errors import ConfigError

BOUNDS = {
    "iterations": (100_000, 10_000_000),
    "argon2_passes": (2, 20),
    "argon2_memory_kib": (19_456, 1_048_576),
    "argon2_lanes": (1, 16),
    "idle_s": (60, 86_400),
    "limit_s": (60, 86_400),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_a_number_at_its_bound_is_taken_and_one_beyond_is_refused(home, name):
    low, high = BOUNDS[name]

    for value in (low, high):
        home.user(f"vault: {{{name}: {value}}}")
        assert home.load().value(f"vault.{name}") == value
    for value in (low - 1, high + 1):
        home.user(f"vault: {{{name}: {value}}}")
        with pytest.raises(ConfigError, match=f"config.yaml:1: vault.{name}: found {value}"):
            home.load()


@pytest.mark.parametrize("text", ["kdf: scrypt", "file_lock: 1", "iterations: 6e5", "idle_s: '900'"])
def test_a_value_of_another_kind_is_refused(home, text):
    home.user(f"vault:\n  {text}\n")

    with pytest.raises(ConfigError, match=rf"config.yaml:2: vault.{text.partition(':')[0]}: found"):
        home.load()


def test_passes_times_memory_is_bounded_in_one_file(home):
    home.user("vault:\n  argon2_passes: 5\n  argon2_memory_kib: 1048576\n")

    with pytest.raises(ConfigError, match=r"config.yaml:3: vault.argon2_memory_kib: .* 4,194,304 at most; lower"):
        home.load()


def test_passes_times_memory_is_bounded_over_all_layers(home):
    own = "vault: {argon2_passes: 4, argon2_memory_kib: 1048576}\n"
    path = home.user(f"{own}profiles:\n  work:\n    vault: {{argon2_passes: 5}}\n")
    assert home.load().settings.vault.work_kib == 4 * 1024 * 1024

    with pytest.raises(ConfigError, match=rf"{path}:1: .* 4,194,304 at most; .*{path}:4"):
        home.load(profile="work")


def test_the_variables_that_other_parts_read_are_no_notices(home):
    names = ("HOME", "PASSWORD_FILE", "PASSWORD_COMMAND")

    assert home.load({f"ORCHESTRATOR_NB_{name}": "x" for name in names}).notices == ()
