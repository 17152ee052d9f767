# `make demo` and `make test` do everything on a fresh machine: each makes .venv when it is missing
# and installs hash-pinned requirements into it, again only when they change.

VENV := .venv
PYTHON ?=
SOAK_MINUTES ?= 10
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
INSTALL := $(PIP) install --no-warn-script-location
CHECKED := src tests examples benchmarks scripts/export-requirements scripts/compile-messages

.PHONY: help demo test lint long bench docs requirements clean

help:
	@echo "make demo          a small app behind SSOMiddleware, with an identity provider to sign in at"
	@echo "                   (DEMO=\"--port 8010 --idp-port 8011\" where the usual ports are taken)"
	@echo "make test          linters, types, and the whole suite (installs test servers where it can)"
	@echo "make lint          linters and types only"
	@echo "make long          the slow tests: fuzzing, soak, coverage, mutants, the server matrix"
	@echo "make bench         verification and more, side by side with their peers (also as benchmarks/latest.json)"
	@echo "make docs          the documentation, into docs/_build/html"
	@echo "make requirements  export hash-pinned requirements from pyproject.toml (UPGRADE=1: newest releases)"
	@echo "make clean         remove what these commands made"

demo: $(VENV)/.for-demo
	@exec $(BIN)/sso-middleware demo $(DEMO)

test: $(VENV)/.for-tests
	@scripts/install-test-servers
	@$(MAKE) --no-print-directory lint
	@scripts/run-tests

lint: $(VENV)/.for-tests
	@$(BIN)/ruff format --check --quiet $(CHECKED) || { echo "to mend: $(BIN)/ruff format $(CHECKED)"; exit 1; }
	@$(BIN)/ruff check --quiet $(CHECKED)
	@$(BIN)/mypy --no-error-summary $(wildcard src tests examples benchmarks)
	@$(BIN)/lint-imports --no-cache --no-logo >$(VENV)/.lint-imports 2>&1 || { cat $(VENV)/.lint-imports; exit 1; }

long: $(VENV)/.for-long .venvs/oldest/.installed
	@scripts/install-test-servers
	@echo "== the stores, on the oldest SQLAlchemy"
	@PYTHONPATH=.venvs/oldest $(BIN)/python -m pytest -q tests/stores
	@echo "== the slow tests"
	@$(BIN)/python -m pytest -q -m slow
	@echo "== 100,000 generated attacks on sign-in, 25,000 on each way of logout; 5,000 histories of sessions"
	@SSO_GENERATED=100000 $(BIN)/python -m pytest -q -n 2 tests/generated
	@echo "== fuzzing, a minute for each target"
	@$(BIN)/python -m tests.fuzzing
	@echo "== memory over 100,000 verifications"
	@$(BIN)/python -m tests.soak
	@echo "== sessions under load while workers are killed, $(SOAK_MINUTES) minutes on each of two servers"
	@$(BIN)/python -m tests.session_soak --minutes $(SOAK_MINUTES)
	@$(BIN)/python -m tests.session_soak --minutes $(SOAK_MINUTES) --server uvicorn --database postgresql
	@echo "== every line and branch of saml/, by tests/saml"
	@COVERAGE_FILE=$(VENV)/.coverage $(BIN)/python -m coverage run -m pytest -q tests/saml
	@COVERAGE_FILE=$(VENV)/.coverage $(BIN)/python -m coverage report
	@echo "== mutants of the verification (some ten minutes)"
	@$(BIN)/python -m tests.mutation

bench: $(VENV)/.for-bench
	@scripts/install-peers
	@$(BIN)/python -m benchmarks --json benchmarks/latest.json

docs: $(VENV)/.for-docs
	@$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs docs/_build/html
	@echo "docs/_build/html/index.html"

requirements: $(VENV)/.for-releases
	@$(BIN)/python scripts/export-requirements $(if $(UPGRADE),--upgrade)

clean:
	rm -rf .venv .venvs docs/_build build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Virtual environments. A stamp is newer than the requirements that it stands for.

$(VENV)/bin/python:
	@python="$$(PYTHON=$(PYTHON) scripts/find-python)" && echo "Making $(VENV) with $$python" && "$$python" -m venv $(VENV)

$(VENV)/.package: requirements/build.txt requirements/runtime.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing sso-middleware into $(VENV)"
	@$(INSTALL) --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.for-demo: $(VENV)/.package
	@touch $@

$(VENV)/.for-tests: $(VENV)/.package requirements/test.txt
	@echo "Installing what the tests need into $(VENV)"
	@$(INSTALL) --require-hashes -r requirements/test.txt
	@touch $@

$(VENV)/.for-long: $(VENV)/.for-tests requirements/long.txt
	@$(INSTALL) --require-hashes -r requirements/long.txt
	@touch $@

$(VENV)/.for-bench: $(VENV)/.for-tests requirements/bench.txt
	@$(INSTALL) --require-hashes -r requirements/bench.txt
	@touch $@

$(VENV)/.for-docs: $(VENV)/.package requirements/docs.txt
	@$(INSTALL) --require-hashes -r requirements/docs.txt
	@touch $@

$(VENV)/.for-releases: $(VENV)/.package requirements/release.txt
	@$(INSTALL) --require-hashes -r requirements/release.txt
	@touch $@

.venvs/oldest/.installed: requirements/oldest.txt | $(VENV)/bin/python
	@rm -rf .venvs/oldest
	@$(INSTALL) --no-deps --target .venvs/oldest --require-hashes -r requirements/oldest.txt
	@touch $@
