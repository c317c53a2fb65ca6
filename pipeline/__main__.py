"""`python -m pipeline` is the same as the command `impasto`."""

from pipeline.cli.main import main

main()
