"""Runs a plan one step after the other, as docs/chain-format.md says and without any speed: what the page promises, checked without an engine.

``answer(path, prompt, system)`` plays the models. Nothing is parallel, nothing fails, nothing is limited, and all that is proposed is sound and approved.
"""

from orchestrator_nb.chains import Ask, Block, Parallel, Propose, Roles, Switch, bind
from orchestrator_nb.chains.adaptive import Brief, request, seen
from orchestrator_nb.chains.chain import ELSE
from orchestrator_nb.chains.expressions import Expression, Template, filled
from orchestrator_nb.chains.verdict import chosen, question
from orchestrator_nb.chains.walk import Where


class ByHand:
    def __init__(self, made, answer):
        self.plan, self.answer, self.saved = made, answer, {}

    def outputs(self, **given):
        names = bind(self.plan.chain, given)
        values = self.room(self.plan.graph, names, names.get("input"))
        return {name: filled(value, {**names, **self.saved, **values}) for name, value in self.plan.outputs.items()}

    def room(self, graph, names, given):
        values, skipped = {}, set()
        for node in graph.ordered():
            assert node.needs <= values.keys(), "a step begins before what it needs"
            before = next(
                (values[name] for name in node.given_by if name not in skipped),
                given if node.from_outside or not node.given_by else None,
            )
            seen = {**names, **self.saved, **values, "input": before, "error": None}
            if node.step.when is not None and not Expression.of(node.step.when).condition(seen):
                skipped.add(node.id)
                values[node.id] = None
                continue
            values[node.id] = self.step(node, seen, before)
            if node.step.save:
                self.saved[node.step.save] = values[node.id]
        return values

    def step(self, node, names, before):
        each = node.step.each
        if each is None:
            return self.turns(node, names, before)
        items = Expression.of(each.over).value(names) if isinstance(each.over, str) else each.over
        return [self.turns(node, {**names, each.name: item, "index": index}, item) for index, item in enumerate(items)]

    def turns(self, node, names, before):
        step = node.step
        value = before if step.input is None else filled(step.input, {**names, "input": before})
        for turn in range(1, (step.repeat.max if step.repeat else 1) + 1):
            seen = {**names, "input": value, **({"previous": value, "turn": turn} if step.repeat else {})}
            previous, value = value, self.once(node, seen, value)
            if (
                step.repeat
                and step.repeat.until
                and Expression.of(step.repeat.until).condition({**seen, "previous": previous, "current": value})
            ):
                break
        return value

    def once(self, node, names, given):
        match node.step.do:
            case Ask() as ask:
                return self.ask(node.path, ask, names, given)
            case Block(steps):
                return self.room(node.inside[""], names, given)[steps[-1].id]
            case Parallel():
                return {name: self.room(graph, names, given)[name] for name, graph in node.inside.items()}
            case Switch(cases, on=on, ask=ask):
                ids = [case.id for case in cases]
                said = (
                    Expression.of(on).value(names)
                    if on
                    else self.answer(node.path, question(Template.of(ask.prompt).text(names), ids), "")
                )
                name = chosen(said, ids, asked=ask is not None) or (ELSE if ELSE in node.inside else None)
                return self.room(node.inside[name], names, given)[name] if name else None
            case Propose(ask=ask) as propose:
                visible = seen(node, names, given)
                brief = Brief(Where(node.path), node.path, propose, visible)
                task = request(Template.of(ask.prompt).text(names), None)
                proposed = brief.read(self.answer(node.path, task, brief.system())).plan
                return self.room(proposed.graph, visible, given)[proposed.chain.steps[-1].id]
        raise NotImplementedError

    def ask(self, path, ask, names, given):
        prompt = Template.of(ask.prompt).text(names) if ask.prompt is not None else str(given)
        system = Template.of(ask.system).text(names) if ask.system else Roles().system(ask.role, ask.persona)
        answers = [self.answer(path, prompt, system) for _ in range(max(len(ask.model), 1) * (ask.samples or 1))]
        return answers if len(ask.model) > 1 or ask.samples else answers[0]
