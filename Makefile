# Every target sets up .venv first if it has to: nothing but Python 3.11+ and make is needed.
# Real datasets, if a folder of them is at hand, are named by VISION_ZOO_DATA (see docs/DATA.md).

PYTHON ?= python3
PYTHONS := 3.11 3.12 3.13
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# A file of tests a worker, in the order of tests/conftest.py, which also says how many workers. Each computes on one
# core; threads that wait for work yield theirs instead of spinning.
PYTEST := $(BIN)/pytest -p no:schemathesis -p no:hypothesispytest
TEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(PYTEST) -n auto --dist loadfile --no-loadscope-reorder
ALONE := $(PYTEST) $$(grep -rl mark.alone tests)

# Compiled once, not by every process that the tests start.
unexport PYTHONDONTWRITEBYTECODE

ifneq ($(wildcard ../shared/data),)
VISION_ZOO_DATA ?= $(abspath ../shared/data)
export VISION_ZOO_DATA
endif

.PHONY: test-all-pythons quick-tests most-tests browser postgresql site help install quickstart demo bench check test soak format lint types docs lock results zoo clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'error: $(PYTHON) is older than Python 3.11; run make PYTHON=/path/to/python3.11' >&2; exit 1; }
	@echo 'setting up $(VENV) from requirements.lock: once, several minutes and gigabytes without a warm cache' >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@awk '/^uv==/ { found = 1 } found { print; if (!/\\$$/) exit }' requirements.lock > $(VENV)/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv.txt
	@$(BIN)/uv pip sync --python $(BIN)/python --require-hashes --compile-bytecode --quiet requirements.lock
	@$(BIN)/uv pip install --python $(BIN)/python --no-deps --no-build-isolation --quiet --editable .
	@touch $@

install: $(INSTALLED)  ## set up .venv from requirements.lock

quickstart: $(INSTALLED)  ## train, export, verify, measure and run a model in a minute
	@$(BIN)/vision-zoo quickstart

demo: $(INSTALLED)  ## serve the page for drawing digits
	@$(BIN)/vision-zoo demo

bench: $(INSTALLED)  ## measure the shipped models on this machine, against eager torch
	@$(BIN)/vision-zoo bench --against torch

format: $(INSTALLED)  ## format the code and fix lint
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lint: site
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@$(BIN)/python -m scripts.structure >build/structure.log || { cat build/structure.log; exit 1; }
	@$(BIN)/python -m scripts.update_documents --check

site: $(INSTALLED)  ## build the documentation site in build/site
	@$(BIN)/python -m scripts.write_pages
	@$(BIN)/zensical build --strict >build/site.log 2>&1 || { cat build/site.log; exit 1; }

types: $(INSTALLED)
	@$(BIN)/mypy

browser: $(INSTALLED)
	@scripts/install_browser.sh $(BIN)/python

postgresql:
	@scripts/install_postgresql.sh

check: lint types browser quick-tests  ## format, lint, types and all but the slowest tests: before every commit

test: $(INSTALLED)  ## everything that CI runs
	@$(MAKE) --no-print-directory --jobs 2 browser postgresql
	@$(MAKE) --no-print-directory --jobs 3 lint types most-tests
	@$(ALONE) -m alone

most-tests: $(INSTALLED)
	@$(TEST) -m "not alone"

# Other environments are in build/; uv finds an interpreter of each version, or says that there is none.
test-all-pythons: $(INSTALLED) browser  ## the tests of make check on every supported Python
	@for version in $(PYTHONS); do \
	  python=$$(PYENV_VERSION=$$version $(BIN)/uv python find --system $$version) && \
	  $(MAKE) --no-print-directory VENV=build/python-$$version PYTHON=$$python quick-tests || exit 1; \
	done

quick-tests: $(INSTALLED)
	@echo "$$($(BIN)/python --version):" >&2
	@$(TEST) -m "not slow and not alone"
	@$(ALONE) -m "alone and not slow"

soak: $(INSTALLED)  ## long fuzzing and load, before a release: a quarter of an hour
	@$(BIN)/pytest soak

docs: $(INSTALLED)  ## regenerate the documents from results/
	@$(BIN)/python -m scripts.update_documents

results: $(INSTALLED)  ## run every published experiment that results/ lacks (hours)
	@$(BIN)/vision-zoo reproduce --all

zoo: $(INSTALLED)  ## export the best runs to exported/ and measure the files
	@$(BIN)/python scripts/publish_zoo.py
	@$(BIN)/python benchmarks/inference.py

lock: $(INSTALLED)  ## resolve requirements.lock again from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --generate-hashes --python-version 3.11 \
	  --no-annotate --no-header --no-emit-package vision-zoo --upgrade --quiet -o requirements.lock

clean:
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
