# Set-up, demo, tests and checks. Everything happens in .venv; nothing else on the machine is touched.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: help setup demo test test-viewers lint benchmark clean

help:
	@echo "make demo       make one synthetic patient, find its nodes, write a report"
	@echo "make test       run the tests"
	@echo "make test-viewers  open results in the OHIF viewer beside a PACS (needs npm, chromium, Orthanc)"
	@echo "make lint       check style and types"
	@echo "make benchmark  compare speed with other programs (makes about 350 MB of temporary files)"
	@echo "make clean      remove .venv and demo"

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $$($(PYTHON) --version) is too old; install Python 3.11 or newer, or name one: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup
	$(BIN)/ctlymph phantom demo/patient --cases 1 --seed 1 --spacing 0.8,0.8,2
	$(BIN)/ctlymph detect demo/patient/ct_lymph_nodes/MED_LYMPH_001 --output demo/result --overwrite

test: setup
	$(BIN)/pytest --numprocesses 2 --dist loadscope

test-viewers: setup
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[viewers]'
	$(BIN)/pytest -m viewers -rP tests/viewers

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

benchmark: setup
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/detecting.py
	$(BIN)/python benchmarks/judging.py
	$(BIN)/python benchmarks/networks.py

clean:
	rm -rf .venv demo
