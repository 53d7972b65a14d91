"""The chain builder, as far as it is Python: what it sends, what it takes from the browser, where it saves, and how it runs."""

import json
from pathlib import Path

import pytest

from orchestrator_nb.chains import template, to_yaml
from orchestrator_nb.errors import UserError
from orchestrator_nb.magics.chain_edit import edit
from orchestrator_nb.sessions import Session
from orchestrator_nb.widgets.chain_editor import ChainEditor
from orchestrator_nb.widgets.chain_terms import terms

PAYLOADS = json.loads((Path(__file__).parents[1] / "results" / "xss_payloads.json").read_text())["payloads"]
TWO = """\
# mine, with care
inputs: {topic: text, words: {type: integer, default: 20}}
defaults: {model: haiku}
steps:
  - id: draft   # short
    prompt: Write {{ words }} words about {{ topic }}.
  - {id: better, prompt: "Improve: {{ draft }}"}
"""


class Place:
    """A user's home, a project, and a session in it, whose answers are the simulator's."""

    def __init__(self, root, simulate=True):
        self.home, self.project = root / "onb", root / "project"
        self.folder = self.home / "config" / "chains"
        self.project.mkdir()
        self.folder.mkdir(parents=True)
        self.session = Session.open(home=self.home, cwd=self.project, environ={})
        if simulate:
            self.session.simulate(True)
            self.session.simulator._world.lively = False  # at once, not at a vendor's pace
        self.open = []

    def keep(self, name, text, folder=None):
        path = (folder or self.folder) / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode())
        return path

    def editor(self, name="", **how):
        made = ChainEditor(name, session=self.session, **how)
        made.sent = []
        made.send = lambda message, buffers=None: made.sent.append(
            json.loads(json.dumps(message))
        )  # the wire to the browser
        self.open.append(made)
        return made

    def close(self):
        for editor in self.open:
            if editor._live:
                editor._live.stop()
                editor._live.wait(10)
            editor.close()
        self.session.close()


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path)
    yield made
    made.close()


def hear(editor, **message):
    """What is sent back for one message."""
    before = len(editor.sent)
    editor._handle_custom_msg(message, [])
    return editor.sent[before:]


def op(editor, n, **given):
    return hear(editor, kind="op", n=n, op=given)


def ran(editor, **inputs):
    """What is sent until the run has ended."""
    before = len(editor.sent)
    hear(editor, kind="run", inputs=inputs)
    if live := editor._live:
        assert live.wait(20)
    return editor.sent[before:]


# What it sends


def test_it_sends_the_forms_and_the_chain_when_the_browser_asks(place):
    place.keep("review.yaml", TWO)
    editor = place.editor("review")
    schema, chain = hear(editor, kind="ready")
    assert {kind["kind"] for kind in schema["kinds"]} == {
        "prompt",
        "role",
        "each",
        "repeat",
        "parallel",
        "switch",
        "block",
        "use",
        "python",
        "plan",
    }
    assert "StepPiece" in schema["schema"]["$defs"]
    assert {"haiku", "sonnet"} <= set(schema["choices"]["models"])
    assert "analyze" in schema["choices"]["roles"]
    assert (chain["name"], chain["saved"], chain["undo"], chain["redo"], chain["problems"]) == (
        "review",
        True,
        False,
        False,
        [],
    )
    assert chain["text"] == TWO
    assert chain["path"].endswith("review.yaml")
    assert [node["path"] for node in chain["graph"]["nodes"]] == ["draft", "better"]
    assert chain["value"]["inputs"]["words"]["default"] == 20
    assert TWO.strip() not in json.dumps(editor.get_state())  # no synced trait holds the chain


def test_every_kind_of_step_can_be_added_to_a_chain_and_is_sound(place):
    place.session.chains.register(len, "count")
    place.keep("other.yaml", "steps: [{prompt: Hi}]\n")
    for name in ("debate", "vote"):  # whose last values are an object and a list
        editor = place.editor("mine", template=name)
        for kind in terms(place.session, "mine")["kinds"]:
            [chain] = op(editor, 1, do="add", place=["steps"], at=99, value=kind["template"])
            assert chain["problems"] == [], kind
            hear(editor, kind="undo")
        assert editor.text == to_yaml(template(name).chain("mine"))


# Edits


