"""How much our own work costs, next to other clients in the same run: ``python -m benchmarks`` (or ``make bench``).

One mock server answers from its own process on its own core. Each client ("contender") lives in a process of its own on the other core
and works in turn, round after round, so that a change of the machine's mood meets all of them. Judged is the CPU time per call.
"""
