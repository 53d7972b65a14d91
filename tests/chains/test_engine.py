"""The engine: what the page says, at the same time where it can, and with failures that go where they are led."""

import asyncio

import pytest
from by_hand import ByHand

from orchestrator_nb.chains import load, plan
from orchestrator_nb.chains.engine import Engine
from orchestrator_nb.chains.templates import template
from orchestrator_nb.chains.walk import Began, Ended, Mapped
from orchestrator_nb.chains.world import World
from orchestrator_nb.errors import OrchestratorError
from orchestrator_nb.kernel.clock import SystemClock


class Far:
    """The models: answers by ``answer(path, prompt, system)``, one turn of the loop later, and remembers who was under way together."""

    def __init__(self, answer=lambda _path, prompt, _system: f"<{prompt}>"):
        self.answer, self.asked, self.now, self.most = answer, [], 0, 0

    async def __call__(self, question):
        self.asked.append(question)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0)
            return self.answer(question.where.step, question.prompt, question.system or "")
        finally:
            self.now -= 1


def outputs(made, far, news=None, functions=None, **given):
    engine = Engine(far, SystemClock(), tell=news.append if news is not None else lambda _: None, functions=functions)
    return asyncio.run(engine.run(made, given))


def run(text, far=None, news=None, **given):
    return outputs(plan(load(text)), far or Far(), news, **given)


SAME = {
    "input from the nearest": "inputs: {go: boolean}\nsteps: [{id: a, prompt: x}, {id: b, prompt: y, when: go}, {id: c, prompt: '{{ input }}'}]",
    "turns": "inputs: {go: boolean}\nsteps: [{id: a, prompt: x}, {id: b, prompt: '{{ previous }}{{ turn }}', repeat: {max: 9, until: turn == 3}}]",
    "branches": "inputs: {go: boolean}\nsteps:\n- id: s\n  parallel: {p: {prompt: x, save: k}, q: [{id: i, prompt: y}, {prompt: '{{ i }}'}]}\n- {id: t, prompt: '{{ k }}{{ s.p }}{{ s.q }}'}\n",
    "items": "inputs: {go: boolean}\nsteps: [{id: a, each: [p, q], repeat: 2, prompt: '{{ index }}{{ item }}{{ input }}'}]",
    "a case": "inputs: {go: boolean}\nsteps: [{id: a, switch: {on: go, cases: {'true': {prompt: t}}, default: {prompt: f}}}]",
    "samples of several": "inputs: {go: boolean}\nsteps: [{id: a, prompt: x, model: [m, n], samples: 2}]",
}


@pytest.mark.parametrize("go", [True, False])
@pytest.mark.parametrize("name", SAME)
def test_it_does_what_the_page_says(name, go):
    made = plan(load(SAME[name]))
    by_hand = ByHand(made, Far().answer).outputs(go=go)
    assert outputs(made, Far(), go=go) == by_hand


def test_a_ready_chain_gives_what_it_gives_by_hand():
    made = plan(template("refine").chain())
    far = Far(lambda path, _prompt, _system: "more" if path.endswith("critique") else "one two three four")
    assert outputs(made, far, task="count") == ByHand(made, far.answer).outputs(task="count")
    assert [question.where.turns for question in far.asked] == [(), (1,), (1,)]


def test_what_waits_for_nothing_runs_at_the_same_time():
    far = Far()
    run("steps: [{id: a, prompt: x}, {id: b, prompt: y}, {id: c, prompt: '{{ a }}{{ b }}'}]", far)
    assert far.most == 2
    assert [question.where.step for question in far.asked] == ["a", "b", "c"]


@pytest.mark.parametrize(("parallel", "most"), [(3, 3), (50, 50)])
def test_items_run_so_many_at_a_time(parallel, most):
    far = Far()
    text = f"inputs: {{d: list}}\nsteps: [{{id: a, each: {{over: d, parallel: {parallel}}}, prompt: '{{{{ item }}}}'}}]"
    assert run(text, far, d=[str(n) for n in range(50)]) == {"a": [f"<{n}>" for n in range(50)]}
    assert far.most == most


def broken(*steps):
    def answer(path, prompt, _system):
        if path in steps:
            raise OrchestratorError(f"{path} broke")
        return f"<{prompt}>"

    return answer


def test_a_failure_ends_the_chain_when_what_runs_beside_it_is_done():
    far, news = Far(broken("a")), []
    with pytest.raises(OrchestratorError, match="a broke"):
        run("steps: [{id: a, prompt: x}, {id: b, prompt: y}, {id: c, prompt: '{{ a }}'}]", far, news)
    ended = {item.where.step: item.outcome for item in news if isinstance(item, Ended)}
    assert ended == {"a": "failed", "b": "done"}


@pytest.mark.parametrize(("otherwise", "gives"), [("skip", "<null>"), ("{default: none}", "<none>")])
def test_a_failure_that_may_be_leaves_null_or_the_default(otherwise, gives):
    text = f"steps: [{{id: a, prompt: x, on_error: {otherwise}}}, {{id: b, prompt: '{{{{ a }}}}'}}]"
    assert run(text, Far(broken("a"))) == {"b": gives}


