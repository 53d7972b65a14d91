"""Every ready chain loads and plans, alone and with its parameters set, and says what is wrong with a parameter."""

import pytest

from orchestrator_nb.chains import bind, load, plan, to_yaml
from orchestrator_nb.chains.templates import ready, template
from orchestrator_nb.errors import UserError

NAMES = ["debate", "extract", "refine", "route", "summarize", "translate", "vote"]
SAMPLES = {"integer": "3", "number": "0.5", "any": "some-model"}


def test_there_are_the_seven():
    assert sorted(ready()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_makes_a_chain_that_plans_and_can_be_kept_as_yaml(name):
    chain = template(name).chain("my_own")
    assert plan(chain).outputs
    assert chain.name == "my_own"
    assert chain.description
    assert load(to_yaml(chain)) == chain


@pytest.mark.parametrize("name", NAMES)
def test_each_parameter_is_told_of_and_changes_the_chain(name):
    plain = template(name).chain()
    for parameter in template(name).parameters.values():
        assert len(parameter.description) > 10
        value = "title, year int" if parameter.name == "fields" else SAMPLES[parameter.type]
        changed = template(name).chain(values={parameter.name: value})
        assert changed != plain, parameter.name
        assert plan(changed)
        assert "$" not in to_yaml(changed)


def test_a_parameter_may_be_a_list_of_models():
    chain = template("vote").chain(values={"model": ["sonnet", "flash"], "samples": 3})
    assert chain.steps[0].do.model == ("sonnet", "flash")
    assert chain.steps[0].do.samples == 3


def test_what_is_wrong_with_a_parameter_is_said():
    with pytest.raises(UserError, match=r"did you mean 'turns'\?"):
        template("refine").chain(values={"turn": 3})
    with pytest.raises(UserError, match="parameter 'turns' takes a whole number, not 'many'"):
        template("refine").chain(values={"turns": "many"})
    with pytest.raises(UserError, match=r"did you mean 'refine'\?"):
        template("refin")


def test_their_inputs_bind():
    assert bind(template("summarize").chain(), {"document": "d"}) == {"document": "d", "question": ""}
