# Commands for people who work on nerq. `make demo` and `make test` need nothing but Python 3.11+, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := $(VENV)/.demo
DEV := $(VENV)/.dev
MODELSCOPE := .venv-modelscope
OPENVINO := .venv-openvino

.DEFAULT_GOAL := help
.PHONY: help demo up test test-training test-modelscope check format bench bench-throughput clean

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(DEMO) ## run Chinese texts through a real queue and show what comes back
	@$(BIN)/nerq demo

up: $(DEMO) ## start Redis and a worker, and stay
	@$(BIN)/nerq up

test: $(DEV) ## run all tests: unit, integration, acceptance
	$(BIN)/pytest

check: $(DEV) ## lint, types, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV) ## format and mend what can be mended
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

test-training: $(DEV) ## test the training of models; installs torch
	$(BIN)/pip install --quiet --editable '.[models]'
	$(BIN)/pytest --timeout 3600 tests/training

test-modelscope: $(MODELSCOPE)/.ready ## compare with ModelScope's own pipeline, in an environment of its own
	$(MODELSCOPE)/bin/pytest --timeout 3600 tests/modelscope

bench: $(DEV) ## measure speed, latency and memory; a few minutes on an idle machine
	$(BIN)/python tests/benchmarks/latency.py
	$(BIN)/python tests/benchmarks/memory.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/memory_base.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/lifecycle.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/steady.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/dictionary.py

bench-throughput: $(DEV) $(MODELSCOPE)/.ready $(OPENVINO)/.ready ## base size: ours, PyTorch, ModelScope, OpenVINO; TEXTS=FILE.jsonl
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/throughput_base.py $(TEXTS) \
		--modelscope $(MODELSCOPE)/bin/python --openvino $(OPENVINO)/bin/python

clean: ## remove the environment and what tools left behind
	rm -rf $(VENV) $(MODELSCOPE) $(OPENVINO) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "nerq needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)

$(DEMO): pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[all]'
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[all,dev]'
	@touch $@ $(DEMO)

$(MODELSCOPE)/.ready: pyproject.toml
	test -x $(MODELSCOPE)/bin/python || $(PYTHON) -m venv $(MODELSCOPE)
	$(MODELSCOPE)/bin/pip install --quiet 'modelscope[framework]' 'transformers>=4.57,<5' 'torch==2.13.0' --editable '.[all,dev]'
	@touch $@

$(OPENVINO)/.ready: pyproject.toml
	test -x $(OPENVINO)/bin/python || $(PYTHON) -m venv $(OPENVINO)
	$(OPENVINO)/bin/pip install --quiet openvino nncf onnx --editable '.[worker]'
	@touch $@
