# The front door. `make` with no target lists what there is.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
# Many containers forbid byte code. Each process would then compile torch and anndata anew: seconds, and tests start many.
export PYTHONDONTWRITEBYTECODE :=

# uv if the machine has a working one, else a private copy in .bootstrap.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .bootstrap/bin/uv)
RUN := $(UV) run --locked
STAMP := .venv/.installed
# Tests of one package (PACKAGE=scprint-model) or all, in a process a core of one thread each. A process that has
# nothing left takes half of another's tests, the last ones: a file's tests mostly stay together, with what they share.
TESTS = $(if $(PACKAGE),tests/$(subst -,_,$(PACKAGE)),)
PYTEST = OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(RUN) pytest -n auto --dist worksteal

.PHONY: help install demo test test-slow test-packages test-kernels lint audit format bench bench-quick bench-full bench-compare docs build clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

.bootstrap/bin/uv:
	python3 -m venv .bootstrap
	.bootstrap/bin/pip install --quiet --disable-pip-version-check uv

$(STAMP): uv.lock pyproject.toml $(wildcard packages/*/pyproject.toml) | $(filter .bootstrap/bin/uv,$(UV))
	$(UV) sync --locked --quiet
	@touch $@

install: $(STAMP)  ## set up everything in .venv (bootstraps uv where there is none)

demo: $(STAMP)  ## the main job on real cells: writes demo/index.html
	$(RUN) scprint demo --out demo

test: $(STAMP)  ## the tests, in parallel; PACKAGE=grnndata: those of one package; SLOW=1: the slow ones, too
	$(PYTEST) $(if $(SLOW),,-m "not slow") $(TESTS)

test-slow: $(STAMP)  ## the slow tests, which `make test` leaves out
	$(PYTEST) -m slow $(TESTS)

test-packages: build  ## each package installed alone from its wheel and used; FULL=1: every Python, and its tests
	UV=$(UV) FULL=$(FULL) PACKAGE=$(PACKAGE) $(UV) run --no-project python tests/packages/check_packages.py dist

test-kernels: $(STAMP)  ## the tests in FILES under several kernels, which round differently
	$(RUN) python tests/kernels.py $(or $(FILES),tests/bengrn/test_bengrn_methods.py)

lint: $(STAMP)  ## ruff, mypy, the import borders and the declared dependencies
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports
	@for package in packages/*/; do \
	  (cd $$package && echo "deptry $$package" && $(abspath .venv)/bin/deptry --known-first-party "$$(ls src)" src); \
	done

audit: $(STAMP)  ## licences and known vulnerabilities of the dependencies (needs the internet)
	$(RUN) python .ci/audit.py $(UV)

format: $(STAMP)  ## let ruff rewrite what it can
	$(RUN) ruff check --fix .
	$(RUN) ruff format .

bench: $(STAMP)  ## the comparison with other tools and our speed: runs/bench/bench/index.html
	$(RUN) python -m benchmarks --size bench

bench-quick: $(STAMP)  ## a little of it, on the bundled cells
	$(RUN) python -m benchmarks --size quick

bench-full: $(STAMP)  ## all of it, with slow peers and the largest sizes: hours
	$(RUN) python -m benchmarks --size full

bench-compare: $(STAMP)  ## what changed beyond noise since BASE (a folder of results or a commit)
	$(RUN) python -m benchmarks.compare $(or $(BASE),$(error BASE is missing: a folder of results or a commit)) $(NOW)

docs: $(STAMP)  ## build the documentation into docs/_build/html
	$(RUN) --group docs sphinx-build -W --keep-going -b html docs docs/_build/html

build: | $(filter .bootstrap/bin/uv,$(UV))  ## wheels and source archives of the four packages into dist/
	rm -f dist/*.whl dist/*.tar.gz
	$(UV) build --quiet --all-packages --out-dir dist
	$(UV) tool run --quiet twine check --strict dist/*.whl dist/*.tar.gz

clean:  ## remove everything that make made
	rm -rf .venv .bootstrap dist demo docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
