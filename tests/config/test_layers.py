"""Every value comes from the highest layer that sets it, and remembers all of them."""

import os
import stat
import subprocess
import sys

import pytest

from orchestrator_nb.config.schema import MAPS, keys
from orchestrator_nb.errors import ConfigError


def test_without_any_file_everything_has_its_default(home):
    config = home.load()

    assert {key: config.value(key) for key in keys() if key not in MAPS} == {
        k: v for k, v in keys().items() if k not in MAPS
    }
    assert config.notices == ()
    assert config.settings.params.given == {}


def test_each_layer_covers_the_one_below_and_why_shows_them_all(home, tmp_path):
    home.user("params: {temperature: 0.1}\nprofile: work\nprofiles:\n  work:\n    params: {temperature: 0.2}\n")
    home.beside("params:\n  temperature: 0.3\n")

    config = home.load({"ORCHESTRATOR_NB_PARAMS__TEMPERATURE": "0.4"}, {"params.temperature": 0.5})
    why = config.why("params.temperature")

    assert config.settings.params.temperature == config.value("params.temperature") == 0.5
    assert [origin.layer for origin in why] == ["cell", "environment", "project", "profile", "user", "defaults"]
    assert [origin.value for origin in why] == [0.5, 0.4, 0.3, 0.2, 0.1, None]
    assert [origin.place for origin in why] == [
        "cell",
        "ORCHESTRATOR_NB_PARAMS__TEMPERATURE",
        f"{home.project}/orchestrator-nb.yaml:2",
        f"{home.paths.settings}:5",
        f"{home.paths.settings}:1",
        "built-in",
    ]


def test_the_administrators_file_lies_below_the_users(home, tmp_path):
    from dataclasses import replace

    home.write(tmp_path / "etc/config.yaml", "limits: {parallel: 5, attempts: 7}\n")
    home.user("limits: {parallel: 6}\n")
    home.paths = replace(home.paths, system=tmp_path / "etc")

    config = home.load()

    assert (config.value("limits.parallel"), config.value("limits.attempts")) == (6, 7)
    assert [origin.layer for origin in config.why("limits.parallel")] == ["user", "system", "defaults"]


def test_maps_are_merged_by_name(home):
    home.user("prices:\n  gpt-5.4*: {input: 1, output: 2}\nroles: {Judge: You judge.}\n")
    home.beside("roles: {Plan: You plan.}\n")

    config = home.load()

    assert config.value("roles") == {"Judge": "You judge.", "Plan": "You plan."}
    assert str(config.value("prices.gpt-5.4*").input) == "1"
    assert config.why("roles.Plan")[0].layer == "project"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("limits.paralel", "limits.paralel: unknown key; did you mean 'parallel'\\? Accepted: parallel, attempts"),
        ("limit.parallel", "unknown setting; did you mean 'limits.parallel'"),
        ("modle", "did you mean 'model'"),
        ("limits", "unknown setting"),
    ],
)
def test_an_unknown_key_names_the_nearest(home, key, reason):
    with pytest.raises(ConfigError, match=reason):
        home.load().why(key)
    with pytest.raises(ConfigError, match=reason):
        home.load().value(key)
    with pytest.raises(ConfigError, match=reason):
        home.load(cell={key: 1})


def test_environment_variables_are_typed_as_in_yaml(home):
    config = home.load({
        "ORCHESTRATOR_NB_LIMITS__PARALLEL": "8",
        "ORCHESTRATOR_NB_MODEL": "opus",
        "ORCHESTRATOR_NB_PARAMS__STOP": "[END, '22:30']",
        "ORCHESTRATOR_NB_PROFILE": "default",
        "OTHER": "x",
    })  # fmt: skip

    assert config.settings.limits.parallel == 8
    assert config.settings.model == "opus"
    assert config.settings.params.stop == ("END", "22:30")
    assert config.settings.profile == "default"


def test_a_wrong_variable_is_an_error_that_names_it(home):
    with pytest.raises(
        ConfigError, match=r"ORCHESTRATOR_NB_LIMITS__PARALLEL: limits.parallel: found 'many', expected a whole number"
    ):
        home.load({"ORCHESTRATOR_NB_LIMITS__PARALLEL": "many"})
    with pytest.raises(ConfigError, match=r"ORCHESTRATOR_NB_LIMITS__PARALEL: .*did you mean 'parallel'"):
        home.load({"ORCHESTRATOR_NB_LIMITS__PARALEL": "8"})


