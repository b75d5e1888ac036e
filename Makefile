# Each target first makes its environment in .venv, where that is missing or its lock has changed.
PYTHON ?= python3
BIN := .venv/bin
.DELETE_ON_ERROR:
.PHONY: help demo cluster test lint bench protos locks

help:
	@echo "make demo     serve two versions of a model while traffic moves between them  (ARGS=--once: end by itself)"
	@echo "make cluster  run a Kubernetes cluster as processes, to try things on; needs root and Go"
	@echo "make test     lint, then all tests, with real processes of all runtimes      (ARGS=-x: options of pytest)"
	@echo "make lint     ruff, mypy and the import contracts"
	@echo "make bench    compare the gateway with Envoy on this machine                  (ARGS=--quick: see that it runs)"
	@echo "make protos   compile protos/"
	@echo "make locks    follow pyproject.toml in the lock files                         (ARGS=--upgrade: to the newest)"

demo: .venv/.ready
	@$(BIN)/python -m examples.demo $(ARGS)

cluster: .venv/.ready
	@$(BIN)/python -m tests.cluster.rig

# What fails fast comes first.
test: lint
	$(BIN)/python -m pytest -m "not slow and not cluster" $(ARGS)
	$(BIN)/python -m pytest -m "slow and not cluster" $(ARGS)
	$(BIN)/python -m tests.cluster.rig.build
	$(BIN)/python -m pytest -m cluster $(ARGS)

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: .venv/.ready
	@$(BIN)/python -m loadtests.bench $(ARGS)

protos: .venv/.ready
	$(BIN)/python -m protos.compile

locks: .venv/.ready
	$(BIN)/python locks/compile.py $(ARGS)

.venv/.ready: .venv/.locked pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.locked: locks/dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Turnout needs Python 3.11 or later; name one by: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "making .venv from locks/dev.txt, once"
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r locks/dev.txt
	@touch $@
