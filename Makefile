# Everything a user or CI needs, one word each. Every target sets up what it needs first.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# How long the demo leaves its endpoints open at the end; 0 = until Ctrl-C.
SECONDS ?= 0
# The user's own recorded CSV for the demo; empty = the recorded example, or a simulated one.
TRACE ?=
# More words for pytest, such as PYTEST_ARGS='-k cose -x'.
PYTEST_ARGS ?=

BIN := .venv/bin

.PHONY: help
help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) \
	  | while IFS='|' read -r target text; do printf 'make %-15s %s\n' "$$target" "$$text"; done

.PHONY: demo
demo: ready ## Two emulated boards, a recorded fault, the gateway, a verdict (SECONDS=n TRACE=file)
	@$(BIN)/twinrig demo --seconds $(SECONDS) $(if $(TRACE),--trace '$(TRACE)')

.PHONY: test
test: ready static ## Everything: static checks, board images, all tests on all interpreters
	@$(BIN)/twinrig board build --all
	@$(BIN)/python -m pytest -n auto --dist loadfile --junit-xml=.build/junit.xml $(PYTEST_ARGS)

.PHONY: check
check: ready-python static ## Lint, format, types and import directions; offline, under two minutes

.PHONY: emulate
emulate: ready ## One emulated STM32 says what it is, from inside MicroPython
	@$(BIN)/twinrig board emulate qemu_stm32f2

.PHONY: bench
bench: ready ## The figures: instructions per sample, frames per second, speed over real time
	@$(BIN)/python -m benchmarks.run

.PHONY: mutate-drivers
mutate-drivers: ready-python ## Seed mistakes into every register map; each must be caught by a test
	@$(BIN)/python -m tests.drivers.test_mutations

.PHONY: soak
soak: ready ## 100,000 frames of one node: its free memory stays the same to the end
	@$(BIN)/python -m benchmarks.soak --frames 100000

.PHONY: clean
clean: ## Remove all that was made here: .venv, .build, caches
	@rm -rf .venv .build .pytest_cache build dist *.egg-info .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

.PHONY: ready ready-python static
ready:
	@tools/bootstrap.sh all

ready-python:
	@tools/bootstrap.sh python

static: ready-python
	@echo '[check] ruff check' && $(BIN)/ruff check --quiet .
	@echo '[check] ruff format' && $(BIN)/ruff format --quiet --check .
	@echo '[check] mypy' && $(BIN)/mypy --no-error-summary
	@echo '[check] import directions' && { $(BIN)/lint-imports --no-cache --no-logo >.build/imports.txt \
	  || { cat .build/imports.txt; exit 1; }; }
