"""What an untrusted project's chain says is judged by its keys, before it is read: every step is found, and what nobody has allowed is refused."""

from hypothesis import HealthCheck, given, settings
from made import chains

from orchestrator_nb.chains import Ask, Propose, Python, to_plain
from orchestrator_nb.chains.chain import inner
from orchestrator_nb.chains.language import ChainPiece, Common, StepPiece, SwitchPiece
from orchestrator_nb.config.steps import (
    ALLOWED_CHAIN_KEYS,
    ALLOWED_STEP_KEYS,
    ALLOWED_SWITCH_KEYS,
    beyond,
    named_models,
    steps,
)


def keys(piece):
    return {field.alias or name for name, field in piece.model_fields.items()}


def test_a_key_of_the_language_is_refused_until_somebody_has_allowed_it():
    assert keys(StepPiece) - ALLOWED_STEP_KEYS == {"python", "mode", "plan"}
    assert ALLOWED_STEP_KEYS - keys(StepPiece) == {"name"}  # the predecessor's
    assert keys(ChainPiece) == ALLOWED_CHAIN_KEYS
    assert keys(SwitchPiece) == ALLOWED_SWITCH_KEYS
    assert keys(Common) - ALLOWED_STEP_KEYS == {"mode"}


def walk(found):
    for step in found:
        yield step
        for _, within in inner(step):
            yield from walk(within)


def asks(chain):
    for step in walk(chain.steps):
        yield from (part for part in (step.do, getattr(step.do, "ask", None)) if isinstance(part, Ask))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(chains)
def test_no_step_is_overlooked(chain):
    plain = to_plain(chain)
    found = [step for _, step in steps(plain)]

    assert len([step for step in found if "python" in step]) == sum(
        isinstance(step.do, Python) for step in walk(chain.steps)
    )
    named = {model for ask in asks(chain) for model in (*ask.model, *ask.fallback)}
    assert named <= {model for _, model in named_models(plain)}
    wild = any(isinstance(step.do, Python | Propose) for step in walk(chain.steps)) or any(
        ask.mode for ask in asks(chain)
    )
    assert not wild or list(beyond(plain, 1_000))
