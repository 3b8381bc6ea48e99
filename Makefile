PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: setup run test test-lowest test-processors lint check coverage benchmarks site sbom clean

# what the main job needs, and with tests and documentation
CORE := $(VENV)/.core

setup: $(STAMP)

$(CORE): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e .
	touch $(CORE)

$(STAMP): $(CORE)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,docs]'
	touch $(STAMP)

run: $(CORE)
	$(BIN)/tscl run

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile

# the same tests with the kernels and orders of summation of other processors and libraries
PROCESSORS := \
	ATEN_CPU_CAPABILITY=default \
	ATEN_CPU_CAPABILITY=avx2 \
	ATEN_CPU_CAPABILITY=avx512 \
	ONEDNN_MAX_CPU_ISA=AVX2,MKL_ENABLE_INSTRUCTIONS=AVX2 \
	MKL_CBWR=COMPATIBLE \
	OMP_NUM_THREADS=2,TSCL_TEST_THREADS=2
PROCESSOR_TESTS ?= tests
comma := ,

test-processors: setup
	set -e; $(foreach one,$(PROCESSORS),echo "== $(one)"; \
	env OMP_NUM_THREADS=1 $(subst $(comma), ,$(one)) $(BIN)/pytest $(PROCESSOR_TESTS);)

# the lowest versions that pyproject.toml allows, in an environment of their own
LOWEST := $(VENV)-lowest
LOWEST_TESTS ?= tests/cli tests/data_loaders/test_own_recordings.py tests/data_loaders/series \
	tests/estimators/test_contrastive.py tests/estimators/sktime/test_forecaster.py tests/saving \
	tests/recipes/test_readme_figure.py tests/runs/clinical/test_model_metrics.py \
	tests/runs/forecasting/test_run.py

test-lowest:
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet uv
	$(LOWEST)/bin/uv pip compile --quiet --resolution lowest-direct pyproject.toml -o $(LOWEST)/lowest.txt
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python -r $(LOWEST)/lowest.txt pytest hypothesis
	PYTHONPATH=. OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest $(LOWEST_TESTS)

coverage: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest --cov --cov-report=term-missing:skip-covered

benchmarks: setup
	$(BIN)/python -m tests.benchmarks.run_all

site: setup
	$(BIN)/mkdocs build --strict

sbom: setup
	$(BIN)/python docs/make_licences.py
	$(BIN)/python docs/make_sbom.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist *.egg-info
