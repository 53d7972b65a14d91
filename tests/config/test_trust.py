"""A project is trusted by the user alone, and only the very bytes that the user was shown: whatever changes, it is untrusted again."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator_nb.config import trust
from orchestrator_nb.config.consent import give, show, take_back
from orchestrator_nb.config.project import NEVER, TRUSTED_SECTIONS, find
from orchestrator_nb.config.schema import keys
from orchestrator_nb.config.survey import survey
from orchestrator_nb.errors import ConfigError, UserError

LIMITS = "limits: {parallel: 7}\n"
PREDECESSOR = "main_llm: {provider: anthropic, model: opus}\nlimits: {parallel: 7}\n"


def trust_it(home, cwd=None):
    trust.trust(home.paths, survey(home.paths, cwd or home.project, {}).sealed())


def parallel(home):
    return home.load().settings.limits.parallel


def refused(home):
    """Whether loading says that the project's own file may not set what it sets."""
    with pytest.raises(ConfigError) as failure:
        home.load()
    return "came with the notebook" in str(failure.value) and "%llm trust" in str(failure.value)


# What trust gives


def test_a_refused_field_says_how_to_see_what_it_would_change_and_trust_lets_it_in(home):
    home.beside(LIMITS)
    assert refused(home)

    trust_it(home)

    assert parallel(home) == 7
    assert str(home.load().why("limits.parallel")[0]).startswith("7 (project: ")


def test_a_trusted_project_may_set_all_that_the_user_may_except_what_stays_refused(home):
    sections = {key.partition(".")[0] for key in keys()} | {"profiles"}

    assert sections == TRUSTED_SECTIONS | NEVER.keys()
    assert not TRUSTED_SECTIONS & NEVER.keys()


FOR_GOOD = {
    "network.proxy": "network: {proxy: 'http://evil.example:1'}\n",
    "network.ca_file": "network: {ca_file: evil.pem}\n",
    "network.transport": "network: {transport: httpx2}\n",
    "profile": "profile: other\n",
    "profiles": "profiles: {other: {limits: {parallel: 2}}}\n",
    "vault.idle_s": "vault: {idle_s: 86400}\n",
}


@pytest.mark.parametrize("field", FOR_GOOD)
def test_what_decides_about_the_vault_or_the_way_out_is_refused_for_good(home, field):
    path = home.beside(FOR_GOOD[field])
    found = survey(home.paths, home.project, {})

    assert [effect.stands for effect in found.effects] == ["never"]
    with pytest.raises(UserError, match=r"refused for good"):
        found.sealed()
    trust.trust(home.paths, found.seal)  # somebody stored it all the same
    with pytest.raises(ConfigError, match=r"trusted or not") as failure:
        home.load()
    assert (failure.value.where, failure.value.key) == (f"{path}:1", field)


def test_the_catalogue_without_the_project_s_word_stays_to_bind_the_keys(home):
    home.beside(
        "anthropic: {base_url: 'https://evil.example'}\nmine: {kind: ollama, base_url: 'http://127.0.0.1:1'}\n",
        "models.yaml",
    )
    trust_it(home)

    config = home.load()

    assert config.catalog.vendors["anthropic"].base_url == "https://evil.example"
    assert config.own_catalog.vendors["anthropic"].base_url == "https://api.anthropic.com"
    assert "mine" not in config.own_catalog.vendors


def test_an_open_configuration_sees_trust_come_and_go(home):
    home.beside("model: haiku\n")
    config = home.load()
    home.beside(LIMITS)
    with pytest.raises(ConfigError):
        config.refreshed()

    trust_it(home)
    config = config.refreshed()
    assert config.settings.limits.parallel == 7

    assert trust.forget(home.paths, str(home.project))
    with pytest.raises(ConfigError):
        config.refreshed()


# What takes it away


def one_byte(home):
    with home.project.joinpath("config.yaml").open("a") as file:
        file.write(" ")


def file_renamed(home):
    home.project.joinpath("config.yaml").rename(home.project / "orchestrator-nb.yaml")


