# Two commands do it all on a fresh machine: `make compare` and `make test`. Each makes .venv,
# installs into it (with uv where there is one, else venv and pip) and runs.
# `make test` has every activation, model and reproduction, with a sample of the longer tests;
# `make test-all` has the rest of them and the check of types; `make slow` has the tests that take minutes each.

PYTHON ?= python3
UV := $(shell command -v uv 2>/dev/null)
BIN := .venv/bin

# What `make compare` runs: COMPARE="relu gelu --dataset cifar10" replaces it.
COMPARE ?= relu tanh leaky_relu elu "centered(relu)" identity

.PHONY: compare test test-all thorough lint types audit slow docs lock clean

compare: .venv/installed
	$(BIN)/flaxact compare $(COMPARE)

test: .venv/installed-tests lint
	$(BIN)/python -m pytest -n auto --dist worksteal

test-all: test types thorough

# What `make test` leaves out.
thorough: .venv/installed-tests
	$(BIN)/python -m pytest -n auto --dist worksteal -m "thorough and not slow"

lint: .venv/installed-tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: .venv/installed-tests
	$(BIN)/pyright

# Known vulnerabilities of the locked packages; needs uv and the network.
audit:
	uv export --quiet --frozen --all-extras --no-emit-project --no-hashes | uvx pip-audit --disable-pip --no-deps -r /dev/stdin

slow: .venv/installed-tests
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow

# build/site/index.html; in under three minutes, without the network but for installing.
docs: .venv/installed-docs
	$(BIN)/python docs/_site/build.py

lock:
	uv lock

clean:
	rm -rf .venv

.venv/installed: pyproject.toml uv.lock
ifdef UV
	$(UV) sync --quiet --frozen --inexact --python $(PYTHON)
else
	$(MAKE) --no-print-directory .venv/made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
endif
	touch $@

.venv/installed-tests: pyproject.toml uv.lock
ifdef UV
	$(UV) sync --quiet --frozen --inexact --python $(PYTHON) --extra tests
else
	$(MAKE) --no-print-directory .venv/made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[tests]'
endif
	touch $@ .venv/installed

.venv/installed-docs: pyproject.toml uv.lock
ifdef UV
	$(UV) sync --quiet --frozen --inexact --python $(PYTHON) --extra docs
else
	$(MAKE) --no-print-directory .venv/made
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
endif
	touch $@

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "flaxact needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..."; exit 2; }
	$(PYTHON) -m venv .venv
	touch $@
