"""The library knows every chain by name, the user's before the project's; what came with a notebook may say little until it is trusted."""

import os

import pytest

from orchestrator_nb.chains import Chain, Step, plan
from orchestrator_nb.chains.chain import Ask
from orchestrator_nb.config import Paths, load
from orchestrator_nb.config.survey import survey
from orchestrator_nb.config.trust import trust
from orchestrator_nb.errors import ChainError, ConfigError, UserError
from orchestrator_nb.library import Library

REVIEW = "inputs: {topic: text}\nsteps:\n  - {id: draft, model: haiku, prompt: 'Write about {{ topic }}.'}\n"
SCORED = "steps:\n  - {id: a, model: haiku, prompt: Hi}\n  - {id: score, python: score, with: {text: '{{ a }}'}}\n"


class Place:
    """A user's home, a project below it, and the library of a notebook in the project."""

    def __init__(self, root):
        self.project = root / "home/work/project"
        self.project.mkdir(parents=True)
        self.paths = Paths.find({"ORCHESTRATOR_NB_HOME": str(root / "onb")}, root / "home")
        self.library = Library(self.load)

    def load(self):
        return load(self.paths, self.project, {})

    def user(self, text, name="config.yaml"):
        return self._write(self.paths.config / name, text)

    def beside(self, text, name="orchestrator-nb.yaml"):
        return self._write(self.project / name, text)

    def _write(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o600)
        return path

    def trust(self):
        trust(self.paths, survey(self.paths, self.project, {}).sealed())

    def problems(self, name):
        return [str(problem) for problem in self.library.find(name).problems]


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


# What is known


def test_chains_of_the_notebook_stand_before_the_user_s_and_these_before_the_project_s(place):
    place.beside("chains: {a: 'plan@opus', b: 'plan@opus', c: 'plan@opus', d: 'plan@opus'}\n")
    place.user("chains: {a: 'plan@haiku', b: 'plan@haiku', c: 'plan@haiku'}\n")
    place.user(REVIEW, "chains/b.yaml")
    place.user(REVIEW, "chains/a.yml")
    place.library.define("a", Chain("other", (Step("x", Ask(prompt="Hi")),)))

    known = place.library.all()

    assert {name: kept.origin for name, kept in known.items()} == {
        "a": "notebook",
        "b": "user",
        "c": "user",
        "d": "project",
    }
    assert known["a"].chain.name == "a"
    assert [known[name].path and known[name].path.name for name in "abcd"] == [
        None,
        "b.yaml",
        "config.yaml",
        "orchestrator-nb.yaml",
    ]
    assert place.library.read("c")[0].steps[0].do.model == ("haiku",)
    assert known["b"].text == REVIEW


def test_a_profile_s_chain_and_roles_are_the_user_s(place):
    place.user("profile: work\nprofiles: {work: {chains: {a: plan}, roles: {plan: Mine.}}}\n")
    place.beside("chains: {a: summarize}\nroles: {plan: Theirs., review: Theirs too.}\n")

    assert place.library.find("a").origin == "user"
    assert place.library.roles.text("role", "plan") == "Mine."
    assert place.library.roles.text("role", "review") == "Theirs too."


@pytest.mark.parametrize("name", ["config.yaml", "chains/b.yaml"])
def test_what_is_wrong_is_told_with_its_line_and_everything_else_goes_on(place, name):
    text = "chains:\n  good: plan\n  bad:\n    steps:\n      - {id: a, promt: Hi}\n"
    path = place.user(text, name)

    assert place.library.read("good")[0].steps[0].do.role == "plan"
    assert place.problems("bad") == [
        f"{path}:5:17: step 'a', key 'promt': {place.library.find('bad').problems[0].message}"
    ]
    with pytest.raises(ChainError, match="did you mean 'prompt'"):
        place.library.read("bad")
    assert place.library.world().chains.keys() == {"good"}


