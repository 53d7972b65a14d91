"""Roles and personas: built-in texts, overridable, found in any usual spelling, and near ones named."""

import pytest

from orchestrator_nb.chains import Roles
from orchestrator_nb.chains.spelling import canonical
from orchestrator_nb.errors import UserError

PREDECESSOR = {
    "role": ["Critique", "Summarize", "GenerateCode", "Plan", "Analyze"],
    "persona": ["Developer", "ProductManager", "Poet", "TechnicalWriter", "Tester", "Researcher"],
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in PREDECESSOR.items() for name in names])
def test_the_predecessors_names_have_texts(kind, name):
    assert len(Roles().text(kind, name)) > 100


@pytest.mark.parametrize(
    "name",
    [
        "technical_writer",
        "TechnicalWriter",
        "technical writer",
        "Technical Writer",
        "technical-writer",
        "TECHNICAL_WRITER",
        " technical  writer ",
    ],
)
def test_any_usual_spelling_means_the_same(name):
    assert canonical(name) == "technical_writer"
    assert Roles().text("persona", name) == Roles().text("persona", "technical_writer")


def test_a_steps_system_prompt_says_who_and_then_what():
    roles = Roles(user_roles={"grade": "Grade."}, user_personas={"judge": "A judge."})
    assert roles.system("grade", "judge") == "A judge.\n\nGrade."
    assert roles.system(persona="judge") == "A judge."
    assert roles.system() == ""


def test_the_users_text_stands_before_the_projects_and_this_before_the_built_in():
    roles = Roles(
        user_roles={"Plan": "mine"}, project_roles={"plan": "theirs", "critique": "theirs", "summarize": None}
    )
    assert [roles.text("role", name) for name in ("plan", "critique")] == ["mine", "theirs"]
    assert roles.text("role", "summarize") == Roles().text("role", "summarize")


def test_a_name_without_a_text_of_its_own_still_says_something():
    assert (
        Roles(project_personas={"HarshReviewer": None}).text("persona", "harsh_reviewer") == "You are a harsh reviewer."
    )


def test_an_unknown_one_is_an_error_that_names_the_nearest():
    with pytest.raises(UserError, match=r"unknown persona 'TechWriter'; did you mean 'technical_writer'\?"):
        Roles().text("persona", "TechWriter")
