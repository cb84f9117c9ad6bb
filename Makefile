# Everything is installed into .venv; `make` alone lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Tests of real servers mostly wait: files run side by side, in two processes with servers of their own.
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile
DEMO_SECONDS ?=

.PHONY: help setup influxd demo test unit integration e2e faults lint format docs dashboards lock bench clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

setup: $(READY) ## install everything into .venv

$(READY): requirements.lock pyproject.toml $(wildcard gateway/*.pyx schemas/*.p[xy][dx] processors/*.pxd processors/*/*.p[xy][dx] sinks/stores/*.pyx ingest/*.pyx ingest/feeds/*.pyx tapeline/load/*.pyx)
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 15) else \
		f"Python {v[0]}.{v[1]} is too old or too new: 3.11 to 3.14 is needed. Name another with: make PYTHON=python3.11")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo 'This Python cannot make virtual environments. On Debian: apt-get install python3-venv'; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $(READY)

influxd: $(READY) ## build InfluxDB's server from source into the cache, as there is no package of it (Go, cargo: six minutes)
	$(BIN)/python -m tapeline.embedded._influxd_build

demo: $(READY) ## run the main job on the embedded stack, live in the terminal (DEMO_SECONDS=40 ends by itself)
	$(BIN)/tapeline demo $(if $(DEMO_SECONDS),--seconds $(DEMO_SECONDS))

test: lint ## lint, types and all tests
	$(PYTEST) --no-loadscope-reorder

unit: $(READY) ## pure tests: milliseconds, no network
	$(PYTEST) tests/unit

integration: $(READY) ## one stage at a time against real servers
	$(PYTEST) --no-loadscope-reorder tests/integration

e2e: $(READY) ## the whole way of a tick
	$(PYTEST) tests/e2e

faults: $(READY) ## every fault the processors must survive, three seeds each: a quarter of an hour
	TAPELINE_FAULT_SEEDS=3 $(PYTEST) --numprocesses 4 --no-loadscope-reorder tests/faults  # which wait for most of their time

lint: $(READY) ## ruff and mypy, over the code and the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## write docs/topics.md from the topics, the schemas and recorded traffic, docs/websocket.md from the cases tested
	$(BIN)/tapeline topics docs docs/topics.md
	$(BIN)/python -m tests.websocket_cases docs/websocket.md

dashboards: $(READY) ## write grafana/dashboards from grafana/generate.py
	$(BIN)/python -m grafana.generate

bench: $(READY) ## all benchmarks; each prints its table and writes benchmarks/out/NAME.json
	@for name in $(patsubst benchmarks/%.py,%,$(wildcard benchmarks/bench_*.py)); do \
		$(BIN)/python -m benchmarks.$$name || exit 1; done

bench-%: $(READY)
	$(BIN)/python -m benchmarks.bench_$*

lock: ## renew both lock files (needs uv)
	uv pip compile pyproject.toml --extra ccxt --extra embedded --extra redis --group dev --universal --python-version 3.11 --generate-hashes \
		--no-annotate --no-header --no-emit-index-url -o requirements.lock --upgrade
	uv pip compile pyproject.toml --extra akshare --extra easyquotation --extra efinance --constraint requirements.lock --universal --python-version 3.11 \
		--generate-hashes --no-annotate --no-header --no-emit-index-url -o requirements-libraries.lock --upgrade

clean: ## remove .venv, caches and built extensions of the checkout
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
	rm -f processors/*/*.so processors/*/*.c sinks/stores/*.so sinks/stores/*.c schemas/*.so schemas/*.c ingest/*.so ingest/*.c ingest/feeds/*.so ingest/feeds/*.c