def test_a_file_that_is_no_chain_or_no_text_is_listed_with_its_problem(place):
    place.user("a: [\n", "chains/a.yaml")
    (place.paths.chains / "b.yaml").write_bytes(b"steps:\n  - prompt: \xff\n")
    (place.paths.chains / "b.yaml").chmod(0o600)
    place.user("# nothing\n", "chains/c.yaml")
    place.user("steps: []\n" + "#" * (1 << 20), "chains/d.yaml")
    place.user(REVIEW, "chains/e.yaml").chmod(0o666)
    place.user(REVIEW, "chains/notes.txt")
    os.mkfifo(place.paths.chains / "f.yaml")

    assert all(place.problems(name) for name in "abcdef")
    assert list(place.library.all()) == list("abcdef")
    assert "may have 1,048,576 bytes" in place.problems("d")[0]
    assert "others may write to it" in place.problems("e")[0]


def test_two_files_of_one_name_are_told_apart(place):
    place.user(f"name: x\n{REVIEW}", "chains/a.yaml")
    place.user(f"name: x\n{REVIEW}", "chains/b.yaml")

    assert place.library.find("x").path.name == "a.yaml"
    assert "as that in a.yaml does" in place.problems("b")[0]


def test_an_unknown_name_is_told_with_the_nearest_and_a_template_with_the_way_to_a_chain(place):
    place.user(REVIEW, "chains/review.yaml")

    with pytest.raises(UserError, match="did you mean 'review'"):
        place.library.find("reviw")
    with pytest.raises(UserError, match="%chain new NAME --from refine"):
        place.library.find("refine")
    with pytest.raises(UserError) as raised:
        place.library.find("\x1b]0;x\x07")
    assert str(raised.value).isprintable()


def test_a_file_is_read_again_when_it_changed(place):
    place.user(REVIEW, "chains/a.yaml")
    assert place.library.read("a")[0].inputs
    place.user("plan | summarize\n", "chains/a.yaml")
    assert [step.id for step in place.library.read("a")[0].steps] == ["plan", "summarize"]


# What is meant by a text, a path, a chain


def test_a_text_a_chain_and_a_path_are_read_as_such(place):
    chain = Chain("mine", (Step("x", Ask(prompt="Hi")),))
    other = place.beside(REVIEW, "other.yaml")

    assert place.library.read(chain) == (chain, True)
    assert place.library.read(REVIEW)[1]
    assert place.library.read("plan:researcher@haiku | summarize")[0].steps[0].do.model == ("haiku",)
    assert place.library.read("other.yaml")[0] == place.library.read(other)[0]
    assert not place.library.read(other)[1]
    with pytest.raises(UserError, match="no such file"):
        place.library.read("none.yaml")


def test_a_path_into_the_user_s_folder_is_trusted_and_one_to_several_chains_is_not_guessed(place):
    path = place.user(SCORED, "chains/a.yaml")
    several = place.beside("chains: {a: plan, b: plan}\n", "several.yaml")

    assert place.library.read(path)[1]
    with pytest.raises(UserError, match=r"2 chains \(a, b\)"):
        place.library.read(several)


# Functions and the world


def test_functions_are_registered_as_a_decorator_or_by_name(place):
    @place.library.register
    def score(text):
        return len(text)

    @place.library.register(name="also")
    def other(text):
        return text

    assert place.library.functions == {"score": score, "also": other}
    assert plan(place.library.read(SCORED)[0], place.library.world()).node("score")
    with pytest.raises(UserError, match="no name for a function"):
        place.library.register(lambda text: text)
    with pytest.raises(ChainError, match="may not call Python"):
        plan(place.library.read(SCORED)[0], place.library.world(trusted=False))


def test_the_world_names_the_nearest_model_and_says_that_there_are_no_modes(place):
    chain = place.library.read("steps:\n  - {prompt: Hi, model: haikku}\n  - {prompt: Hi, mode: deep}\n")[0]

    with pytest.raises(ChainError) as raised:
        plan(chain, place.library.world())

    assert "did you mean 'haiku'" in str(raised.value)
    assert "unknown mode" in str(raised.value)


# Saving


