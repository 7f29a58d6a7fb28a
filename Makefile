# Every target makes the virtual environment it needs; Python 3.11 or newer and make are enough.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
SOURCE ?= manifests/
# Tests that take long wait for a process half of their time, so that half as many again as there are cores may run.
TEST_WORKERS ?= $(shell echo $$((3 * $$(getconf _NPROCESSORS_ONLN) / 2)))

.PHONY: run test lint check bench commits fuzz faults faults-disk takeovers model docs format clean
.DEFAULT_GOAL := help

help:
	@echo 'make run     start the reconciler on manifests/ (http://127.0.0.1:8080)'
	@echo 'make test    run all tests'
	@echo 'make check   lint, types, import rules, tests, coverage'
	@echo 'make bench   measure against the figures in docs/performance.md (ARGS=lateness for one of them)'
	@echo 'make fuzz    a million manifests, 100,000 deliveries and 5,000 cases of each address, by chance'
	@echo 'make faults  strike three replicas 500 times and account for 100,000 slots (docs/reliability.md)'
	@echo 'make model   strike 3,000 simulated worlds, and hold them against a plain model'

.venv/run: pyproject.toml
	@test -n '$(PYTHON)' || { echo 'cron-reconciler needs Python 3.11 or newer; none was found on PATH.' >&2; exit 1; }
	@echo 'Making the virtual environment in .venv (once) …'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo 'Python has no venv module here; on Debian or Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable .
	@touch $@

.venv/dev: .venv/run
	@echo 'Installing the development tools (once) …'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: .venv/run
	@exec $(BIN)/reconciler run $(SOURCE)

test: .venv/dev
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) $(ARGS)

lint: .venv/dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

check: lint
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --cov --cov-report= $(ARGS)
	@$(BIN)/coverage report
	@$(BIN)/coverage report --include='reconciler/core/*,schemas/*' --fail-under=100 >/dev/null || { \
		echo 'core and schemas are to be covered whole, branches too' >&2; exit 1; }

# 1,000 random commits on each store; a short form of it is among the tests.
commits: .venv/dev
	@COMMITS=$${COMMITS:-1000} $(BIN)/python -m pytest -q tests/integration/test_git_commits.py $(ARGS)

# FUZZ cases of each operation over HTTP; MANIFESTS and BODIES by chance (0 leaves them out), SEED which, WORKERS over how many
# processes, FINDINGS where inputs that fail are written. Short forms are among the tests.
fuzz: .venv/dev
	@FUZZ=$${FUZZ:-5000} $(BIN)/python -m pytest -q -n auto tests/unit/web/test_fuzz.py $(ARGS)
	@$(BIN)/python -m tests.fuzz

bench: .venv/dev
	@$(BIN)/python -m benchmarks $(ARGS)

# SLOTS, FAULTS, SECONDS, SEED, REPLICAS and LEASE say how much of what; a short form of it is among the tests.
faults: .venv/dev
	@$(BIN)/python -m tests.faults

# On a SQLite file whose disk is full now and then; needs the right to mount a tmpfs.
faults-disk: .venv/dev
	@$(BIN)/python -m tests.faults disk

# KILLS and HANDOVERS of the leader, one by one, each against the clock.
takeovers: .venv/dev
	@$(BIN)/python -m tests.faults takeovers

# EXAMPLES worlds in simulated time, each struck by up to 40 things; a short form of it is among the tests.
model: .venv/dev
	@MODEL_EXAMPLES=$${EXAMPLES:-3000} $(BIN)/python -m pytest -q tests/model/test_model.py -k one_outcome $(ARGS)

docs: .venv/dev
	@$(BIN)/python -m docs.generate

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .reconciler .coverage* .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build *.egg-info
