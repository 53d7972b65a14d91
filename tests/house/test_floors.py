"""The house keeps its floors: imports point down, siblings that stand for different outside things stay apart, nothing goes in a circle."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "orchestrator_nb"

FLOORS = [
    {
        "messages",
        "catalog",
        "calls",
        "canonical",
        "figures",
        "records",
        "conversations",
        "chronicle",
        "echoes",
        "transcripts",
        "chats",
        "errors",
        "secret",
        "needles",
        "forms",
        "types",
        "runs",
        "marks",
        "source",
    },  # values
    {"config", "vault", "store", "providers", "pricing", "structured"},  # one outside thing each
    {"kernel"},  # one call done well
    {"prompts", "diagnosis", "traces"},  # things made of calls
    {"chains"},  # workflows as values: what may be asked
    {"results"},  # what was answered
    {
        "job",
        "line",
        "estimates",
        "forecast",
        "history",
        "judging",
        "retold",
        "keyring",
        "vaulted",
        "tapes",
        "keyless",
        "running",
        "budgets",
        "literals",
        "chained",
        "chaining",
        "unlocking",
        "binding",
        "importing",
        "library",
        "chain_plans",
    },  # a grid on its way, the way, and the keys for it
    {"sessions", "wiring", "ways", "playing", "streaming", "talk", "talks"},  # where it is put together
    {"magics", "cli", "widgets", "demo", "__main__"},  # faces
]
ASIDE = {"simulator"}  # plays the far side: knows values only
APART = FLOORS[1] | FLOORS[3]  # floors whose rooms do not know each other
ROOT = "__init__"  # the front door may open any room


def room(module: str) -> str:
    """`orchestrator_nb.kernel.retry` stands in the room `kernel`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ROOT


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> list[str]:
    """Every import that runs, also inside functions; those for type checkers alone do not count."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
    return [name for name in found if name.split(".")[0] == "orchestrator_nb"]


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def targets(module: str) -> set[str]:
    """The modules that `module` imports: a name imported from a module counts as that module."""
    return {name if name in MODULES else name.rpartition(".")[0] for name in imports(MODULES[module])} - {module}


def floor(name: str) -> int:
    return next(level for level, rooms in enumerate(FLOORS) if name in rooms)


def wrong_way(module: str, target: str) -> bool:
    here, there = room(module), room(target)
    if ROOT in (here, there) or here == there:
        return False
    if here in ASIDE:
        return floor(there) > 0
    if there in ASIDE:
        return floor(here) < floor("sessions")
    return floor(there) > floor(here) or (floor(there) == floor(here) and here in APART)


def test_every_room_has_its_floor():
    known = set().union(*FLOORS) | ASIDE | {ROOT}
    assert {room(module) for module in MODULES} <= known


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    assert [target for target in targets(module) if wrong_way(module, target)] == []


def test_nothing_goes_in_a_circle():
    graph = {
        module: {t for t in targets(module) if t in MODULES and room(t) != ROOT}
        for module in MODULES
        if room(module) != ROOT
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" → ".join(circle.args[1]))


@pytest.mark.parametrize("name", sorted(FLOORS[0]))
def test_a_value_module_imports_alone_and_brings_nothing_heavy(name):
    heavy = ["pandas", "pydantic", "httpx2", "IPython", "jinja2", "yaml"]
    code = f"import sys, orchestrator_nb.{name}; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_rule_catches_an_import_that_points_up():
    assert wrong_way("orchestrator_nb.kernel.retry", "orchestrator_nb.sessions")
    assert wrong_way("orchestrator_nb.config.layers", "orchestrator_nb.providers.http")
    assert wrong_way("orchestrator_nb.simulator.server", "orchestrator_nb.providers.sse")
    assert not wrong_way("orchestrator_nb.sessions", "orchestrator_nb.kernel.portal")
