"""Old settings files become current ones: nothing they set and nothing they say is lost, whatever happens on the way."""

import os
import random
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator_nb.config import Paths, load
from orchestrator_nb.config.migrations import apply, migrate, plan
from orchestrator_nb.config.pieces import comments
from orchestrator_nb.errors import ConfigError

from .conftest import TODAY

DATA = Path(__file__).with_name("data")
NAMES = ("config.yaml", "models.yaml")
OLD = {name: {file: (DATA / name / file).read_bytes() for file in NAMES} for name in ("predecessor", "v1")}
OLD["crlf"] = {file: text.replace(b"\n", b"\r\n") for file, text in OLD["v1"].items()}
OLD["bom"] = {file: b"\xef\xbb\xbf" + text for file, text in OLD["predecessor"].items()}
OLD["models alone"] = {"models.yaml": OLD["predecessor"]["models.yaml"]}
OLD["settings alone"] = {"config.yaml": OLD["v1"]["config.yaml"]}
OLD["only comments"] = {"config.yaml": b"# mine\n", "models.yaml": b""}
OLD["an odd value"] = {"config.yaml": b"chains: {a: {steps: [{model: gemini-1.5-pro, prompt: \"a\n  b\"}]}}", "models.yaml": b"version: 1\n"}  # fmt: skip
OLD["one of each"] = {"config.yaml": b"# new\nversion: 2\nroles:\n  A: mine\n", "models.yaml": b"system_prompts: {roles: [A, B]} # old\n"}  # fmt: skip


def put(paths, files):
    paths.config.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (paths.config / name).write_bytes(data)
        (paths.config / name).chmod(0o600)
    return paths


def meaning(paths):
    """What a session would go by: the settings with each profile, and the catalogue."""
    config = load(paths, None, {}, today=TODAY)
    return [load(paths, None, {}, today=TODAY, profile=name).settings for name in config.profiles], config.catalog


def said(paths):
    """Every comment in the two files."""
    texts = [(paths.config / name).read_text("utf-8-sig") for name in NAMES if (paths.config / name).exists()]
    return [comment.text for text in texts for comment in comments(text.replace("\r\n", "\n"))]


def tree(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def texts(paths):
    return {name: (paths.config / name).read_bytes() for name in NAMES if (paths.config / name).exists()}


@pytest.mark.parametrize("name", OLD)
def test_settings_and_catalogue_are_the_same_and_every_comment_is_still_there(home, name):
    paths = put(home.paths, OLD[name])
    before, words = meaning(paths), said(paths)

    migrate(paths)

    assert meaning(paths) == before
    assert all(any(word in found for found in said(paths)) for word in words)
    assert all(b"version: 2" in text for text in texts(paths).values())


@pytest.mark.parametrize("name", ["v1", "crlf"])
def test_the_new_files_read_as_if_written_by_hand(home, name):
    paths = put(home.paths, OLD[name])

    migrate(paths)

    ends = b"\r\n" if name == "crlf" else b"\n"
    assert texts(paths) == {file: (DATA / "v2" / file).read_bytes().replace(b"\n", ends) for file in NAMES}


def test_retired_models_stay_and_their_successor_stands_beside_them(home):
    paths = put(home.paths, OLD["predecessor"])

    migrate(paths)

    text = "".join(map(bytes.decode, texts(paths).values()))
    assert 'model: "gemini/gemini-1.5-flash-latest"  # gemini-1.5-flash was retired on 2025-09-24; use \'gemini-3.8-flash\' instead' in text  # fmt: skip
    assert "default_model: deepseek-chat  # deepseek-chat was retired on 2026-07-24; use 'deepseek-flash' instead" in text  # fmt: skip
    assert load(paths, None, {}, today=TODAY).notices != ()


@pytest.mark.parametrize("name", OLD)
def test_the_second_time_nothing_changes(home, name):
    paths = put(home.paths, OLD[name])
    migrate(paths)
    before = tree(paths.config)

    assert migrate(paths).startswith("nothing to migrate")
    assert tree(paths.config) == before


@pytest.mark.parametrize("name", OLD)
def test_a_dry_run_shows_it_all_and_writes_nothing(home, name):
    paths = put(home.paths, OLD[name])
    before = tree(paths.config)

    shown = migrate(paths, dry_run=True)

    assert "+version: 2" in shown
    assert shown.endswith("Nothing was written.")
    assert tree(paths.config) == before


def test_the_originals_are_kept_and_an_earlier_copy_is_never_touched(home):
    paths = put(home.paths, OLD["v1"])
    for name in NAMES:
        (paths.config / f"{name}.v1").write_text("of last year")

    shown = migrate(paths)

    for name in NAMES:
        copy = paths.config / f"{name}.v1-2"
        assert str(copy) in shown
        assert copy.read_bytes() == OLD["v1"][name]
        assert stat.S_IMODE(copy.stat().st_mode) == stat.S_IMODE((paths.config / name).stat().st_mode) == 0o600
        assert (paths.config / f"{name}.v1").read_text() == "of last year"


def test_a_model_cannot_be_set_beside_its_older_form_until_that_is_migrated(home):
    paths = put(home.paths, OLD["predecessor"])

    with pytest.raises(
        ConfigError, match=r"^config: model: .*config.yaml has it in an older form; .*%llm config migrate"
    ):
        home.load().set_user("model", "opus")
    assert texts(paths) == OLD["predecessor"]

    migrate(paths)
    assert home.load().set_user("model", "opus").settings.model == "opus"
    assert "'gemini-3.8-flash' instead" in paths.settings.read_text()  # about the name that was there


def test_files_that_need_nothing_are_left_alone(home):
    assert migrate(home.paths).startswith("nothing to migrate")
    assert not home.paths.config.exists()


KILLED = """
import os, sys
from pathlib import Path
from orchestrator_nb.config import Paths
from orchestrator_nb.config.migrations import apply, plan

source, target, backwards = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "backwards"
died = True
turn = 0
while died:
    home = target / str(turn)
    (home / "config").mkdir(parents=True)
    for name in ("config.yaml", "models.yaml"):
        (home / "config" / name).write_bytes((source / name).read_bytes())
        (home / "config" / name).chmod(0o600)
    pid = os.fork()
    if not pid:
        changes = plan(Paths.find({"ORCHESTRATOR_NB_HOME": str(home)}))
        left = [turn]
        def count(event, args):
            if event in ("open", "os.rename") and str(home) in str(args[0]) and (event != "open" or args[2] & os.O_WRONLY or args[2] & os.O_RDWR):
                if left[0] == 0:
                    os._exit(9)
                left[0] -= 1
        sys.addaudithook(count)
        apply(changes[::-1] if backwards else changes)
        os._exit(0)
    died = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    turn += 1
print(turn)
"""


def killed_at_each_step(folder, order):
    """A folder per moment: the process ends just before it opens or renames one more file."""
    command = [sys.executable, "-c", KILLED, str(DATA / "v1"), str(folder), order]
    turns = int(subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout)
    return [Paths.find({"ORCHESTRATOR_NB_HOME": str(folder / str(turn))}) for turn in range(turns)]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="ends a forked process")
