# make demo   paint the sample manifest into out/
# make test   run the test suite
# make lint   check style and types
# All three create .venv first if it does not exist (two minutes and 5.6 GB, most of it torch).

PYTHON ?= python3
STAMP := .venv/.installed

.PHONY: demo test lint clean

demo: $(STAMP)
	.venv/bin/impasto run data/manifest.csv --outbox out

test: $(STAMP)
	.venv/bin/python -m pytest

lint: $(STAMP)
	.venv/bin/ruff check --no-cache .
	.venv/bin/ruff format --no-cache --check .
	.venv/bin/mypy

$(STAMP): pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet torch torchvision
	.venv/bin/python -m pip install --quiet --editable '.[dev]'
	touch $(STAMP)

clean:
	rm -rf .venv out .mypy_cache .pytest_cache .ruff_cache
