# Commands for developers of hanner. `make demo` and `make test` need only Python 3.11+, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= auto
PYTEST = $(BIN)/pytest -n $(JOBS) --dist worksteal
FAST := tests/unit tests/integration
RINGS := $(FAST) tests/acceptance tests/chaos
RUNS ?= 5
LOAD ?= 12
DEMO := $(VENV)/.demo
DEV := $(VENV)/.dev
BROWSER := $(VENV)/.browser
BENCH := $(VENV)/.bench
DOCS := $(VENV)/.docs
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
.PHONY: help demo up test test-fast test-slow coverage test-repeat test-celery test-training test-modelscope test-browser test-flower test-monitoring test-spacy \
	screenshots docs docs-serve reference diagrams page bench-page check format bench bench-peers bench-parts bench-queue bench-render bench-throughput \
	chaos chaos-stock stack stack-down stack-test lock sbom clean

help: ## list all commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: $(DEMO) ## send Chinese texts through a real queue and show the entities
	@$(BIN)/hanner demo

up: $(DEMO) ## start Redis and a worker, and run until Ctrl-C
	@$(BIN)/hanner up

test-fast: $(DEV) ## run the tests of single modules and of modules with a real Redis; a minute
	$(PYTEST) --hypothesis-profile fast $(FAST)

test: $(DEV) ## run test-fast with more examples, the commands with real workers and a short fault injection. TEST_SERVER=PATH chooses the Redis
	$(PYTEST) $(RINGS)

test-slow: $(DEV) ## run the slow tests: generated HTTP requests, the wheel, the guides, all fault plans in short
	$(PYTEST) tests/slow

test-celery: $(DEV) ## run Celery's and kombu's own tests against hanner's worker and channel; ten minutes. OPTIONS="kombu -x"
	PYTHONPATH=tests $(BIN)/python -m upstream $(OPTIONS)

coverage: $(DEV) ## run `make test` under coverage, in subprocesses too; print uncovered lines, and fail below the floor
	rm -rf build/coverage
	$(BIN)/coverage run -m pytest -n $(JOBS) --dist worksteal $(RINGS) tests/flower/test_flower.py
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include='worker/hanner_models/*' --fail-under=0
	$(BIN)/coverage report --omit='worker/hanner_models/*'

test-repeat: $(DEV) ## run `make test` RUNS=5 times beside LOAD=12 busy loops; LOAD=0 for an idle machine
	$(BIN)/python tools/repeat_tests.py --runs $(RUNS) --load $(LOAD) -- $(PYTEST) -q $(RINGS)

check: $(DEV) ## run the linters of code and wording, the type checker and the import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/wording.py

format: $(DEV) ## format the code and apply the linter's fixes
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

test-training: $(DEV) ## test the training of models; installs torch
	$(BIN)/pip install --quiet --editable '.[train]'
	$(BIN)/pytest --timeout 3600 tests/training

test-modelscope: $(MODELSCOPE)/.ready ## compare with ModelScope's own pipeline, in a separate environment
	$(MODELSCOPE)/bin/pytest --timeout 3600 tests/modelscope

test-browser: $(BROWSER) ## test the page in a real Chromium; installs Debian's if necessary
	$(BIN)/pytest tests/browser

test-flower: $(BROWSER) ## test Flower with a thousand requests, in a real Chromium; takes a minute
	$(BIN)/pytest tests/flower

screenshots: $(BROWSER) ## retake the screenshots of the page and of Flower in docs/screenshots
	PYTHONPATH=tests $(BIN)/python docs/screenshots/take.py

docs: $(DOCS) ## build the documentation site into build/site, and check its links
	PYTHONPATH=tools $(BIN)/python -m docs_site

docs-serve: $(DOCS) ## serve the documentation site on http://127.0.0.1:8001/
	PYTHONPATH=tools $(BIN)/python -m docs_site serve

reference: $(DEV) ## write docs/reference again from the code
	PYTHONPATH=tools $(BIN)/python -m reference

diagrams: $(DOCS) $(BROWSER) ## draw the Mermaid diagrams of the documentation as SVG; needs npm
	PYTHONPATH=tools $(BIN)/python -m docs_site.draw

page: $(DEV) ## bundle the page from producer/page into the gateway's package; needs npm
	$(BIN)/python tools/build_page.py

bench-page: $(BROWSER) ## measure the latency of the page's highlights and its first visit on a slow network; needs an idle machine
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/browser_latency.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/first_visit.py

test-monitoring: $(DEV) ## test alerts and dashboard with a real Prometheus; skipped if it is not installed
	@command -v prometheus promtool >/dev/null || echo "prometheus and promtool are not installed; on Debian: apt-get install prometheus" >&2
	$(BIN)/pytest tests/monitoring

