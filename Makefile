# Two commands set everything up on a machine with Python 3.11 or newer, its venv module and make:
#   make demo   runs a session on a generated dump        make test   runs every test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint bench clean

demo: $(READY)
	@mkdir -p build-demo
	@$(BIN)/vmdebug fixture make demo -o build-demo/core.domu > build-demo/made.txt
	@cd build-demo && PYTHONPATH=.. ../$(BIN)/python -m bench.transcript core.domu

test: $(READY)
	$(BIN)/pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	$(BIN)/python -m bench

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build-demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
