# `make demo` and `make test` do all the set-up themselves, in .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Hides what TensorFlow says about the machine when it starts.
export TF_CPP_MIN_LOG_LEVEL ?= 3
# Tests start many processes, which share what one of them has compiled.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-slow test-ci-slow test-lowest test-extras
.PHONY: test-jax test-torch coverage
.PHONY: lint format bench zoo-table verify pages docs notebooks clean

demo: $(READY)
	$(BIN)/keras-hash demo

# On up to four cores, as each takes 2 GiB. Each begins with a part of the files
# in a row, which share much, and takes from another when it is done.
PARALLEL := -n auto --maxprocesses 4 --dist worksteal

test: $(READY)
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL)

# Lines that no test runs; what subprocesses run is not seen.
coverage: $(READY)
	$(BIN)/python -m pytest -m "not slow" $(PARALLEL) \
		--cov=keras_hash --cov-report=term-missing:skip-covered

# Less than an hour on two cores: trainings of every method, notebooks, kills,
# pages in a browser.
test-slow: $(READY)
	$(BIN)/python -m pytest -m slow $(PARALLEL)

# Of these, the tests of what must never be lost, which CI runs: trainings that
# are killed, and files of every kind through all ways in.
test-ci-slow: $(READY)
	$(BIN)/python -m pytest -m "slow and (kills or doors)" $(PARALLEL)

# With the lowest versions that setup.cfg allows, in an environment of its own.
test-lowest:
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet uv
	.venv-lowest/bin/uv pip install --quiet --resolution lowest-direct \
		--python .venv-lowest/bin/python --editable ".[dev]"
	.venv-lowest/bin/python -m pytest -m "not slow" $(PARALLEL)

# Every method on another backend against TensorFlow: losses, gradients, what
# training and solving end in, codes, and the export of what was saved there.
test-jax: $(READY)
	$(BIN)/python -m pytest tests/test_backends.py tests/methods/test_devices.py \
		-k "not torch"

# PyTorch is large, so it has an environment of its own. Where pip would bring a
# CUDA build of several GB, `TORCH` may name another: a version, or a wheel.
TORCH ?= torch
test-torch: .venv-torch/.ready
	.venv-torch/bin/python -m pytest tests/test_backends.py -k torch -rs

.venv-torch/.ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv --clear .venv-torch
	.venv-torch/bin/python -m pip install --quiet $(TORCH) "grain>=0.2.3"
	.venv-torch/bin/python -m pip install --quiet --editable ".[dev,torch]"
	touch $@

# All extras and what needs them: 1.2 GB more, which `make test` does not ask
# for, in one environment of their own. The page to search by photo is opened in
# the Chromium of this machine; without one, its tests are skipped.
EXTRAS := app,browser,heif,databases,hub,beam,litert,onnx,openvino
EXTRA_TESTS := tests/extras tests/export/test_runtimes.py tests/test_readme.py \
	tests/test_docs.py tests/data/test_images.py

test-extras: .venv-extras/.ready
	.venv-extras/bin/python -m pytest $(EXTRA_TESTS) -rs

.venv-extras/.ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv --clear .venv-extras
	.venv-extras/bin/python -m pip install --quiet uv
	.venv-extras/bin/uv pip install --quiet \
		--python .venv-extras/bin/python --editable ".[dev,$(EXTRAS)]"
	touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	for script in tools/bench/[!_]*.py; do $(BIN)/python $$script || exit 1; done

# All that follows from the cards: tables and pictures, what TensorFlow Serving
# reads, the archives in dist/zoo and the index that pins them.
zoo-table: $(READY)
	$(BIN)/python tools/zoo_table.py
	$(BIN)/python tools/serving_files.py
	$(BIN)/python tools/zoo_archives.py

verify: $(READY)
	$(BIN)/python tools/verify_zoo.py

# Pages made from docstrings and tables: docs/methods with README's table,
# docs/protocols.md, the table of docs/metrics.md, the drawing of the way.
pages: $(READY)
	$(BIN)/python tools/method_pages.py
	$(BIN)/python tools/protocol_page.py
	$(BIN)/python tools/metric_table.py
	$(BIN)/python tools/way_drawing.py

# The reference of every public name, in build/reference; its links are checked.
docs: $(READY)
	$(BIN)/python -m pip install --quiet --editable ".[dev,docs]"
	$(BIN)/python -W ignore tools/reference.py

# Runs docs/notebooks and makes their pages, docs/start.md and others. Minutes,
# on the images of CIFAR-10.
notebooks: $(READY)
	$(BIN)/python tools/notebooks.py

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'keras_hash needs Python 3.11 or newer; try make PYTHON=python3.11')"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $(READY)

clean:
	rm -rf .venv .venv-lowest .venv-extras .venv-torch build dist *.egg-info
