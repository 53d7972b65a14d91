"""Text that is pleasant to read and made of the prompt's own words. The same chooser and prompt give the same text.

It knows nothing about the world. It looks at the form that the prompt asks for (a word, yes or no, a number, a sentiment, a choice, a
list, so many sentences or words) and otherwise writes a few sentences in the style of the model.
"""

# ruff: noqa: ARG001, SIM905 - signs and quotes as people type them; all forms take the same arguments; words read best as one text

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import lru_cache
from random import Random

NUMBERS = {word: n for n, word in enumerate("zero one two three four five six seven eight nine ten".split())}
_NUMBER = r"(\d{1,3}|" + "|".join(NUMBERS) + ")"
_COMMON = frozenset(
    """a about above after again all also an and answer any are as at be because been before being best between both briefly but by can compare could
    describe did do does doing each exactly explain few find following for from get give given has have how i if in into is it its just keep least less
    let like list made make many me mention more most much must my name no not now of on one only or other our out over please reply respond return say
    sentence sentences should short show single so some such summarise summarize tell ten than that the their them translate classify abstract text following paper review then there these they this those three
    to too two under up use using very want was we were what when where which while who why will with word words would write yes you your""".split()
)
_LINKS = frozenset({"of", "the", "in", "on", "and", "for", "to", "a"})
_GOOD = frozenset(
    """amazing beautiful best brilliant delightful enjoy enjoyed excellent fantastic fast fine friendly good great happy helpful love loved lovely nice
    perfect pleasant reliable superb thanks wonderful works""".split()
)
_BAD = frozenset(
    """angry annoying awful bad boring broke broken bug cold crash disappointed disappointing dirty fail failed fails hate horrible late mess never poor
    refund rude sad slow terrible unusable useless waste worst wrong""".split()
)
_SIGNS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "x": operator.mul,
    "×": operator.mul,
}

OPENINGS = {
    "plain": (
        "In short, {topic} comes down to {a}.",
        "The main point about {topic} is {a}.",
        "{Topic} is mostly a question of {a}.",
    ),
    "careful": (
        "It depends on what we mean by {topic}, but {a} is a sound place to start.",
        "A careful reading of {topic} begins with {a}.",
        "Two things matter for {topic}: {a} and {b}.",
    ),
    "warm": (
        "Good question! {Topic} is easier to see through {a}.",
        "Happy to help: think of {topic} as {a} meeting {b}.",
        "Let us take {topic} step by step, starting with {a}.",
    ),
    "brisk": ("{Topic}: {a}.", "{Topic}: mostly {a}.", "{Topic} means {a}, above all."),
    "essay": (
        "To speak of {topic} is to speak of {a}, and of what becomes of it over time.",
        "There is an old tension in {topic} between {a} and {b}.",
        "Consider {topic} not as a fact but as a practice of {a}.",
    ),
    "list": ("Here is what matters about {topic}:", "Three points on {topic}:", "{Topic} at a glance:"),
}
MIDDLES = (
    "Once {a} is clear, {b} follows almost by itself.",
    "Most accounts of {topic} overlook {b}, although it explains a good deal.",
    "In practice {a} and {b} pull in different directions.",
    "A small example makes this concrete: change {a} a little and {b} shifts with it.",
    "There is good support for {a}, while the part of {b} is still debated.",
    "What looks like {b} is often {a} seen from further away.",
    "It helps to separate {a} from {b} before drawing conclusions.",
)
ENDINGS = {
    "plain": ("That is the short version.", "The rest is detail."),
    "careful": (
        "I would hold this view lightly until {b} has been measured.",
        "Where the sources disagree about {b}, I would say so.",
    ),
    "warm": ("I hope that makes {topic} a little friendlier.", "Shall we look at {b} next?"),
    "brisk": ("", ""),
    "essay": (
        "Perhaps that is why {topic} keeps returning, each time under another name.",
        "In the end, {a} is what remains when {b} has been explained away.",
    ),
    "list": ("", ""),
}
MIDDLE_COUNT = {"plain": 1, "careful": 2, "warm": 1, "brisk": 0, "essay": 3, "list": 0}
IDEAS = (
    "balance",
    "timing",
    "context",
    "patience",
    "structure",
    "feedback",
    "compromise",
    "attention",
    "scale",
    "clarity",
    "evidence",
    "habit",
    "memory",
    "contrast",
)


def write(prompt: str, style: str, choose: Random) -> str:
    """An answer to the prompt in the style of a model."""
    for form in (_echo, _sum, _sentiment, _yes_or_no, _number, _choice, _one_word):
        answer = form(prompt, choose)
        if answer:
            return answer
    return _shaped(prompt, style, choose)


def muse(prompt: str, choose: Random) -> str:
    """What a model might think before it answers."""
    topic, a, b = _matter(prompt, choose)
    lines = (
        f"The user asks about {topic}.",
        f"I should weigh {a} against {b}.",
        choose.choice(("A short answer will do.", "Let me keep the answer focused.")),
    )
    return " ".join(lines)


@lru_cache(maxsize=4096)
def keywords(prompt: str) -> tuple[str, ...]:
    """The words of the prompt that carry its meaning, in order, each once."""
    words = re.findall(r"[^\W\d_][\w'’-]+\w", prompt[-4000:])
    return tuple(dict.fromkeys(word for word in words if word.lower() not in _COMMON))


def _matter(prompt: str, choose: Random) -> tuple[str, str, str]:
    words = keywords(prompt)
    topic = _topic(prompt, words)
    rest = [*(word for word in words if word not in topic), *choose.sample(IDEAS, 2)]
    a = choose.choice(rest)
    b = choose.choice([word for word in rest if word != a] or ["context"])
    return topic, a, b


