"""The model picker, as far as it is Python: what it offers, what it takes from the browser, and the cells that it writes."""

import json
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator_nb.catalog import Catalog, ModelSpec, Vendor
from orchestrator_nb.errors import UnknownModel, UserError
from orchestrator_nb.magics.args import parse
from orchestrator_nb.prompts.options import OPTION_NAMES, params_of
from orchestrator_nb.sessions import Session
from orchestrator_nb.simulator import Simulator
from orchestrator_nb.widgets.cells import cells_of
from orchestrator_nb.widgets.fields import FIELDS, options_of
from orchestrator_nb.widgets.offer import offer_of
from orchestrator_nb.widgets.picked import ROWS, picked
from orchestrator_nb.widgets.picker import ModelPicker

SONNET, FLASH = "anthropic/claude-sonnet-5-5", "gemini/gemini-3.8-flash"


@pytest.fixture
def session(tmp_path):
    with Session.open(home=tmp_path, cwd=tmp_path, environ={}) as opened:
        yield opened


@pytest.fixture
def simulated(session):
    session.simulate(True)
    return session


@pytest.fixture
def picker(simulated):
    made = ModelPicker(session=simulated)
    made.sent = []
    made.send = lambda message, buffers=None: made.sent.append(message)  # the wire to the browser
    yield made
    made.close()


def hear(picker, **message):
    picker._handle_custom_msg(message, [])
    return picker.sent


# What it offers


def test_without_keys_and_servers_nothing_is_offered_and_each_vendor_says_why(session):
    offer = offer_of(session)
    assert offer.choices == {}
    assert offer.absent["anthropic"] == "ANTHROPIC_API_KEY is missing: %vault set ANTHROPIC_API_KEY"
    assert offer.absent["ollama"].startswith("no server answers at http://127.0.0.1:")


def test_a_pattern_that_no_model_fits_is_an_error_with_the_nearest_name(simulated):
    with pytest.raises(UnknownModel, match="sonnet"):
        offer_of(simulated, "sonnett")


def test_models_that_fit_and_cannot_be_asked_are_no_error_for_each_vendor_says_why(session):
    assert (offer_of(session, "sonnet").groups, "anthropic" in offer_of(session, "sonnet").absent) == ((), True)


def test_a_key_in_the_environment_brings_its_vendor(tmp_path):
    with Session.open(home=tmp_path, cwd=tmp_path, environ={"ANTHROPIC_API_KEY": "not-a-key"}) as session:
        assert [group.vendor for group in offer_of(session).groups] == ["anthropic"]


def test_a_server_on_this_machine_is_asked_what_it_has(tmp_path):
    (tmp_path / "config").mkdir()
    with Simulator(key="none") as simulator:
        entry = f"lab: {{kind: openai-compatible, base_url: '{simulator.url('compat')}', api_key_name: LAB_KEY}}\n"
        (tmp_path / "config" / "models.yaml").write_text(entry)
        with Session.open(home=tmp_path, cwd=tmp_path, environ={"LAB_KEY": "none"}) as session:
            listed = {model.ref for model in session.list_models("lab")}
            assert set(offer_of(session, "lab/*").choices) == listed != set()


def test_prices_sizes_and_what_the_users_own_calls_took_stand_beside_each_model(simulated):
    simulated.compare(["one", "two", "three"], ["sonnet"])
    choice = offer_of(simulated).choices[SONNET]
    assert choice.price == (2.0, 10.0)
    assert (choice.context, choice.calls) == (1_000_000, 3)
    assert choice.latency_s > 0
    assert choice.usd > 0
    assert offer_of(simulated).choices[FLASH].calls == 0


def test_simulated_calls_say_nothing_about_real_ones(simulated):
    simulated.compare(["one"], ["sonnet"])
    simulated.simulate(False)
    assert simulated.measured() == {}


def test_each_model_has_a_form_of_the_options_that_it_takes(simulated):
    sonnet = next(model for model in simulated.catalog.models if model.ref == SONNET)
    assert "temperature" not in options_of(sonnet)
    assert {"max_tokens", "effort"} <= set(options_of(sonnet))
    plain = ModelSpec(Vendor("v", "openai-compatible", "http://localhost"), "m")
    assert {"effort", "thinking"}.isdisjoint(options_of(plain))


def test_every_bound_of_the_form_is_one_that_the_options_take():
    assert set(FIELDS) == set(OPTION_NAMES) - {"tool_choice"}
    for name, field in FIELDS.items():
        for bound in (field.low, field.high):
            assert bound is None or params_of({name: bound})
        if field.kind in {"number", "whole"}:
            with pytest.raises(UserError):
                params_of({name: field.low - 1})


# What it takes


def test_the_browser_gets_the_offer_when_it_asks_and_no_trait_holds_it(picker):
    offer = hear(picker, kind="ready")[0]
    assert offer["kind"] == "offer"
    assert json.loads(json.dumps(offer))["kind"] == "offer"
    assert sum(len(group["models"]) for group in offer["groups"]) > 50
    state = {name: value for name, value in picker.get_state().items() if name not in ("_esm", "_css")}
    assert "claude" not in json.dumps(state, default=str)


