# Commands for people who work on hanner. `make demo` and `make test` need nothing but Python 3.11+, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := $(VENV)/.demo
DEV := $(VENV)/.dev
BROWSER := $(VENV)/.browser
BENCH := $(VENV)/.bench
MODELSCOPE := .venv-modelscope
BATCHES := .venv-batches
SPACY := .venv-spacy
OPENVINO := .venv-openvino
STACK := $(VENV)/.stack
PINS := compose/requirements
LOCK = $(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform linux --generate-hashes --no-emit-index-url \
	--excludes $(PINS)/without.txt --custom-compile-command 'make lock' $(UPGRADE)
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose) -f compose/compose.yaml
CHROMIUM := chromium fonts-noto-cjk fonts-noto-color-emoji
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.DEFAULT_GOAL := help
.PHONY: help demo up test test-training test-modelscope test-browser test-flower test-monitoring test-spacy \
	screenshots bench-page check format bench bench-peers bench-parts bench-queue bench-render bench-throughput \
	chaos chaos-stock stack stack-down stack-test lock sbom clean

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(DEMO) ## run Chinese texts through a real queue and show what comes back
	@$(BIN)/hanner demo

up: $(DEMO) ## start Redis and a worker, and stay
	@$(BIN)/hanner up

test: $(DEV) ## run all tests: unit, integration, acceptance, a little chaos
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

test-browser: $(BROWSER) ## test the page in a real Chromium; installs Debian's
	$(BIN)/pytest tests/browser

test-flower: $(BROWSER) ## test what Flower shows of a thousand requests, in a real Chromium; a minute
	$(BIN)/pytest tests/flower

screenshots: $(BROWSER) ## take the pictures of the page and of Flower under docs/screenshots anew
	PYTHONPATH=tests $(BIN)/python docs/screenshots/take.py

bench-page: $(BROWSER) ## measure how soon the page highlights, on an idle machine
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/browser_latency.py

test-monitoring: $(DEV) ## test alerts and dashboard with a real Prometheus; skipped where there is none
	@command -v prometheus promtool >/dev/null || echo "prometheus and promtool are not installed; on Debian: apt-get install prometheus" >&2
	$(BIN)/pytest tests/monitoring

test-spacy: pyproject.toml ## read what hanner writes for spaCy with spaCy itself, in an environment of its own
	test -x $(SPACY)/bin/python || $(PYTHON) -m venv $(SPACY)
	$(SPACY)/bin/pip install --quiet 'spacy>=3.8' onnx pytest pytest-timeout --editable '.[all]'
	$(SPACY)/bin/pytest tests/spacy

bench: $(BENCH) ## end to end, beside other servers; writes docs/benchmarks.md, 14 minutes. TEXTS=FILE ONLY="latency" SCALE=0.2
	PYTHONPATH=tests $(BIN)/python -m benchmarks.end_to_end $(if $(TEXTS),--texts $(TEXTS)) $(if $(ONLY),--only $(ONLY)) \
		$(if $(SCALE),--scale $(SCALE)) $(if $(OUT),--out $(OUT))

bench-render: $(BENCH) ## write docs/benchmarks.md anew from what was measured
	PYTHONPATH=tests $(BIN)/python -m benchmarks.end_to_end --render

bench-peers: $(BENCH) ## install what `make bench` compares with, each in an environment of its own under .bench, or $$HANNER_BENCH
	PYTHONPATH=tests $(BIN)/python -m benchmarks.end_to_end.environments

bench-parts: $(DEV) ## measure single parts: client, gateway, memory, start, dictionary
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/client.py
	$(BIN)/python tests/benchmarks/memory.py
	$(BIN)/python tests/benchmarks/gateway.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/memory_base.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/worker_start.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/memory_growth.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/dictionary.py

bench-queue: $(BENCH) $(BATCHES)/bin/celery ## what the queue costs a text: plain Celery, celery-batches, hanner; OPTIONS="--rounds 5"
	PYTHONPATH=tests $(BIN)/python -m benchmarks.queues --json docs/benchmarks/queue.json --plot docs/benchmarks/queue.svg $(OPTIONS)

