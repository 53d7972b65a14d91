"""Writing one setting: exactly that changes, comments stay, and in doubt nothing is written."""

import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator_nb.config.edit import write_setting, written
from orchestrator_nb.config.yaml import read
from orchestrator_nb.errors import ConfigError

CASES = {
    "no file": (None, "limits.parallel", 3, "limits:\n  parallel: 3\n"),
    "no file, top": (None, "model", "opus", "model: opus\n"),
    "only comments": ("# hello\n", "model", "opus", "# hello\nmodel: opus\n"),
    "no last newline": ("model: a", "limits.parallel", 3, "model: a\nlimits:\n  parallel: 3\n"),
    "in place": ("model: a # why\n", "model", "b", "model: b # why\n"),
    "quoted": ("model: 'a'\n", "model", "7", 'model: "7"\n'),
    "flow": ("limits: {parallel: 1, attempts: 2} # x\n", "limits.parallel", 9, "limits: {parallel: 9, attempts: 2} # x\n"),
    "into flow": ("limits: {attempts: 2}\n", "limits.parallel", 9, "limits: {parallel: 9, attempts: 2}\n"),
    "into empty flow": ("limits: {}\n", "limits.parallel", 9, "limits: {parallel: 9}\n"),
    "into a section": ("limits:\n    # two\n    attempts: 2\nmodel: a\n", "limits.parallel", 9, "limits:\n    # two\n    parallel: 9\n    attempts: 2\nmodel: a\n"),
    "list in brackets": ("params: {stop: [a, b]}\n", "params.stop", ["c d"], "params: {stop: [c d]}\n"),
    "null": ("params:\n  seed: 4\n", "params.seed", None, "params:\n  seed: null\n"),
    "glob": ("prices: {}\n", "prices.openai/gpt-5.4*", {"input": 1, "output": 2.5}, "prices: {openai/gpt-5.4*: {input: 1, output: 2.5}}\n"),
    "CRLF, a new line": ("model: a\r\n", "limits.parallel", 2, "model: a\r\nlimits:\r\n  parallel: 2\r\n"),
    "CRLF": ("model: a\r\nlimits:\r\n  parallel: 1\r\n", "limits.parallel", 2, "model: a\r\nlimits:\r\n  parallel: 2\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_setting_changes_and_everything_else_stays(tmp_path, name):
    before, key, value, after = CASES[name]
    path = tmp_path / "config.yaml"
    if before is not None:
        path.write_bytes(before.encode())
        path.chmod(0o644)

    write_setting(path, key, value)

    assert path.read_bytes().decode() == after
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    ("before", "key", "value"),
    [
        ("params:\n  stop:\n    - a\n", "params.stop", ["b"]),
        ("{model: a}\n", "limits.parallel", 3),
        ("model: a\n...\n", "limits.parallel", 3),
        ("main_llm: {provider: gemini, model: flash}\n", "model", "opus"),
    ],
)
def test_what_cannot_be_edited_safely_is_left_as_it_is(tmp_path, before, key, value):
    path = tmp_path / "config.yaml"
    path.write_text(before)
    path.chmod(0o600)

    with pytest.raises(ConfigError):
        write_setting(path, key, value)

    assert path.read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == ["config.yaml"]


def test_a_link_stays_a_link(tmp_path):
    real = tmp_path / "dotfiles.yaml"
    real.write_text("model: a\n")
    (tmp_path / "config.yaml").symlink_to(real)

    write_setting(tmp_path / "config.yaml", "model", "opus")

    assert (tmp_path / "config.yaml").is_symlink()
    assert real.read_text() == "model: opus\n"


def test_a_file_that_others_may_write_is_not_edited(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("model: a\n")
    path.chmod(0o666)

    with pytest.raises(ConfigError, match="chmod go-w"):
        write_setting(path, "model", "opus")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(-1e9, 1e9, allow_subnormal=False)
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES)
def test_a_written_value_is_read_back_or_refused_never_changed(value):
    try:
        back = read(f"k: {written(value)}\n".encode("utf-8", "surrogatepass"), "f").value["k"]
    except ConfigError:
        return  # control characters, which YAML has no place for
    assert back == value


@pytest.mark.parametrize(
    ("before", "key", "value"),
    [(None, "model", "sonett"), ("# mine\nmodel: opus\n", "model", "sonett"), ("# mine\n", "profile", "nosuch")],
)
def test_a_value_that_nothing_could_be_loaded_with_leaves_the_file_as_it_was(home, before, key, value):
    if before:
        home.user(before)

    with pytest.raises(ConfigError) as failure:
        home.load().set_user(key, value)

    assert str(failure.value).startswith(f"config: {key}: ")
    assert (home.paths.settings.read_text() if home.paths.settings.exists() else None) == before
    home.load()
