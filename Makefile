# make site    everything from a fresh clone to a served site
# make shell   a shell in which `wmsite` is on the PATH
# make quick   all checks, and the tests that need no browser and train nothing: a minute
# make test    all checks and tests; make bench: the figures; make clean: back to the clone
# make lock    pin the base packages anew, after an edit of pyproject.toml
# make notices write THIRD_PARTY_NOTICES.md anew, after an edit of package.json or pyproject.toml
#
# Each set of packages is installed once, until its list changes. PYTHON=python3.12 picks another.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What is imported is compiled then: most of torch never is.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile
# The lock holds what this is built with, so that nothing else is fetched for it.
OURS := $(PIP) --no-build-isolation --editable
# Side by side, each on one thread.
SIDE_BY_SIDE := OMP_NUM_THREADS=1 $(BIN)/pytest --dist loadgroup --no-loadscope-reorder
WITHOUT_A_BROWSER := tests/builder tests/training tests/sims tests/golden
# What is imported is compiled once, not by every process of a test.
unexport PYTHONDONTWRITEBYTECODE
NPM := npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: site shell quick test checks bench clean lock notices browsers

site: $(VENV)/.base node_modules/.site
	@# 3: something must be trained, and torch is not installed yet.
	@$(BIN)/wmsite build || { code=$$?; [ $$code -eq 3 ] || exit $$code; \
		$(OURS) '.[train]' && touch $(VENV)/.train && $(BIN)/wmsite build; }
	@exec $(BIN)/wmsite serve

shell: $(VENV)/.base node_modules/.site
	@echo 'wmsite is on the PATH here. Run: wmsite --help; exit leaves.'
	@VIRTUAL_ENV='$(abspath $(VENV))' PATH='$(abspath $(BIN))':"$$PATH" exec "$${SHELL:-sh}"

quick: checks
	$(SIDE_BY_SIDE) -n 2 $(WITHOUT_A_BROWSER) -q -m 'not slow' --durations=3

test:
	@# Packages of each kind are unpacked while others are, and checked.
	@$(MAKE) --no-print-directory --jobs=3 checks browsers
	@# These wait now and then: three of them keep two cores busy.
	$(SIDE_BY_SIDE) -n 3 $(WITHOUT_A_BROWSER) --durations=20
	$(SIDE_BY_SIDE) -n 2 tests/browser -m 'not alone' --durations=20
	@# What asks how soon something happens needs both cores.
	$(BIN)/pytest tests/browser -m alone

checks: $(VENV)/.test node_modules/.test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --num-workers auto
	npm run --silent check

bench: $(VENV)/.test node_modules/.test browsers
	$(BIN)/python -m bench

lock:
	$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install --quiet uv==0.13.9
	printf 'hatchling==1.33.0\neditables==0.6\n' | $(VENV)/lock/bin/uv pip compile --quiet \
		--universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
		--output-file requirements.lock pyproject.toml -
	rm -rf $(VENV)/lock

notices: $(VENV)/.base node_modules/.site
	@$(BIN)/python -m builder.site.notices > THIRD_PARTY_NOTICES.new
	@mv THIRD_PARTY_NOTICES.new THIRD_PARTY_NOTICES.md

clean:
	@# What is its own, only the command knows; the rest, and what people drove, is kept.
	[ ! -x $(BIN)/wmsite ] || $(BIN)/wmsite clean --all
	rm -rf $(VENV) node_modules bench/out .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@# Debian keeps what venv needs in a package of its own.
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		$(AS_ROOT) apt-get update && $(AS_ROOT) apt-get install -y python3-venv && \
		$(PYTHON) -m venv $(VENV); }

# All that the base needs, with versions and hashes: pip refuses what differs.
$(VENV)/.base: pyproject.toml requirements.lock | $(VENV)/bin/python
	@echo 'installing the packages of requirements.lock'
	@$(PIP) --require-hashes --requirement requirements.lock
	@$(OURS) . --no-deps
	@touch $@

# What is in hand already is kept: .test holds .train, which holds .base.
$(VENV)/.train: $(VENV)/.base
	@echo 'installing what training needs'
	@$(OURS) '.[train]'
	@touch $@

$(VENV)/.test: $(VENV)/.base
	@echo 'installing what tests need'
	@$(OURS) '.[test]'
	@# An environment of Python and NumPy, and the schema of OpenSCENARIO; what else they ask for is
	@# not used.
	@$(PIP) --no-deps minatar==1.0.15 scenariogeneration==0.16.7
	@touch $(VENV)/.train $@

# npm ci starts from an empty folder, so the stamps in there go with it.
node_modules/.site: package.json package-lock.json
	@echo 'installing the packages of package-lock.json'
	@$(NPM) --omit=dev
	@touch $@

node_modules/.test: package.json package-lock.json
	@echo 'installing the packages of package-lock.json'
	@$(NPM)
	@touch node_modules/.site $@

# After Python, which may have needed apt too.
browsers: | $(VENV)/bin/python
	@need=; $(BIN)/python -c 'from builder.chromium import find; find()' 2>/dev/null || need=chromium; \
	which firefox-esr >/dev/null || need="$$need firefox-esr"; \
	which WebKitWebDriver >/dev/null || need="$$need webkit2gtk-driver"; \
	which Xvfb >/dev/null || need="$$need xvfb"; \
	[ -z "$$need" ] || { $(AS_ROOT) apt-get update && \
		$(AS_ROOT) apt-get install -y --no-install-recommends $$need; }