def test_wherever_it_is_killed_the_files_load_mean_the_same_and_can_be_migrated(home, tmp_path):
    before = meaning(put(home.paths, OLD["v1"]))
    words = said(home.paths)

    states = killed_at_each_step(tmp_path / "killed", "forwards")

    assert len(states) >= 7  # two copies, and two files that are written aside and renamed
    for paths in states:
        assert meaning(paths) == before
        migrate(paths)
        assert meaning(paths) == before
        assert all(any(word in found for found in said(paths)) for word in words)
        assert all((paths.config / f"{name}.v1").exists() for name in NAMES)
    # the control: the other order has a moment in which the roles of models.yaml stand nowhere
    assert any(meaning(paths) != before for paths in killed_at_each_step(tmp_path / "control", "backwards"))


def test_a_file_that_changed_meanwhile_is_not_overwritten(home):
    paths = put(home.paths, OLD["v1"])
    changes = plan(paths)
    paths.models.write_bytes(b"# mine\n")
    before = tree(paths.config)

    with pytest.raises(ConfigError, match=r"models.yaml: was changed just now; nothing was written"):
        apply(changes)
    assert tree(paths.config) == before


@pytest.mark.parametrize("name", NAMES)
def test_a_file_in_braces_is_left_as_it_is_and_goes_on_loading(home, name):
    paths = put(home.paths, {name: b"{version: 1}  # mine\n"})
    before = tree(paths.config)

    with pytest.raises(ConfigError, match=rf"{name}: is written in braces as a whole"):
        migrate(paths)
    assert tree(paths.config) == before
    assert home.load().notices == ()


@pytest.mark.parametrize(("name", "beside"), [("config.yaml", False), ("models.yaml", False), ("orchestrator-nb.yaml", True)])  # fmt: skip
def test_a_file_of_a_later_version_says_to_update_the_package(home, name, beside):
    (home.beside if beside else home.user)("something_new: 1\nversion: 3\n", name)

    with pytest.raises(
        ConfigError, match=rf"{name}:2: version: version 3 is newer than .* reads up to 2; update it: pip"
    ):
        home.load()
    if not beside:
        with pytest.raises(ConfigError, match="update it"):
            migrate(home.paths)


@pytest.mark.parametrize("value", ["two", "0", "-1", "1.5", "true", "'1'"])
def test_a_version_is_a_whole_number(home, value):
    home.user(f"version: {value}\n")

    with pytest.raises(ConfigError, match=r"config.yaml:1: version: found"):
        home.load()


# The law: any old files, in any layout

NAME = st.sampled_from(["A", "Plan B", "summarize", "it's", "x: y", "null", "7", "Ünï", "#1"])
SAID = st.sampled_from(["", "", "# one", "# two: x", "# it's {3}", "#4 [", "# 'five"])
WORDS = st.sampled_from(
    ["Say it.", "a: b # c", "it's", '"q"', "null", "1", "two\nlines\n", "  lead", "é", "tab\tbed", ""]
)