def _topic(prompt: str, words: tuple[str, ...]) -> str:
    """The first word that matters and those that it is bound to: ``capital of France``, ``remote work``."""
    if not words:
        return "this"
    found = re.search(
        rf"{re.escape(words[0])}(?:(?:\s+(?:of|the|in|on|and|for|to|a))*\s+([^\W\d_][\w'’-]+\w)){{0,3}}",
        prompt[-4000:],
    )
    phrase = found[0] if found else words[0]
    kept = [word for word in phrase.split() if word in words or word in _LINKS]
    while kept and kept[-1] in _LINKS:
        kept.pop()
    return " ".join(kept) or words[0]


def _asks(prompt: str, pattern: str) -> re.Match[str] | None:
    return re.search(pattern, prompt, re.IGNORECASE)


def _echo(prompt: str, choose: Random) -> str:
    found = _asks(
        prompt,
        r"\b(?:reply|respond|answer|say|repeat|return|write)\b[^.\n]{0,40}?\b(?:exactly|only)(?:\s+the words?\s+[\"'`]?|\s*:\s*[\"'`]?|\s+[\"'`])([^\"'`\n.]{1,80})",
    )
    return found[1].strip() if found else ""


def _sum(prompt: str, choose: Random) -> str:
    found = _asks(prompt, r"(?<![\w.])(\d{1,9})\s*([-+*x×])\s*(\d{1,9})(?![\w.])")
    if not found or not _asks(prompt, r"what|how much|calculate|compute|solve|=|^\W*\d"):
        return ""
    return str(_SIGNS[found[2].lower()](int(found[1]), int(found[3])))


def _sentiment(prompt: str, choose: Random) -> str:
    if not _asks(prompt, r"\bsentiment\b|positive\W+(or\W+)?(negative|neutral)|negative\W+(or\W+)?positive"):
        return ""
    return mood(prompt)


def mood(text: str) -> str:
    """``positive``, ``negative`` or ``neutral``, by counting plain words."""
    words = re.findall(r"[a-z']+", text.lower())
    balance = sum(word in _GOOD for word in words) - sum(word in _BAD for word in words)
    return "positive" if balance > 0 else "negative" if balance < 0 else "neutral"


def _yes_or_no(prompt: str, choose: Random) -> str:
    return choose.choice(("Yes", "No")) if _asks(prompt, r"\byes\W{0,3}(or|/|and)\W{0,3}no\b") else ""


def _number(prompt: str, choose: Random) -> str:
    span = _asks(prompt, r"(?:from|between|scale of)\s+(\d+)\s*(?:to|and|-|–)\s*(\d+)")
    if span:
        low, high = sorted((int(span[1]), int(span[2])))
        return str(choose.randint(low, high))
    wanted = r"\b(only|just|single|with|as)\W+(a |an |the )?(number|integer|digit)\b|^how many\b"
    return str(choose.randint(2, 97)) if _asks(prompt, wanted) else ""


def _choice(prompt: str, choose: Random) -> str:
    found = _asks(prompt, r"(?:one of|either|choose(?: from| between)?|pick(?: one)?(?: of)?)\s*:?\s+([^.?!\n]{3,120})")
    options = re.split(r",\s*(?:or\s+)?|\s+or\s+", found[1]) if found else []
    options = [option.strip(" '\"`()") for option in options]
    return choose.choice(options) if len(options) > 1 and all(0 < len(option) < 30 for option in options) else ""


def _one_word(prompt: str, choose: Random) -> str:
    if not _asks(prompt, r"\b(one|single|1)[ -]word\b"):
        return ""
    return choose.choice(IDEAS).capitalize()


def _count(prompt: str, unit: str) -> int | None:
    found = _asks(prompt, rf"\b{_NUMBER}\s+(?:\w+\s+)?{unit}s?\b")
    return (NUMBERS.get(found[1].lower()) or int(found[1] if found[1].isdigit() else 0)) if found else None


def _shaped(prompt: str, style: str, choose: Random) -> str:
    points = _count(prompt, "(?:bullet|point|item|reason|idea|step|tip|example)")
    if points or style == "list":
        return _list(prompt, min(points or 3, 20), choose)
    sentences, words = _count(prompt, "sentence"), _count(prompt, "word")
    text = _sentences(prompt, style, min(sentences, 40) if sentences else None, choose)
    while words and len(text.split()) < min(words, 400):
        text += " " + _sentences(prompt, "plain", 4, choose)
    return _first_words(text, words) if words else text


def _first_words(text: str, n: int) -> str:
    return " ".join(text.split()[:n]).rstrip(",;:.") + "."


def _list(prompt: str, n: int, choose: Random) -> str:
    topic, a, b = _matter(prompt, choose)
    opening = _fill(choose.choice(OPENINGS["list"]) if n == 3 else "On {topic}:", topic, a, b)
    ideas = (choose.sample(IDEAS, len(IDEAS)) * 2)[:n]
    return "\n".join(
        [
            opening,
            "",
            *(f"- **{idea.capitalize()}**: {_fill(choose.choice(MIDDLES), topic, idea, a)}" for idea in ideas),
        ]
    )


def _sentences(prompt: str, style: str, n: int | None, choose: Random) -> str:
    if style not in OPENINGS:
        style = "plain"
    topic, a, b = _matter(prompt, choose)
    middles = choose.sample(MIDDLES, min(len(MIDDLES), MIDDLE_COUNT[style] if n is None else n))
    lines = [choose.choice(OPENINGS[style]), *middles, choose.choice(ENDINGS[style])]
    text = [_fill(line, topic, a, b) for line in lines if line]
    return " ".join(text if n is None else (text * n)[:n])


def _fill(line: str, topic: str, a: str, b: str) -> str:
    return line.format(topic=topic, Topic=topic[:1].upper() + topic[1:], a=a, b=b)
