"""The notebook's face: text of a cell becomes a plan, a plan becomes a run, a run becomes something to look at.

Nothing here knows a vendor, a socket or a key. ``extension.load`` is what ``%load_ext orchestrator_nb`` calls.
"""
