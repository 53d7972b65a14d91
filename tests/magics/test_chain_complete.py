"""Tab for chains: on the line, and in a cell's body, where every place offers what fits there and a prompt is left alone."""

import pytest

from orchestrator_nb.magics.complete import suggest
from orchestrator_nb.magics.offers import Known

KNOWN = Known(
    models=lambda: ("sonnet", "flash", "ollama/llama3.2:3b"),
    settings=lambda: ("model",),
    variables={"notes": "text", "rows": [{"a": 1}], "_hidden": 1},
    chains=lambda: ("review", "digest"),
    roles=lambda: {"role": ("analyze", "summarize"), "persona": ("poet", "tester")},
    functions=lambda: ("score",),
    runs=lambda: ("20260101-000000-abcdef",),
    templates=lambda: {"refine": ("writer", "turns"), "vote": ("model",)},
    chain_inputs=lambda name: {"review": ("topic", "words")}.get(name, ()),
)


def at_end(text):
    row = text.count("\n")
    found = suggest(text, row, len(text.split("\n")[row]), KNOWN)
    return found and (found.fragment, list(found.names))


def names(text):
    return at_end(text)[1]


HEAD = "%%chain\ninputs: {topic: text, n: {type: integer, default: 3}}\nsteps:\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%chain li", ("li", ["list"])),
        ("out = %chain ru", ("ru", ["run"])),
        ("%llm chain dr", ("dr", ["draw"])),
        ("%onb_chain dr", ("dr", ["draw"])),
        ("%chain show re", ("re", ["review"])),
        ("%chain draw review re", ("re", [])),
        ("%chain run di", ("di", ["digest"])),
        ("%chain run review --input ", ("", ["topic=", "words="])),
        ("%chain run review --input topic={{ no", ("no", ["notes"])),
        ("%chain run review --ov", ("--ov", ["--over"])),
        ("%chain run review --sa", ("--sa", [])),
        ("%chain run review --over ro", ("ro", ["rows"])),
        ("%chain resume 2026", ("2026", ["20260101-000000-abcdef"])),
        ("%chain resume last --max-", ("--max-", ["--max-parallel", "--max-cost"])),
        ("%chain resume --t", ("--t", ["--timeout"])),
        ("%chain profile 2026", ("2026", ["20260101-000000-abcdef"])),
        ("%chain templates v", ("v", ["vote"])),
        ("%chain new x --from re", ("re", ["refine"])),
        ("%chain new x --from refine --set t", ("t", ["turns="])),
        ("%chain new x --from refine --set writer=fl", ("fl", ["flash"])),
        ("%chain new x --f", ("--f", ["--from"])),
        ("%chain from write a poem -m fl", ("fl", ["flash"])),
        ("%chain from write a po", ("po", [])),
        ("%%chain --in", ("--in", ["--input"])),
        ("%%chain --save re", ("re", ["review"])),
        ("%%chain -m so", ("so", ["sonnet"])),
        ("%%chain --on-error ", ("", ["return", "continue"])),
        ("%%chain --input x={{ no", ("no", ["notes"])),
        ("%%chain so", ("so", [])),
        ("%%chain\nst", ("st", ["steps:"])),
        ("%%chain\nana", ("ana", ["analyze"])),
        ("%%chain\nanalyze:po", ("po", ["poet"])),
        ("%%chain\nanalyze:poet@fl", ("fl", ["flash"])),
        ("%%chain\nanalyze | su", ("su", ["summarize"])),
        (f"{HEAD}  - {{id: a, pro", ("pro", ["prompt:"])),
        (f"{HEAD}  - id: a\n    mod", ("mod", ["model:", "mode:"])),
        (f"{HEAD}  - id: a\n    model: fl", ("fl", ["flash"])),
        (f"{HEAD}  - id: a\n    model: ollama/llama3.2:", ("ollama/llama3.2:", ["ollama/llama3.2:3b"])),
        (f"{HEAD}  - id: a\n    model: [sonnet, fl", ("fl", ["flash"])),
        (f"{HEAD}  - {{id: a, model: fl", ("fl", ["flash"])),
        (f"{HEAD}  - role: su", ("su", ["summarize"])),
        (f"{HEAD}  - role: summarize\n    persona: te", ("te", ["tester"])),
        (f"{HEAD}  - use: di", ("di", ["digest"])),
        (f"{HEAD}  - python: s", ("s", ["score"])),
        (f"{HEAD}  - id: a\n    on_error: s", ("s", ["skip"])),
        (f"{HEAD}  - id: first\n  - id: b\n    on_error: {{goto: f", ("f", ["first"])),
        (f"{HEAD}  - id: a\n    each:\n      ", ("", ["over:", "as:", "parallel:"])),
        (f"{HEAD}  - id: a\n    repeat: {{m", ("m", ["max:"])),
        (f"{HEAD}  - id: a\n    options:\n      temp", ("temp", ["temperature:"])),
        (f"{HEAD}  - switch:\n      ca", ("ca", ["cases:"])),
        (f"{HEAD}  - switch:\n      cases:\n        yes:\n          prom", ("prom", ["prompt:"])),
        (f"{HEAD}  - switch:\n      cases:\n        yes:\n          - prom", ("prom", ["prompt:"])),
        (f"{HEAD}  - parallel:\n      pro: {{prom", ("prom", ["prompt:"])),
        (f"{HEAD}  - steps:\n      - id: x\n        prom", ("prom", ["prompt:"])),
        ("%%chain\nsteps:\n- id: a\n  prom", ("prom", ["prompt:"])),
        ("%%chain\ninputs:\n  topic:\n    ty", ("ty", ["type:"])),
        ("%%chain\ninputs:\n  topic: t", ("t", [])),
        ("%%chain\ninputs:\n  topic: {type: t", ("t", ["text"])),
        ("%%chain\ndefaults: {mo", ("mo", ["model:", "mode:"])),
        (f"{HEAD}  - id: first\n  - prompt: Improve {{{{ fi", ("fi", ["first"])),
        (f"{HEAD}  - prompt: On {{{{ to", ("to", ["topic"])),
        (f"{HEAD}  - prompt: On {{{{ similarity(pre", ("pre", ["previous"])),
        (f"{HEAD}  - prompt: |\n      Write on {{{{ n", ("n", ["n", "number"])),
        (f"{HEAD}  - prompt: On {{{{ topic.a", ("", [])),
        (f"{HEAD}  - prompt: On {{{{ join(topic, 'f", ("", [])),
        (f"{HEAD}  - prompt: |\n      Write abo", ("", [])),
        (f"{HEAD}  - prompt: |\n      Write\n      mod", ("", [])),
        (f"{HEAD}  - prompt: Write abo", ("", [])),
    ],
)  # fmt: skip
def test_each_place_offers_what_fits_there(text, expected):
    assert at_end(text) == expected


