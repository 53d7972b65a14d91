"""The toolkit without its store: what writing everything down costs is the difference."""

from __future__ import annotations

from benchmarks.contenders import ours


class Contender(ours.Contender):
    settings = "store: {enabled: false}\n"
