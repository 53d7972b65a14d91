"""``python -m orchestrator_nb`` is the same as ``onb``."""

from orchestrator_nb.cli import main

if __name__ == "__main__":
    main()
