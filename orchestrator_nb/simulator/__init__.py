"""A wire-faithful simulator of the vendors on loopback, written from their documents. Stands aside: the library does not import it.

:class:`Simulator` runs it in a thread or a loop, :func:`serve` in the foreground, :data:`FAULTS` is the menu of what can go wrong.
"""

from orchestrator_nb.simulator.faults import FAULTS
from orchestrator_nb.simulator.quota import Quota
from orchestrator_nb.simulator.script import Script, ScriptError
from orchestrator_nb.simulator.simulator import Simulator, serve
from orchestrator_nb.simulator.wire import Arrived

__all__ = ["FAULTS", "Arrived", "Quota", "Script", "ScriptError", "Simulator", "serve"]