def test_an_edit_is_answered_by_its_number_and_can_be_undone_to_the_very_text(place):
    place.keep("review.yaml", TWO)
    editor = place.editor("review")
    [chain] = op(editor, 7, do="set", place=["steps", 0, "model"], value="sonnet")
    assert (chain["n"], chain["saved"], chain["undo"]) == (7, False, True)
    assert chain["text"] == TWO.replace("{{ topic }}.\n", "{{ topic }}.\n    model: sonnet\n")
    [said] = op(editor, 8, do="rename", place=["steps", 0], name="topic")
    assert (said["kind"], said["problem"], said["n"]) == ("said", True, 8)
    [chain] = hear(editor, kind="undo")
    assert (chain["text"], chain["saved"], chain["redo"], chain["n"]) == (TWO, True, True, 8)
    [chain] = hear(editor, kind="redo")
    assert "model: sonnet" in chain["text"]
    assert hear(editor, kind="redo") == [{"kind": "said", "text": "there is nothing to redo.", "problem": True}]


def test_problems_come_with_their_place_and_go_when_they_are_mended(place):
    editor = place.editor("mine", template="refine")
    [chain] = op(editor, 1, do="set", place=["steps", 0, "model"], value="sonet")
    assert [(one["place"], one["step"], one["key"]) for one in chain["problems"]] == [
        (["steps", 0, "model"], "draft", "model")
    ]
    assert chain["graph"]["nodes"][0]["problems"] == 1
    [chain] = op(editor, 2, do="text", text="steps: [")
    assert chain["graph"]["nodes"] == []
    assert chain["problems"]
    [chain] = hear(editor, kind="undo")
    assert len(chain["graph"]["nodes"]) == 4
    place.session.chains.register(len, "count")
    schema, _chain = hear(editor, kind="check")
    assert schema["choices"]["functions"] == ["count"]


def test_no_message_of_another_shape_does_anything(place):
    editor = place.editor("mine", template="vote")
    text = editor.text
    for message in ({}, {"kind": "op"}, {"kind": "op", "n": "1", "op": {}}, {"kind": "op", "n": 1, "op": []}, {"kind": "save", "name": 3}, {"kind": "run"}, {"kind": 5}):  # fmt: skip
        assert hear(editor, **message) == []
    assert op(editor, 1, do="set", place=[True], value=1)[0]["problem"]
    assert op(editor, 2)[0]["problem"]
    assert editor.text == text


def test_hostile_names_and_texts_stay_texts(place):
    editor = place.editor("mine", template="vote")
    branches = {f"{number} {payload}": {"prompt": payload} for number, payload in enumerate(PAYLOADS.values())}
    op(editor, 1, do="add", place=["steps"], at=1, value={"switch": {"on": "input", "cases": branches}})
    op(editor, 2, do="set", place=["description"], value="\n".join(PAYLOADS.values()))
    for text in (editor.text, f"{editor.text}  broken: {json.dumps(list(PAYLOADS.values()))}"):
        editor.text = text
        html = editor.still()._repr_mimebundle_()["text/html"]
        assert html.count("<img") == (1 if editor._sheet().drawing() else 0)
        assert "<script" not in html.lower()
        assert "<svg" not in html.lower()


# Saving


def test_an_own_file_is_saved_in_its_place_byte_for_byte_but_for_the_edit(place):
    path = place.keep("review.yaml", "\ufeff" + TWO.replace("\n", "\r\n"))
    editor = place.editor("review")
    hear(editor, kind="save", name="review", overwrite=False)
    assert path.read_bytes() == ("\ufeff" + TWO.replace("\n", "\r\n")).encode()
    op(editor, 1, do="rename", place=["steps", 0], name="first")
    hear(editor, kind="save", name="review", overwrite=False)
    renamed = TWO.replace("id: draft", "id: first").replace("{{ draft }}", "{{ first }}")
    assert path.read_bytes() == ("\ufeff" + renamed.replace("\n", "\r\n")).encode()


