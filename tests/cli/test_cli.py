"""The shell's face, as a user types it: real processes, exit codes, pipes."""

import json
import os
import subprocess
import sys

import pytest
import warm

pytestmark = pytest.mark.slow


@pytest.fixture
def onb(tmp_path):
    def run(*args, stdin=""):
        environ = {**os.environ, "ORCHESTRATOR_NB_HOME": str(tmp_path)}
        command = [*warm.onb(), *args]
        return subprocess.run(
            command, env=environ, cwd=tmp_path, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def test_ask_prints_the_answer_and_says_what_it_was(onb):
    done = onb("ask", "Name a colour.", "-m", "sonnet", "--simulate")
    assert done.returncode == 0
    assert done.stdout.strip()
    assert "1 simulated" in done.stderr


def test_json_gives_one_object_per_row_with_the_frames_columns(onb):
    from orchestrator_nb.results.frames import COLUMNS

    done = onb("ask", "Name a colour.", "-m", "sonnet", "-m", "flash", "--repeat", "2", "--simulate", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 4
    assert set(COLUMNS) <= set(rows[0])


def test_a_prompt_comes_from_standard_input(onb):
    done = onb("ask", "-", "-m", "sonnet", "--simulate", "--json", stdin="Name a metal.")
    assert json.loads(done.stdout)["prompt"] == "Name a metal."


def test_a_table_of_prompts_is_one_row_per_line(onb, tmp_path):
    (tmp_path / "words.csv").write_text("word\nred\nblue\n")
    done = onb("ask", "Define {{ word }}", "-m", "sonnet", "--over", "words.csv", "--simulate", "--json")
    assert [json.loads(line)["word"] for line in done.stdout.splitlines()] == ["red", "blue"]


def test_failed_rows_exit_with_1_and_wrong_usage_with_2(onb):
    assert onb("ask", "Hi", "-m", "sonnet").returncode == 1
    assert onb("ask", "Hi", "-m", "sonet", "--simulate").returncode == 2
    assert onb("ask", "Hi", "--nonsense").returncode == 2
    assert "did you mean 'sonnet'" in onb("ask", "Hi", "-m", "sonet", "--simulate").stderr


def test_a_large_grid_asks_for_yes(onb):
    done = onb("ask", "Hi", "-m", "sonnet", "--repeat", "1000000", "--simulate")
    assert done.returncode == 2
    assert "1,000,000 calls" in done.stderr
    assert "--yes" in done.stderr


def test_a_dry_run_asks_nobody_and_needs_no_key(onb, tmp_path):
    (tmp_path / "words.csv").write_text("word\nred\nblue\n")
    asked = (
        "ask",
        "Define {{ word }}",
        "-m",
        "openai/gpt-5.4",
        "-m",
        "mistral/none",
        "--over",
        "words.csv",
        "--dry-run",
    )
    done = onb(*asked)
    assert done.returncode == 0, done.stderr
    assert "2 new" not in done.stderr
    assert "openai/gpt-5.4" in done.stdout
    assert "No price is known for mistral/none" in done.stdout
    priced, unpriced = map(json.loads, onb(*asked, "--json").stdout.splitlines())
    assert (priced["model"], priced["new"], priced["cached"]) == ("openai/gpt-5.4", 2, 0)
    assert float(priced["usd"]["low"]) <= float(priced["usd"]["likely"]) <= float(priced["usd"]["high"])
    assert unpriced["usd"] is None
    assert onb("ask", "Hi", "-m", "sonet", "--dry-run").returncode == 2


def test_a_large_grid_is_announced_on_standard_error(onb):
    done = onb("ask", "Hi", "-m", "sonnet", "--repeat", "61", "--simulate", "-o", "max_tokens", "20")
    assert done.stderr.startswith("estimate: 61 calls: 61 new · ")
    assert "estimate" not in done.stdout


def test_models_are_listed_by_glob_and_by_the_vendor_itself(onb):
    done = onb("models", "anthropic/*")
    assert done.returncode == 0
    assert all(line.startswith("anthropic/") for line in done.stdout.splitlines())
    assert onb("models", "anthropic/*", "--json").stdout.startswith('{"model": "anthropic/')
    assert onb("models", "nothing-like-this").returncode == 2


def test_config_shows_sets_and_explains(onb):
    assert onb("config", "limits.parallel", "7").returncode == 0
    done = onb("config", "limits.parallel", "--why")
    assert "7" in done.stdout
    assert "config.yaml" in done.stdout
    assert "defaults" in done.stdout
    assert onb("config", "limits.paralel").returncode == 2


def test_profiles_in_the_shell(onb, tmp_path):
    assert onb("config", "profile", "work").stderr.endswith("or switch to another: onb config profile default.\n")
    assert onb("config", "profile", "work", "--new").stdout.startswith("profile = 'work'")
    assert onb("config", "model", "haiku", "--profile", "work").stdout.startswith("model = 'haiku'")
    assert "* work                 no vault   model = 'haiku'" in onb("config", "profiles").stdout
    assert onb("--profile", "default", "config", "model").stdout.startswith("model = None")
    assert onb("--profile", "wrok", "models").returncode == 2
    assert "+version: 2" in onb("config", "migrate", "--dry-run").stdout
    assert not (tmp_path / "config/config.yaml.v1").exists()
    assert "config.yaml.v1" in onb("config", "migrate").stdout


def test_failures_go_to_standard_error_once_and_the_rest_is_still_printed(onb):
    done = onb("ask", "hi", "-m", "anthropic/sim-quota", "-m", "flash", "--simulate")
    assert done.returncode == 1
    assert done.stderr.count("usage limits") == 1
    assert "usage limits" not in done.stdout
    assert "── sim-quota (failed: quota)" in done.stdout
    assert "── gemini-3.8-flash\n" in done.stdout


def test_sentences_speak_of_the_shell_not_of_cells(onb):
    assert "onb models lists" in onb("models", "sonet").stderr
    assert "give it as the argument" in onb("ask", "", "-m", "sonnet", "--simulate").stderr
    named = onb("ask", "hi")
    assert "onb config model sonnet" in named.stderr
    assert "%llm" not in named.stderr + onb("doctor").stdout


def test_doctor_reports_and_exits_by_what_it_found(onb):
    done = onb("doctor")
    assert "ANTHROPIC_API_KEY is missing: onb vault set ANTHROPIC_API_KEY" in done.stdout
    assert done.returncode == (1 if "!!" in done.stdout else 0)


def test_help_is_instant_because_nothing_heavy_is_imported():
    code = "import sys, orchestrator_nb.cli; print([m for m in ('pandas', 'pydantic', 'httpx2', 'IPython') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_full_disk_and_a_folder_that_takes_nothing_are_one_sentence(onb, tmp_path):
    (tmp_path / "config").write_text("a file where the folder should be")
    done = onb("config", "limits.parallel", "7")
    assert done.returncode == 2
    assert "config.yaml" in done.stderr
    assert "Traceback" not in done.stderr
