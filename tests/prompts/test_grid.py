"""The order, the size and the refusals of a grid."""

import itertools
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import TemplateError, UserError
from orchestrator_nb.messages import Image, Text
from orchestrator_nb.prompts.grid import expand, size

VENDOR = Vendor("lab", "openai", "http://127.0.0.1:1")
MODELS = [ModelSpec(VENDOR, name) for name in ("one", "two", "three")]

axes = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.lists(st.integers(), min_size=1, max_size=3, unique=True), max_size=3
)
tables = st.none() | st.lists(st.fixed_dictionaries({"x": st.integers(), "y": st.text()}), min_size=1, max_size=4)


@given(axes, tables, st.integers(1, 3), st.integers(1, 3))
def test_a_grid_is_the_product_row_by_row_then_model_then_repeat(grid, over, models, repeat):
    items = expand("hi", MODELS[:models], over=over, grid=grid, repeat=repeat)
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    prompts = [{**row, **combination} for row in (over or [{}]) for combination in combinations]
    expected = [
        (row, model.id, sample, inputs)
        for row, inputs in enumerate(prompts)
        for model in MODELS[:models]
        for sample in range(repeat)
    ]

    got = [(item.row, item.request.model.id, item.repeat, dict(item.inputs)) for item in items]

    assert got == expected
    assert len(items) == size(MODELS[:models], over=over, grid=grid, repeat=repeat) == len(expected)
    assert sum(items.totals.values()) == len(expected)
    assert [items[i].row for i in range(-len(items), 0)] == [row for row, *_ in expected]


def test_repeats_have_their_own_sample_and_so_their_own_key():
    items = expand("hi", MODELS[:1], repeat=3)
    assert [item.request.sample for item in items] == [0, 1, 2]
    assert len({item.request.key for item in items}) == 3


def test_a_million_calls_are_counted_and_expanded_without_being_built():
    frame = pd.DataFrame({"x": range(1000)})
    start = time.process_time()
    items = expand("{{ x }}", MODELS[:1], over=frame, grid={"y": range(1000)}, repeat=5)
    assert len(items) == size(MODELS[:1], over=frame, grid={"y": range(1000)}, repeat=5) == 5_000_000
    assert items[-1].request.prompt == "999"
    assert time.process_time() - start < 5


def test_a_frame_a_list_of_dicts_and_a_list_of_series_mean_the_same():
    frame = pd.DataFrame({"x": [1, 2], "y": ["a", "b"]})
    rows = frame.to_dict("records")
    series = [row for _, row in frame.iterrows()]
    texts = [[i.request.prompt for i in expand("{{ x }}{{ y }}", MODELS[:1], over=o)] for o in (frame, rows, series)]
    assert texts == [["1a", "2b"]] * 3


def test_inputs_are_plain_values():
    frame = pd.DataFrame({"i": np.array([1]), "f": np.array([1.5]), "b": [True], "n": pd.array([None], dtype="Int64")})
    [item] = expand("{{ i }}", MODELS[:1], over=frame)
    assert {k: type(v) for k, v in item.inputs.items()} == {"i": int, "f": float, "b": bool, "n": type(None)}


def test_used_notebook_variables_are_inputs_when_they_are_plain_and_others_never():
    names = {"topic": "rain", "table": [1, 2], "unused": 3}
    [item] = expand("{{ topic }} {{ table }}", MODELS[:1], variables=names)
    assert item.inputs == {"topic": "rain"}
    assert item.request.prompt == "rain [1, 2]"


def test_columns_hide_notebook_variables_even_where_a_row_lacks_one():
    with pytest.raises(TemplateError, match=r"row 1: 'x'"):
        expand("{{ x }}", MODELS[:1], over=[{"x": 1}, {"y": 2}], variables={"x": "from the notebook"})


def test_system_text_is_a_template_too_and_the_mode_is_a_tag():
    [item] = expand("hi", MODELS[:1], system="You are {{ who }}", variables={"who": "kind"}, mode="terse")
    assert item.request.system == "You are kind"
    assert item.request.tags == {"mode": "terse"}


def test_the_last_line_end_of_a_cell_is_not_part_of_the_prompt():
    [item] = expand("  hi\n", MODELS[:1])
    assert item.request.prompt == "  hi"


def test_an_axis_that_the_prompt_does_not_use_is_a_notice():
    assert "'a'" in expand("hi", MODELS[:1], grid={"a": [1]}).notices[0]
    assert expand("{{ a }}", MODELS[:1], grid={"a": [1]}).notices == ()


