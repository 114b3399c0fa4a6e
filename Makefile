# Everything runs in .venv, which is made and filled here.

PYTHON ?= python3
BIN := .venv/bin
SOURCES := qwenpick tests benchmarks docs
export HF_HUB_DISABLE_TELEMETRY = 1
# GCC 12 compiles the engine's code for AMX wrongly (docs/decisions.md).
ifneq (,$(shell grep -m1 -o amx_int8 /proc/cpuinfo 2>/dev/null))
export CXXFLAGS += -mno-amx-int8
endif

.PHONY: demo test check fix proof bench clean

demo: .venv/demo
	$(BIN)/qwenpick recommend
	$(BIN)/qwenpick chat demo --no-save --temperature 0 \
		-p "What is the capital of France? Answer in one sentence."

test: check
	$(BIN)/pytest -n 2 --dist worksteal

check: .venv/dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cog --check -I docs README.md docs/*.md

fix: .venv/dev
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/cog -r -I docs README.md docs/*.md

proof: .venv/dev
	$(BIN)/pytest -m proof

# The short ones; memory.py, fit.py and turns.py take long and say so themselves.
bench: .venv/dev
	for name in startup speed render pull; do $(BIN)/python benchmarks/$$name.py || exit 1; done

.venv/dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

.venv/demo: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable '.[demo]'
	touch $@

clean:
	rm -rf .venv build dist
