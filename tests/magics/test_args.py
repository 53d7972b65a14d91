"""The first line of a cell: what it means, and one sentence for everything that it cannot mean."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.errors import UserError
from orchestrator_nb.magics.args import OPTIONS, Line, parse
from orchestrator_nb.magics.manual import cell_help
from orchestrator_nb.magics.words import split


def test_an_empty_line_means_the_default_model_once():
    assert parse("") == Line()


def test_a_name_models_and_options_may_stand_in_any_order():
    line = parse(
        'ans << sonnet --repeat 3 flash -s "Be kind." -o temperature 0.2 -m gpt --max-parallel 4 --timeout 1.5'
    )
    assert line.name == "ans"
    assert line.models == ("sonnet", "flash", "gpt")
    assert (line.system, line.repeat, line.max_parallel, line.timeout) == ("Be kind.", 3, 4, 1.5)
    assert line.options == {"temperature": 0.2}


def test_every_option_of_the_table_is_parsed_and_is_in_the_help():
    page = cell_help()
    numbers = {"--repeat": "2", "--max-parallel": "2", "--timeout": "2", "--max-cost": "2"}
    samples = {"--grid": "x=[1]", "--on-error": "stop", **numbers}
    for option in OPTIONS:
        for flag in option.flags:
            values = (
                ["key", "1"] if len(option.metavar) == 2 else [samples.get(option.flags[-1], "x")] * len(option.metavar)
            )
            assert parse(" ".join([flag, *values])) != Line()
            assert flag in page


def test_option_values_are_json_where_they_are_json_and_text_otherwise():
    line = parse("""-o seed 7 -o thinking true -o stop '["END"]' -o effort low -o top_p -0.5""")
    assert line.options == {"seed": 7, "thinking": True, "stop": ["END"], "effort": "low", "top_p": -0.5}


def test_braces_and_brackets_keep_their_spaces_and_quotes():
    line = parse(
        """-o temperature {{ t + 1 }} --grid tone=['dry', "it's"] --grid n=[1, [2, 3]] --schema {"type": "object"}"""
    )
    assert line.options == {"temperature": "{{ t + 1 }}"}
    assert line.grid == {"tone": """['dry', "it's"]""", "n": "[1, [2, 3]]"}
    assert line.schema == '{"type": "object"}'


def test_quotes_group_and_a_backslash_escapes_only_a_quote_or_itself():
    assert split(r"""-s "say \"hi\" to C:\dir" 'it\'s' a"b c"d""") == ["-s", r'say "hi" to C:\dir', "it's", "ab cd"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--modle x", "unknown option '--modle'; did you mean '--model'?"),
        ("--model=x --tempreature=3", "unknown option '--tempreature=3'"),
        ("-s 'half", 'unclosed "\'" in the first line'),
        ('-s "half', "unclosed '\"' in the first line"),
        ("--grid a=[1, 2", "unclosed '['"),
        ("{{ x", "unclosed '{{'"),
        ("--repeat 0", "--repeat takes a whole number from 1, not '0'"),
        ("--repeat many", "not 'many'"),
        ("--timeout -3", "--timeout takes seconds above 0, not '-3'"),
        ("--timeout nan", "not 'nan'"),
        ("--on-error ignore", "'ignore'"),
        ("-o temperature", "-o takes a name and a value, with a space between them: -o temperature 0.5."),
        ("-o temperature=0.5", "-o takes a name and a value"),
        ("--temperature 0.5", "temperature is a parameter of the model: write -o temperature VALUE."),
        ("--max-tokens=200", "write -o max_tokens 200."),
        ("--help", "%%llm? in a cell of its own shows the help."),
        ("sonnet --source record a.jsonl", "a tape stands with its mode in quotes: --source 'record a.jsonl'."),
        ("sonnet, flash", "models are separated by spaces: write sonnet, not 'sonnet,'"),
        ("sonnet,flash", "write sonnet flash, not 'sonnet,flash'"),
        ("answers = sonnet", "to keep the result in 'answers' write << instead of =, as in answers << sonnet."),
        ("--grid t = [1]", "without spaces around ="),
        ("--grid tone", "--grid takes NAME=EXPR"),
        ("--grid =[1]", "--grid takes NAME=EXPR"),
        ("a.b << sonnet", "'a.b' is not a name"),
        ("class << sonnet", "'class' is not a name"),
        ("--freshest", "unknown option '--freshest'; did you mean '--fresh'?"),
        ("-c", "expected one argument"),
    ],
)
def test_what_is_wrong_with_a_line_is_one_sentence(line, says):
    with pytest.raises(UserError) as failure:
        parse(line)
    assert says in str(failure.value)
    assert "\n" not in str(failure.value)


@given(st.text(max_size=60))
def test_any_line_is_either_read_or_refused_with_a_user_error(line):
    with contextlib.suppress(UserError):
        assert isinstance(parse(line), Line)


@given(st.lists(st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=10), max_size=5))
def test_words_in_double_quotes_come_back_as_they_were(words):
    line = " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    assert split(line) == words


@pytest.mark.parametrize("text", ["answers << sonnet", "answers <<sonnet", "answers<< sonnet", "answers<<sonnet"])
def test_spaces_around_the_arrows_do_not_matter(text):
    assert parse(text) == Line(name="answers", models=("sonnet",))
