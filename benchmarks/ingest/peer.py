"""cryptofeed in a virtual environment of its own, in the user's cache."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from platformdirs import user_cache_path

VERSION = "2.4.1"
_PACKAGES = (f"cryptofeed=={VERSION}", "confluent-kafka")


class PeerMissing(Exception):
    """It cannot be installed; the text says why."""


def python() -> Path:
    """The interpreter that has cryptofeed, which is installed where it was not yet. Raises PeerMissing."""
    folder = user_cache_path("tapeline", appauthor=False) / f"cryptofeed-{VERSION}-{sys.implementation.cache_tag}"
    found, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        _run([str(found), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *_PACKAGES])
        ready.touch()
    return found


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise PeerMissing(f"cryptofeed {VERSION} cannot be installed: {error}") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]
        raise PeerMissing(f"cryptofeed {VERSION} cannot be installed by {' '.join(command[:4])}: {' '.join(last)}")
