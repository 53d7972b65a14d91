"""Stack layers around the innermost handler."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator_nb.types import Handler, Layer


def build(innermost: Handler, layers: Iterable[Layer]) -> Handler:
    """One handler: the first layer is outermost and sees a request first and its answer last."""
    handler = innermost
    for layer in reversed(list(layers)):
        handler = layer(handler)
    return handler
