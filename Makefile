# Each target first makes its environment in .venv, where that is missing or its lock has changed.
PYTHON ?= python3
BIN := .venv/bin
.DELETE_ON_ERROR:
.PHONY: help demo cluster unit test coverage test-rest test-all test-slow test-tools test-cluster root prove lint fix crd bench attack fuzz protos docs locks

# Files in their order: those with processes, which take long, come before those without.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder
# Tests start some hundred interpreters, each of which would compile all of Turnout again.
unexport PYTHONDONTWRITEBYTECODE
QUICK := -m "not slow and not tools and not cluster and not prove"

help:
	@echo "make demo     serve two versions of a model while traffic moves between them  (ARGS=--once: end by itself)"
	@echo "make cluster  run a Kubernetes cluster as processes, to try things on; needs root and Go"
	@echo "make unit     the tests of pure code, which open no socket and start no process"
	@echo "make test     lint, then all tests that need nothing but Python               (ARGS=-x: options of pytest)"
	@echo "make test-all the same and all others, in parts: test-slow (model servers of all runtimes),"
	@echo "              test-tools (Go, a JDK, wrk, Prometheus, Chromium), test-cluster (Kubernetes; root, Go)"
	@echo "make coverage say how much of the code the tests of make test reach, in their own process"
	@echo "make prove    play 10,000 rollouts a case, and write what came of it to docs/"
	@echo "make lint     ruff, mypy, the import contracts and codespell"
	@echo "make fix      let ruff mend what it can"
	@echo "make crd      write the custom resource's definition anew from the document's models"
	@echo "make bench    compare the gateway with Envoy on this machine                  (ARGS=--quick: see that it runs)"
	@echo "make attack   attack a gateway with an honest client beside, and say what became of it (ARGS=--list: of what kind)"
	@echo "make fuzz     give the wire layers and the route table bytes that reach ever more of the code  (ARGS=--seconds=60)"
	@echo "make protos   compile protos/"
	@echo "make docs     draw the pictures of docs/ from the code"
	@echo "make locks    follow pyproject.toml in the lock files                         (ARGS=--upgrade: to the newest)"

demo: .venv/.ready
	@$(BIN)/python -m examples.demo $(ARGS)

cluster: .venv/.ready
	@$(BIN)/python -m tests.cluster.rig

unit: .venv/.ready
	$(PYTEST) $(QUICK) $(ARGS) tests/unit

# What fails fast comes first.
test: lint
	$(PYTEST) $(QUICK) $(ARGS)
	@echo "Left out: model servers but Seldon's and long runs (make test-slow); what needs Go, a JDK, wrk, Prometheus or" \
	  "Chromium (make test-tools); Kubernetes (make test-cluster); 10,000 rollouts a case (make prove). make test-all: all but the last."

coverage: .venv/.ready
	$(PYTEST) $(QUICK) --cov --cov-report= $(ARGS)
	$(BIN)/python -m tests.coverage

test-all: test test-rest

# The cluster's tests wait while the others compute; each start many processes, so two and three at a time will do. What
# is missing is said before anything starts.
test-rest: .venv/.ready root
	@$(BIN)/python -m loadtests.tools chromium curl go ip javac openssl prometheus promtool wrk
	@$(MAKE) --jobs 2 --output-sync=target test-cluster test-slow test-tools

test-slow: .venv/.ready
	$(PYTEST) -n 3 -m "slow and not tools" $(ARGS)

test-tools: .venv/.ready
	@$(BIN)/python -m loadtests.tools chromium curl go javac prometheus promtool wrk
	$(PYTEST) -m tools $(ARGS)

test-cluster: .venv/.ready root
	@$(BIN)/python -m loadtests.tools go ip openssl
	$(BIN)/python -m tests.cluster.rig.build
	$(PYTEST) -n 2 -m cluster $(ARGS)

root:
	@test "$$(id -u)" = 0 || { echo "the tests of the cluster need root, for network namespaces" >&2; exit 1; }

prove: .venv/.ready
	$(BIN)/python -m pytest -m prove $(ARGS)

lint: .venv/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell

fix: .venv/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

crd: .venv/.ready
	$(BIN)/python -m deployer.kubernetes.crd.definition

bench: .venv/.ready
	@$(BIN)/python -m loadtests.bench $(ARGS)

attack: .venv/.ready
	@$(BIN)/python -m loadtests.attack $(ARGS)

fuzz: .venv/.ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r locks/fuzz.txt
	@$(BIN)/python -m tests.fuzz $(ARGS)

protos: .venv/.ready
	$(BIN)/python -m protos.compile

docs: .venv/.ready
	@$(BIN)/python -m docs.pictures

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
