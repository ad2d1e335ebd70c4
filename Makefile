# make run: the demo. make test: every fast test. make check: style, types, room borders.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run test check setup slow clean
.DEFAULT_GOAL := help

.PHONY: help
help:  ## list what make can do
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

run: setup  ## meet the demo: an arm learns a new body in five lessons
	$(BIN)/python -m launch.demo $(ARGS)

test: setup  ## every fast test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 $(ARGS)  # one thread a worker: two of each would fight

slow: setup  ## the long learning tests
	$(BIN)/python -m pytest -q -m slow $(ARGS)

check: $(VENV)/.check-stamp  ## formatting, lint, types, room borders
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

setup: $(VENV)/.stamp  ## the environment that run and test share

$(VENV)/.stamp: pyproject.toml
	@./launch/check_machine.sh "$(PYTHON)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

$(VENV)/.check-stamp: $(VENV)/.stamp
	$(BIN)/python -m pip install --quiet --editable '.[test,check]'
	@touch $@

clean:  ## remove the environment and every run
	rm -rf $(VENV) runs