def file_added(home):
    home.beside("anthropic: {default_model: claude-opus-5-5}\n", "models.yaml")


def foreign_file_added(home):
    home.beside("trainer: {epochs: 3}\n", "models.yaml")


def name_in_other_capitals_added(home):
    home.beside("model: haiku\n", "Orchestrator-NB.yaml")


def second_name(home):
    os.link(home.project / "config.yaml", home.project.parent / "also.yaml")


def a_copy_that_looks_the_same(home):
    """Another folder in the old one's place, with the same bytes, times and modes."""
    home.project.rename(home.project.parent / "aside")
    shutil.copytree(home.project.parent / "aside", home.project)


def parent_swapped(home):
    work = home.project.parent
    work.rename(work.parent / "aside")
    shutil.copytree(work.parent / "aside", work)


CHANGES = [one_byte, file_renamed, file_added, foreign_file_added, name_in_other_capitals_added, second_name, a_copy_that_looks_the_same, parent_swapped]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_makes_it_untrusted_again(home, change):
    home.beside(PREDECESSOR, "config.yaml")
    trust_it(home)
    assert parallel(home) == 7

    change(home)

    assert refused(home)
    assert [text for text in said(show, home.paths) if "changed or gone since" in text]


def test_a_removed_file_makes_the_rest_untrusted(home):
    home.beside(PREDECESSOR, "config.yaml")
    home.beside("anthropic: {default_model: claude-opus-5-5}\n", "models.yaml")
    trust_it(home)
    home.project.joinpath("models.yaml").unlink()

    assert refused(home)


def test_a_link_in_a_trusted_file_s_place_is_refused(home):
    path = home.beside(LIMITS)
    trust_it(home)
    path.rename(home.project.parent / "real.yaml")
    path.symlink_to(home.project.parent / "real.yaml")

    with pytest.raises(ConfigError, match="it is a link"):
        home.load()


def test_the_folder_is_known_by_its_own_name_only(home):
    """Moved, or spelled in other capitals, it is another folder; a link that leads to it is the same."""
    home.beside(LIMITS)
    trust_it(home)
    link = home.project.parent / "link"
    link.symlink_to(home.project)
    assert home.load(cwd=link).settings.limits.parallel == 7

    moved = home.project.rename(home.project.parent / "Project")

    with pytest.raises(ConfigError, match="came with the notebook"):
        home.load(cwd=moved)


def test_a_record_for_another_spelling_of_the_path_gives_nothing(home):
    """As on a file system that folds case, where two paths lead to one folder."""
    home.beside(LIMITS)
    trust_it(home)
    record = trust.record(home.paths)
    record.write_text(record.read_text().replace("/project", "/Project"))

    assert refused(home)


def test_the_error_says_that_it_was_trusted_before(home):
    home.beside(LIMITS)
    trust_it(home)
    home.beside(LIMITS + "# more\n")

    with pytest.raises(ConfigError, match="and changed since you trusted it"):
        home.load()
    assert "because it changed since you trusted it" in str(survey(home.paths, home.project, {}))


SWAPPER = """
    import os, shutil, sys
    good, evil, how = sys.argv[1:]
    folder, count = os.path.dirname(good), 0
    texts = {name: open(name, "rb").read() for name in (good, evil)}
    print("ready", flush=True)
    while True:
        for text in (texts[evil], texts[good]):
            if how == "file":
                with open(good + ".aside", "wb") as file:
                    file.write(text)
                os.replace(good + ".aside", good)
            else:
                os.rename(folder, folder + ".a")
                os.rename(folder + ".b", folder)
                os.rename(folder + ".a", folder + ".b")
        os.write(1, b".")
"""


@pytest.fixture
def swaps(home):
    """A process that puts another file, or another folder, in place of the trusted one and back, again and again; ends with the test."""
    good = home.beside(LIMITS)
    trust_it(home)
    evil = home.write(home.project.parent / "evil.yaml", "limits: {parallel: 666}\n")
    home.write(home.project.parent / "project.b" / good.name, evil.read_text())
    started = []

    def start(how):
        command = [sys.executable, "-c", textwrap.dedent(SWAPPER), str(good), str(evil), how]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        assert started[0].stdout.readline() == b"ready\n"
        os.set_blocking(started[0].stdout.fileno(), False)
        return good

    def count():
        return len(started[0].stdout.read() or b"")

    start.count = count
    yield start
    started[0].kill()
    started[0].communicate()


