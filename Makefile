# Everything runs in its own environment, .venv, made from pyproject.toml and requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo up check test soak bench docs lock clean

help:  ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(VENV)/ready: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("dabbawala needs Python 3.11 or newer; set PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
	@touch $@

demo: $(VENV)/ready  ## Release two services under live traffic on an own cluster, and report
	$(BIN)/dabba demo

up: $(VENV)/ready  ## Start a cluster and print how to reach it
	$(BIN)/dabba up

check: $(VENV)/ready  ## Format, lint, types, layers
	$(BIN)/ruff format --check src tests workloads bench tools
	$(BIN)/ruff check src tests workloads bench tools
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check  ## All tests that fit into an ordinary run
	$(BIN)/pytest

soak: $(VENV)/ready  ## The long proofs: hundreds of kills, tens of thousands of worlds
	$(BIN)/pytest -m soak --timeout 7200

bench: $(VENV)/ready  ## Benchmarks: ratios against a named peer in the same run
	$(BIN)/python bench/startup.py
	$(BIN)/python bench/api.py
	$(BIN)/python bench/release.py
	$(BIN)/python bench/network.py
	$(BIN)/python bench/runtime.py
	$(BIN)/python bench/cel.py
	$(BIN)/python bench/guard.py
	$(BIN)/python bench/agreement.py

docs: $(VENV)/ready  ## Derive docs/reference from the code
	$(BIN)/python tools/derive_docs.py

lock:  ## Resolve the dependencies anew, and write requirements.lock
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	echo '# What `make lock` resolved; the constraints of every environment that the Makefile makes.' > requirements.lock
	build/lock/bin/pip freeze --exclude-editable | LC_ALL=C sort -f >> requirements.lock
	rm -rf build/lock

clean:  ## Remove the environment and caches
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