test-spacy: pyproject.toml ## read hanner's spaCy output with spaCy itself, in a separate environment
	test -x $(SPACY)/bin/python || $(PYTHON) -m venv $(SPACY)
	$(SPACY)/bin/pip install --quiet 'spacy>=3.8' onnx pytest pytest-timeout --editable '.[all]'
	$(SPACY)/bin/pytest tests/spacy

bench: $(BENCH) ## measure end to end, compared with other servers; writes docs/benchmarks.md; 16 minutes. TEXTS=FILE ONLY="latency" SCALE=0.2
	PYTHONPATH=tests $(BIN)/python -m benchmarks.end_to_end $(if $(TEXTS),--texts $(TEXTS)) $(if $(ONLY),--only $(ONLY)) \
		$(if $(SCALE),--scale $(SCALE)) $(if $(OUT),--out $(OUT))

bench-render: $(BENCH) ## write docs/benchmarks.md again from the stored results
	PYTHONPATH=tests $(BIN)/python -m benchmarks.end_to_end --render

bench-peers: $(BENCH) ## install the servers that `make bench` compares with, in separate environments under .bench or $$HANNER_BENCH
	PYTHONPATH=tests $(BIN)/python -m benchmarks.end_to_end.environments

bench-parts: $(DEV) ## measure single parts: client, command line, gateway, memory, start, dictionary
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/client.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/cli_start.py
	$(BIN)/python tests/benchmarks/memory.py
	$(BIN)/python tests/benchmarks/gateway.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/memory_base.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/worker_start.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/memory_growth.py
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/dictionary.py

bench-queue: $(BENCH) $(BATCHES)/bin/celery ## measure the queue alone: plain Celery, celery-batches, hanner; OPTIONS="--rounds 5"
	PYTHONPATH=tests $(BIN)/python -m benchmarks.queues --json docs/benchmarks/queue.json --plot docs/benchmarks/queue.svg $(OPTIONS)

bench-throughput: $(DEV) $(MODELSCOPE)/.ready $(OPENVINO)/.ready ## compare engines at base size: hanner, PyTorch, ModelScope, OpenVINO; TEXTS=FILE.jsonl
	PYTHONPATH=tests $(BIN)/python tests/benchmarks/throughput_base.py $(TEXTS) \
		--modelscope $(MODELSCOPE)/bin/python --openvino $(OPENVINO)/bin/python

chaos: $(DEV) ## inject all faults under load and count the outcomes; about an hour. PLANS="poison fuzz" runs some
	PYTHONPATH=tests $(BIN)/python -m chaos $(PLANS)

chaos-stock: $(DEV) $(BATCHES)/bin/celery ## inject the same kills into plain Celery and celery-batches, for comparison
	PYTHONPATH=tests $(BIN)/python -m chaos parents --system celery
	PYTHONPATH=tests $(BIN)/python -m chaos parents --system celery-batches

stack: ## build the images and start the containers; make stack-down stops them
	$(COMPOSE) build
	$(COMPOSE) up --detach
	docker image prune --force --filter label=org.opencontainers.image.title=hanner
	$(PYTHON) compose/wait.py $(COMPOSE)

stack-down: ## stop the containers; VOLUMES=--volumes also deletes the data
	$(COMPOSE) --profile monitoring down --remove-orphans $(VOLUMES)

stack-test: $(STACK) ## start the containers, test them from outside, and remove everything
	$(BIN)/pytest --timeout 1800 tests/stack

lock: $(STACK) ## pin the packages of the images, with hashes; UPGRADE=--upgrade also upgrades pinned ones
	$(LOCK) --extra worker --extra gateway --extra flower --extra models --extra otel pyproject.toml -o requirements.lock
	$(LOCK) -c requirements.lock --extra worker --extra cli --extra otel pyproject.toml -o $(PINS)/worker.txt
	$(LOCK) -c requirements.lock --extra gateway --extra otel pyproject.toml -o $(PINS)/gateway.txt
	$(LOCK) -c requirements.lock --extra flower pyproject.toml -o $(PINS)/flower.txt
	$(LOCK) -c requirements.lock --extra models pyproject.toml -o $(PINS)/models.txt
	$(LOCK) $(PINS)/build.in -o $(PINS)/build.txt

sbom: $(STACK) ## write the contents of each image to build/sbom, as CycloneDX
	mkdir -p build/sbom
	for image in worker gateway flower models; do $(BIN)/cyclonedx-py requirements $(PINS)/$$image.txt \
		--pyproject pyproject.toml --mc-type application --output-reproducible --of JSON \
		-o build/sbom/$$image.cdx.json || exit 1; done

clean: ## remove the environments and the caches of tools
	rm -rf $(VENV) $(MODELSCOPE) $(OPENVINO) $(BATCHES) $(SPACY) .bench .upstream .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache dist build

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hanner needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)")'
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

$(DOCS): pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --editable '.[docs]'
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
