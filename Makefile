# Each target sets up what it needs in .venv, once; nothing outside this folder is changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IMAGE ?= examples/chelsea.jpg

.PHONY: help serve caption test test-all test-cluster check format bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

serve: $(VENV)/installed  ## serve on http://localhost:8000
	$(BIN)/unrolled serve

caption: $(VENV)/installed  ## caption one photograph: make caption IMAGE=photo.jpg
	$(BIN)/unrolled caption --num-captions 3 "$(IMAGE)"

test: $(VENV)/installed-development  ## run the tests, without those marked slow
	$(BIN)/python -m pytest -n auto -m "not slow"

test-all: $(VENV)/installed-development  ## run all the tests
	$(BIN)/python -m pytest -n auto

test-cluster: $(VENV)/installed-cluster  ## run the tests that need Ray
	$(BIN)/python -m pytest tests/app/test_cluster.py tests/app/bulk/test_ray_data.py

check: $(VENV)/installed-development  ## check formatting, style, types and imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-development  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed-development  ## measure speed and memory on this machine
	$(BIN)/python -m benchmarks

clean:  ## remove the virtual environment
	rm -rf $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/installed-development: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[development]'
	touch $@

$(VENV)/installed-cluster: $(VENV)/installed-development
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cluster]'
	touch $@
