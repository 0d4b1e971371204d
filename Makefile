# Every target sets up what it needs. The first run downloads; the next ones look at file dates and go straight to work.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

export SAM_CLI_TELEMETRY := 0
# .python-version says which Python; nothing else does.
unexport PYENV_VERSION UV_PYTHON VIRTUAL_ENV

PYTHON := .venv/bin/python
# A uv that is on the PATH but does not run, such as a pyenv shim for another Python, counts as absent.
UV := $(or $(shell env -u PYENV_VERSION uv --version >/dev/null 2>&1 && command -v uv),.uv/bin/uv)
SAM := PATH="$(CURDIR)/.tools/bin:$$PATH" sam
BUILT := .aws-sam/build/template.yaml
SHIPPED := $(shell find functions layer -not -path '*/__pycache__*')

##@ Use

.PHONY: help
help: ## Show this
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: .venv/.ready ## Launch fleets on an embedded cloud, sweep them, show what went and why
	@$(PYTHON) -m demo

.PHONY: local
local: .venv/.ready $(BUILT) ## Serve an embedded cloud for `sam local invoke`, until Ctrl-C
	@$(PYTHON) -m demo.local

.PHONY: deploy-local
deploy-local: .venv/.ready .tools/.ready .ministack/.ready ## Deploy two stacks onto an emulated cloud, and watch one run by itself
	@$(PYTHON) -m deployed

.PHONY: openstack
openstack: .venv/.ready ## The life of a fleet on OpenStack: of OS_CLOUD, or of a control plane that is brought up
	@$(PYTHON) -m stacked

##@ Develop

.PHONY: setup
setup: .venv/.ready .tools/.ready ## Make the environments (the other targets do it by themselves)

.PHONY: test
test: .venv/.ready $(BUILT) ## Run the whole test suite
	$(PYTHON) -m pytest

.PHONY: check
check: .venv/.ready .tools/.ready stale ## Check format, lint, types, imports, locks, model, schema, template
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache --no-logo
	$(PYTHON) -m tools.trim --check functions/curfew/models
	.venv/bin/curfew schema --check docs/curfew.schema.json
	$(PYTHON) -m tools.openapi --check docs/openapi.json
	.venv/bin/cfn-lint template.yaml spoke.yaml
	$(SAM) validate
	$(SAM) validate --lint

.PHONY: mutants
mutants: .venv/.ready ## Change the core and act in every way, and see that a test notices (long)
	$(PYTHON) -m tools.mutants

.PHONY: worlds
worlds: .venv/.ready ## Run 10,000 hostile worlds (COUNT=1000; FRESH=1: with seeds that nobody has had)
	PYTHONPATH=functions:. $(PYTHON) -m hostile.worlds --count $(or $(COUNT),10000) $(if $(FRESH),--fresh)

.PHONY: belts
belts: .venv/.ready ## Take each safety rule out in turn, and show that the worlds miss it
	PYTHONPATH=functions:. $(PYTHON) -m hostile.worlds --belts

.PHONY: bench
bench: .venv/.ready .peers/.ready $(BUILT) ## Measure a sweep beside its peers (ROUNDS=1 SIZES=1000: in minutes)
	PYTHONPATH=functions:. $(PYTHON) -m benchmarks $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SIZES),--sizes $(SIZES)) \
	  $(if $(SLOW_ROUNDS),--slow-rounds $(SLOW_ROUNDS)) $(if $(PARTS),--parts $(PARTS)) $(if $(PUBLISH),--publish)

.PHONY: build
build: .venv/.ready $(BUILT) ## Build what ships to Lambda, and check that it stands alone
	$(PYTHON) -m pytest tests/artifact

.PHONY: format
format: .venv/.ready ## Format, and mend what can be mended
	.venv/bin/ruff check --fix-only
	.venv/bin/ruff format

##@ Maintain

