# Two commands on a fresh machine with Python and make: `make demo` and `make test`; `make docs` builds the site.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find face data detector extractors pipeline -name '*.py' -o -path '*report*' -type f) pyproject.toml README.md

.PHONY: demo test test-store check docs pythons fuzz fuzz-hours clean

demo: $(VENV)/installed
	$(BIN)/mulde demo

test: $(VENV)/installed-dev check
	$(BIN)/pytest -n auto

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -p mulde

docs: $(VENV)/installed-dev
	$(BIN)/sphinx-build --fail-on-warning --keep-going --fresh-env docs docs/_build/html
	@echo "site    docs/_build/html/index.html"

# With a server of S3. What it needs is not part of `dev`: beside all else pip looks for versions of it for many minutes.
test-store: $(VENV)/installed-dev
	$(BIN)/pip install --quiet 'flask>=3.0' 'flask-cors>=4.0' 'moto[s3]>=5.0.28' 'fsspec>=2024.12' 's3fs>=2024.12'
	$(BIN)/pytest -n auto tests/data/cache/test_objects.py tests/pipeline/stages/test_object_store.py

fuzz: $(VENV)/installed-dev
	MULDE_FUZZ_EXAMPLES=$${MULDE_FUZZ_EXAMPLES:-500} $(BIN)/pytest -n auto tests/fuzz

# By coverage, for as long as one likes: make fuzz-hours HOURS=8 FUZZ="--only entry"; finds and corpus are in fuzz/
fuzz-hours: $(VENV)/installed-dev
	$(BIN)/pip install --quiet '.[fuzz]'
	$(BIN)/python tests/fuzz/hours.py --hours $(or $(HOURS),1) --out fuzz $(FUZZ)

pythons: $(VENV)/installed-dev
	$(BIN)/nox $(NOX)

# A normal install, as users have it: type checkers cannot follow an editable one.
$(VENV)/installed: $(VENV)/bin/pip $(SOURCES)
	rm -rf build
	$(BIN)/pip install --quiet '.[all]'
	touch $@

$(VENV)/installed-dev: $(VENV)/bin/pip $(SOURCES)
	rm -rf build
	$(BIN)/pip install --quiet '.[all,dev]'
	touch $@ $(VENV)/installed

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) .nox build docs/_build mulde.egg-info
