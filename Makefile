# Every target sets up what it needs. Only the first run downloads.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

export SAM_CLI_TELEMETRY := 0
# Only .python-version decides which Python is used.
unexport PYENV_VERSION UV_PYTHON VIRTUAL_ENV

PYTHON := .venv/bin/python
# A uv that is on the PATH but does not run, such as a pyenv shim for another Python, counts as absent.
UV := $(or $(shell env -u PYENV_VERSION uv --version >/dev/null 2>&1 && command -v uv),.uv/bin/uv)
SAM := PATH="$(CURDIR)/.tools/bin:$$PATH" sam
BUILT := .aws-sam/build/template.yaml
SHIPPED := $(shell find functions layers -not -path '*/__pycache__*')

##@ Try it

.PHONY: help
help: ## Show these targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: .venv/.ready ## Launch fleets on an emulated cloud, sweep them, and show what was done and why
	@$(PYTHON) -m demo

.PHONY: local
local: .venv/.ready $(BUILT) ## Serve an emulated cloud for `sam local invoke`, until Ctrl-C
	@$(PYTHON) -m demo.local

.PHONY: deploy-local
deploy-local: .venv/.ready .tools/.ready .ministack/.ready ## Deploy two stacks to an emulated AWS, and watch one run by its schedule
	@$(PYTHON) -m tests.e2e.aws

.PHONY: openstack
openstack: .venv/.ready ## Run a fleet on OpenStack: the cloud that OS_CLOUD names, or a control plane that it starts
	@$(PYTHON) -m tests.e2e.openstack

##@ Change it

.PHONY: setup
setup: .venv/.ready .tools/.ready ## Make the environments (the other targets do so themselves)

.PHONY: format
format: .venv/.ready ## Format, and fix what ruff can fix
	.venv/bin/ruff check --fix-only
	.venv/bin/ruff format

.PHONY: check
check: .venv/.ready .tools/.ready stale ## Check format, lint, types, imports, language, locks, model, schema, template
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache --no-logo
	$(PYTHON) -m tools.plain_english
	$(PYTHON) -m tools.trim --check functions/curfew/aws/models
	.venv/bin/curfew schema --check docs/curfew.schema.json
	$(PYTHON) -m tools.openapi --check docs/openapi.json
	.venv/bin/cfn-lint template.yaml spoke.yaml
	$(SAM) validate
	$(SAM) validate --lint

.PHONY: test
test: .venv/.ready $(BUILT) ## Run the whole test suite, on two workers
	$(PYTHON) -m pytest -n 2 --dist worksteal

.PHONY: test-fast
test-fast: .venv/.ready ## Run the unit, contract and safety tests that are fast, in under a minute
	$(PYTHON) -m pytest -n 2 --dist worksteal -m "not slow" tests/unit tests/contract tests/safety

.PHONY: build
build: .venv/.ready $(BUILT) ## Build what ships to Lambda, and check that it needs nothing else
	$(PYTHON) -m pytest tests/artifact

##@ Prove it, before a release

.PHONY: worlds
worlds: .venv/.ready ## Simulate 10,000 hostile worlds (COUNT=1000; FRESH=1: with new seeds)
	PYTHONPATH=functions:. $(PYTHON) -m curfew_simulator.simulation --count $(or $(COUNT),10000) $(if $(FRESH),--fresh)

.PHONY: safeguards
safeguards: .venv/.ready ## Disable each safeguard in turn, and show that the simulation detects it
	PYTHONPATH=functions:. $(PYTHON) -m curfew_simulator.ablation

.PHONY: mutants
mutants: .venv/.ready ## Mutate the core and what acts, and check that a test fails for each mutant (long)
	$(PYTHON) -m tools.mutants

.PHONY: bench
bench: .venv/.ready .peers/.ready $(BUILT) ## Compare the cost of a sweep with other tools (ROUNDS=1 SIZES=1000: in minutes)
	PYTHONPATH=functions:. $(PYTHON) -m benchmarks $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SIZES),--sizes $(SIZES)) \
	  $(if $(SLOW_ROUNDS),--slow-rounds $(SLOW_ROUNDS)) $(if $(PARTS),--parts $(PARTS)) $(if $(PUBLISH),--publish)

