# make site   everything from a fresh clone to a served site
# make test   all checks and tests; make bench: the figures; make clean: back to the clone
#
# Each set of packages is installed once, until its list changes. PYTHON=python3.12 picks another.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What is imported is compiled then: most of torch never is.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile --editable
NPM := npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: site test checks bench clean chromium

site: $(VENV)/.base node_modules/.site
	@# 3: something must be trained, and torch is not installed yet.
	@$(BIN)/wmsite build || { code=$$?; [ $$code -eq 3 ] || exit $$code; \
		$(PIP) '.[train]' && touch $(VENV)/.train && $(BIN)/wmsite build; }
	@exec $(BIN)/wmsite serve

test:
	@# Packages of each kind are unpacked while others are, and checked.
	@$(MAKE) --no-print-directory --jobs=3 checks chromium
	@# Side by side, each on one thread; then those that play in a browser, which need both cores.
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup --no-loadscope-reorder \
		tests/builder tests/training tests/sims tests/golden
	$(BIN)/pytest tests/browser

checks: $(VENV)/.test node_modules/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --num-workers auto
	npm run --silent check

bench: $(VENV)/.test node_modules/.test chromium
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) node_modules site .wmsite bench/out .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@# Debian keeps what venv needs in a package of its own.
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		$(AS_ROOT) apt-get update && $(AS_ROOT) apt-get install -y python3-venv && \
		$(PYTHON) -m venv $(VENV); }

# What is in hand already is kept: .test holds .train, which holds .base.
$(VENV)/.base: pyproject.toml | $(VENV)/bin/python
	$(PIP) .
	@touch $@

$(VENV)/.train: pyproject.toml | $(VENV)/bin/python
	$(PIP) '.[train]'
	@touch $(VENV)/.base $@

$(VENV)/.test: pyproject.toml | $(VENV)/bin/python
	$(PIP) '.[test]'
	@touch $(VENV)/.base $(VENV)/.train $@

# npm ci starts from an empty folder, so the stamps in there go with it.
node_modules/.site: package.json package-lock.json
	$(NPM) --omit=dev
	@touch $@

node_modules/.test: package.json package-lock.json
	$(NPM)
	@touch node_modules/.site $@

# After Python, which may have needed apt too.
chromium: | $(VENV)/bin/python
	@$(BIN)/python -c 'from builder.chromium import find; find()' 2>/dev/null || { \
		$(AS_ROOT) apt-get update && \
		$(AS_ROOT) apt-get install -y --no-install-recommends chromium; }
