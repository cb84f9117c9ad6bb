"""`python -m ingest` is `tapeline ingest`: that command reads the settings and shows faults, which this package does not."""

from tapeline.cli import main

main("ingest")