def test_only_models_that_were_offered_can_be_chosen_each_once(picker):
    picker.chosen = [SONNET, "nobody/nothing", SONNET, "<img src=x>"]
    assert picker.chosen == [SONNET]


def test_an_option_that_the_model_does_not_take_or_a_wrong_value_is_left_out_and_said(picker):
    picker.options = {
        SONNET: {"max_tokens": "100", "temperature": "1", "effort": "banana"},
        "nobody/x": {"seed": "1"},
        FLASH: 3,
    }
    assert picker.options == {SONNET: {"max_tokens": "100"}}
    said = [message["text"] for message in picker.sent if message.get("problem")]
    assert said == ["option effort takes one of none, minimal, low, medium, high, xhigh, max, not 'banana'."]


def test_it_writes_names_to_a_variable_and_to_nothing_that_holds_something_else(picker):
    from IPython.core.interactiveshell import InteractiveShell

    picker._shell = InteractiveShell()
    picker._shell.user_ns["data"] = {"mine": 1}
    picker.chosen = [SONNET, FLASH]
    hear(picker, kind="write", name="models")
    assert picker._shell.user_ns["models"] == [SONNET, FLASH]
    picker.chosen = [FLASH]
    hear(picker, kind="write", name="models")
    assert picker._shell.user_ns["models"] == [FLASH]
    for name, why in (("data", "holds something else"), ("a b", "is no name"), ("class", "is no name")):
        assert why in hear(picker, kind="write", name=name)[-1]["text"]
    assert picker._shell.user_ns["data"] == {"mine": 1}


def test_a_message_of_no_kind_that_it_knows_changes_nothing(picker):
    for message in ({}, {"kind": "write"}, {"kind": "write", "name": 3}, {"kind": "rm -rf"}):
        assert hear(picker, **message) == []


# The cells


def test_models_with_the_same_options_share_a_cell():
    options = {"a/x": {"temperature": "0"}, "b/y": {"temperature": "0"}, "c/z": {}}
    cells = cells_of(["a/x", "c/z", "b/y"], options)
    assert cells == ["%%llm a/x b/y -o temperature 0\n", "%%llm c/z\n"]


@example("*", "END")
@example("m", "0")
@example("m", "{{ x }}")
@example("m", '"] --file x')
@example("m", "a b\nc")
@given(st.text(max_size=20), st.text(min_size=1, max_size=20))
def test_a_cells_first_line_means_what_was_chosen_or_there_is_no_cell(name, value):
    """Whatever a server calls its models: nothing of it becomes an option, a second line or code."""
    try:
        [cell] = cells_of([f"lab/{name}"], {f"lab/{name}": {"stop": value}})
    except UserError:
        return
    first, rest = cell.split("\n", 1)
    line = parse(first.removeprefix("%%llm"))
    assert rest == ""
    assert line.models == (f"lab/{name}",)
    assert "*" not in name  # one model, and not all of them
    assert params_of(line.options) == params_of({"stop": value})
    assert "{{" not in value or isinstance(line.options["stop"], list)  # a text, and no template


# The static form


def test_the_static_form_is_short_and_hostile_names_are_text_in_it(simulated):
    vendor = Vendor("lab", "openai-compatible", "https://example.com")
    hostile = '<img src=x onerror="alert(1)">'
    models = [ModelSpec(vendor, f"{hostile}{number}") for number in range(500)]
    simulated._wiring._playing.cast = lambda _catalog: Catalog({"lab": vendor}, tuple(models))
    still = picked(offer_of(simulated), (), "")._repr_mimebundle_()
    assert "<img" not in still["text/html"]
    assert "500 models can be asked now" in still["text/plain"]
    assert still["text/html"].count("<tr>") == ROWS + 1
    assert len(still["text/html"]) < 20_000


def test_a_terminal_gets_the_list_as_text_and_loads_no_widgets(tmp_path):
    import subprocess

    code = (
        "from IPython.core.interactiveshell import InteractiveShell; import sys; shell = InteractiveShell();"
        "shell.run_line_magic('load_ext', 'orchestrator_nb'); shell.run_line_magic('llm', 'simulate on');"
        "shell.run_line_magic('llm', 'pick sonnet'); shell.run_line_magic('vault', 'panel'); print(sorted({'ipywidgets', 'anywidget'} & set(sys.modules)))"
    )
    env = {"ORCHESTRATOR_NB_HOME": str(tmp_path), "IPYTHONDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert SONNET in done.stdout
    assert "%%llm MODEL MODEL" in done.stdout
    assert "the vault of profile 'default' is not made yet" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", ["3x", "class", "a b", ""])
def test_a_proposed_variable_that_is_none_is_an_error_at_once(simulated, name):
    with pytest.raises(UserError, match="no name for a variable"):
        ModelPicker(into=name, session=simulated)
