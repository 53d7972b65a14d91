"""Random grids as people make them, and what became of their estimates."""

from dataclasses import dataclass
from random import Random

from orchestrator_nb import Session

MODELS = [
    "sonnet", "haiku", "anthropic/claude-sonnet-4-6", "anthropic/claude-haiku-4-5",  # thinking always, by default, when asked
    "flash", "flash-lite", "pro", "gemini/gemini-2.5-flash-lite",
    "gpt", "luna", "openai/gpt-5.4", "mini", "nano", "openai/gpt-5.1",
    "mistral-large", "mistral-small", "ministral", "codestral",
]  # fmt: skip
TASKS = [
    "What do you make of this? Explain it to a colleague.",
    "Summarise the following text.",
    "Summarise this in two sentences.",
    "Give five reasons why this matters.",
    "What is the sentiment of this: positive, negative or neutral? Answer in one word.",
    "Is this about nature? Answer yes or no.",
    "Translate the text and comment on its style.",
    "Write 80 words about it.",
    "List the open questions.",
]
WORDS = (  # noqa: SIM905  # words read best as one text
    "the river carries sand and light past a mill where old machines wait for repair while engineers argue about budgets climate policy"
    " children swim friendly birds return every spring and nobody knows why the bridge was painted green in 1974 or who paid for it"
).split()
HISTORIES = ("none", "none", "template", "template", "models", "cached")


@dataclass(frozen=True)
class Outcome:
    """One grid: what was reckoned and what came; USD."""

    seed: int
    history: str
    estimate: object
    cost: float
    cached: int
    failed: int

    @property
    def inside(self):
        return float(self.estimate.usd.low) <= self.cost <= float(self.estimate.usd.high)

    @property
    def ratio(self):
        return float(self.estimate.usd.high / self.estimate.usd.low)


def text(chance, low, high):
    return " ".join(chance.choices(WORDS, k=chance.randint(low, high)))


def template(chance):
    instructions = text(chance, 0, 60) if chance.random() < 0.5 else ""
    return f"{chance.choice(TASKS)} {instructions}\n\n{{{{ text }}}}".strip()


def grid(chance):
    """What `Session.plan` takes."""
    options = {}
    if chance.random() < 0.4:
        options["max_tokens"] = chance.choice([60, 200, 1000, 4000])
    longest = chance.choice([15, 80, 300, 900])
    return {
        "prompt": template(chance),
        "models": chance.sample(MODELS, chance.choice([1, 1, 2, 3, 4])),
        "over": [{"text": text(chance, longest // 3, longest)} for _ in range(chance.randint(1, 12))],
        "repeat": chance.choice([1, 1, 1, 2, 3]),
        "options": options,
        "system": chance.choice([None, None, "You are a careful editor."]),
        "stream": False,
    }


def warm_up(chance, session, asked, history):
    """What was asked before."""
    if history == "template":
        other = [{"text": text(chance, 5, 300)} for _ in range(chance.randint(2, 8))]
        session.run(session.plan(**{**asked, "over": other}))
    if history == "cached":
        session.run(session.plan(**{**asked, "over": asked["over"][: max(len(asked["over"]) // 2, 1)]}))
    if history == "models":
        for _ in range(chance.randint(1, 4)):
            rows = [{"text": text(chance, 5, 300)} for _ in range(chance.randint(2, 6))]
            session.run(session.plan(**{**asked, "prompt": template(chance), "over": rows, "repeat": 1}))


def outcome(home, environ, seed):
    chance = Random(seed)
    history = HISTORIES[seed % len(HISTORIES)]
    with Session.open(home=home, cwd=home, environ=environ) as session:
        asked = grid(chance)
        if history == "cached":
            asked["over"] += [{"text": text(chance, 20, 60)}, {"text": text(chance, 20, 60)}]
        warm_up(chance, session, asked, history)
        plan = session.plan(**asked)
        estimate = session.estimate(plan)
        run = session.run(plan)
    answers = [call.answer for call in run.calls if call.answer and call.source == "live"]
    return Outcome(
        seed,
        history,
        estimate,
        float(sum(answer.cost.usd for answer in answers)),
        sum(call.source == "cache" for call in run.calls),
        sum(call.error is not None for call in run.calls),
    )
