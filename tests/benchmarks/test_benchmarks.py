"""The benchmark's own parts work, at a size that measures nothing."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from benchmarks.__main__ import Bench, main
from benchmarks.calls import SMOKE
from benchmarks.contenders import load, pump
from benchmarks.contenders.graphs import cut
from benchmarks.contenders.raw_aiohttp import word
from benchmarks.goals import GOALS, Goal, judged
from benchmarks.mock import CHUNKS, WORDS
from benchmarks.processes import mock
from benchmarks.report import table

QUICK_CONTENDERS = ["raw_aiohttp", "httpx2_default", "httpx2_thin", "openai_sdk", "ours"]


@pytest.fixture(scope="module")
def origin():
    with mock() as origin:
        yield origin


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", QUICK_CONTENDERS)
def test_every_contender_gets_the_whole_answer_of_every_call(origin, name, stream):
    async def ask():
        contender = load(name)
        try:
            return await contender.batch(f"{origin}/0/v1", ["why?", "how?", "who?"], 2, stream)
        finally:
            await contender.close()

    batch = asyncio.run(ask())

    assert batch.texts == ["".join(WORDS)] * 3
    assert len(batch.latencies_s) == 3


@pytest.mark.parametrize("parallel", [1, 2])
@pytest.mark.parametrize("name", ["engine_graph", "ours_chain"])
def test_a_graph_asks_every_question_as_a_row_and_as_a_map(origin, name, parallel):
    async def ask():
        contender = load(name)
        try:
            return await contender.batch(f"{origin}/0/v1", ["why?", "how?", "who?"], parallel, stream=False)
        finally:
            await contender.close()

    assert asyncio.run(ask()).texts == ["".join(WORDS)] * 3


def test_a_long_batch_is_cut_into_graphs():
    assert [len(part) for part in cut(["q"] * 250, 1)] == [100, 100, 50]
    assert [len(part) for part in cut(["q"] * 1_500, 200)] == [1_000, 500]


def test_the_mock_streams_in_chunks_and_takes_the_time_that_its_path_says(origin):
    async def pieces():
        async with (
            aiohttp.ClientSession() as client,
            client.post(f"{origin}/50/v1/chat/completions", json={"stream": True}) as answer,
        ):
            return [piece async for line in answer.content if (piece := word(line))]

    async def timed():
        started = asyncio.get_running_loop().time()
        return await pieces(), asyncio.get_running_loop().time() - started

    got, took_s = asyncio.run(timed())

    assert got == WORDS
    assert len(got) == CHUNKS
    assert took_s >= 0.05


def test_a_failed_call_is_counted_and_named_and_the_rest_goes_on(capsys):
    async def ask(question):
        if question == "b":
            raise ValueError("no b")
        return question

    batch = asyncio.run(pump(ask, ["a", "b", "c"], 2))

    assert batch.texts == ["a", None, "c"]
    assert "no b" in capsys.readouterr().err


def test_a_goal_says_met_or_by_how_much_it_was_missed():
    most, least = Goal("cpu", "cpu", 1.5, "x"), Goal("speed", "speed", 0.9, "x", at_least=True)

    assert most.verdict(1.5) == "met"
    assert most.verdict(1.8) == "MISSED by 0.3x (20 %)"
    assert least.verdict(0.95) == "met"
    assert least.verdict(0.45) == "MISSED by 0.45x (50 %)"


def test_a_goal_that_was_not_measured_says_so():
    assert {verdict for _, _, verdict in judged({})} == {"not measured in this run"}
    assert len({goal.figure for goal in GOALS}) == len(GOALS)


def test_tables_line_up():
    assert table([["a", "b"], ["long", "c"]]) == "| a    | b |\n| ---- | - |\n| long | c |"


@pytest.mark.slow
def test_a_whole_run_at_smoke_size_prints_each_goal_and_keeps_its_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.report.RESULTS", tmp_path)

    code = main(["--smoke", "--only", "cpu", "load", "startup", "frame", "--contenders", "raw_aiohttp", "ours"])

    printed = capsys.readouterr().out
    [kept] = tmp_path.glob("*.json")
    figures = json.loads(kept.read_text())["figures"]
    assert code == 0
    assert all(goal.what in printed for goal in GOALS)
    assert {
        "plain cpu / raw",
        "streamed cpu / raw",
        "load time / raw",
        "load stall",
        "load_ext",
        "frame time",
    } <= figures.keys()


def test_a_bench_without_ours_has_no_figure_of_ours(monkeypatch):
    bench = Bench(SMOKE, ["raw_aiohttp"])
    bench.latency()

    assert bench.figures == {}
    assert set(bench.scenes["latency"]) == {"raw_aiohttp"}


@pytest.mark.slow
def test_graphs_are_measured_next_to_the_bare_call():
    bench = Bench(SMOKE, ["raw_aiohttp", "engine_graph"])
    bench.graphs()

    assert set(bench.scenes["plain row"]) == {"raw_aiohttp", "engine_graph"}
    assert set(bench.figures) == {"engine step"}