def test_a_chain_is_saved_as_written_once_and_over_only_when_asked(place):
    path = place.library.save("review", f"# mine\n{REVIEW}")

    assert path.read_text() == f"# mine\n{REVIEW}"
    assert path.stat().st_mode & 0o777 == 0o600
    assert place.library.read("review")[1]
    with pytest.raises(UserError, match="already"):
        place.library.save("review", REVIEW)
    place.library.save("review", REVIEW, replace=True)
    assert path.read_text() == REVIEW
    place.user("plan\n", "chains/other.yml")
    with pytest.raises(UserError, match="already"):
        place.library.save("other", REVIEW)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a.yaml", "x\n", "-x", "a" * 65, "nul\0"])
def test_what_is_no_name_is_refused_and_nothing_is_written(place, name):
    with pytest.raises(UserError, match="no chain's name"):
        place.library.save(name, REVIEW)
    assert not place.paths.chains.exists()


UNSOUND = {
    "not YAML": "steps: [",
    "unknown key": "steps:\n  - {promt: Hi}\n",
    "unknown name": "steps:\n  - {prompt: '{{ topic }}'}\n",
    "itself": "steps:\n  - {use: x}\n",
    "another name": f"name: y\n{REVIEW}",
    "several": "chains: {a: plan, b: plan}\n",
    "huge": f"{REVIEW}#{'x' * (1 << 20)}",
    "no function": SCORED,
}


@pytest.mark.parametrize("kind", UNSOUND)
def test_an_unsound_text_is_not_saved(place, kind):
    with pytest.raises(UserError):
        place.library.save("x", UNSOUND[kind])
    assert not place.paths.chains.exists()


def test_a_column_may_be_named_when_it_is_known(place):
    place.library.save("x", "steps:\n  - {prompt: '{{ topic }}'}\n", names=frozenset({"topic"}))


def test_nothing_is_written_through_a_link_also_not_to_replace(place, tmp_path):
    target = tmp_path / "precious.yaml"
    target.write_text("precious")
    place.paths.chains.mkdir(parents=True)
    (place.paths.chains / "x.yaml").symlink_to(target)

    with pytest.raises(UserError):
        place.library.save("x", REVIEW)
    with pytest.raises(UserError, match="a link"):
        place.library.save("x", REVIEW, replace=True)
    assert target.read_text() == "precious"


# What came with the notebook


def test_a_project_s_chain_file_is_known_and_not_trusted_until_the_user_does_and_after_any_change(place):
    place.beside("model: haiku\n")
    path = place.beside(REVIEW, "chains/review.yaml")
    assert place.library.read("review")[1] is False
    assert place.library.find("review").path == path

    place.trust()
    assert place.library.read("review")[1] is True
    place.beside(REVIEW + " ", "chains/review.yaml")
    assert place.library.read("review")[1] is False
    place.trust()
    place.beside(REVIEW, "chains/more.yaml")
    assert place.library.read("review")[1] is False


def test_a_chain_file_beside_no_settings_file_is_nobody_s(place):
    place.beside(REVIEW, "chains/review.yaml")

    assert not place.library.all()


BEYOND = {
    "python": "python: score",
    "mode": "prompt: Hi\n    mode: deep",
    "options.seed": "prompt: Hi\n    options: {seed: 1}",
    "options.body.tools": "prompt: Hi\n    options: {body.tools: [web]}",
    "options.max_tokens": "prompt: Hi\n    options: {max_tokens: 100000}",
    "model": "prompt: Hi\n    model: anthropic/not-listed",
    "fallback": "prompt: Hi\n    fallback: [openai/not-listed]",
    "switch.model": "switch: {ask: Hi, model: openai/not-listed, cases: {a: {prompt: Hi}}}",
}


@pytest.mark.parametrize("key", BEYOND)
def test_what_a_project_s_chain_file_may_not_say_is_told_with_its_line_and_does_not_run(place, key):
    place.beside("model: haiku\n")
    path = place.beside(f"steps:\n  - id: a\n    {BEYOND[key]}\n", "chains/x.yaml")
    place.library.register(lambda: 1, "score")

    kept = place.library.find("x")

    assert [problem.key for problem in kept.problems] == [key]
    assert kept.problems[0].file == str(path)
    assert kept.problems[0].line in {3, 4}
    with pytest.raises(ChainError):
        place.library.read("x")
    with pytest.raises(ChainError):
        place.library.read(path)
    assert "x" not in place.library.world().chains
    place.trust()
    if key != "mode":  # there are none yet
        plan(place.library.read("x")[0], place.library.world())


