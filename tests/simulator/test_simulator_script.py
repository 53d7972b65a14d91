"""Scripts say what to answer; a script that cannot be used is refused in one clear sentence."""

from __future__ import annotations

import pytest
from simulator_client import Client

from orchestrator_nb.simulator import Script, ScriptError, Simulator
from orchestrator_nb.simulator.script import load

YAML = """
- match: capital of (France|Italy)
  model: claude
  answer: A large city.
- match: capital
  answer: A city.
  thinking: Cities, then.
  finish: length
- match: weather
  tool_calls: [{name: look, arguments: {city: Oslo}}]
"""


def ask(sim, prompt, model="claude-opus-5-5", vendor="anthropic", **more):
    body = {"messages": [{"role": "user", "content": prompt}]}
    return Client(sim).ask(vendor, model=model, body=body, **more).json


def test_the_first_entry_that_fits_prompt_and_model_answers(tmp_path):
    file = tmp_path / "script.yaml"
    file.write_text(YAML)
    with Simulator(script=file) as sim:
        assert ask(sim, "The capital of Italy?")["content"][-1]["text"] == "A large city."
        other = ask(sim, "The capital of Italy?", "gpt-4o", "openai")["choices"][0]
        assert (other["message"]["content"], other["finish_reason"]) == ("A city.", "length")
        thought = ask(sim, "The capital of Peru?")["content"][0]
        assert thought["thinking"] == "Cities, then."
        assert ask(sim, "weather?")["content"][-1]["input"] == {"city": "Oslo"}
        assert ask(sim, "something else entirely")["content"][-1]["text"] not in ("A large city.", "A city.")


def test_scripts_may_be_json_or_a_list(tmp_path):
    file = tmp_path / "script.json"
    file.write_text('[{"match": ".*", "answer": "Always."}]')

    assert load(file) == load([{"match": ".*", "answer": "Always."}])
    assert load(None) == Script()


def test_a_list_of_answers_is_said_in_turn():
    with Simulator(script=[{"match": "coin", "answer": ["Heads.", "Tails."]}], lively=True) as sim:
        said = [ask(sim, "Flip a coin.")["content"][-1]["text"] for _ in range(3)]
    assert said == ["Heads.", "Tails.", "Heads."]


def test_what_is_said_last_is_tried_first(sim):
    sim.say("colour", "Red.")
    sim.say("colour", "Blue.")

    assert ask(sim, "Which colour?")["content"][-1]["text"] == "Blue."


def test_an_answer_may_be_cut_off(sim, client):
    sim.say("Lorem", "Lorem ipsum dolor", cut_after=5)
    seen = client.ask(
        "ollama", stream=True, model="llama3.2", body={"messages": [{"role": "user", "content": "Lorem"}]}
    )

    assert seen.ended == "closed"
    assert [line["message"]["content"] for line in seen.data] == ["Lorem"]


def test_special_signs_in_a_pattern_are_plain_text_too(sim):
    sim.say("cost (in $", "Much.")

    assert ask(sim, "The cost (in $)?")["content"][-1]["text"] == "Much."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("match: x", "script.yaml: expected a list of entries, found dict"),
        ("- 3", "script.yaml, entry 1: expected a mapping with 'match' and 'answer', found int '3'."),
        (
            "- {match: x, answer: y}\n- {match: x, anwser: y}",
            "script.yaml, entry 2: unknown key 'anwser'; use one of answer,",
        ),
        ("- {answer: y}", "script.yaml, entry 1: needs 'match' and 'answer'"),
        ("- {match: x, answer: 3}", "script.yaml, entry 1: 'answer' has to be text, found int '3'; put it in quotes."),
        ("- {match: x, answer: []}", "script.yaml, entry 1: 'answer' has to be text, found list '[]'"),
        ("- {match: x, answer: y, finish: early}", "script.yaml, entry 1: unknown finish 'early'; use one of stop,"),
        ("- {match: x, answer: y, delay: -1}", "script.yaml, entry 1: 'delay' has to be seconds from 0 to 3600"),
        ("- {match: x, tool_calls: look}", "script.yaml, entry 1: 'tool_calls' has to be a list of {name, arguments}"),
        ("- {match: x, answer: y, cut_after: 1.5}", "script.yaml, entry 1: 'cut_after' has to be a whole number"),
        ("- {match: x\n- y", "script.yaml, line 2: is not YAML"),
        ("", "script.yaml: expected a list of entries, found nothing"),
    ],
)
def test_a_script_that_cannot_be_used_is_refused_by_file_and_entry(tmp_path, text, said):
    file = tmp_path / "script.yaml"
    file.write_text(text)

    with pytest.raises(ScriptError) as failure:
        Simulator(script=file)

    assert str(failure.value).startswith(f"{tmp_path}/{said}")
    assert "\n" not in str(failure.value)


def test_a_script_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ScriptError, match=r"no\.yaml: cannot be read \(No such file or directory\); check the path"):
        load(tmp_path / "no.yaml")


def test_a_wrong_word_in_say_is_refused(sim):
    with pytest.raises(ScriptError, match=r"say\('x'\): unknown key 'dealy'"):
        sim.say("x", "y", dealy=3)