def test_a_goto_passes_over_the_steps_between_and_tells_the_error():
    text = "steps: [{id: a, prompt: x, on_error: {goto: c}}, {id: b, prompt: '{{ a }}'}, {id: c, prompt: 'why: {{ error }}'}]"
    far = Far(broken("a"))
    assert run(text, far) == {"c": "<why: a broke>"}
    assert [question.where.step for question in far.asked] == ["a", "c"]


def test_one_item_that_fails_leaves_its_place_and_the_others_their_answers():
    def answer(_path, prompt, _system):
        if prompt == "q":
            raise OrchestratorError("no")
        return prompt

    text = "inputs: {d: list}\nsteps: [{id: a, each: d, prompt: '{{ item }}', on_error: {default: gone}}]"
    assert run(text, Far(answer), d=["p", "q", "r"]) == {"a": ["p", "gone", "r"]}


def test_a_step_is_tried_again_and_then_a_fallback_is_asked():
    asked = []

    def answer(_path, _prompt, _system):
        asked.append(1)
        if len(asked) < 5:
            raise OrchestratorError("busy")
        return "there"

    assert run("steps: [{id: a, prompt: x, model: m, fallback: [n], retry: 3}]", Far(answer)) == {"a": "there"}
    assert len(asked) == 5


def test_the_fallback_is_asked_by_its_own_name():
    far = Far()

    async def only_n(question):
        await far(question)
        if question.model != "n":
            raise OrchestratorError("no")
        return "n"

    assert run("steps: [{id: a, prompt: x, model: m, fallback: [n]}]", only_n) == {"a": "n"}
    assert [question.model for question in far.asked] == ["m", "n"]


def test_a_step_that_takes_too_long_is_told_by_its_name():
    async def never(_question):
        await asyncio.Event().wait()

    with pytest.raises(OrchestratorError, match=r"a took longer than its timeout of 0\.01 s"):
        run("steps: [{id: a, prompt: x, timeout: 0.01}]", never)


def test_an_interrupt_leaves_no_task():
    async def never(_question):
        await asyncio.Event().wait()

    async def story():
        made = plan(load("inputs: {d: list}\nsteps: [{id: a, each: d, prompt: x}]"))
        task = asyncio.create_task(Engine(never, SystemClock()).run(made, {"d": [1, 2, 3]}))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled(), asyncio.all_tasks()

    async def told():
        cancelled, left = await story()
        return cancelled, left - {asyncio.current_task()}

    assert asyncio.run(told()) == (True, set())


def test_a_used_chain_has_its_own_names_and_its_steps_are_told_behind_a_slash():
    inner = load("inputs: {topic: text}\nsteps: [{id: draft, prompt: '{{ topic }}'}]", name="inner")
    text = "steps: [{id: short, use: inner, with: {topic: x}}, {id: b, prompt: '{{ short }}'}]"
    far = Far()
    made = plan(load(text), World(chains={"inner": inner}))
    assert outputs(made, far) == {"b": "<<x>>"}
    assert [question.where.step for question in far.asked] == ["short/draft", "b"]


def test_a_function_of_the_notebook_is_a_step_and_its_failure_a_sentence():
    made = plan(load("steps: [{id: a, python: double, with: {n: 4}}]"))
    assert outputs(made, Far(), functions={"double": lambda n: 2 * n}) == {"a": 8}
    with pytest.raises(OrchestratorError, match="a: the function double failed: ZeroDivisionError"):
        outputs(made, Far(), functions={"double": lambda n: n / 0})


def test_what_a_model_answers_is_not_read_as_a_template():
    far = Far(lambda path, prompt, _system: "{{ secret }}" if path == "a" else prompt)
    assert run("inputs: {secret: text}\nsteps: [{id: a, prompt: x}, {id: b, prompt: '{{ a }}'}]", far, secret="S") == {
        "b": "{{ secret }}"
    }


def test_each_question_knows_its_item_turn_and_branch_and_the_caps_of_its_steps():
    text = "inputs: {d: list}\nsteps: [{id: m, budget: 2, each: d, repeat: 2, parallel: {p: {prompt: x, budget: 1}, q: {prompt: y}}}]"
    far = Far()
    run(text, far, d=["i", "j"])
    seen = {(q.where.step, q.where.items, q.where.turns, q.where.branch, len(q.budgets)) for q in far.asked}
    assert seen == {
        (f"m.{branch}", (item,), (turn,), branch, caps)
        for branch, caps in (("p", 2), ("q", 1))
        for item in (0, 1)
        for turn in (1, 2)
    }


def test_every_step_says_when_it_begins_and_ends_and_what_it_waited_for():
    news = []
    run("steps: [{id: a, prompt: x}, {id: b, prompt: '{{ a }}'}]", news=news)
    assert [(type(item), item.where.step) for item in news] == [(Began, "a"), (Ended, "a"), (Began, "b"), (Ended, "b")]
    assert news[-1].needs == {"a"}


def test_a_map_tells_how_many_items_it_has_and_how_many_are_done():
    news = []
    run("steps: [{id: a, each: [p, q, r], parallel: {x: {prompt: '{{ item }}'}}}]", news=news)
    assert [(item.items, item.done) for item in news if isinstance(item, Mapped)] == [(3, 0), (3, 1), (3, 2), (3, 3)]