def test_a_save_is_said_and_what_is_wrong_is_not_saved(place):
    path = place.keep("review.yaml", TWO)
    editor = place.editor("review")
    op(editor, 1, do="rename", place=["steps", 0], name="first")
    chain, said = hear(editor, kind="save", name="review", overwrite=False)
    assert chain["saved"]
    assert said["text"].startswith("review is kept in ")
    assert path.read_text() == TWO.replace("id: draft", "id: first").replace("{{ draft }}", "{{ first }}")
    op(editor, 2, do="set", place=["steps", 0, "prompt"], value="{{ nothing }}")
    [said] = hear(editor, kind="save", name="review", overwrite=False)
    assert "'nothing' is not known here" in said["text"]
    assert "{{ nothing }}" not in path.read_text()


def test_what_another_program_wrote_meanwhile_is_not_overwritten(place):
    path = place.keep("review.yaml", TWO)
    editor = place.editor("review")
    op(editor, 1, do="set", place=["steps", 0, "model"], value="sonnet")
    path.write_text("steps: [{prompt: theirs}]\n")
    [said] = hear(editor, kind="save", name="review", overwrite=True)
    assert "changed by another program" in said["text"]
    assert "theirs" in path.read_text()
    assert "sonnet" in editor.text
    hear(editor, kind="save", name="review2", overwrite=False)
    assert "sonnet" in (place.folder / "review2.yaml").read_text()


def test_a_new_chain_asks_before_it_takes_anothers_place(place):
    place.keep("taken.yaml", TWO)
    editor = place.editor("mine", template="vote")
    assert hear(editor, kind="save", name="taken", overwrite=False) == [{"kind": "exists", "name": "taken"}]
    chain, _said = hear(editor, kind="save", name="taken", overwrite=True)
    assert (chain["name"], chain["saved"]) == ("taken", True)
    assert "name: taken" in (place.folder / "taken.yaml").read_text()
    assert hear(editor, kind="save", name="../evil", overwrite=True)[0]["problem"]
    assert editor.save() == chain["path"]


def test_a_chain_of_the_notebook_is_kept_and_then_is_what_runs_under_its_name(place):
    place.session.chains.define("mine", template("vote").chain("mine"))
    editor = place.editor("mine")
    op(editor, 1, do="set", place=["description"], value="Better.")
    assert hear(editor, kind="save", name="mine", overwrite=False)[0]["saved"]
    assert place.session.chains.find("mine").chain.description == "Better."


def test_one_of_several_chains_in_a_file_is_changed_there_and_the_others_stay(place):
    text = "# two\nchains:\n  one: analyze@haiku\n  two:\n    steps:\n      - prompt: a  # as it is\n        model: haiku\n"
    path = place.keep("both.yaml", text)
    editor = place.editor("two")
    op(editor, 1, do="set", place=["steps", 0, "model"], value="sonnet")
    hear(editor, kind="save", name="two", overwrite=False)
    assert path.read_text() == text.replace("model: haiku", "model: sonnet")
    one = place.editor("one")
    told = op(one, 1, do="set", place=["steps", 0, "persona"], value="researcher")
    assert "written as YAML" in told[1]["text"]
    hear(one, kind="save", name="one", overwrite=False)
    assert path.read_text().endswith(text.replace("model: haiku", "model: sonnet").partition("  two:")[2])


def test_a_projects_untrusted_chain_is_looked_at_saved_as_ones_own_and_only_then_runs(place):
    theirs = place.keep(
        "orchestrator-nb.yaml", "chains: {theirs: {steps: [{prompt: Hi, model: haiku}]}}\n", place.project
    )
    file = place.keep("shared.yaml", TWO, place.project / "chains")
    place.session.refresh()
    for name in ("theirs", "shared"):
        editor = place.editor(name)
        assert hear(editor, kind="ready")[1]["path"] is None
        assert "came with the project" in ran(editor, topic="x")[-1]["text"]
        hear(editor, kind="save", name=f"my_{name}", overwrite=False)
        assert ran(editor, topic="x")[-1]["text"].startswith("Done: ") or name == "theirs"
    assert (theirs.read_text()[:6], file.read_text()) == ("chains", TWO)


# Running


def test_a_run_is_told_step_by_step_and_its_frame_is_kept(place):
    place.keep("review.yaml", TWO)
    editor = place.editor("review")
    told = ran(editor, topic="rain", words="")
    *_, last, said = told
    assert (last["kind"], last["ended"]) == ("live", True)
    assert {path: state["state"] for path, state in last["states"].items()} == {"draft": "done", "better": "done"}
    assert last["states"]["draft"]["text"]
    assert last["states"]["draft"]["cost_usd"] is not None
    assert said["text"].startswith("Done: 2 calls")
    assert len(editor.result) == 2
    assert "20 words about rain" in editor.result["prompt"][0]