bench-throughput: $(DEV) $(MODELSCOPE)/.ready $(OPENVINO)/.ready ## base size: ours, PyTorch, ModelScope, OpenVINO; TEXTS=FILE.jsonl
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/throughput_base.py $(TEXTS) \
		--modelscope $(MODELSCOPE)/bin/python --openvino $(OPENVINO)/bin/python

chaos: $(DEV) ## kill, freeze and fill everything under load, and count; about an hour. PLANS="poison fuzz" runs some
	PYTHONPATH=tests $(BIN)/python -m chaos $(PLANS)

chaos-stock: $(DEV) $(BATCHES)/bin/celery ## the same kills against plain Celery and celery-batches, to compare with
	PYTHONPATH=tests $(BIN)/python -m chaos parents --system celery
	PYTHONPATH=tests $(BIN)/python -m chaos parents --system celery-batches

stack: ## build the images and bring the stack up in containers; make stack-down stops it
	$(COMPOSE) build
	$(COMPOSE) up --detach
	$(PYTHON) compose/wait.py $(COMPOSE)

stack-down: ## stop the stack; its data stays, and goes with VOLUMES=--volumes
	$(COMPOSE) --profile monitoring down --remove-orphans $(VOLUMES)

stack-test: $(STACK) ## bring the stack up, test it from outside, and take everything of it away
	$(BIN)/pytest --timeout 1800 tests/stack

lock: $(STACK) ## pin what the images install, with hashes; what is pinned stays unless UPGRADE=--upgrade
	$(LOCK) --extra worker --extra gateway --extra flower --extra models --extra otel pyproject.toml -o requirements.lock
	$(LOCK) -c requirements.lock --extra worker --extra cli --extra otel pyproject.toml -o $(PINS)/worker.txt
	$(LOCK) -c requirements.lock --extra gateway --extra otel pyproject.toml -o $(PINS)/gateway.txt
	$(LOCK) -c requirements.lock --extra flower pyproject.toml -o $(PINS)/flower.txt
	$(LOCK) -c requirements.lock --extra models pyproject.toml -o $(PINS)/models.txt
	$(LOCK) $(PINS)/build.in -o $(PINS)/build.txt

sbom: $(STACK) ## write what each image is made of to build/sbom, as CycloneDX
	mkdir -p build/sbom
	for image in worker gateway flower models; do $(BIN)/cyclonedx-py requirements $(PINS)/$$image.txt \
		--pyproject pyproject.toml --mc-type application --output-reproducible --of JSON \
		-o build/sbom/$$image.cdx.json || exit 1; done

clean: ## remove the environment and what tools left behind
	rm -rf $(VENV) $(MODELSCOPE) $(OPENVINO) $(BATCHES) $(SPACY) .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache dist build

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hanner needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)

$(BATCHES)/bin/celery:
	$(PYTHON) -m venv $(BATCHES)
	$(BATCHES)/bin/pip install --quiet 'celery>=5.6,<5.7' celery-batches packaging 'redis[hiredis]'

$(DEMO): pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[all]'
	@touch $@

$(DEV): pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[all,dev]'
	@touch $@ $(DEMO)

$(STACK): pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[all,dev,stack]'
	@touch $@

$(BENCH): pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[all,bench]'
	@touch $@ $(DEV) $(DEMO)

$(BROWSER): pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[all,dev,browser]'
	@{ command -v chromium && fc-list | grep -i emoji; } >/dev/null || $(AS_ROOT) apt-get install --yes --quiet $(CHROMIUM) || { \
		$(AS_ROOT) apt-get update --quiet && $(AS_ROOT) apt-get install --yes --quiet $(CHROMIUM); } || { \
		echo "install a Chromium and fonts for Chinese and emoji; on Debian: apt-get install $(CHROMIUM)" >&2; exit 1; }
	@touch $@

$(MODELSCOPE)/.ready: pyproject.toml
	test -x $(MODELSCOPE)/bin/python || $(PYTHON) -m venv $(MODELSCOPE)
	$(MODELSCOPE)/bin/pip install --quiet 'modelscope[framework]' 'transformers>=4.57,<5' 'torch==2.13.0' --editable '.[all,dev]'
	@touch $@

$(OPENVINO)/.ready: pyproject.toml
	test -x $(OPENVINO)/bin/python || $(PYTHON) -m venv $(OPENVINO)
	$(OPENVINO)/bin/pip install --quiet openvino nncf onnx --editable '.[worker]'
	@touch $@
