# Two commands set everything up on a machine with Python 3.11 or newer, its venv module and make:
#   make demo   runs a session on a generated dump        make test   runs every test
# and a third builds the site, for which it installs more:
#   make docs   puts it into build-docs/site
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DOCS_READY := $(VENV)/.docs-ready

.PHONY: demo test lint bench docs clean

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

docs: $(DOCS_READY)
	$(BIN)/sphinx-build -q -W --keep-going -d build-docs/trees docs build-docs/site
	@echo built build-docs/site/index.html

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(DOCS_READY): $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) build-demo build-docs docs/reference build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
