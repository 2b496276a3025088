# demo, test and check each make the virtual environment they need; PYTHON chooses the interpreter (3.11 or later).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
PYTEST_FLAGS ?= -n auto

.PHONY: demo test check bench coverage format wheel clean

demo: $(STAMP)-learn ## the example explained, then a network trained on handwritten digits by each optimizer
	$(BIN)/chainrule explain "(a+b)*(b+1)" a=2 b=1
	$(BIN)/chainrule train digits --epochs 80 --out demo
	$(BIN)/chainrule train digits --epochs 80 --optimizer momentum --out demo/momentum
	$(BIN)/chainrule train digits --epochs 80 --optimizer adam --out demo/adam

test: $(STAMP)-test ## all tests
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

check: $(STAMP)-check ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(STAMP)-bench ## time compiled derivatives next to those of other libraries (about half an hour)
	$(BIN)/python -m benchmarks.run $(BENCH_FLAGS)

coverage: $(STAMP)-test ## run every function of docs/coverage.md in this library, JAX and autograd (some minutes)
	PYTHONPATH=tests $(BIN)/python -m function_table $(COVERAGE_FLAGS)

format: $(STAMP)-check ## put the source into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: $(STAMP)-test ## build the wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -c "import sys; sys.exit('chainrule needs Python 3.11 or later, this is ' + sys.version.split()[0]) if sys.version_info < (3, 11) else None"
	$(PYTHON) -m venv $(VENV)

$(STAMP)-%: pyproject.toml $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	touch $@
