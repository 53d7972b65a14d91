"""What keys look like, by vendor: the second net, for keys that are in no vault.

A vendor whose keys begin with signs of their own is told by them. Keys that are mere hex or letters (Mistral, Cohere, Azure, Together, …) are told by the
name before them: ``MISTRAL_API_KEY=…``, ``"api-key": "…"``, ``Bearer …``; where they stand alone only the vault's digests find them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Pattern:
    """A vendor's keys. ``marks``: a text that holds none of these needs no search, which is most of them. The key is group 1, or all of it."""

    name: str
    marks: tuple[str, ...]
    regex: re.Pattern[str]
    starts_a_word: bool = True

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of each."""
        if not any(mark in text for mark in self.marks):
            return
        for match in self.regex.finditer(text):
            start, end = match.span(self.regex.groups and 1)
            in_a_word = self.starts_a_word and _in_a_word(text, start)
            if not in_a_word and not _is_an_example(text[start:end]):
                yield start, end


def _is_an_example(key: str) -> bool:
    """As manuals print them: ``AKIA…EXAMPLE``, ``ghp_xxxxxxxx``."""
    return "EXAMPLE" in key or len(set(key)) < 9


def _in_a_word(text: str, start: int) -> bool:
    """Looked at here, for a pattern that begins with its literal is searched many times faster than one with a look-behind."""
    before = text[max(0, start - 12) : start]
    return bool(before) and (before[-1].isalnum() or before[-1] in "+/_-") and not _ENDS.search(before)


_ENDS: Final = re.compile(r"\\[ntr]$|\x1b\[[\d;]*m$")
"""A line's end that JSON has escaped, and the end of a colour, are no letters."""


def _begins(name: str, *beginnings: str, then: str) -> Iterator[Pattern]:
    for beginning in beginnings:
        yield Pattern(name, (beginning,), re.compile(re.escape(beginning) + then, re.ASCII))


_NAMED: Final = re.compile(
    r"""(?i:key|token|secret|bearer|authorization|credential)["']?(?:\]|\s){0,8}(?:[:=,(]|\s|=>|\\"|")\s{0,8}(?:bearer\s{1,8})?(?:\\?["'])?"""
    r"(?=[A-Za-z]*\d)([0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{48}|[0-9a-f]{64}"
    r"|(?=[0-9]*[a-zA-Z])[A-Za-z0-9]{32}|(?=[0-9]*[a-zA-Z])[A-Za-z0-9]{40}|(?=[0-9]*[a-zA-Z])[A-Za-z0-9]{64})(?![\w/+=-])",
    re.ASCII,
)
_NAMES: Final = tuple(
    word for base in ("key", "token", "secret", "bearer", "credential") for word in (base, base.upper(), base.title())
)

PATTERNS: Final = (
    *_begins("Anthropic key", "sk-ant-", then=r"[a-z]{3,5}\d\d-[\w-]{24,}"),
    *_begins("OpenRouter key", "sk-or-", then=r"(?:v1-)?[0-9a-f]{40,}"),
    *_begins("OpenAI key", "sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-", then=r"[\w-]{24,}"),
    *_begins("Langfuse key", "sk-lf-", then=r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    *_begins("OpenAI or DeepSeek key", "sk-", then=r"(?=[A-Za-z]*\d)(?:[0-9a-f]{32}|[A-Za-z0-9]{40,})(?![\w-])"),
    *_begins("Google key", "AIza", then=r"[\w-]{35}(?![\w-])"),
    *_begins("Google key", "AQ.Ab", then=r"[\w-]{40,}"),
    *_begins("Google token", "ya29.", "GOCSPX-", then=r"[\w-]{20,}"),
    *_begins("Groq key", "gsk_", then=r"[A-Za-z0-9]{40,}"),
    *_begins("xAI key", "xai-", then=r"[A-Za-z0-9]{60,}"),
    *_begins("Together key", "tgp_v1_", then=r"[\w-]{40,}"),
    *_begins("Fireworks key", "fw_", then=r"(?=[A-Za-z]*\d)[A-Za-z0-9]{22,}(?![\w-])"),
    *_begins("Perplexity key", "pplx-", then=r"[A-Za-z0-9]{40,}"),
    *_begins("Hugging Face key", "hf_", "api_org_", then=r"[A-Za-z0-9]{34,}"),
    *_begins("Replicate key", "r8_", then=r"[A-Za-z0-9]{36,}"),
    *_begins("NVIDIA key", "nvapi-", then=r"[\w-]{40,}"),
    *_begins("Cerebras key", "csk-", then=r"[a-z0-9]{40,}"),
    *_begins("Voyage key", "pa-", then=r"(?=[A-Za-z_-]*\d)[\w-]{43}(?![\w-])"),
    *_begins("Jina key", "jina_", then=r"[A-Za-z0-9_]{40,}"),
    *_begins("Tavily key", "tvly-", then=r"[\w-]{28,}"),
    *_begins("ElevenLabs key", "sk_", then=r"[0-9a-f]{48}(?!\w)"),
    *_begins("LangSmith key", "lsv2_pt_", "lsv2_sk_", then=r"[0-9a-f]{32}_[0-9a-f]{10}"),
    *_begins("Pinecone key", "pcsk_", then=r"\w{50,}"),
    *_begins("Databricks token", "dapi", then=r"[0-9a-f]{32}(?:-\d)?(?!\w)"),
    *_begins("AWS key", "AKIA", "ASIA", then=r"[A-Z2-7]{16}(?!\w)"),
    *_begins("AWS Bedrock key", "ABSK", then=r"[A-Za-z0-9+/]{100,}={0,2}"),
    *_begins("GitHub token", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", then=r"[A-Za-z0-9]{36,}"),
    *_begins("GitHub token", "github_pat_", then=r"[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    *_begins("GitLab token", "glpat-", then=r"[\w-]{20,}"),
    *_begins("Slack token", "xoxb-", "xoxp-", "xoxa-", then=r"\d+-[\w-]{20,}"),
    *_begins("Stripe key", "sk_live_", "rk_live_", then=r"[A-Za-z0-9]{24,}"),
    Pattern("Azure key", ("JQQJ99",), re.compile(r"[A-Za-z0-9]{52}JQQJ99[A-Za-z0-9]{26}(?![A-Za-z0-9])", re.ASCII)),
    Pattern(
        "AWS secret",
        ("ecret", "ECRET"),
        re.compile(r"(?i:aws_?secret\w{0,24})[\"']?\s{0,8}[:=]\s{0,8}[\"']?([A-Za-z0-9/+]{40})\b"),
    ),
    Pattern("key by its name", _NAMES, _NAMED, starts_a_word=False),
)
"""A vendor that stands first wins where two fit."""