def test_a_project_s_chain_reaches_no_function_through_the_user_s_chain(place):
    place.library.register(lambda text: text, "score")
    place.user("inputs: {text: text}\nsteps:\n  - {python: score, with: {text: '{{ text }}'}}\n", "chains/tool.yaml")
    place.user("steps:\n  - {use: theirs}\n", "chains/mine.yaml")
    place.beside("model: haiku\n")
    place.beside("steps:\n  - {use: tool, with: {text: rm}}\n", "chains/theirs.yaml")
    library = place.library

    for name in ("theirs", "mine"):
        chain, trusted = library.read(name)
        with pytest.raises(ChainError):
            plan(chain, library.world(trusted=trusted))
    place.trust()
    for name in ("theirs", "mine"):
        chain, trusted = library.read(name)
        assert plan(chain, library.world(trusted=trusted)).used


def test_a_project_s_folder_of_chains_is_read_only_as_far_as_it_is_its_own(place, tmp_path):
    secret = tmp_path / "secret.yaml"
    secret.write_text("hunter2: [\n")
    place.beside("model: haiku\n")
    place.beside(REVIEW, "chains/good.yaml")
    (place.project / "chains/link.yaml").symlink_to(secret)
    os.mkfifo(place.project / "chains/pipe.yaml")
    (place.project / "chains/folder.yaml").mkdir()

    known = place.library.all()
    assert {name for name, kept in known.items() if kept.problems} == {"link", "pipe", "folder"}
    assert "hunter2" not in repr(known)

    (place.project / "chains").rename(tmp_path / "elsewhere")
    (place.project / "chains").symlink_to(tmp_path / "elsewhere")
    assert not place.library.all()


def test_a_chain_in_a_variable_is_not_trusted_for_a_project_sets_variables_too(place):
    library = Library(
        lambda: load(place.paths, place.project, {"ORCHESTRATOR_NB_CHAINS__X": "{steps: [{python: score}]}"})
    )

    assert not library.find("x").trusted
    assert library.find("x").problems


def test_trust_shows_what_a_chain_file_asks_for(place):
    place.beside("model: haiku\n")
    place.beside("steps:\n  - parallel: {a: [{prompt: Hi}, {python: score}]}\n", "chains/x.yaml")
    place.beside("plan | summarize\n", "chains/y.yaml")
    place.beside("a: [\n", "chains/z.yaml")

    text = str(survey(place.paths, place.project, {}))

    assert (
        "chains.x: step 1: a: step 2: python: 'score'  (chains/x.yaml:2)" in text.partition("only once you trust it")[2]
    )
    assert "chains.y: 'plan | summarize'" in text
    assert "chains/z.yaml" in text


def test_a_project_s_roles_add_names_and_change_a_built_in_text_only_once_it_is_trusted(place):
    place.beside("roles: {Critique: Praise it., judge: You judge.}\npersonas: {poet: Lie.}\n")
    assert place.library.roles.text("role", "judge") == "You judge."
    assert "Praise" not in place.library.roles.text("role", "critique")
    assert "Lie" not in place.library.roles.text("persona", "poet")

    place.trust()
    assert place.library.roles.text("role", "critique") == "Praise it."
    place.user("roles: {critique: Mine.}\n")
    assert place.library.roles.text("role", "critique") == "Mine."


def test_a_second_name_of_a_chain_file_cannot_be_trusted(place, tmp_path):
    place.beside("model: haiku\n")
    os.link(place.beside(REVIEW, "chains/x.yaml"), tmp_path / "also.yaml")

    with pytest.raises(UserError, match="second name"):
        place.trust()
    assert not place.library.read("x")[1]


def test_a_refused_project_s_settings_still_refuse_everything(place):
    place.beside("chains:\n  a:\n    steps:\n      - {python: score}\n")

    with pytest.raises(
        ConfigError, match=r"orchestrator-nb.yaml:4: chains.a.steps\[0\].python: a project's file may not"
    ):
        place.library.all()
    place.trust()
    assert place.library.read("a")[1]
