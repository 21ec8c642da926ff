# Copyright: the mip6.vrrp_ha developers
# SPDX-License-Identifier: GPL-3.0-or-later
#
# `make demo` and `make test` need root and set up what they need; `make check` needs no root.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test check gates bench build docs lab-up lab-down setup clean

VENV := $(or $(VRRP_HA_VENV),.cache/venv)
PYTEST := $(VENV)/bin/python -m pytest
# What needs no particular time runs at once: the gates, which wait for programs of their own most of the time, and labs
# in which nothing is measured, one for each worker. Then what does, alone: whole machines last.
UNHURRIED := $(addprefix tests/lab/test_,collection.py controllers.py documented_commands.py examples.py \
	lab.py modules.py refusals.py verify.py)
TIMELESS := tests/gates tests/unit tests/sim $(UNHURRIED)
WORKERS := $(shell echo $$(($$(nproc) + 1)))
TIMED := $(wildcard tests/kernel tests/interop tests/lab)

help:
	@echo 'make demo      boot the lab, deploy, fail over under traffic, print what was lost'
	@echo 'make test      all tests: gates, unit, simulation, kernel, interop, lab'
	@echo 'make check     linters, types and unit tests; no root, under two minutes'
	@echo 'make gates     what ansible-test, the importer of Galaxy and their like say of the collection'
	@echo 'make bench     measurements'
	@echo 'make docs      write what docs/reference has from the code again'
	@echo 'make build     the collection as a tarball in build/'
	@echo 'make lab-up, make lab-down'

demo:
	@tests/demo

test:
	@tests/setup test
	@$(PYTEST) $(TIMELESS) -n $(WORKERS) --complete -ra --durations=5; first=$$?; \
		$(PYTEST) $(TIMED) $(addprefix --ignore=,$(UNHURRIED)) --complete -ra --durations=10 || exit; \
		[ $$first = 0 ] || { echo 'failed: see the first summary above, of $(TIMELESS)'; exit $$first; }

check:
	@tests/setup python
	@PATH=$(abspath $(VENV))/bin:$$PATH tests/check

gates:
	@tests/setup gates
	@$(PYTEST) tests/gates --complete -ra

bench:
	@tests/setup bench
	@for script in tests/bench/bench_*.py; do \
		echo; echo "== $$script"; PYTHONPATH=roles/agent/files:. $(VENV)/bin/python $$script || exit 1; \
	done

build:
	@tests/setup python
	@$(VENV)/bin/ansible-galaxy collection build --force --output-path build

docs:
	@tests/setup python
	@PYTHONPATH=roles/agent/files $(VENV)/bin/python -m docs.generate

lab-up:
	@tests/setup lab
	@tests/lab/lab up

lab-down:
	@tests/lab/lab down

setup:
	@tests/setup test

clean:
	rm -rf .cache build .mypy_cache .pytest_cache .ruff_cache .hypothesis
