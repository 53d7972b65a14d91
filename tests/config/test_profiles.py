"""A profile is a layer of settings and a vault, chosen by a name that is safe as a file's name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.config import choose_profile, list_profiles
from orchestrator_nb.config.paths import PROFILE, Paths
from orchestrator_nb.config.yaml import read
from orchestrator_nb.errors import ConfigError

BAD = ["../x", "a/b", "a\\b", ".", "", "a.b", "Work", "wörk", "a b", "a\n", "\x00", "x" * 33, "con:", "~", "${HOME}"]


def choose(home, name, *, new=False, environ=None):
    return choose_profile(name, home.paths, home.project, environ or {}, new=new)


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_refused_wherever_it_stands(home, name):
    with pytest.raises(ConfigError, match="expected a profile's name: 1 to 32 of a-z"):
        home.paths.vault(name)
    with pytest.raises(ConfigError, match=r"^config: profile: found .* expected a profile's name"):
        choose(home, name, new=True)
    with pytest.raises(ConfigError, match=r"^profile argument: profile: found"):
        home.load(profile=name)
    if "\x00" not in name:
        with pytest.raises(ConfigError, match=r"^ORCHESTRATOR_NB_PROFILE: profile: found .* Change the variable"):
            home.load({"ORCHESTRATOR_NB_PROFILE": name})
    assert not home.paths.settings.exists()


@pytest.mark.parametrize(
    "text", ["profile: a/b\n", "# mine\nprofiles: {a.b: {}}\n", "profiles:\n  Work: {model: opus}\n"]
)
def test_a_file_with_a_bad_name_is_refused_with_its_line(home, text):
    path = home.user(text)

    with pytest.raises(ConfigError, match=rf"{path}:\d: profile.*: found '.*', expected a profile's name"):
        home.load()


@given(st.text(max_size=40))
def test_a_vaults_path_never_leaves_its_folder(name):
    paths = Paths.find({"ORCHESTRATOR_NB_HOME": "/h"})
    if PROFILE.fullmatch(name):
        assert paths.vault(name).parent == paths.data / "vaults"
        assert paths.vault(name).name == f"{name}.onbv"
    else:
        with pytest.raises(ConfigError):
            paths.vault(name)


def test_a_name_of_digits_or_a_word_of_yaml_is_a_name(home):
    for name in ("2026", "true", "null", "-", "_"):
        assert choose(home, name, new=True).settings.profile == name
        assert home.load({"ORCHESTRATOR_NB_PROFILE": name}).settings.profile == name


def test_a_new_profile_is_an_empty_layer_and_comments_stay(home):
    home.user("# mine\nmodel: opus  # the best\n")

    config = choose(home, "work", new=True)

    assert home.paths.settings.read_text() == "# mine\nmodel: opus  # the best\nprofiles:\n  work: {}\nprofile: work\n"
    assert config.settings.profile == home.load().settings.profile == "work"
    assert choose(home, "default").settings.profile == "default"
    assert choose(home, "play", new=True).profiles.keys() == {"default", "work", "play"}


@pytest.mark.parametrize("name", ["work", "default"])
def test_a_profile_that_exists_is_not_made_again(home, name):
    before = "profiles:\n  work: {model: opus}\n"
    home.user(before)

    with pytest.raises(ConfigError, match="exists already; leave out --new"):
        choose(home, name, new=True)

    assert home.paths.settings.read_text() == before


def test_an_unknown_profile_names_the_nearest_and_how_to_make_one(home):
    home.user("profiles: {work: {}}\n")

    with pytest.raises(ConfigError, match=r"'wrok'; did you mean 'work'\? .* %llm config profile wrok --new"):
        choose(home, "wrok")
    assert home.paths.settings.read_text() == "profiles: {work: {}}\n"


def test_a_profile_that_went_can_be_left_or_made_though_nothing_loads_with_it(home):
    home.user("profile: ghost\n")
    with pytest.raises(ConfigError, match=r"config.yaml:1: profile: unknown profile 'ghost'"):
        home.load()
    assert choose(home, "default").settings.profile == "default"

    environ = {"ORCHESTRATOR_NB_PROFILE": "ghost"}
    with pytest.raises(ConfigError, match=r"^ORCHESTRATOR_NB_PROFILE: .*%env ORCHESTRATOR_NB_PROFILE=default\.$"):
        home.load(environ)
    assert choose(home, "ghost", new=True, environ=environ).settings.profile == "ghost"


def test_a_profile_with_which_nothing_loads_is_not_switched_to(home):
    before = "profiles:\n  broken: {model: sonett}\n"
    home.user(before)

    with pytest.raises(ConfigError, match="unknown model 'sonett'"):
        choose(home, "broken")
    assert home.paths.settings.read_text() == before


def test_a_profile_asked_for_wins_over_the_variable_and_the_file(home):
    home.user("profile: a\nprofiles: {a: {model: opus}, b: {model: haiku}, c: {model: sonnet}}\n")

    config = home.load({"ORCHESTRATOR_NB_PROFILE": "b"}, profile="c")

    assert config.settings.model == "sonnet"
    assert [(o.layer, o.value) for o in config.why("profile")] == [
        ("cell", "c"),
        ("environment", "b"),
        ("user", "a"),
        ("defaults", "default"),
    ]
    assert home.load({"ORCHESTRATOR_NB_PROFILE": "b"}).why("model")[0].layer == "profile"


WRITES = {
    "no such section": ("profiles:\n  work: {}\n", "profiles:\n  work: {params: {seed: 4}}\n"),
    "in a block": ("profiles:\n  work:\n    model: opus  # x\n", "profiles:\n  work:\n    params:\n      seed: 4\n    model: opus  # x\n"),
    "beside another": ("profiles:\n  work:\n    params:\n      top_k: 2\n", "profiles:\n  work:\n    params:\n      seed: 4\n      top_k: 2\n"),
    "in place": ("profiles: {work: {params: {seed: 1}}}  # x\n", "profiles: {work: {params: {seed: 4}}}  # x\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITES)
def test_a_setting_for_one_profile_changes_that_profile_alone(home, name):
    before, after = WRITES[name]
    home.user(before)

    config = home.load().set_user("params.seed", "4", profile="work")

    assert home.paths.settings.read_text() == after
    assert config.settings.params.seed is None
    assert home.load(profile="work").settings.params.seed == 4


def test_a_value_with_which_the_profile_could_not_be_loaded_is_not_written(home):
    before = "profiles: {work: {}}\n"
    home.user(before)

    with pytest.raises(ConfigError, match=r"^config: model: unknown model 'sonett'"):
        home.load().set_user("model", "sonett", profile="work")
    with pytest.raises(ConfigError, match="did you mean 'work'"):
        home.load().set_user("model", "sonnet", profile="wrok")
    with pytest.raises(ConfigError, match="profile: unknown key"):
        home.load().set_user("profile", "default", profile="work")
    assert home.paths.settings.read_text() == before


def test_what_hides_a_new_value_is_said(home):
    home.user("profile: work\nprofiles: {work: {model: opus}}\n")

    assert "(profile) still wins" in home.load().set_user("model", "haiku").notices[-1]
    assert home.load().set_user("model", "haiku", profile="work").notices == ()
    assert "(environment) still wins" in choose(home, "default", environ={"ORCHESTRATOR_NB_PROFILE": "work"}).hiding(
        "profile"
    )


def test_the_administrators_profile_lies_below_the_users_of_that_name(home, tmp_path):
    from dataclasses import replace

    home.write(tmp_path / "etc/config.yaml", "profiles: {work: {model: opus, params: {seed: 1}}}\n")
    home.user("profiles: {work: {params: {seed: 2}}}\n")
    home.paths = replace(home.paths, system=tmp_path / "etc")

    settings = home.load(profile="work").settings

    assert (settings.model, settings.params.seed) == ("opus", 2)


def test_the_list_says_what_each_sets_and_whether_it_has_a_vault(home):
    home.user("profile: work\nprofiles: {work: {model: opus, params: {seed: 2}}, a: {}}\n")
    home.write(home.paths.vault("a"), "")

    found = list_profiles(home.load())

    assert [(p.name, p.active, dict(p.sets), p.has_vault) for p in found] == [
        ("default", False, {}, False),
        ("a", False, {}, True),
        ("work", True, {"model": "opus", "params.seed": 2}, False),
    ]


def test_what_is_written_reads_as_yaml(home):
    choose(home, "work", new=True)
    home.load().set_user("roles.Judge", "Say: yes", profile="work")

    assert read(home.paths.settings.read_bytes(), "f").value == {
        "profiles": {"work": {"roles": {"Judge": "Say: yes"}}},
        "profile": "work",
    }


def test_the_variable_is_followed_in_a_running_process(home):
    home.user("profiles: {work: {model: opus}}\n")
    environ = {}
    config = home.load(environ)
    assert config.refreshed() is config

    environ["ORCHESTRATOR_NB_PROFILE"] = "work"
    assert config.refreshed().settings.model == "opus"
    environ["ORCHESTRATOR_NB_PROFILE"] = "wrok"
    with pytest.raises(ConfigError, match="ORCHESTRATOR_NB_PROFILE"):
        config.refreshed()
    del environ["ORCHESTRATOR_NB_PROFILE"]
    assert config.refreshed() is config
