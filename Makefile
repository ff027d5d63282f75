# Each target sets up what it needs in .venv, once; nothing outside this folder is changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IMAGE ?= examples/chelsea.jpg
# Whether to install PyTorch, for an NVIDIA GPU: make serve GPU=yes, or GPU=no.
GPU ?= $(if $(wildcard /dev/nvidia0 /dev/dxg),yes,no)
RUNNABLE := $(VENV)/installed$(if $(filter yes,$(GPU)),-torch)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'

# An environment of a Python that is too old, or gone, is made anew.
ifneq ($(wildcard $(VENV)),)
$(shell $(BIN)/python $(NEW_ENOUGH) 2>/dev/null || rm -rf $(VENV))
endif

.PHONY: help serve caption test test-all test-light test-cluster test-page check format bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

serve: $(RUNNABLE)  ## serve on http://localhost:8000
	$(BIN)/unrolled serve

caption: $(RUNNABLE)  ## caption one photograph: make caption IMAGE=photo.jpg
	$(BIN)/unrolled caption --num-captions 3 "$(IMAGE)"

test: $(VENV)/installed-development  ## run the tests, without those marked slow
	$(BIN)/python -m pytest -n auto -m "not slow"

test-all: $(VENV)/installed-development  ## run all the tests
	$(BIN)/python -m pytest -n auto

test-light: $(VENV)-light/installed  ## run the tests of what works without PyTorch, without it
	! $(VENV)-light/bin/python -c "import torch" 2>/dev/null
	UNROLLED_RUNTIME=auto $(VENV)-light/bin/python -m pytest tests/light

test-cluster: $(VENV)/installed-cluster  ## run the tests that need Ray
	$(BIN)/python -m pytest tests/app/test_cluster.py tests/app/test_hosts.py \
		tests/app/bulk/test_ray_data.py

test-page: $(VENV)/installed-browser  ## run the tests of the page, which need Chromium
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	    { echo "the page is tested in Chromium, which is missing: apt install chromium" >&2; exit 1; }
	$(BIN)/python -m pytest tests/app/web tests/app/http/routes/test_home.py

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

clean:  ## remove the virtual environments
	rm -rf $(VENV) $(VENV)-light

$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) $(NEW_ENOUGH) || { echo "Unrolled needs Python 3.11 or newer, and $(PYTHON) is" \
	    "$$($(PYTHON) --version 2>&1). Name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/installed-torch: $(VENV)/installed
	@echo "installing PyTorch for the GPU: about 5 GB; GPU=no does without"
	$(PIP) -e '.[torch]'
	touch $@

$(VENV)/installed-development: $(VENV)/installed
	@echo "installing what tests and training need, PyTorch above all: about 6 GB, some minutes"
	$(PIP) -e '.[development]'
	touch $@

$(VENV)/installed-cluster: $(VENV)/installed-development
	$(PIP) -e '.[cluster]'
	touch $@

$(VENV)/installed-browser: $(VENV)/installed-development
	$(PIP) -e '.[browser]'
	touch $@

$(VENV)-light/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)-light
	$(VENV)-light/bin/python -m pip install --quiet --disable-pip-version-check \
	    -c constraints.txt -e . pytest httpx
	touch $@
