# `make demo` and `make test` do all the set-up themselves, in .venv.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Hides what TensorFlow says about the machine when it starts.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test test-slow test-lowest test-app test-beam test-engines
.PHONY: test-runtimes
.PHONY: lint format bench zoo-table verify pages docs notebooks clean

demo: $(READY)
	$(BIN)/keras-hash demo

# On up to four cores, as each takes 2 GiB; a file of tests stays on one, with
# what its tests share.
test: $(READY)
	$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile

test-slow: $(READY)
	$(BIN)/python -m pytest -m slow --no-cov

# With the lowest versions that setup.cfg allows, in an environment of its own.
test-lowest:
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet uv
	.venv-lowest/bin/uv pip install --quiet --resolution lowest-direct \
		--python .venv-lowest/bin/python --editable ".[dev]"
	.venv-lowest/bin/python -m pytest -m "not slow" -n auto --maxprocesses 4 \
		--dist loadfile --no-cov

# The page to search by photo, in a browser: Gradio and Playwright are 400 MB
# more, Chromium has to be on the machine.
test-app: $(READY)
	$(BIN)/python -m pip install --quiet --editable ".[dev,app,browser]"
	$(BIN)/python -m pytest tests/extras/app --no-cov

# Milvus and LanceDB, embedded: 440 MB more, which `make test` does not ask for.
test-engines: $(READY)
	$(BIN)/python -m pip install --quiet --editable ".[dev,milvus,lance]"
	$(BIN)/python -m pytest tests/search/test_engines.py tests/extras/corpus \
		tests/test_readme.py --no-cov

# Apache Beam: 180 MB more, and protobuf below 7.
test-beam: $(READY)
	$(BIN)/python -m pip install --quiet --editable ".[dev,beam]"
	$(BIN)/python -m pytest tests/extras/corpus tests/test_readme.py --no-cov

# LiteRT, ONNX Runtime and OpenVINO: 350 MB more.
test-runtimes: $(READY)
	$(BIN)/python -m pip install --quiet --editable \
		".[dev,litert,onnx,openvino]"
	$(BIN)/python -m pytest tests/export/test_runtimes.py tests/test_readme.py --no-cov

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
	rm -rf .venv .venv-lowest build dist *.egg-info
