"""IPython as our type checker may see it: its shell and display carry types only in part, so they are `Any` here and nowhere else."""

from __future__ import annotations

from typing import Any

from IPython.core import display_functions, magic

Shell = Any
"""An ``InteractiveShell``."""


display: Any = display_functions.display
no_var_expand: Any = magic.no_var_expand
