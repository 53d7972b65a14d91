"""Chains: workflows written in YAML, on one line, or in Python. Read, checked and planned here, without any I/O; run elsewhere. docs/chain-format.md has the language."""

from orchestrator_nb.chains.chain import (
    REQUIRED,
    Ask,
    Block,
    Chain,
    Defaults,
    Each,
    Input,
    OnError,
    Parallel,
    Propose,
    Python,
    Repeat,
    Retry,
    Step,
    Switch,
    Use,
)
from orchestrator_nb.chains.graph import Graph, Node
from orchestrator_nb.chains.inputs import bind
from orchestrator_nb.chains.language import schema
from orchestrator_nb.chains.load import load, load_all
from orchestrator_nb.chains.planning import Plan, check, plan
from orchestrator_nb.chains.problems import Problem
from orchestrator_nb.chains.roles import Roles
from orchestrator_nb.chains.templates import ready, template
from orchestrator_nb.chains.trigrams import similarity
from orchestrator_nb.chains.world import World
from orchestrator_nb.chains.write import to_plain, to_yaml

__all__ = [
    "REQUIRED",
    "Ask",
    "Block",
    "Chain",
    "Defaults",
    "Each",
    "Graph",
    "Input",
    "Node",
    "OnError",
    "Parallel",
    "Plan",
    "Problem",
    "Propose",
    "Python",
    "Repeat",
    "Retry",
    "Roles",
    "Step",
    "Switch",
    "Use",
    "World",
    "bind",
    "check",
    "load",
    "load_all",
    "plan",
    "ready",
    "schema",
    "similarity",
    "template",
    "to_plain",
    "to_yaml",
]