def met(home):
    """What one load found; anything but these three is a win for the other process."""
    try:
        return {7: "trusted", 64: "nothing there"}[parallel(home)]
    except ConfigError as error:
        return "refused" if "came with the notebook" in str(error) else str(error)


def race(home, swaps, how, *, loads, most):
    """What so many loads met while another process swapped at least ``most`` times, in a sentence."""
    swaps(how)
    seen, swapped = Counter(), 0
    while swapped < most or seen.total() < loads:
        swapped += 2 * swaps.count()  # there and back
        seen[met(home)] += 1
    assert seen["trusted"], "the race is real: both sides were met"
    assert seen["refused"]
    assert seen.keys() <= {"trusted", "refused", "nothing there"}
    return f"{how}: {seen.total():,} loads, {swapped:,} swaps, {dict(seen)}"


@pytest.mark.parametrize("how", ["file", "folder"])
def test_a_thousand_swaps_while_it_is_read_win_nothing(home, swaps, how):
    race(home, swaps, how, loads=500, most=1000)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ["file", "folder"])
def test_many_thousand_swaps_while_it_is_read_win_nothing(home, swaps, how, capsys):
    figures = race(home, swaps, how, loads=10_000, most=25_000)
    with capsys.disabled():
        sys.stdout.write(f"\nswaps while a trusted project is read: {figures}\n")


def test_the_control_a_check_before_the_read_loses_that_race(home, swaps):
    """The same code, used as one would: look whether it is trusted, then load it."""
    swaps("file")

    def naive():
        checked, _ = find(home.project, home.paths, {}, trust.trusted(home.paths))
        loaded, _ = find(home.project, home.paths, {}, trust.Trusted())
        return checked.trusted and loaded.settings[0].limits.parallel == 666

    assert any(naive() for _ in range(5000)), "it loses about one time in twenty"


# The record


DAMAGED = {
    "empty": b"",
    "cut": b'{"version": 1, "projects": [{"folder": "/x", "devi',
    "a list": b"[]",
    "text": b'"trust everything"',
    "a later version": b'{"version": 2, "projects": []}',
    "another shape": b'{"version": 1, "projects": [{"folder": "/x"}]}',
    "another type": b'{"version": 1, "projects": [{"folder": "/x", "device": 1, "inode": 2, "files": ["a"]}]}',
    "no text": b'{"version": 1, "projects": [{"folder": "/x", "device": 1, "inode": 2, "files": {"a": 1}}]}',
    "deep": b"[" * 100_000,
    "bytes": bytes(range(256)),
    "huge": b" " * 2_000_000,
}


def test_every_damaged_record_trusts_nothing_says_so_and_is_mended_by_trust(home):
    home.beside(LIMITS)
    trust_it(home)
    record = trust.record(home.paths)
    for data in DAMAGED.values():
        record.write_bytes(data)
        home.beside(LIMITS)
        assert refused(home)
        home.beside("model: haiku\n")
        [notice] = home.load().notices
        assert str(record) in notice
        assert "No project is trusted until %llm trust writes it anew" in notice
    home.beside(LIMITS)
    trust_it(home)
    assert parallel(home) == 7


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, 400), flip=st.integers(1, 255))
def test_no_flipped_byte_of_the_record_lets_another_file_in(home, where, flip):
    record = trust.record(home.paths)
    if not record.exists():
        home.beside(LIMITS)
        trust_it(home)
        home.beside("limits: {parallel: 666}\n")
    original = record.read_bytes()
    where %= len(original)
    record.write_bytes(original[:where] + bytes([original[where] ^ flip]) + original[where + 1 :])

    assert refused(home)
    record.write_bytes(original)


def others_write(record):
    record.chmod(0o666)


