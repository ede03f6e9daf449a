# make run: the main job on synthetic cells.  make test: the tests but for the long ones.  make test-all: these too.  Each makes .venv and installs into it first.
# make docs: the site, docs/_build/html.
# make install, make install-dev: only that. The Dockerfile and the devcontainer call them.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
PIP_INSTALL = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt $(PIP_FLAGS)

.PHONY: install install-dev run test test-all lint docs bench clean

install: $(VENV)/run.stamp

install-dev: $(VENV)/dev.stamp

run: $(VENV)/run.stamp
	$(VENV)/bin/python run.py $(ARGS)

# A process that dies fails its test and is not begun again, as pytest-xdist may then wait forever. Files begin in the order of tests/conftest.py.
test: $(VENV)/dev.stamp
	$(VENV)/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart=0 $(ARGS)

test-all:
	$(MAKE) test ARGS="-m 'long or not long' $(ARGS)"

lint: $(VENV)/dev.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

docs: $(VENV)/dev.stamp
	$(VENV)/bin/python docs/site/build.py $(ARGS)

bench: $(VENV)/run.stamp
	$(VENV)/bin/python benchmarks/synthetic_cells.py
	$(VENV)/bin/python benchmarks/decode_cells.py
	$(VENV)/bin/python benchmarks/runner_overhead.py
	$(VENV)/bin/python benchmarks/start_up.py

clean:
	rm -rf $(VENV) build dist docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Python 3.11 to 3.13 is needed; this is %d.%d. Name one: make PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/run.stamp