##@ Maintain it

.PHONY: lock
lock: $(filter .uv/%,$(UV)) ## Renew the locks from pyproject.toml (UPGRADE=1: to the newest versions)
	@for lock in $(LOCKS); do $(call compile,"$$lock","$$lock") $(if $(UPGRADE),--upgrade); done
	@$(MAKE) --no-print-directory .venv/.ready
	$(PYTHON) -m tools.trim functions/curfew/aws/models

.PHONY: stale
stale: $(filter .uv/%,$(UV))
	@for lock in $(LOCKS); do \
	  fresh=".cache/locks/$$lock"; mkdir -p "$${fresh%/*}"; cp "$$lock" "$$fresh"; \
	  $(call compile,"$$lock","$$fresh"); \
	  diff -u "$$lock" "$$fresh" || { echo "$$lock is stale: run 'make lock'" >&2; exit 1; }; \
	done

.PHONY: clean
clean: ## Remove everything that the other targets made
	rm -rf .venv .tools .ministack .peers .uv .aws-sam .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache dist

# Each lock comes from its part of pyproject.toml. The tests use the versions that ship: the first lock bounds the others.
LOCKS := functions/requirements.txt layers/openstack/requirements.txt requirements/dev.txt requirements/sam.txt requirements/ministack.txt \
  requirements/peers.txt requirements/uv.txt benchmarks/typical/requirements.txt
compile = case $(1) in \
	  functions/*) from="pyproject.toml" ;; \
	  layers/*) from="--group pyproject.toml:layer --constraint functions/requirements.txt" ;; \
	  */dev.txt) from="pyproject.toml --extra cli --extra openstack --group dev --group mutants --constraint functions/requirements.txt" ;; \
	  benchmarks/*) from="--group pyproject.toml:typical --constraint functions/requirements.txt" ;; \
	  *) group="$${lock\#\#*/}"; from="--group pyproject.toml:$${group%.txt}" ;; \
	esac; \
	$(UV) pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command 'make lock' $$from --output-file $(2)

# uv, if the machine has none. It is installed from /, since in this folder python3 may be a version that only uv can
# install.
.uv/bin/uv: requirements/uv.txt
	rm -rf .uv && cd / && python3 -m venv "$(CURDIR)/.uv"
	.uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.venv/.ready: requirements/dev.txt pyproject.toml $(filter .uv/%,$(UV))
	$(UV) venv --quiet --clear .venv
	$(UV) pip sync --quiet --python .venv --require-hashes $<
	$(UV) pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
	@touch $@

# SAM's CLI: in an environment of its own, so that its pins do not bind ours, and with the pip that `sam build` needs.
.tools/.ready: requirements/sam.txt $(filter .uv/%,$(UV))
	$(UV) venv --quiet --clear .tools
	$(UV) pip sync --quiet --python .tools --require-hashes $<
	@touch $@

# The tools that `make bench` compares Curfew with: in an environment of their own, since they are no dependencies.
.peers/.ready: requirements/peers.txt $(filter .uv/%,$(UV))
	$(UV) venv --quiet --clear .peers
	$(UV) pip sync --quiet --python .peers --require-hashes $<
	@touch $@

# The emulated AWS of `make deploy-local`. The functions run under its Python, so it has the version of their runtime.
.ministack/.ready: requirements/ministack.txt $(filter .uv/%,$(UV))
	$(UV) venv --quiet --clear .ministack
	$(UV) pip sync --quiet --python .ministack --require-hashes $<
	@touch $@

# Lambda cannot write bytecode, and would compile every module at each cold start. So it is made here: unchecked, and with
# the paths that the files have on Lambda.
$(BUILT): template.yaml spoke.yaml samconfig.toml Makefile $(SHIPPED) .tools/.ready | .venv/.ready
	$(SAM) build
	@for built in .aws-sam/build/*/; do \
	  case "$$built" in *Layer/) there=/opt ;; *) there=/var/task ;; esac; \
	  $(PYTHON) -m compileall -q -f --invalidation-mode unchecked-hash -s "$${built%/}" -p "$$there" "$$built"; \
	done
