# `make` alone explains itself: every target's line ends with what it does.

# `override`: SHELL=/bin/true on the command line or in MAKEFLAGS would have each recipe end well.
override SHELL := /bin/sh
override .SHELLFLAGS := -c
# What is cleared for plays and scripts is cleared for recipes; first of all, since bash would read BASH_ENV. With
# SHELLOPTS=noexec a /bin/sh that is bash would not even read the table.
unexport SHELLOPTS BASHOPTS
unexport $(filter-out MAKE% MFLAGS,$(shell $(dir $(lastword $(MAKEFILE_LIST)))scripts/surroundings.sh))
# The short options; also those in the variables MAKEFLAGS and GNUMAKEFLAGS. With -n, -p and no goal, shells complete.
GIVEN := $(firstword -$(MAKEFLAGS))
TWISTED := $(foreach letter,i t e,$(if $(findstring $(letter),$(GIVEN)),-$(letter)))
TWISTED += $(if $(filter-out help,$(MAKECMDGOALS)),$(if $(findstring n,$(GIVEN)),-n)) $(filter --eval%,$(MAKEFLAGS))
# Of -o nothing tells but how make was called.
TWISTED += $(shell tr '\0' '\n' 2>/dev/null </proc/$$PPID/cmdline | \
    sed -n -e '/^-[BbdehikLmnpqrRsStvw]*o/p' -e '/^--ol/p' -e '/^--assume-o/p')
TWISTED += $(if $(filter command,$(origin MAKEFLAGS)),MAKEFLAGS=$(MAKEFLAGS))
ifneq (,$(strip $(TWISTED)))
$(error make $(strip $(TWISTED)) ends well where nothing was done: leave it out (MAKEFLAGS, GNUMAKEFLAGS))
endif
ifneq (,$(MAKEFILES))
$(error MAKEFILES=$(MAKEFILES) brings in rules that are not the lab's: leave it out)
endif

override SHELL := /bin/bash
override .SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
# Extra arguments: make lab ARGS='-e cluster_nodes=4', make unit ARGS='-k progress'
ARGS ?=
# What make touched goes by: a revision. What `make version` raises, and to which version.
BASE ?=
NAME ?=
TO ?=
# Of the same name, a variable of the environment is somebody else's.
$(foreach name,ARGS BASE NAME TO,$(if $(filter environment,$(origin $(name))),$(eval $(name) :=)))

# Half of their time is waiting, so two at a time. ARGS=-n0 for one. Who has nothing left takes from the end of what
# another has: there stands what is small, and shares no play that both would have to begin.
FAST_TESTS = $(wildcard tests/bad_input tests/lint tests/unit)
TWO = -n 2 --dist worksteal $(ENDLESS)
# The slowest test takes two minutes: one that hangs is ended, and told of with the lines at which it stood.
ENDLESS = -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true
# Long tails of one kind have their turn in make test-all, as the part `night` of tests/beside.py.
BY_DAY = -m "not nightly"

# The story on a real cluster; what neither needs it nor measures runs beside it: tests/beside.py.
STORY = tests/cluster tests/molecule tests/instrument

# The tests of the package. Judged by [tool.coverage.report] in pyproject.toml.
PACKAGE_TESTS = $(addprefix tests/unit/,bench faults host kube live nodes observe probe report run watchdog test_arguments.py test_waiting.py)

.PHONY: help env lab test test-all touched fast lint unit cover docs bench rounds frontier published lock versions version clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo; echo "The parts of the tests, and how long each takes:"; python3 -m tests.suite list

env: ## make .venv from requirements.lock (nothing to do if it is up to date)
	@scripts/env.sh

lab: env ## set up the lab and drain a node under the serving site
	@scripts/lab.sh $(ARGS)

test: env ## run what a change must pass: linters, unit, bad input, and one story on a real cluster of its own (15 to 22 minutes)
	@scripts/test_tools.sh
	@pytest $(STORY) -m "not nightly" $(ARGS)

test-all: env ## run every test there is, those of `make test` first (some three hours)
	@scripts/test_tools.sh
	@pytest $(STORY) $(ARGS)

touched: env ## run the parts of `make test-all` that a change touches, by git diff against main (BASE=... for another)
	@scripts/test_tools.sh
	@python -m tests.suite touched $(if $(BASE),--base $(BASE)) -- $(ARGS)

fast: env ## run lint and unit together
	@pytest -q $(TWO) $(BY_DAY) $(FAST_TESTS) $(ARGS)

lint: env ## run the linters alone
	@pytest -q $(TWO) $(BY_DAY) tests/lint $(ARGS)

unit: env ## run the tests that need neither network nor cluster
	@pytest -q $(TWO) $(BY_DAY) $(wildcard tests/bad_input tests/unit) $(ARGS)

cover: env ## run the tests of the package, and say how much of it they cover, branch by branch
	@pytest -q $(TWO) $(BY_DAY) --cov --cov-report=term $(PACKAGE_TESTS) $(ARGS)

docs: env ## make the role pages in docs/ again from the argument specs
	@python scripts/role_docs.py

bench: env ## compare the lab's times with the bare tools' and its probe with vegeta, and judge both
	@status=0; python -m bench.probe || status=1; python -m bench.bench $(ARGS) || status=1; exit $$status

rounds: env ## drain every node that may be drained, three times over, and count what was lost
	@python -m bench.rounds $(ARGS)

published: env ## measure what others have published, and write docs/published.md (some hours)
	@python -m bench.published $(ARGS)

frontier: env ## kill nodes under each way of detection and recovery, and write docs/frontier.md (about two hours)
	@python -m bench.frontier $(ARGS)

lock: env ## take the newest versions that pyproject.toml allows into the lock
	@scripts/lock.sh

versions: env ## show every version that versions.yml pins, what is newest, and what follows from it
	@python -m scripts.versions list

version: env ## raise one of them with all that follows from it: make version NAME=metallb TO=v1.2.3
	@python -m scripts.versions raise '$(NAME)' '$(TO)'

clean: ## remove .venv and caches in the checkout (the lab itself: ansible-playbook teardown.yml)
	@rm -rf .venv .venv.lock .mypy_cache .pytest_cache .ruff_cache .ansible .coverage
	@find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