@pytest.mark.parametrize("variable", ["NETWORK__PROXY", "NETWORK__CA_FILE", "VAULT__ITERATIONS", "VAULT__FILE_LOCK"])
def test_no_variable_says_what_is_on_the_way_or_how_the_vault_is_sealed(home, variable):
    """A project's .env that is loaded into a running kernel sets variables too."""
    config, environ = home.load(), {f"ORCHESTRATOR_NB_{variable}": "/tmp/ca.pem"}

    with pytest.raises(ConfigError, match=f"^ORCHESTRATOR_NB_{variable}: .*set it in your config.yaml"):
        home.load(environ)
    assert config.settings.network.proxy is None


def test_a_variable_of_our_prefix_that_is_no_setting_is_mentioned(home):
    assert home.load({"ORCHESTRATOR_NB_COLOUR": "1"}).notices == (
        "ORCHESTRATOR_NB_COLOUR is not a setting and is ignored.",
    )


def test_a_cells_options_do_not_change_the_configuration_they_come_from(home):
    config = home.load()

    assert config.with_cell({"limits.parallel": 2}).settings.limits.parallel == 2
    assert config.settings.limits.parallel == 64
    with pytest.raises(ConfigError, match=r"cell: limits.parallel: found 0, expected greater than or equal to 1"):
        config.with_cell({"limits.parallel": 0})


def test_an_unknown_profile_is_an_error_and_the_variable_chooses_one(home):
    home.user("profiles:\n  work: {limits: {parallel: 3}}\n")

    assert home.load({"ORCHESTRATOR_NB_PROFILE": "work"}).settings.limits.parallel == 3
    assert home.load().settings.limits.parallel == 64
    with pytest.raises(
        ConfigError, match=r"ORCHESTRATOR_NB_PROFILE: profile: unknown profile 'wrok'; did you mean 'work'"
    ):
        home.load({"ORCHESTRATOR_NB_PROFILE": "wrok"})


def test_an_unknown_default_model_is_an_error_where_it_is_set(home):
    path = home.user("# mine\nmodel: sonet\n")

    with pytest.raises(ConfigError, match=f"{path}:2: model: unknown model 'sonet'; did you mean 'sonnet'"):
        home.load()


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are POSIX")
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
@pytest.mark.parametrize("name", ["config.yaml", "models.yaml"])
def test_a_users_file_that_others_may_write_is_not_trusted(home, mode, name):
    path = home.user("model: opus\n" if name == "config.yaml" else "ollama: {}\n", name)
    path.chmod(mode)

    with pytest.raises(ConfigError, match=f"{path}: others may write to it.*chmod go-w"):
        home.load()


@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="only root can give a file away")
def test_a_users_file_of_somebody_else_is_not_trusted(home):
    path = home.user("model: opus\n")
    os.chown(path, 12345, -1)

    with pytest.raises(ConfigError, match=r"belongs to user 12345, so it is not trusted"):
        home.load()


def test_a_folder_in_the_place_of_the_file_is_an_error(home):
    home.paths.settings.mkdir(parents=True)

    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be read: Is a directory"):
        home.load()


def test_loading_creates_nothing(home):
    home.load()

    assert not home.paths.config.exists()


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(home):
    config = home.load()
    assert config.refreshed() is config

    home.beside("model: opus\n")
    fresh = config.refreshed()
    assert fresh.settings.model == "opus"
    assert fresh.refreshed() is fresh

    (home.project / "orchestrator-nb.yaml").unlink()
    assert fresh.refreshed().settings.model is None


def test_importing_the_package_imports_neither_pydantic_nor_yaml():
    code = (
        "import sys, orchestrator_nb.config; sys.exit(bool({'pydantic', 'yaml', 'platformdirs'} & sys.modules.keys()))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_set_user_writes_the_file_with_its_comments_and_returns_what_is_then(home):
    path = home.user("# my settings\nlimits:   # careful\n  parallel: 4   # the lab's line is thin\n")

    config = home.load().set_user("limits.parallel", "16").set_user("limits.attempts", 5).set_user("model", "opus")

    assert path.read_text() == (
        "# my settings\nlimits:   # careful\n  attempts: 5\n  parallel: 16   # the lab's line is thin\nmodel: opus\n"
    )
    assert (config.settings.limits.parallel, config.settings.limits.attempts, config.settings.model) == (16, 5, "opus")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_set_user_says_when_a_higher_layer_still_wins(home):
    config = home.load({"ORCHESTRATOR_NB_LIMITS__PARALLEL": "8"}).set_user("limits.parallel", 4)

    assert config.settings.limits.parallel == 8
    assert config.notices == (
        "limits.parallel is saved, but ORCHESTRATOR_NB_LIMITS__PARALLEL (environment) still wins.",
    )


def test_a_wrong_value_is_refused_before_the_file_is_touched(home):
    path = home.user("model: opus\n")

    for key, value in [("limits.parallel", "many"), ("limits.paralel", 4), ("params.effort", "hard")]:
        with pytest.raises(ConfigError):
            home.load().set_user(key, value)
    assert path.read_text() == "model: opus\n"
