# make reproduce: the whole study; make test: the tests; make book: HTML pages; make lab: JupyterLab on its start page, after a tiny study
# for notebooks 10 and 11 (as root in a container: make lab LAB=--allow-root)
PROFILE ?= quick
PYTHON ?= python3
BIN := .venv/bin

# The weights that the project ships, made anew: the teacher and the student's start of the reference profile
shipped: .venv/installed
	$(BIN)/snakemake runs/reference/planted/resnext14_small/teacher.safetensors --configfile config/reference.yaml --cores all --quiet rules
	$(BIN)/python -m workflow.ship config/reference.yaml

# The notebooks executed as they are stored, in place (NOTEBOOKS: some of them)
notebooks: .venv/installed
	$(BIN)/python -m workflow.stored $(NOTEBOOKS)

.PHONY: notebooks shipped reproduce test test-notebooks test-code lint lab book

reproduce: .venv/installed
	$(BIN)/snakemake --configfile config/$(PROFILE).yaml --cores all --quiet rules
	$(BIN)/python -m workflow.report config/$(PROFILE).yaml

# Two things at once, on one thread each: torch's threads would stand in each other's way
test: .venv/installed
	OMP_NUM_THREADS=1 $(MAKE) --keep-going -j2 test-notebooks test-code

test-notebooks: .venv/installed
	$(BIN)/pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=300 notebooks
	$(BIN)/pytest tests/explore/test_browser.py

test-code: .venv/installed
	$(BIN)/pytest -n logical --ignore tests/explore/test_browser.py

book: .venv/installed
	$(BIN)/python -m workflow.book config/$(PROFILE).yaml

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lab: .venv/installed runs/tiny/planted/resnext14_small/costs.json
	$(BIN)/jupyter lab $(LAB) start.ipynb

runs/tiny/planted/resnext14_small/costs.json: | .venv/installed
	$(BIN)/snakemake $@ --configfile config/tiny.yaml --cores all --quiet rules

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv --constraint requirements.lock
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirement requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@
