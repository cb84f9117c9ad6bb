"""How much a test compared, shown in every run: a comparison with nothing to compare would pass, too."""

from __future__ import annotations

import sys

import pytest


def show(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """Print a line past pytest's capture."""
    with capsys.disabled():
        sys.stdout.write(f"\n{text}\n")
