# One command each; `make` lists them.
PYTHON ?= python3
VENV ?= .venv
PY = $(VENV)/bin/python
# Real data sets and models, if they lie beside the checkout; tests that need them are skipped elsewhere.
SHARED = $(wildcard ../shared)
export HARNESS_DATA ?= $(if $(SHARED),$(abspath $(SHARED))/data)
export HARNESS_MODELS ?= $(if $(SHARED),$(abspath $(SHARED))/models)
ifeq ($(HARNESS_DATA),)
unexport HARNESS_DATA
endif
ifeq ($(HARNESS_MODELS),)
unexport HARNESS_MODELS
endif

COMPILE = uv pip compile --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-header --no-annotate

# Two processes, each with whole files of tests: fixtures of a module are made once. Long files come first.
WORKERS ?= -n 2 --dist loadfile --no-loadscope-reorder
# Further words for pytest, such as TESTS="-k plaid".
TESTS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all test-slow faults fuzz lint lock launchers databases oracle results peers bench

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

install: $(VENV)/installed  ## make .venv from requirements.lock

# Packages are installed from the lock alone (--no-deps): PyLate's own bounds ask for an older fast-plaid.
$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: install  ## the main job on an embedded model and corpus: 1 to 3 minutes
	$(PY) -m harness run

test: install  ## the short tests: 3 minutes on 2 cores
	$(PY) -m pytest $(WORKERS) $(TESTS)

test-all: install  ## all tests but the slow ones, the faults and the fuzz: 10 to 20 minutes
	$(PY) -m pytest $(WORKERS) -m "not slow and not faults and not fuzz" $(TESTS)

test-slow: install  ## tests that take a minute or more each: real data, Ray and submitit, databases
	$(PY) -m pytest $(WORKERS) -m slow $(TESTS)

faults: install  ## sweeps that are killed, disks that run full, files that are damaged: HARNESS_KILLS=50, minutes
	$(PY) -m pytest -m faults tests/robustness/test_faults.py -s

# Without the checks of types that other tests make: a command ends as it does for its users.
fuzz: install  ## random edits of data, models, words and records: HARNESS_EDITS=1000, minutes
	$(PY) -m pytest -o addopts="-q --strict-markers" -m fuzz tests/robustness/test_fuzz.py -s

lint: install  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m mypy studies/*.py examples/*.py
	for study in query_side rivals ste ste2; do \
	  MYPYPATH=studies/$$study:studies/ste:studies $(PY) -m mypy studies/$$study/*.py || exit 1; \
	done

# The other locks have what requirements.lock has not, or has for older Pythons or PyPy alone.
BEYOND = $(shell sed -n "/< '3.11'\|== 'pypy'/!s/^\([A-Za-z0-9._-]*\)==.*/--no-emit-package \1/p" requirements.lock)
lock:  ## resolve requirements.lock again (needs uv)
	$(COMPILE) --extra demo --extra notebooks --extra dev pyproject.toml -o requirements.lock
	$(COMPILE) --extra joblib --extra ray --extra submitit -c requirements.lock pyproject.toml $(BEYOND) -o requirements-launchers.lock
	$(COMPILE) --extra databases -c requirements.lock pyproject.toml $(BEYOND) -o requirements-databases.lock
	$(COMPILE) --no-deps --group bench -o requirements-bench.lock
	$(subst 3.10,3.11,$(COMPILE)) --group oracle -o requirements-oracle.lock

launchers: install  ## joblib, Ray and submitit, for sweeps with many workers
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-launchers.lock

databases: install  ## LanceDB and Qdrant Edge, for the examples, and VSAG, for index=sindi
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-databases.lock

ORACLE = .venv-oracle
oracle: $(ORACLE)/installed  ## .venv-oracle: sentence-transformers 6 and MUVERA of others, to compare with (Python 3.11)

$(ORACLE)/installed: requirements-oracle.lock
	$(PYTHON) -m venv $(ORACLE)
	$(ORACLE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-oracle.lock
	touch $@

peers: install  ## the peers of the benchmark (Linux x86-64 with glibc 2.34, or macOS)
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-bench.lock

bench: install  ## time the inner loops against the peers that are installed
	$(PY) -m harness bench

results: install  ## results/tables, and the tables of README and docs, from results/records
	$(PY) studies/make_tables.py
