# Everything sets itself up: `make run` and `make test` work in a fresh clone with Python 3.11 or newer.
# Kept to what both GNU make 3.81 (macOS) and current ones understand.
.POSIX:
.SUFFIXES:
.PHONY: help setup run test lint format types unit results package clean

VENV = .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
ARGS =
# Test processes; each test uses one thread. JOBS=0 runs them in one process, as a debugger needs.
JOBS = 2

help:
	@echo "make run      open the app (without a display: run the demo, results in results/demo)"
	@echo "make test     style, types and the whole test suite"
	@echo "make lint     ruff: rules and format       make format   let ruff mend both"
	@echo "make types    type check of the engine     make unit     tests alone; ARGS='tests/gui -k window'"
	@echo "make results  the tables of docs/results.md (hours; ARGS='--device cuda --workers 12')"
	@echo "make package  a stand-alone app in dist/   make clean    remove what the others made, and .venv"

setup: $(READY)

# Runs again only when what it installs changes.
$(READY): pyproject.toml constraints.txt build/setup.sh
	@sh build/setup.sh $(VENV)
	@touch $(READY)

run: $(READY)
	@$(BIN)/python main.py $(ARGS)

test: lint types unit

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(READY)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(READY)
	@$(BIN)/basedpyright

unit: $(READY)
	@QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest -n $(JOBS) $(ARGS)

results: $(READY)
	@$(BIN)/python benchmarks/results.py $(ARGS)

package: $(READY)
	@$(BIN)/python build/package.py

clean:
	rm -rf $(VENV) dist .pytest_cache .ruff_cache .hypothesis
