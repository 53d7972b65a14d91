"""Tab inside our cells."""

import pandas as pd
import pytest

from orchestrator_nb.magics.complete import Known, suggest

VARIABLES = {
    "abstract": "text",
    "author": "text",
    "papers": pd.DataFrame({"a": [1]}),
    "rows": [{"a": 1}],
    "os": pytest,
    "helper": lambda: None,
    "_hidden": 1,
}
KNOWN = Known(
    models=lambda: ("sonnet", "flash", "anthropic/claude-x", "ollama/llama3.2:3b"),
    settings=lambda: ("limits.parallel", "limits.attempts", "model"),
    variables=VARIABLES,
    profiles=lambda: ("default", "work"),
    conversations=lambda: ("metals", "moons"),
    branches=lambda name: {"metals": ("main", "side", "3f2a91c0")}.get(name, ()),
)


def at_end(text):
    row = text.count("\n")
    found = suggest(text, row, len(text.split("\n")[row]), KNOWN)
    return found and (found.fragment, list(found.names))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%%llm so", ("so", ["sonnet"])),
        ("%%llm -c me", ("me", ["metals"])),
        ("%%llm sonnet --conversation mo", ("mo", ["moons"])),
        ("%llm conversations s", ("s", ["switch"])),
        ("%llm conversations tree m", ("m", ["metals", "moons"])),
        ("%llm conversations switch metals ", ("", ["main", "side", "3f2a91c0"])),
        ("%llm conversations branch metals 3", ("3", ["3f2a91c0"])),
        ("%llm conversations branch metals 3f2a91c0 m", ("m", [])),
        ("%llm conversations tree metals m", ("m", [])),
        ("%%onb so", ("so", ["sonnet"])),
        ("%%llm anthropic/cl", ("anthropic/cl", ["anthropic/claude-x"])),
        ("%%llm ollama/llama3.2:", ("ollama/llama3.2:", ["ollama/llama3.2:3b"])),
        ("%%llm ans << sonnet fl", ("fl", ["flash"])),
        ("%%llm -m fl", ("fl", ["flash"])),
        ("%%llm --model=fl", ("fl", ["flash"])),
        ("%%llm sonnet --re", ("--re", ["--repeat"])),
        ("%%llm --over pa", ("pa", ["papers"])),
        ("%%llm --over ", ("", ["papers", "rows"])),
        ("%%llm --on-error ", ("", ["return", "continue", "stop"])),
        ("%%llm -o temp", ("temp", ["temperature"])),
        ("%%llm --repeat ", ("", [])),
        ("%%llm\nTell me {{ a", ("a", ["abstract", "author"])),
        ("%%llm\n{{ abstract }} and {{ au", ("au", ["author"])),
        ("%%llm -s {{ au", ("au", ["author"])),
        ("%%llm sonnet\nimport o", ("", [])),
        ("%%llm sonnet\nfirst\nwor", ("", [])),
        ("%llm mod", ("mod", ["models"])),
        ("%llm config lim", ("lim", ["limits.parallel", "limits.attempts"])),
        ("%llm config profi", ("profi", ["profiles"])),
        ("%llm config profile w", ("w", ["work"])),
        ("%llm config profile work --", ("--", ["--new"])),
        ("%llm config model haiku --", ("--", ["--profile"])),
        ("%llm config model haiku --profile ", ("", ["default", "work"])),
        ("%llm config migrate --", ("--", ["--dry-run"])),
        ("%llm why mo", ("mo", ["model"])),
        ("%llm simulate o", ("o", ["on", "off"])),
        ("%llm last --", ("--", ["--trace"])),
        ("%llm models so", ("so", ["sonnet"])),
    ],
)
def test_each_place_offers_what_fits_there(text, expected):
    assert at_end(text) == expected


@pytest.mark.parametrize("text", ["import o", "%%ll", "%%llmx so", "%%time\nso", "x = '%%llm so", "%%llm"])
def test_other_cells_are_left_to_ipython(text):
    assert at_end(text) is None