.PHONY: lock
lock: $(filter .uv/%,$(UV)) ## Renew the locks from pyproject.toml (UPGRADE=1: at the newest versions), and what follows
	@for lock in $(LOCKS); do $(call compile,"$$lock","$$lock") $(if $(UPGRADE),--upgrade); done
	@$(MAKE) --no-print-directory .venv/.ready
	$(PYTHON) -m tools.trim functions/curfew/models

.PHONY: stale
stale: $(filter .uv/%,$(UV))
	@for lock in $(LOCKS); do \
	  fresh=".cache/locks/$$lock"; mkdir -p "$${fresh%/*}"; cp "$$lock" "$$fresh"; \
	  $(call compile,"$$lock","$$fresh"); \
	  diff -u "$$lock" "$$fresh" || { echo "$$lock is stale: run 'make lock'" >&2; exit 1; }; \
	done

.PHONY: clean
clean: ## Remove all that the other targets made
	rm -rf .venv .tools .ministack .peers .uv .aws-sam .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache dist

# The locks, each from its part of pyproject.toml. What is tested is what ships: the first one governs the second.
LOCKS := functions/requirements.txt layer/requirements.txt requirements/dev.txt requirements/sam.txt requirements/ministack.txt \
  requirements/peers.txt requirements/uv.txt benchmarks/typical/requirements.txt
compile = case $(1) in \
	  functions/*) from="pyproject.toml" ;; \
	  layer/*) from="--group pyproject.toml:layer --constraint functions/requirements.txt" ;; \
	  */dev.txt) from="pyproject.toml --extra cli --extra openstack --group dev --group mutants --constraint functions/requirements.txt" ;; \
	  benchmarks/*) from="--group pyproject.toml:typical --constraint functions/requirements.txt" ;; \
	  *) group="$${lock\#\#*/}"; from="--group pyproject.toml:$${group%.txt}" ;; \
	esac; \
	$(UV) pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command 'make lock' $$from --output-file $(2)

# uv, where the machine has none. Made outside this folder: in it, python3 may be one that only uv can provide.
.uv/bin/uv: requirements/uv.txt
	rm -rf .uv && cd / && python3 -m venv "$(CURDIR)/.uv"
	.uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.venv/.ready: requirements/dev.txt pyproject.toml $(filter .uv/%,$(UV))
	$(UV) venv --quiet --clear .venv
	$(UV) pip sync --quiet --python .venv --require-hashes $<
	$(UV) pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
	@touch $@

# SAM's CLI: apart, since its pins should not govern ours, and with a pip, which `sam build` asks of the Python beside it.
.tools/.ready: requirements/sam.txt $(filter .uv/%,$(UV))
	$(UV) venv --quiet --clear .tools
	$(UV) pip sync --quiet --python .tools --require-hashes $<
	@touch $@

# What `make bench` measures Curfew against: apart, since it is none of ours.
.peers/.ready: requirements/peers.txt $(filter .uv/%,$(UV))
	$(UV) venv --quiet --clear .peers
	$(UV) pip sync --quiet --python .peers --require-hashes $<
	@touch $@

# The cloud that `make deploy-local` deploys onto. The functions run under its Python, so it is that of their runtime.
.ministack/.ready: requirements/ministack.txt $(filter .uv/%,$(UV))
	$(UV) venv --quiet --clear .ministack
	$(UV) pip sync --quiet --python .ministack --require-hashes $<
	@touch $@

# Lambda cannot write bytecode beside what it imports, and would compile all of it at every cold start. It is made here,
# never compared with its source again, and tells of the places where Lambda has the files.
$(BUILT): template.yaml spoke.yaml samconfig.toml Makefile $(SHIPPED) .tools/.ready | .venv/.ready
	$(SAM) build
	@for built in .aws-sam/build/*/; do \
	  case "$$built" in *Layer/) there=/opt ;; *) there=/var/task ;; esac; \
	  $(PYTHON) -m compileall -q -f --invalidation-mode unchecked-hash -s "$${built%/}" -p "$$there" "$$built"; \
	done
