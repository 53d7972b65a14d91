"""The line under a run, the reply of one call, and the view that joins them."""

from dataclasses import replace

from shapes import ONE, answer, call, failed, item, run

from orchestrator_nb.calls import Usage
from orchestrator_nb.errors import ProviderError
from orchestrator_nb.results.page import money, seconds
from orchestrator_nb.results.reply import Reply
from orchestrator_nb.results.summary import NOTES, summary
from orchestrator_nb.results.view import view


def test_the_line_counts_calls_by_source_tokens_cost_and_time():
    known = answer(usage=Usage(1000, 68), usd="0.0021")
    calls = [*(call(response=known, source="simulated") for _ in range(3)), call(response=answer(usd="")), failed()]
    assert summary(run(*calls, wall_s=4.13)).line == (
        "5 calls: 1 live, 3 simulated, 1 failed · 3,211 tokens · cost unknown · would cost $0.0063 · 4.1 s"
    )


def test_what_some_of_the_live_calls_cost_is_told_with_the_number_of_unknown_ones():
    assert "$0.0100 (1 unknown)" in summary(run(call(), call(response=answer(usd="")))).line


def test_a_failure_names_its_model_once():
    said = summary(run(failed())).text
    assert said.count("anthropic/") <= 1


def test_one_call_and_no_call():
    assert summary(run(call(), wall_s=0.5)).line == "1 call: 1 live · 7 tokens · $0.0100 · 0.50 s"
    assert summary(run()).line == "0 calls · 0.00 s"


def test_calls_that_took_more_than_one_request_are_said():
    retried, stored = replace(call(), attempts=3), replace(call(source="cache"), attempts=0)
    assert summary(run(retried, call(), stored)).line.startswith("3 calls (4 requests): 2 live, 1 cached · ")
    assert summary(run(call(), stored)).line.startswith("2 calls: ")


def test_what_cache_and_tape_answered_is_saved():
    line = summary(run(call(source="cache"), call(source="replay"), call())).line
    assert "1 live, 1 cached, 1 replayed" in line
    assert "$0.0100 · saved $0.0200" in line


def test_an_unknown_cost_is_called_unknown():
    assert "cost unknown" in summary(run(call(response=answer(usd="")))).line


def test_tokens_that_the_vendor_did_not_count_are_unknown():
    assert "7 tokens (1 unknown)" in summary(run(call(), call(response=answer(usage=Usage())))).line


def test_cancelled_calls_are_counted_apart_from_failed_ones():
    error = ProviderError("stopped", kind="cancelled")
    shown = summary(run(call(error=error), failed()))
    assert "1 failed, 1 cancelled" in shown.line
    assert shown.notes == ("lab/one: slow down",)


def test_notes_are_said_once_with_their_number_and_bounded():
    noticed = answer(notices=("top_k was left out",))
    shown = summary(run(call(response=noticed), call(response=noticed), notices=("a model is retired",)))
    assert shown.notes == ("a model is retired", "top_k was left out (2 times)")
    assert "top_k was left out (2 times)" in shown.text
    assert "<li>a model is retired</li>" in shown.html
    many = summary(run(*(failed(message=f"m{n}") for n in range(50))))
    assert len(many.notes) == NOTES + 1


def test_money_and_seconds_have_the_digits_they_need():
    assert [money(usd) for usd in (0, 1e-9, 0.0000123, 0.0123, 1234.5)] == [
        "$0",
        "< $0.000001",
        "$0.000012",
        "$0.0123",
        "$1,234.50",
    ]
    assert [seconds(s) for s in (0.42, 4.13, 185, 7800)] == ["0.42 s", "4.1 s", "3 min 05 s", "2 h 10 min"]


def test_a_reply_is_its_text_and_carries_its_numbers():
    reply = Reply(run(call(item("q"), answer("**hi**", thinking="hm", parsed={"a": 1}))))
    assert (str(reply), reply.thinking, reply.parsed, reply.model) == ("**hi**", "hm", {"a": 1}, "one-2026")
    assert (reply.finish, reply.usage.input, reply.error) == ("stop", 3, None)
    assert reply.frame["text"].tolist() == ["**hi**"]
    bundle = reply._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"] == "**hi**"
    assert "<strong>hi</strong>" in bundle["text/html"]
    assert "<details" in bundle["text/html"]


def test_a_reply_says_when_it_is_not_whole():
    assert "raise max_tokens" in Reply(run(call(response=answer(finish="length")))).html
    assert "incomplete" in Reply(run(call(response=answer(complete=False)))).html
    assert "RateLimited: slow down" in Reply(run(failed())).html


def test_a_view_of_one_call_is_the_answer_and_of_several_the_comparison_with_the_summary_below():
    one = view(run(call()))
    assert one.text == f"hello\n\n{one.summary}"
    several = view(run(call(), call(item(repeat=1)), failed(item(model=ONE, repeat=2))))
    assert "✗ slow down" in several.html
    assert several.text.endswith(several.summary)
    assert several.html.index("<table") < several.html.index('role="status"')


def test_a_view_of_a_failed_call_says_why_once():
    assert view(run(failed())).text.count("slow down") == 1
