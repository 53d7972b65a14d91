"""A chain in a real kernel and a real shell: one display that changes and ends as the outputs, and a question before proposed steps run."""

import re

import pytest

REVIEW = """%%chain rows << --input topic="the sea"
name: review
inputs: {topic: text}
defaults: {model: haiku}
steps:
  - id: draft
    prompt: Write about {{ topic }}.
  - id: polished
    repeat: 2
    steps:
      - {id: critique, role: critique}
      - {id: revise, prompt: "Revise.\\n{{ previous }}\\n{{ critique }}"}
"""
TWO = """%%chain rows <<
defaults: {model: haiku}
steps: [{id: one, prompt: About the sea.}, {id: two, prompt: "More of the sea: {{ one }}"}]
"""
ADAPTIVE = """%%chain rows << --on-error return
defaults: {model: haiku}
steps:
  - id: work
    plan: {task: Say what the moon is in two steps.}
"""
SHORT = ("the sea", "The sea is wide, and the sea is deep. It was here before us.")
"""Said to whatever is asked about the sea, also by an answer: the simulator takes its time for a longer one."""
PROPOSES = '''
from orchestrator_nb.sessions import session
session().simulator.say("Say what the moon is", """steps:
  - {id: first, prompt: "Say a word about <b>the moon</b>."}
  - {id: second, prompt: "Say more about {{ first }}."}
""")
'''


def pages(shown):
    return [data["text/html"] for _, data in shown.updates] + [data["text/html"] for data in shown.outputs.values()]


def test_one_display_follows_the_steps_and_ends_as_the_output_with_the_summary(kernel):
    kernel.run(f"from orchestrator_nb.sessions import session\nsession().simulator.say(*{SHORT!r})")
    shown = kernel.run(REVIEW, timeout=60)
    assert shown.status == "ok", shown.error
    [end] = shown.outputs.values()
    texts = [data["text/plain"] for _, data in shown.updates]
    told = "\n".join(texts)
    assert "draft: ✓ done" in told
    assert re.search(r"polished: ▶ running · turn [12] of 2", told)
    assert "critique: ▶ running" in told
    assert any("onb-stream" in page for page in pages(shown))
    assert "onb-answer" in end["text/html"]
    assert "polished:" not in end["text/plain"]
    assert "5 calls: 5 simulated" in end["text/plain"]
    assert len(shown.updates) <= shown.seconds * 5 + 3  # not more than five pictures a second


@pytest.mark.parametrize(("answer", "calls"), [("y", 3), ("n", 1), (None, 1)])
def test_proposed_steps_are_shown_whole_and_run_only_when_they_are_approved(kernel, answer, calls):
    kernel.run(PROPOSES)
    shown = kernel.run(ADAPTIVE, answers=[answer] if answer else None, timeout=60)
    assert shown.prompts == (["Run these 2 steps? [y/N] "] if answer else [])
    assert "Say a word about &lt;b&gt;the moon" in "".join(pages(shown))
    assert kernel.run("len(rows)").results[0]["text/plain"] == str(calls)
    assert ("were not approved" in shown.text) == (answer == "n")
    assert ("nobody can be asked here" in shown.text) == (answer is None)


def test_quiet_shows_nothing(kernel):
    shown = kernel.run(TWO.replace("<<", "<< --quiet"), timeout=60)
    assert (shown.status, shown.outputs, shown.stream) == ("ok", {}, "")


def test_a_shell_that_is_no_terminal_prints_the_result_alone(shell, capsys):
    shell.session.simulator.say(*SHORT)
    shell.run_cell(TWO)
    out = capsys.readouterr().out
    assert "2 calls: 2 simulated" in out
    assert not set(out) & {"\x1b", "\r"}


def test_a_terminal_has_one_line_that_changes_and_goes(shell, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    shell.session.simulator.say(*SHORT)
    shell.run_cell(TWO)
    lines = capsys.readouterr().out.split("\r\x1b[2K")
    assert any("chain · 1 of 2 steps" in line for line in lines)
    assert all(len(line) < 80 and "\n" not in line for line in lines[1:-1])
    assert "2 calls: 2 simulated" in lines[-1]


TWO_STEPS = """inputs: {topic: text}
steps:
  - {id: draft, prompt: "Write about {{ topic }}."}
  - {id: better, prompt: "Make it better: {{ draft }}"}
"""


def test_in_a_kernel_the_interrupt_button_keeps_what_is_answered_and_resume_goes_on(kernel):
    kernel.run("from orchestrator_nb import session\nsession().simulator.say('Make it better', 'late', delay=60)")
    shown = kernel.run(
        f"%%chain out << --input topic=x -m sonnet\n{TWO_STEPS}",
        interrupt_when=lambda shown: any(
            "1 of 2 steps" in data.get("text/plain", "") for data in shown.outputs.values()
        ),
    )
    assert shown.error.startswith("KeyboardInterrupt: stopped; 1 answer kept, all rows are in out; %chain resume ")
    assert kernel.value("list(out['error_kind'].fillna(''))") == ["", "cancelled"]
    kernel.run("session().simulator.clear()")
    assert kernel.run(f"%chain resume {shown.error.split()[-3]}").status == "ok"
    assert kernel.value("int(_['error'].isna().sum())") == 2
    kernel.run(f"%%chain --save kept --quiet\n{TWO_STEPS}")
    [payload] = kernel.run("%chain edit kept --cell").reply["payload"]
    assert (payload["source"], payload["replace"]) == ("set_next_input", False)
    assert payload["text"] == f"%%chain --save kept --replace\n{TWO_STEPS.strip()}"
    assert kernel.complete("%chain run kep") == ["kept"]