@pytest.mark.parametrize(
    ("prompt", "models", "options", "words"),
    [
        (" \n", 1, {}, "the prompt is empty"),
        ("{{ e }}", 1, {"variables": {"e": " "}}, "the filled prompt is empty"),
        ("hi", 0, {}, "no model is named"),
        ("hi", 1, {"repeat": 0}, "--repeat must be at least 1, not 0"),
        ("hi", 1, {"over": pd.DataFrame({"x": []})}, "--over has no rows"),
        ("hi", 1, {"over": []}, "--over has no rows"),
        ("hi", 1, {"grid": {"a": [1], "b": []}}, "the axis 'b' has no values"),
        ("hi", 1, {"grid": {"a": "text"}}, "the axis 'a' wants a list"),
        ("hi", 1, {"grid": {"a": {1, 2}}}, "the axis 'a' wants a list"),
        ("hi", 1, {"over": "text"}, "--over takes a DataFrame"),
        ("hi", 1, {"over": [1]}, "entry 0"),
        ("hi", 1, {"over": pd.DataFrame([[1, 2]], columns=["x", "x"])}, "'x' twice"),
        ("hi", 1, {"over": [{"x": 1}], "grid": {"x": [1]}}, "both a column"),
        ("{{ topik }}", 1, {"variables": {"topic": 1}}, "did you mean 'topic'"),
        ("{{ z }}", 1, {"over": pd.DataFrame({"x": [1], "y": [2]})}, "The frame has the columns 'x', 'y'"),
        ("{{ 1 / n }}", 1, {"over": [{"n": 1}, {"n": 0}]}, "row 1: "),
    ],
)
def test_a_grid_that_cannot_be_asked_is_refused_before_anything_is_sent(prompt, models, options, words):
    with pytest.raises(UserError) as refusal:
        expand(prompt, MODELS[:models], **options)
    assert words in str(refusal.value)


def test_files_follow_the_prompt_by_what_they_are_and_not_by_their_names(tmp_path):
    (tmp_path / "note.txt").write_text("{{ not }} a template\n```\nfenced\n```\n")
    (tmp_path / "picture.dat").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    [item] = expand("See.", MODELS[:1], files=[tmp_path / "note.txt", str(tmp_path / "picture.dat")])
    prompt, text, image = item.request.messages[0].parts
    assert prompt == Text("See.")
    assert text == Text("\n\nnote.txt\n````\n{{ not }} a template\n```\nfenced\n```\n````")
    assert image == Image(b"\x89PNG\r\n\x1a\nrest", "image/png")


def test_all_four_kinds_of_images_are_known(tmp_path):
    heads = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff\xe0", "gif": b"GIF89a", "webp": b"RIFF1234WEBP"}
    for kind, head in heads.items():
        (tmp_path / "x").write_bytes(head + bytes(9))
        [item] = expand("x", MODELS[:1], files=[tmp_path / "x"])
        assert item.request.messages[0].parts[1].media_type == f"image/{kind}"


def test_files_that_cannot_be_attached_are_refused_with_the_reason(tmp_path):
    (tmp_path / "data.bin").write_bytes(bytes(range(256)))
    (tmp_path / "big.txt").write_text("x" * (1024 * 1024 + 1))
    with (tmp_path / "huge.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(11 * 1024 * 1024)
    reasons = {"data.bin": "neither UTF-8", "big.txt": "1,024 KiB", "huge.png": "10 MiB", ".": "not a regular file"}
    for name, words in {**reasons, "data.bim": "did you mean"}.items():
        with pytest.raises(UserError, match=words):
            expand("x", MODELS[:1], files=[tmp_path / name])


def test_values_that_are_missing_and_a_frame_that_is_not_used_are_said():
    frame = pd.DataFrame({"text": ["a", None, np.nan], "x": [1, 2, 3]})
    [missing] = expand("{{ text }}", MODELS[:1], over=frame).notices
    [listed] = expand("{{ text }}", MODELS[:1], over=[{"text": "a"}, {"text": None}]).notices
    [unused] = expand("hi", MODELS[:1], over=frame).notices

    assert missing.startswith("2 of 3 rows have no value for 'text'")
    assert listed.startswith("1 of 2 rows have no value for 'text'")
    assert unused.startswith("the prompt uses no column of the frame")
    assert expand("{{ x }}", MODELS[:1], over=frame).notices == ()


def test_a_column_with_a_space_in_its_name_is_named():
    with pytest.raises(TemplateError, match="'my col' in the prompt is not a name"):
        expand("{{ my col }}", MODELS[:1], over=pd.DataFrame({"my col": [1]}))
    assert expand("{{ 1 if x else 2 }}", MODELS[:1], variables={"x": 1})[0].request.prompt == "1"