def test_a_run_is_stopped_and_what_is_done_is_kept(place, tmp_path):
    script = tmp_path / "slow.yaml"
    script.write_text("- match: Improve\n  delay: 30\n  answer: late\n")
    place.session.simulate(True, script)
    place.keep("review.yaml", TWO)
    editor = place.editor("review")
    hear(editor, kind="run", inputs={"topic": "x"})
    assert "it runs already" in hear(editor, kind="run", inputs={"topic": "x"})[-1]["text"]
    while not any(
        message.get("states", {}).get("better", {}).get("state") == "running" for message in list(editor.sent)
    ):
        assert not editor._live.wait(0.02)
    live = editor._live
    hear(editor, kind="stop")
    assert live.wait(10)
    states = [message for message in editor.sent if message["kind"] == "live"][-1]["states"]
    assert [states[path]["state"] for path in ("draft", "better")] in (["done", "failed"], ["done", "stopped"])
    assert editor.result["error"].isna().sum() == 1
    assert "nothing runs" in hear(editor, kind="stop")[-1]["text"]


@pytest.mark.parametrize(
    ("inputs", "why"),
    [({}, "the input 'topic' is missing"), ({"topic": "x", "words": "many"}, "words"), ({"topic": "x", "other": "y"}, "no such input")],
)  # fmt: skip
def test_what_keeps_a_chain_from_running_is_one_sentence(place, inputs, why):
    place.keep("review.yaml", TWO)
    [said] = ran(place.editor("review"), **inputs)
    assert said["problem"]
    assert why in said["text"]


def test_missing_keys_are_said_and_nobody_is_asked_for_a_password(tmp_path):
    place = Place(tmp_path, simulate=False)
    place.keep("review.yaml", TWO)
    *_, said = ran(place.editor("review"), topic="x")
    assert said["problem"]
    assert "ANTHROPIC_API_KEY" in said["text"]
    place.close()


def test_a_file_from_elsewhere_calls_no_python_functions(place):
    place.session.chains.register(len, "count")
    path = place.keep("odd.yaml", "steps: [{id: a, python: count, with: {obj: x}}]\n", place.project)
    [said] = ran(place.editor(str(path)))
    assert "python" in said["text"].lower()
    assert said["problem"]


# Everywhere else


def test_the_static_form_has_the_drawing_and_the_yaml_and_of_a_broken_chain_what_is_wrong(place):
    place.keep("review.yaml", TWO)
    editor = place.editor("review")
    assert 'src="data:image/svg+xml;base64,' in editor.still().html
    assert TWO.strip() in editor.still().text
    editor.text = "steps: [{prompt: '{{ x }}'}]"
    assert "1 problem" in editor.still().html
    assert "'x' is not known here" in editor.still().text
    editor.undo()
    assert editor.text == TWO
    assert editor.problems == ()


def test_to_look_at_a_chain_is_not_to_change_it(place):
    place.keep("review.yaml", TWO)
    editor = place.editor("review", readonly=True)
    assert hear(editor, kind="ready")[1]["text"] == TWO
    for message in (
        {"kind": "op", "n": 1, "op": {"do": "text", "text": ""}},
        {"kind": "save", "name": "x"},
        {"kind": "run", "inputs": {}},
    ):
        assert "for looking only" in hear(editor, **message)[0]["text"]
    assert editor.text == TWO


def test_a_terminal_says_which_file_to_edit_and_shows_it(place):
    path = place.keep("review.yaml", TWO)
    told, cell = edit(["review"], place.session, notebook=False)
    assert str(path).rpartition("/")[2] in told
    assert TWO.strip() in told
    assert cell == ""
    assert (
        edit(["review", "--cell"], place.session, notebook=False)[1]
        == f"%%chain --save review --replace\n{TWO.strip()}"
    )
    assert "in no file of yours" in edit(["--from", "vote"], place.session, notebook=False)[0]
    for words in (
        [],
        ["a", "b"],
        ["--from", "nothing"],
        ["nothing"],
        ["review", "--into", "a b"],
        ["none.yaml"],
        ["--form", "x"],
    ):
        with pytest.raises(UserError):
            edit(words, place.session, notebook=False)
