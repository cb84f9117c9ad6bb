"""The sub-commands of `tapeline`, a file for each group; wiring only."""
