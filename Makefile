# Set-up, demo, tests and checks. Everything happens in .venv; nothing else on the machine is touched.

PYTHON ?= python3
BIN := .venv/bin
BASE := .venv/.base
READY := .venv/.ready

.PHONY: help setup demo test test-viewers lint benchmark clean

help:
	@echo "make demo       make one synthetic patient, detect its lymph nodes, write a report (installs what detect needs)"
	@echo "make test       run the tests (installs everything, PyTorch too)"
	@echo "make test-viewers  open results in the OHIF viewer beside a PACS (needs npm, chromium, Orthanc)"
	@echo "make lint       check style and types"
	@echo "make benchmark  compare speed with other programs (makes about 350 MB of temporary files)"
	@echo "make clean      remove .venv and demo"

setup: $(READY)

$(BASE): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $$($(PYTHON) --version) is too old; install Python 3.11 or newer, or name one: make PYTHON=python3.12 …"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(READY): $(BASE)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(BASE)
	$(BIN)/ctlymph demo --output demo --overwrite

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
	$(BIN)/python benchmarks/evaluation.py
	$(BIN)/python benchmarks/networks.py

clean:
	rm -rf .venv demo