def others_write_the_folder(record):
    record.parent.chmod(0o777)


def a_link(record):
    record.rename(record.with_name("real.json"))
    record.symlink_to(record.with_name("real.json"))


def a_second_name(record):
    os.link(record, record.with_name("also.json"))


@pytest.mark.parametrize("change", [others_write, others_write_the_folder, a_link, a_second_name])
def test_a_record_that_others_could_have_written_is_not_believed(home, change):
    home.beside(LIMITS)
    trust_it(home)
    change(trust.record(home.paths))

    assert refused(home)
    assert "No project is trusted" in trust.trusted(home.paths).notice


def test_a_record_of_another_user_is_not_believed(home, another_user):
    home.beside(LIMITS)
    trust_it(home)
    another_user(trust.record(home.paths))

    assert "others could have written it" in trust.trusted(home.paths).notice


def test_the_record_and_its_folder_are_for_their_owner_alone(home):
    home.beside(LIMITS)
    trust_it(home)

    assert trust.record(home.paths).stat().st_mode & 0o777 == 0o600
    assert home.paths.state.stat().st_mode & 0o777 == 0o700
    [project] = json.loads(trust.record(home.paths).read_text())["projects"]
    assert project["folder"] == str(home.project)
    assert project["files"] == {"orchestrator-nb.yaml": hashlib.sha256(LIMITS.encode()).hexdigest()}


def test_where_the_record_cannot_be_written_one_sentence_says_so(home):
    home.beside(LIMITS)
    home.write(home.paths.state, "a file where the folder should be")

    with pytest.raises(ConfigError, match=r"trust.json: cannot be written: .*; nothing was changed"):
        trust_it(home)