class Writer:
    """Writes the same values in many ways, as people do."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def word(self, text):
        """One value on one line."""
        import json

        ways = [json.dumps(text, ensure_ascii=False)]
        if "\n" not in text and "\t" not in text:
            ways.append("'" + text.replace("'", "''") + "'")
        if text.isalpha() and text != "null":
            ways.append(text)
        return self.random.choice(ways)

    def item(self, name, text, column):
        pad = " " * column
        if text and text.endswith(".") and self.random.random() < 0.3:
            return [f"{pad}{self.word(name)}: |-", f"{pad}  {text}"]
        value = self.random.choice(["", " ~", " null"]) if text is None else f" {self.word(text)}"
        return [f"{pad}{self.word(name)}:{value}"]

    def comment(self, lines, said, column):
        """Comments above and beside the first of some lines."""
        above, beside = said
        lines = [f"{lines[0]} {beside}" if beside and not lines[0].endswith("|-") else lines[0], *lines[1:]]
        return [f"{' ' * column}{above}", *lines] if above else lines

    def kind(self, kind, items, column):
        """Roles or personas, in one of the forms that load."""
        pad, way = " " * column, self.random.choice(["block", "braces", "list", "brackets"])
        if way == "block" and items:
            lines = [self.comment(self.item(n, t, column + 2), s, column + 2) for n, t, s in items]
            return [f"{pad}{kind}:", *(line for group in lines for line in group)]
        if way == "list" and items:
            lines = [self.comment([f"{pad}- {self.word(n)}"], s, column) for n, _, s in items]
            return [f"{pad}{kind}:", *(line for group in lines for line in group)]
        inside = [
            f"{self.word(n)}: {'null' if t is None else self.word(t)}" if way == "braces" else self.word(n)
            for n, t, _ in items
        ]
        return (
            [f"{pad}{kind}: {'{' if way != 'brackets' else '['}{', '.join(inside)}{'}' if way != 'brackets' else ']'}"]
            if way in ("braces", "brackets")
            else [f"{pad}{kind}: []"]
        )

    def file(self, sections):
        self.random.shuffle(sections)
        gaps = [[""] * self.random.choice([0, 0, 1, 2]) for _ in sections]
        lines = [line for gap, section in zip(gaps, sections, strict=True) for line in [*gap, *section]]
        return self.random.choice(["\n", "\r\n"]).join(lines) + self.random.choice(["\n", ""])


ITEMS = st.lists(st.tuples(NAME, WORDS | st.none(), st.tuples(SAID, SAID)), max_size=4, unique_by=lambda item: item[0])
PROMPTS = st.fixed_dictionaries({}, optional={"roles": ITEMS, "personas": ITEMS})


def prompts(writer, given, said):
    lines = [line for kind, items in given.items() for line in writer.kind(kind, items, 2)]
    return writer.comment(["system_prompts:" if lines else "system_prompts: {}"], said, 0) + lines


_any_old_files = given(
    seed=st.integers(0, 10**6),
    own=PROMPTS | st.none(),
    theirs=PROMPTS | st.none(),
    today=PROMPTS,
    model=st.sampled_from([None, "gemini-1.5-pro", "gemini-2.0-flash", "gemini-3.8-flash"]),
    said_of=st.lists(st.tuples(SAID, SAID), min_size=5, max_size=5),
)


def _law(seed, own, theirs, today, model, said_of):
    writer = Writer(seed)
    sections = [writer.comment(["limits: {parallel: 3}"], said_of[0], 0)]
    sections += [writer.comment([f"{kind}:"], said_of[1], 0) + [line for n, t, s in items for line in writer.comment(writer.item(n, t, 2), s, 2)] for kind, items in today.items() if items]  # fmt: skip
    if own is not None:
        sections.append(prompts(writer, own, said_of[2]))
    if model:
        lines = [["  provider: gemini"], writer.comment([f"  model: {writer.word(model)}"], said_of[3], 2)]
        writer.random.shuffle(lines)
        sections.append([*writer.comment(["main_llm:"], said_of[3], 0), *lines[0], *lines[1]])
    models = [writer.comment(["anthropic:", "  models:", "  - name: claude-3-haiku-20240307"], said_of[4], 0)]
    if theirs is not None:
        models.append(prompts(writer, theirs, said_of[2]))
    files = {"config.yaml": writer.file(sections).encode(), "models.yaml": writer.file(models).encode()}
    with tempfile.TemporaryDirectory() as root:
        paths = put(Paths.find({"ORCHESTRATOR_NB_HOME": root}), files)
        before, words = meaning(paths), said(paths)
        migrate(paths)
        assert meaning(paths) == before
        assert all(any(word in found for found in said(paths)) for word in words)
        assert migrate(paths).startswith("nothing to migrate")


@settings(max_examples=25, deadline=None)
@_any_old_files
def test_whatever_the_old_files_look_like_the_new_ones_mean_the_same(**drawn):
    _law(**drawn)


@pytest.mark.soak
@settings(max_examples=1_500, deadline=None)
@_any_old_files
def test_whatever_they_look_like_many_times(**drawn):
    _law(**drawn)
