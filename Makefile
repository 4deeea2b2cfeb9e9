# Two commands matter: `make demo` and `make test`. Both work from a bare clone with nothing but Python 3.11 or newer.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=
TEST_ARGS ?=
WORKERS ?= auto
# a process a core, four at most (each holds a gigabyte); the tests of a file stay together, for they share what they trained
PARALLEL = -n $(WORKERS) --maxprocesses 4 --dist loadfile
CPU_WHEELS := https://download.pytorch.org/whl/cpu
# set in many containers; then every process of a test run compiles every module, and pytest rewrites every assert, anew
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check run report compare bench size doctor install clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.test ## train every case, print the table, serve, print one URL (DEMO_ARGS=--no-serve ends instead)
	@$(BIN)/mlsd demo $(DEMO_ARGS)

test: $(VENV)/.test ## the whole test suite (TEST_ARGS="-k auction" for a part, WORKERS=0 for one process)
	@$(BIN)/python -m pytest $(PARALLEL) $(TEST_ARGS)

check: $(VENV)/.dev ## format, lint, types, imports, fast tests; trains nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow" $(TEST_ARGS)

run: $(VENV)/.test ## run one case: make run CASE=ad_click RUN_ARGS="--preset demo"
	@$(BIN)/mlsd run $(CASE) $(RUN_ARGS)

report: $(VENV)/.test ## fill every number in the pages from docs/results (REPORT_ARGS=--measure runs the cases first)
	@$(BIN)/mlsd report --write $(REPORT_ARGS)

compare: $(VENV)/.test ## write docs/compare: the cases side by side, row by row and stage by stage
	@$(BIN)/mlsd compare --write

bench: $(VENV)/.test ## measure against plain libraries; writes benchmarks/results
	$(BIN)/python -m benchmarks.features
	$(BIN)/python -m benchmarks.serving
	$(BIN)/python -m benchmarks.auction
	$(BIN)/python -m benchmarks.candidates --ours
	$(BIN)/python -m benchmarks.candidates
	$(BIN)/python -m benchmarks.feed
	$(BIN)/python -m benchmarks.search
	$(BIN)/python -m benchmarks.moderation
	$(BIN)/python -m benchmarks.images

size: $(VENV)/.test ## how long files and functions are, beside the codebases we look up to
	@$(BIN)/python -c 'from common import size; from common.commands.output import table; print(table(size.table())); print(size.ANCHORS)'

doctor: $(VENV)/.test ## is this machine ready, and if not, what to do
	@$(BIN)/mlsd doctor

install: $(VENV)/.dev ## the environment in .venv, with everything `make check` needs

clean: ## remove the environment and every cache; runs/ stays
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ------------------------------------------------------------------------------------------------------------------ the environment
# A stamp is older than pyproject.toml or constraints.txt exactly when the installation is: a new entry point is invisible until then.

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo "There is no '$(PYTHON)' here. Install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>&1), and 3.11 or newer is needed. Name another one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# PyTorch's default wheel for Linux brings 3 GB of CUDA. Without an NVIDIA driver its CPU wheels are offered too, and win by version
# (2.13.0+cpu sorts above 2.13.0), unless you told pip where to look: then nothing is added.
define install
	@echo "Installing into $(VENV) (about a minute, once) ..." >&2
	@set --; \
	if [ "$$(uname -s)" = Linux ] && [ ! -e /proc/driver/nvidia/version ] \
	  && [ -z "$${PIP_INDEX_URL:-}$${PIP_EXTRA_INDEX_URL:-}$${PIP_FIND_LINKS:-}$${PIP_NO_INDEX:-}" ] \
	  && ! $(BIN)/python -m pip config list | grep -qE '(index-url|find-links|no-index)='; \
	then set -- --extra-index-url $(CPU_WHEELS); fi; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$@" -c constraints.txt -e '.[$(1)]'
	@touch $@
endef

$(VENV)/.test: $(VENV)/.made pyproject.toml constraints.txt
	$(call install,test)

$(VENV)/.dev: $(VENV)/.test pyproject.toml constraints.txt
	$(call install,test$(,)dev)

, := ,
