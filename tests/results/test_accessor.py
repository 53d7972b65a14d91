"""What df.llm does, also with frames that have been worked on."""

import pandas as pd
import pytest
from shapes import ONE, TWO, answer, call, failed, item, run

from orchestrator_nb.catalog import ModelSpec, Vendor
from orchestrator_nb.errors import UserError
from orchestrator_nb.results.frames import frame


def table():
    """Two prompts, two models, two repeats; model two fails on the second prompt."""
    return frame(
        run(
            *(
                failed(item(prompt, model, row=row, repeat=repeat))
                if (row, model) == (1, TWO)
                else call(
                    item(prompt, model, row=row, repeat=repeat),
                    answer(f"{model.id}-{row}-{repeat}", usd="" if repeat else "0.25"),
                )
                for row, prompt in enumerate(["first", "second"])
                for model in (ONE, TWO)
                for repeat in range(2)
            )
        )
    )


def test_the_text_of_the_only_answer():
    assert frame(run(call(response=answer("hi")))).llm.text == "hi"
    assert table().query("row == 0 and model == 'two' and repeat == 1").llm.text == "two-0-1"


@pytest.mark.parametrize(
    ("rows", "words"), [(slice(0, 0), "no row is left"), (slice(0, 2), "has 2"), (slice(6, 7), "slow down")]
)
def test_the_text_of_none_several_or_a_failure_is_an_error(rows, words):
    with pytest.raises(UserError, match=words):
        _ = table().iloc[rows].llm.text


def test_a_comparison_has_a_line_per_prompt_a_column_per_model_stacked_repeats_and_visible_failures():
    shown = table().llm.compare()
    assert shown.models == ("one", "two")
    assert [prompt for prompt, _ in shown.rows] == ["first", "second"]
    assert [a.text for a in shown.rows[0][1]["two"]] == ["two-0-0", "two-0-1"]
    assert shown.html.count('<th scope="row">') == 2
    assert shown.html.count("✗ slow down (×2)") == 1
    assert "one (1.5 s, $0.2500): one-1-0" in repr(shown)


def test_a_long_answer_is_folded_without_script():
    page = frame(run(call(response=answer("word " * 500)))).llm.compare().html
    assert "<details><summary>word word" in page
    assert "2,500 characters" in page


def test_two_providers_of_the_same_model_stand_side_by_side():
    other = ModelSpec(Vendor("other", "openai", "http://127.0.0.1:2"), "one")
    assert frame(run(call(item(model=ONE)), call(item(model=other)))).llm.compare().models == ("lab/one", "other/one")


def test_errors_are_the_failed_rows_with_what_to_do():
    failures = table().llm.errors
    assert failures.index.tolist() == [6, 7]
    assert failures["error_kind"].tolist() == ["rate_limit"] * 2
    assert "--max-parallel" in failures["what_to_do"].iloc[0]
    assert len(table().iloc[:2].llm.errors) == 0


def test_cost_is_per_model_and_in_total_and_what_is_unknown_is_counted():
    costs = table().llm.cost()
    assert costs.index.tolist() == ["one", "two", "total"]
    assert costs["calls"].tolist() == [4, 4, 8]
    assert costs["usd"].tolist() == [0.5, 0.25, 0.75]
    assert costs["unknown"].tolist() == [2, 1, 3]


def test_a_cost_that_nobody_knows_is_not_a_number():
    costs = frame(run(call(response=answer(usd="")))).llm.cost()
    assert costs["usd"].isna().all()
    assert costs.loc["total", "unknown"] == 1


def test_what_the_cache_answered_is_saved_and_not_spent():
    costs = frame(run(call(source="cache"), call())).llm.cost()
    assert costs.loc["total", ["usd", "saved_usd"]].tolist() == [0.01, 0.01]


def test_cost_by_other_columns():
    costs = table().llm.cost(by=["row", "model"])
    assert costs.loc[(0, "one"), "usd"] == 0.25
    assert costs["calls"].tolist() == [2, 2, 2, 2, 8]


@pytest.mark.parametrize(
    "work",
    [
        lambda df: df[df["error"].isna()],
        lambda df: df.copy(),
        lambda df: df.drop(columns=["run_id", "key", "provider", "source", "mode"]),
        lambda df: pd.concat([df, df], ignore_index=True),
        lambda df: pd.concat([df, df]),
        lambda df: df.sort_values("model", ascending=False).set_index("call_id", append=True),
        lambda df: df.iloc[:0],
        lambda df: df.astype(object),
    ],
)
def test_everything_works_on_a_frame_that_was_worked_on(work):
    worked = work(table())
    assert worked.llm.compare().html
    assert worked.llm.cost()["calls"].iloc[-1] == len(worked)
    assert len(worked.llm.errors) == int(worked["error"].notna().sum())


@pytest.mark.parametrize(
    ("use", "column"),
    [
        (lambda df: df.drop(columns="text").llm.compare(), "'text' is not in this frame"),
        (lambda df: df.drop(columns="model").llm.cost(), "'model' is not in this frame"),
        (lambda df: df.llm.cost(by="colour"), "'colour' is not in this frame"),
        (lambda df: df.drop(columns="error").llm.errors, "'error' is not in this frame"),
        (lambda df: pd.DataFrame({"a": [1]}).llm.text, "'text' is not in this frame"),
    ],
)
def test_a_missing_column_is_named(use, column):
    with pytest.raises(UserError, match=column):
        use(table())


def test_an_empty_frame_compares_to_a_sentence():
    assert "No calls" in frame(run()).llm.compare().html


def test_many_models_on_one_prompt_stand_with_the_time_and_the_cost_of_each():
    models = [ModelSpec(ONE.vendor, name) for name in ("one", "two", "three", "four")]
    whole = frame(run(*(call(item(model=model)) for model in models)))
    page = whole.llm.compare().html
    assert page.count('<td class="onb-number">1.5 s</td>') == 4
    assert ">time</th>" in page
    assert ">time</th>" not in whole.drop(columns=["latency_s", "cost_usd"]).llm.compare().html
    repeated = frame(run(*(call(item(model=model, repeat=n)) for model in models for n in (0, 1))))
    assert ">time</th>" not in repeated.llm.compare().html


def test_the_accessor_says_what_it_offers():
    assert repr(table().llm) == f"answers in {len(table())} rows: .text  .compare()  .errors  .cost()"


def test_answers_stand_above_what_was_not_asked():
    calls = [failed(item(repeat=0), "not asked"), failed(item(repeat=1), "not asked"), call(item(repeat=2))]
    page = frame(run(*calls)).llm.compare().text
    assert page.index(answer().text) < page.index("not asked (×2)")
