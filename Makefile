# make demo       paint the sample manifest into out/
# make test       run the test suite, in parallel
# make test-all   run every crash point, tiling and damaged file of which the suite takes a sample; much longer
# make lint       check style, types, and which module may import which
# All of them create .venv first if it does not exist (two minutes and 5.6 GB, most of it torch).

PYTHON ?= python3
STAMP := .venv/.installed

.PHONY: demo test test-all lint clean

demo: $(STAMP)
	.venv/bin/impasto run data/manifest.csv --outbox out

test: $(STAMP)
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n logical --maxprocesses 4 --dist worksteal

test-all: $(STAMP)
	.venv/bin/python -m pytest --exhaustive

lint: $(STAMP)
	.venv/bin/ruff check --no-cache .
	.venv/bin/ruff format --no-cache --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

$(STAMP): pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet torch torchvision
	.venv/bin/python -m pip install --quiet --editable '.[dev,bench,cluster,video]'
	touch $(STAMP)

clean:
	rm -rf .venv out .mypy_cache .pytest_cache .ruff_cache
