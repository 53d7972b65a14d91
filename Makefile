# One entrance for everything. `make` alone shows this help. Each target sets itself up from nothing.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
export PYTHONUTF8 = 1
# A file's tests stay together, for they share what they set up. Tests that measure time are marked "alone" and run by themselves.
# Twice as many workers as cores: half of a test is waiting for a process, a kernel or a socket.
PARALLEL = -n 4 --dist loadfile
# One JupyterLab and one browser each.
BROWSERS = -n 2 --dist loadfile
# Plain pip where uv is absent: slower, same result.
PIP = $(if $(UV),$(UV) pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check)

.PHONY: help install demo test test-fast soak lab lint format types floors notebooks browser bench docs clean all widgets frontend

help:  ## show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/python:
	@echo "Setting up $(VENV) (once) …"
	@$(if $(UV),$(UV) venv --quiet --python $(PYTHON) $(VENV),$(PYTHON) -m venv $(VENV))

$(VENV)/.ready: $(BIN)/python pyproject.toml
	@$(PIP) -e '.[dev]'
	@touch $@

$(VENV)/.demo: $(BIN)/python pyproject.toml
	@test -f $(VENV)/.ready || $(PIP) -e '.[lab]'
	@touch $@

install: $(VENV)/.ready  ## create .venv and install everything for development

demo: $(VENV)/.demo  ## run the quickstart against the simulator and print its comparison
	@$(BIN)/onb demo

lab: $(VENV)/.demo  ## open JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir notebooks $(if $(filter 0,$(shell id -u)),--allow-root)

test: $(VENV)/.ready browser-ready  ## every test: fast parts first, then notebooks and the browser
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint types
	$(BIN)/python -m pytest -q $(PARALLEL) -m "not slow and not browser and not soak and not alone" --maxfail 3
	$(BIN)/python -m pytest -q $(PARALLEL) -m "slow and not browser and not soak and not alone"
	$(BIN)/python -m pytest -q -m "alone and not soak"
	$(BIN)/python -m pytest -q --nbmake --nbmake-kernel=python3 notebooks
	$(BIN)/python -m pytest -q $(BROWSERS) -m "browser and not soak" tests/browser

test-fast: $(VENV)/.ready  ## the parts of a few seconds each
	$(BIN)/python -m pytest -q $(PARALLEL) -m "not slow and not browser and not soak and not alone"

soak: $(VENV)/.ready  ## long runs that make test leaves out
	@$(PIP) -e '.[dev,fuzz]'
	ORCHESTRATOR_NB_EXPLORE=1 $(BIN)/python -m pytest -q -m soak --timeout 3600

# Widgets are committed as built, so their tools are needed only where somebody changes them: where node or its packages are missing, it says so and goes on.
WIDGETS := extensions/widgets
NODE := $(shell node -e 'process.exit(+process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null && command -v npm 2>/dev/null)

$(WIDGETS)/node_modules/.ready: $(WIDGETS)/package-lock.json
	@echo "Installing the widgets' tools (once) …"
	@cd $(WIDGETS) && npm ci --loglevel=error && touch node_modules/.ready

frontend:  ## types, style and unit tests of the widgets' code, where there is node
	@if [ -z "$(NODE)" ]; then echo "SKIPPED: the widgets' checks (types, style, unit tests); they need node 20 or newer."; \
	elif ! $(MAKE) --no-print-directory $(WIDGETS)/node_modules/.ready; then echo "SKIPPED: the widgets' checks; their tools could not be installed."; \
	else cd $(WIDGETS) && npm run --silent --loglevel=error check; fi

widgets: $(WIDGETS)/node_modules/.ready  ## build the widgets' code into the package
	@cd $(WIDGETS) && npm run --silent --loglevel=error build

lint: $(VENV)/.ready frontend  ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.ready  ## rewrite to the common format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.ready  ## strict types
	$(BIN)/mypy

notebooks: $(VENV)/.ready  ## run the notebooks against the simulator
	$(BIN)/python -m pytest -q --nbmake --nbmake-kernel=python3 notebooks

browser-ready:
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-liberation fonts-noto-color-emoji >/dev/null; \
	  else echo "The browser tests need Chromium: apt-get install chromium (or set ORCHESTRATOR_NB_NO_BROWSER=1)."; fi; }

browser: $(VENV)/.ready browser-ready  ## drive JupyterLab in Chromium
	$(BIN)/python -m pytest -q $(BROWSERS) -m "browser and not soak" tests/browser

bench: $(VENV)/.ready  ## ratios to raw aiohttp and to other clients, side by side
	$(BIN)/python -m benchmarks

all: test bench  ## what CI runs, and the benchmarks

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .venv-bench $(WIDGETS)/node_modules build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
