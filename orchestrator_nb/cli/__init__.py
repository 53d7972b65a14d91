"""The shell's face: ``onb``. Importing this gives `main` with every command on it."""

from orchestrator_nb.cli import chain_runs as chain_runs
from orchestrator_nb.cli import chains as chains
from orchestrator_nb.cli import commands as commands
from orchestrator_nb.cli import conversations as conversations
from orchestrator_nb.cli import scan as scan
from orchestrator_nb.cli import store as store
from orchestrator_nb.cli import trust as trust
from orchestrator_nb.cli import vault as vault
from orchestrator_nb.cli import verify as verify
from orchestrator_nb.cli.app import main as main

__all__ = ["main"]
