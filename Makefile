# Needs Python 3.11 or newer and make; everything else goes into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt
DATA ?= ../shared/data

.PHONY: help demo test test-slow lint docs bench reproduce clean

help:
	@echo "make demo       install, then train, evaluate and report on embedded data (about 5 minutes)"
	@echo "make test       install, then every check: format, lint, types, layers, tests, docs"
	@echo "make test-slow  the long checks, with real data where it is present (DATA=$(DATA))"
	@echo "make docs       build the documentation into build/docs"
	@echo "make bench      run the speed benchmarks and rewrite benchmarks/results"
	@echo "make reproduce  train what the reproduction page reports and has no record yet (hours; may be stopped and goes on)"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: Python 3.11 or newer is needed; install it or pass PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv .venv

# Two stamps, so that a user's demo does not install the development tools.
.venv/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

.venv/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e ".[dev]"
	@touch $@ .venv/.installed

demo: .venv/.installed
	$(BIN)/dotcount demo --out demo-out

lint: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# One thread a process: two test processes share the two cores that are counted on.
test: lint docs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --durations 10

test-slow: .venv/.installed-dev
	DOTCOUNT_DATA=$(DATA) $(BIN)/python -m pytest -m slow

docs: .venv/.installed-dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs

bench: .venv/.installed-dev
	$(BIN)/python -m benchmarks

reproduce: .venv/.installed-dev
	$(BIN)/python -m experiments.reproduce run --data $(DATA)
	$(BIN)/python -m experiments.reproduce page

clean:
	rm -rf build dist demo-out .mypy_cache .ruff_cache .pytest_cache
