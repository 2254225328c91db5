# HPC Lab. `make` alone says what there is.
#
# .venv is filled in stages; each leaves a stamp, so a second start does nothing. Targets are
# relative and recipes short: the path of the clone may hold spaces.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

STAMPS := .venv/stamps
PIP := .venv/bin/python -m pip --disable-pip-version-check --no-input
# --compile: Python starts twice as slowly without bytecode, and pip's own settings may leave it out.
INSTALL := PIP_USER=0 $(PIP) -qq install --compile
PYTEST := .venv/bin/python -m pytest
# With ARGS='-k WORD' there may be no such test in one place: pytest's status 5.
TRY = $(PYTEST) $(1) $(ARGS) $(if $(ARGS),|| test $$? -eq 5)
# Most tests wait most of the time, so files run side by side. Tests of one file share a cluster and stay together.
SHARED := --numprocesses logical --maxprocesses 4 --dist loadfile
# With `make -j` two makes would fill one .venv; so would two terminals. The folder is the lock.
SETUP := flock requirements $(MAKE) --silent --no-print-directory

.PHONY: help lab setup check test test-all book bench lint format locks clean FORCE

help:  ## print this text
	@echo 'HPC Lab: a course in high-performance computing that runs on a real Slurm'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 18
	@echo
	@echo 'Settings:  PYTHON=/path/to/python3.12   the Python that .venv is made from (3.11 or newer)'
	@echo '           TORCH_INDEX=URL              where PyTorch comes from: a CPU or CUDA build (CONTRIBUTING.md)'
	@echo '           ARGS="..."                   more options for hpclab lab, or for pytest'

lab: setup  ## install what is missing, start the cluster, open JupyterLab
	@.venv/bin/hpclab lab $(ARGS)

setup:  ## make .venv with everything a learner needs
	@+$(SETUP) $(STAMPS)/hpclab

check: lint  ## lint and unit tests: what answers in five minutes
	@$(call TRY,tests/unit -m 'not slow and not long' $(SHARED) --durations=10 --durations-min=10)

test: lint  ## set up, then lint, unit tests, tests on a real cluster, the labs, grading, the book
	@echo 'unit tests'
	@$(call TRY,tests/unit -m 'not slow' $(SHARED))
	@echo 'tests on a real cluster'
	@.venv/bin/hpclab packages
	@$(call TRY,tests/cluster -m 'not slow and not alone' $(SHARED))
	@$(call TRY,tests/cluster -m 'not slow and alone')
	@echo 'the labs: full marks for the reference, none for nothing, the right ones for a sample of wrong answers'
	@.venv/bin/hpclab labs check
	@$(call TRY,tests/labs -m 'not slow' $(SHARED))
	@echo 'grading: classes marked in sandboxes, a sample of hostile submissions'
	@$(call TRY,tests/grading tests/attacks -m 'not slow' $(SHARED))
	@echo 'the book, from the outputs of those runs'
	@.venv/bin/hpclab book build
	@$(call TRY,tests/book -m 'not slow')

test-all: lint  ## every test, the slow ones too
	@.venv/bin/hpclab packages
	@.venv/bin/hpclab labs check
	@$(call TRY,tests/unit tests/cluster tests/labs tests/grading tests/attacks)
	@.venv/bin/hpclab book build
	@$(call TRY,tests/book)

book: dev  ## run every lab headless where something changed, then render the book to build/book/html
	@.venv/bin/hpclab run --all
	@.venv/bin/hpclab book build

bench: setup  ## measure, and record the results in bench/
	@set -e; for program in bench/bench_*.py; do echo "$$program"; .venv/bin/python "$$program"; done

lint: dev  ## ruff, mypy and shellcheck
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check . || { echo 'Remedy: make format' >&2; exit 1; }
	@.venv/bin/mypy
	@find .ci/run requirements/*.sh bench/*.sh src/hpclab/cluster/files templates -type f ! -name '*.lua' ! -name '*.py' \
	    -exec .venv/bin/shellcheck --severity=warning {} +

format: dev  ## let ruff sort imports and lay out the code
	@.venv/bin/ruff check --fix --select I -q .
	@.venv/bin/ruff format .

clean:  ## remove .venv and everything made (the clusters and their packages stay: hpclab down)
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- stages of .venv ------------------------------------------------------------------------

.PHONY: dev
dev:
	@+$(SETUP) $(STAMPS)/dev

# A clone that moved, an interpreter that was removed, or an install that was killed: begin again.
# (pip believes a half-written package to be whole.)
ifneq ($(shell cat $(STAMPS)/python 2>/dev/null),$(CURDIR))
$(STAMPS)/python: FORCE
else ifeq ($(wildcard .venv/bin/python),)
$(STAMPS)/python: FORCE
else ifneq ($(wildcard $(STAMPS)/unfinished),)
$(STAMPS)/python: FORCE
endif

$(STAMPS)/python:
	@python=$$(sh requirements/choose-python.sh) && \
	echo "[1/4] .venv from $$python" && \
	rm -rf .venv && "$$python" -m venv .venv && mkdir $(STAMPS)
	@printf '%s' '$(CURDIR)' > $@

$(STAMPS)/course: $(STAMPS)/python requirements/course.txt
	@echo '[2/4] packages of the course (about a minute)'
	@touch $(STAMPS)/unfinished
	@$(INSTALL) --require-hashes -r requirements/course.txt
	@rm $(STAMPS)/unfinished && touch $@

ifdef TORCH_INDEX
ifneq ($(shell cat $(STAMPS)/torch 2>/dev/null),$(TORCH_INDEX))
$(STAMPS)/torch: FORCE
endif
endif

$(STAMPS)/torch: $(STAMPS)/python requirements/torch.txt | $(STAMPS)/course
	@echo '[3/4] PyTorch (the CUDA build is some gigabytes; TORCH_INDEX chooses)'
	@touch $(STAMPS)/unfinished
	@$(PIP) -qqq uninstall -y torch
	@$(INSTALL) $(if $(TORCH_INDEX),--index-url '$(TORCH_INDEX)') -r requirements/torch.txt
	@rm $(STAMPS)/unfinished && printf '%s' '$(TORCH_INDEX)' > $@

$(STAMPS)/hpclab: $(STAMPS)/python pyproject.toml | $(STAMPS)/course $(STAMPS)/torch
	@echo '[4/4] hpclab itself'
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/dev: $(STAMPS)/course requirements/dev.txt | $(STAMPS)/hpclab
	@echo '[dev] tools for tests and the book'
	@touch $(STAMPS)/unfinished
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@rm $(STAMPS)/unfinished && touch $@

# ---- locks -----------------------------------------------------------------------------------
# Only versions and hashes are written, no address: every machine uses the index it is set up for.

COMPILE := CUSTOM_COMPILE_COMMAND='make locks' .venv/bin/pip-compile --quiet --strip-extras --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
    --build-deps-for editable --unsafe-package torch

locks: dev  ## solve the locks anew (with Debian 12's Python, the oldest one supported)
	@$(COMPILE) --upgrade --extra dev -o requirements/dev.txt pyproject.toml 2>/dev/null
	@$(COMPILE) --upgrade --extra grading -c requirements/dev.txt -o requirements/course.txt pyproject.toml 2>/dev/null
	@# torch is left out on purpose (requirements/torch.txt); pip-compile's warning about it goes too.
	@sed -i '/^$$/d; /^# WARNING: The following/,$$d' requirements/dev.txt requirements/course.txt
