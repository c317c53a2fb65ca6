"""Run the command `impasto` as `python -m pipeline`."""

from pipeline.cli.main import main

main()
