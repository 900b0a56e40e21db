# Everything starts here: `make demo` serves the example application, `make test` runs every test.
#
# Needs python3 (3.11 or newer, with pip), make and a package index; no root and no containers.
# Each environment is set up once and again when its lock changes.

PYTHON ?= python3
DEMO_ARGS ?=
PYTEST_ARGS ?=

UV := .tools/bin/uv
BIN := .venv/bin

# An interpreter is never fetched behind the user's back.
export UV_PYTHON_DOWNLOADS := never

# Annotations may name files of this repository only: no index address, no path of a machine.
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
.PHONY: help demo test test-lowest test-newest check lint format types contracts docs docs-serve build lock audit clean

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r name text; do printf 'make %-12s %s\n' "$$name" "$$text"; done

demo: .venv-demo/.stamp ## Serve the multi-tenant example (DEMO_ARGS, STOCKADE_DEMO_PORT)
	@trap : INT; .venv-demo/bin/stockade demo $(DEMO_ARGS); \
		status=$$?; test $$status -eq 130 && exit 0; exit $$status

test: .venv/.stamp ## Run every test against real servers (PYTEST_ARGS)
	@$(BIN)/python scripts/browser.py
	@$(BIN)/python scripts/oauth_client.py
	@$(BIN)/python scripts/tls_redis.py
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

# Old releases warn about newer ones of their own dependencies, which is no fault of ours.
test-lowest: .venv-lowest/.stamp ## Run the tests with the oldest releases that pyproject.toml allows
	@.venv-lowest/bin/python -m pytest -W default $(PYTEST_ARGS)

# Tests of servers and browsers hold for the interpreter that is set up first.
test-newest: .tools/.stamp ## Run the unit tests on the newest Python of this machine, if it is another
	@newest=$$($(PYTHON) scripts/newer_python.py); \
		if test -z "$$newest"; then echo "there is no newer Python on this machine"; \
		else $(MAKE) --no-print-directory .venv-newest/.stamp PYTHON="$$newest" && \
			.venv-newest/bin/python -m pytest tests/unit -p no:cacheprovider $(PYTEST_ARGS); fi

check: lint types contracts docs test ## Run every check

lint: .venv/.stamp ## Check style and format
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

format: .venv/.stamp ## Mend style and format where that is mechanical
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

types: .venv/.stamp ## Check types
	@$(BIN)/mypy

contracts: .venv/.stamp ## Check the direction of imports
	@$(BIN)/lint-imports --no-logo

# The variable silences a notice about MkDocs 2, which mkdocs-material excludes.
docs: .venv/.stamp ## Build the documentation into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

docs-serve: .venv/.stamp ## Serve the documentation while writing it
	@$(BIN)/mkdocs serve

build: .venv/.stamp ## Build the source archive and the wheel into dist/
	@$(BIN)/python -m build --no-isolation --outdir dist

audit: .venv/.stamp ## Ask the vulnerability service about the locked packages
	@$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements/runtime.lock
	@$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements/dev.lock

lock: .tools/.stamp ## Pin the dependencies anew (UPGRADE=1 takes the newest releases)
	@$(COMPILE) requirements/tools.in -o requirements/tools.lock
	@$(COMPILE) pyproject.toml --extra demo --group build-backend -o requirements/runtime.lock
	@$(COMPILE) pyproject.toml --all-extras --group dev -o requirements/dev.lock

clean: ## Remove everything that the other targets made
	@rm -rf .tools .venv .venv-demo .venv-lowest .venv-newest build dist site
	@rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find src tests examples benchmarks scripts -name __pycache__ -type d -prune \
		-exec rm -rf {} + 2>/dev/null || true

# pip's --target is allowed on a system Python that refuses other installations, and uv then makes
# environments without the system's venv module.
.tools/.stamp: requirements/tools.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "error: Python 3.11 or newer is needed; name it with PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || \
		{ echo "error: '$(PYTHON) -m pip' is missing; on Debian: apt install python3-pip" >&2; exit 1; }
	@PIP_ROOT_USER_ACTION=ignore $(PYTHON) -m pip install --quiet --disable-pip-version-check --upgrade --target .tools \
		--require-hashes -r requirements/tools.lock
	@touch $@

# $(call environment,FOLDER,LOCK) fills a virtual environment with exactly the locked packages and
# with this repository itself, editable, built by the locked build backend.
define environment
	@echo "setting up $(1) from $(2)"
	@$(UV) venv --quiet --allow-existing --python "$(PYTHON)" $(1)
	@$(UV) pip sync --quiet --python $(1) --require-hashes $(2)
	@$(UV) pip install --quiet --python $(1) --no-deps --no-build-isolation --editable .
	@touch $(1)/.stamp
endef

.venv/.stamp: requirements/dev.lock pyproject.toml .tools/.stamp
	$(call environment,.venv,requirements/dev.lock)

.venv-demo/.stamp: requirements/runtime.lock pyproject.toml .tools/.stamp
	$(call environment,.venv-demo,requirements/runtime.lock)

.venv-newest/.stamp: requirements/dev.lock pyproject.toml .tools/.stamp
	$(call environment,.venv-newest,requirements/dev.lock)

.venv-lowest/.stamp: requirements/dev.lock pyproject.toml .tools/.stamp
	@mkdir -p .venv-lowest
	@$(COMPILE) pyproject.toml --all-extras --group build --group test --resolution lowest-direct \
		-o .venv-lowest/lowest.lock
	$(call environment,.venv-lowest,.venv-lowest/lowest.lock)