@pytest.mark.parametrize(
    "text", ["%chain", "%%chain", "%%chainx st", "%chains l", "x = '%chain l", "%%time\n%%chain\nst"]
)
def test_other_cells_are_left_to_ipython(text):
    assert at_end(text) is None


def test_every_key_of_the_language_is_offered_somewhere():
    from orchestrator_nb.chains.language import ChainPiece, StepPiece

    for piece, text in ((ChainPiece, "%%chain\nname: x\n"), (StepPiece, f"{HEAD}  - ")):
        keys = {field.alias or name for name, field in piece.model_fields.items()}
        assert {f"{key}:" for key in keys} == set(names(text))


def test_in_a_real_shell_tab_knows_what_the_session_knows(shell):
    shell.run_cell("%%chain --save tabbed --quiet\ninputs: {topic: text}\nsteps: [{prompt: '{{ topic }}'}]")

    def offered(text):
        shell.Completer.use_jedi = False
        from IPython.core.completer import provisionalcompleter

        with provisionalcompleter():
            return {one.text for one in shell.Completer.completions(text, len(text))}

    assert "tabbed" in offered("%chain run tab")
    assert "topic=" in offered("%chain run tabbed --input to")
    assert "summarize" in offered("%%chain\nsteps:\n  - role: sum")
    assert "sonnet" in offered("%%chain\nsteps:\n  - model: son")
    assert "turns=" in offered("%chain new x --from refine --set tu")