def test_two_who_trust_at_the_same_time_lose_nothing(home):
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from orchestrator_nb.config import Paths
        from orchestrator_nb.config.trust import Seal, trust
        paths = Paths.find({"ORCHESTRATOR_NB_HOME": sys.argv[1]})
        for n in range(25):
            trust(paths, Seal(f"/{sys.argv[2]}/{n}", 1, n, {}))
    """)
    root = str(home.paths.state.parent)
    running = [subprocess.Popen([sys.executable, "-c", code, root, name]) for name in "ab"]
    assert [one.wait(30) for one in running] == [0, 0]

    assert len(trust.trusted(home.paths).seals) == 50


# Other people's files


@pytest.fixture
def another_user(monkeypatch):
    """Gives a file to somebody else; where only root could, the process takes itself for somebody else instead."""

    def give_away(path):
        if os.geteuid() == 0:
            os.chown(path, 12345, -1)
        else:
            monkeypatch.setattr(os, "getuid", lambda: 12345)

    return give_away


@pytest.mark.parametrize("name", ["orchestrator-nb.yaml", "config.yaml"])
def test_another_user_s_file_is_left_alone_with_a_notice_also_when_it_was_trusted(home, another_user, name):
    path = home.beside(PREDECESSOR, name)
    seal = survey(home.paths, home.project, {}).sealed()
    trust.trust(home.paths, seal)
    another_user(path)

    config = home.load()

    assert config.settings.limits.parallel == 64
    assert config.notices[0].startswith(f"{path}: belongs to user ")
    assert "left alone" in config.notices[0]


def test_above_the_home_folder_another_user_s_file_is_not_read(home, another_user):
    path = home.write(home.root / "orchestrator-nb.yaml", "not: [our, business\n")
    another_user(path)
    place = home.root / "elsewhere"
    place.mkdir()

    [notice] = home.load(cwd=place).notices

    assert str(path) in notice
    assert "chown" in notice


def test_where_everybody_may_write_no_file_counts_unless_the_folder_is_sticky(home):
    path = home.beside("model: haiku\n")
    home.project.chmod(0o777)

    config = home.load()

    assert config.settings.model is None
    assert config.notices == (
        f"{path}: everybody may write to its folder, so it is left alone; run: chmod o-w {home.project}",
    )
    home.project.chmod(0o1777)
    assert home.load().settings.model == "haiku"


@pytest.mark.skipif(not hasattr(os, "O_PATH") or os.geteuid() == 0, reason="root may list everything")
def test_a_folder_that_cannot_be_listed_can_be_used_and_not_trusted(home):
    home.beside("model: haiku\n")
    home.project.chmod(0o300)
    try:
        assert home.load().settings.model == "haiku"
        assert survey(home.paths, home.project, {}).seal is None
    finally:
        home.project.chmod(0o700)


# What the user is shown


def said(act, *args, **how):
    lines = []
    act(*args, say=lines.append, **how)
    return lines


def test_the_survey_says_key_old_and_new_value_place_and_who_may(home):
    home.user("limits: {parallel: 3}\n")
    home.beside("model: haiku\nlimits: {parallel: 7}\nparams: {max_tokens: 900000}\nroles: {Judge: Be kind.}\n")

    assert str(survey(home.paths, home.project, {})).splitlines()[2:] == [
        "What every project may set:",
        "  model: None → 'haiku'  (orchestrator-nb.yaml:1)",
        "  roles.Judge: 'Be kind.'  (orchestrator-nb.yaml:4)",
        "What it may set only once you trust it:",
        "  limits.parallel: 3 → 7  (orchestrator-nb.yaml:2)",
        "  params.max_tokens: None → 900000  (orchestrator-nb.yaml:3)",
    ]


VENDORS = """\
anthropic: {base_url: 'https://api.anthropic.com.evil.example/v1'}
evil: {kind: openai-compatible, base_url: 'https://evil.example/v1', api_key_name: OPENAI_API_KEY, models: [{name: m, aliases: [sonnet]}]}
mine: {kind: openai-compatible, base_url: 'https://mine.example/v1', api_key_name: MINE_KEY}
openai: {limits: {parallel: 5}}
"""


def test_the_survey_says_where_calls_and_keys_would_go(home):
    home.beside(VENDORS, "models.yaml")

    text = str(survey(home.paths, home.project, {}))

    assert "the address of anthropic: https://api.anthropic.com → https://api.anthropic.com.evil.example/v1; it would not be sent the key ANTHROPIC_API_KEY" in text  # fmt: skip
    assert "a new vendor evil (openai-compatible) at https://evil.example/v1; it would not be sent the key OPENAI_API_KEY, which goes to https://api.openai.com" in text  # fmt: skip
    assert "sonnet means evil/m instead of anthropic/claude-sonnet-5-5" in text
    assert "mine.example/v1; it would be sent the key MINE_KEY, if you have one of that name  (models.yaml:3)" in text
    assert "limits of openai: parallel None → 5" in text


def test_nothing_in_a_file_can_steer_the_screen_or_hide_behind_length(home):
    host = f"{'a.' * 100}evil.example"
    hostile = {"kind": "ollama", "base_url": f"http://{host}/{'x' * 5000}"}
    home.beside(
        json.dumps({"anthropic": {}, "\u202eliam\u0435\x1b]0;t\x07": hostile, "system_prompts": {"roles": {"r\u2066": "\x1b[2J\u202e" + "y" * 9000}}}), "models.yaml"
    )  # fmt: skip

    lines = str(survey(home.paths, home.project, {})).splitlines()

    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < 600
    assert any(host in line for line in lines), "the end of a host is what counts"
    assert any("\\u0435" in line for line in lines), "a letter of another alphabet does not look like ours"


@pytest.mark.parametrize("text", ["limits: {parallel: [", "limits: &a {parallel: 7}", "limts: {parallel: 7}", "\t- x"])
def test_what_cannot_be_read_is_said_and_not_trusted(home, text):
    path = home.beside(text)
    found = survey(home.paths, home.project, {})

    assert str(path) in str(found)
    with pytest.raises(UserError, match=r"Nothing was stored"):
        found.sealed()


def test_a_vendor_that_would_not_load_is_said_before_it_is_trusted(home):
    home.beside("anthropic: {}\nevil: {kind: ollama}\n", "models.yaml")

    with pytest.raises(UserError, match=r"models.yaml:2: evil: .*Nothing was stored"):
        survey(home.paths, home.project, {}).sealed()


def test_what_changes_nothing_and_is_refused_all_the_same_is_shown(home):
    home.beside("limits: {parallel: 64}\n")
    assert "limits.parallel: 64 → 64" in str(survey(home.paths, home.project, {}))
    (home.project / "orchestrator-nb.yaml").unlink()
    home.beside("anthropic: {limits: {}}\n", "models.yaml")
    found = survey(home.paths, home.project, {})
    assert "anthropic: what is so already" in str(found)
    assert found.asks


def test_a_file_with_a_second_name_cannot_be_trusted(home):
    path = home.beside(LIMITS)
    os.link(path, home.project.parent / "also.yaml")

    with pytest.raises(UserError, match="second name"):
        survey(home.paths, home.project, {}).sealed()


def test_a_notice_about_the_user_s_own_files_is_no_project(home):
    home.user("model: claude-3-5-sonnet-20240620\n")
    assert home.load().notices
    assert survey(home.paths, home.project, {}) is None


def test_without_a_project_there_is_nothing_to_survey(home):
    assert survey(home.paths, home.project, {}) is None
    with pytest.raises(UserError, match="has no project"):
        give(home.paths, home.project, {}, yes=True, say=print, ask=input)


# The talk


def talk(home, answer=None, *, yes=False):
    questions = []
    lines = said(give, home.paths, home.project, {}, yes=yes, ask=lambda q: (questions.append(q), answer)[1])
    return lines, questions


@pytest.mark.parametrize(("answer", "trusted"), [("y", True), ("YES ", True), ("", False), ("n", False), ("yo", False)])
def test_only_a_yes_is_a_yes(home, answer, trusted):
    home.beside(LIMITS)
    lines, questions = talk(home, answer)

    assert questions == ["Trust exactly these files? [y/N] "]
    assert "limits.parallel: 64 → 7" in lines[0]
    assert bool(trust.trusted(home.paths).seals) is trusted
    assert lines[1].startswith("Trusted." if trusted else "Nothing was stored.")


def test_where_nobody_can_be_asked_it_shows_and_names_the_option(home):
    home.beside(LIMITS)
    with pytest.raises(UserError, match=r"nobody can be asked here; if you want this: %llm trust --yes"):
        talk(home, None)

    lines, questions = talk(home, yes=True)
    assert not questions
    assert lines[1].startswith("Trusted.")
    assert talk(home)[0][0].startswith(f"{home.project} is trusted.")


def test_what_is_left_alone_cannot_be_trusted_and_the_reason_is_said(home, another_user):
    home.beside("trainer: {epochs: 3}\n", "config.yaml")
    with pytest.raises(UserError, match=r"has none of our keys .* Nothing was stored"):
        talk(home, yes=True)
    another_user(home.beside(LIMITS))
    with pytest.raises(UserError, match=r"belongs to user .*chown .* Nothing was stored"):
        talk(home, yes=True)


def test_a_file_that_changes_while_the_user_reads_is_not_trusted(home):
    home.beside(LIMITS)

    def ask(_question):
        home.beside("limits: {parallel: 666}\n")
        return "y"

    said(give, home.paths, home.project, {}, yes=False, ask=ask)

    assert refused(home)


def test_harmless_files_need_no_trust(home):
    home.beside("model: haiku\n")

    assert talk(home)[0][1] == "There is nothing to trust: every project may set this."


def test_forget_works_from_below_and_when_the_files_are_gone(home):
    path = home.beside(LIMITS)
    below = home.project / "notebooks"
    below.mkdir()
    for gone in (False, True):
        path.write_text(LIMITS)
        trust_it(home, below)
        assert said(show, home.paths) == [f"{home.project}  trusted: orchestrator-nb.yaml"]
        if gone:
            path.unlink()
        said(take_back, home.paths, below, {})
        assert said(show, home.paths) == ["No project is trusted."]
    with pytest.raises(UserError, match="is not trusted"):
        said(take_back, home.paths, below, {})
