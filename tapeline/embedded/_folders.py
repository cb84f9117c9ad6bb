"""Where the stack keeps things, and whether these places can be used.

The data folder holds one stack: a folder for each server, `logs/`, `state.json` and `lock`. The cache folder holds what was
downloaded, for all stacks of a user. Both are checked before anything starts, so that a full or read-only disk is named
instead of showing up as a server's stack trace.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from platformdirs import PlatformDirs

from tapeline.embedded._errors import FolderUnusable

DATA_VARIABLE = "TAPELINE_HOME"
CACHE_VARIABLE = "TAPELINE_CACHE"
DATA_SPACE = 512 * 1024 * 1024
"""Free bytes the data folder's file system must have before a start."""

_DIRS = PlatformDirs("tapeline", appauthor=False)


@dataclass(frozen=True, slots=True)
class DataFolder:
    """One stack's folder and the names in it."""

    path: Path

    @property
    def lock(self) -> Path:
        """Held while servers are started or stopped."""
        return self.path / "lock"

    @property
    def state(self) -> Path:
        """Ports and processes."""
        return self.path / "state.json"

    def home(self, server: str) -> Path:
        """A server's own folder."""
        return self.path / server

    def log(self, server: str) -> Path:
        """A server's output since its last start; the one before has the suffix `.1`."""
        return self.path / "logs" / f"{server}.log"


def data_folder(given: Path | None = None) -> DataFolder:
    """The folder given, else `TAPELINE_HOME`, else the user's data folder (root's home is closed to the database's user)."""
    if given is None and (variable := os.environ.get(DATA_VARIABLE)):
        given = Path(variable)
    if given is None:
        base = Path(_DIRS.site_state_dir) if os.geteuid() == 0 else Path(_DIRS.user_data_dir)
        given = base / "default"
    return DataFolder(given.expanduser().absolute())


def cache_folder() -> Path:
    """`TAPELINE_CACHE`, else the user's cache folder."""
    variable = os.environ.get(CACHE_VARIABLE)
    return Path(variable).expanduser().absolute() if variable else Path(_DIRS.user_cache_dir)


def make_usable(folder: Path, *, mode: int = 0o700) -> None:
    """Create `folder` and its missing parents with `mode`, and prove that a file can be written there.

    Raises:
        FolderUnusable: it cannot be created or written.

    """
    try:
        for place in reversed([place for place in (folder, *folder.parents) if not place.exists()]):
            place.mkdir(exist_ok=True)
            place.chmod(mode)
    except OSError as error:
        raise FolderUnusable(f"cannot create {folder}: {error.strerror}") from error
    prove_writable(folder)


def prove_writable(folder: Path) -> str:
    """Write to `folder`, or to where it would be created, and return its path.

    Raises:
        FolderUnusable: that did not work.

    """
    try:
        with tempfile.TemporaryFile(dir=_existing(folder)):
            return str(folder)
    except OSError as error:
        raise FolderUnusable(f"cannot write to {_existing(folder)}: {error.strerror}") from error


def need_space(folder: Path, needed: int, what: str) -> None:
    """Raise `FolderUnusable` when the file system of `folder` has less than `needed` bytes left for `what`."""
    free = free_space(folder)
    if free < needed:
        mebi = 1024 * 1024
        raise FolderUnusable(f"no space for {what} in {folder}: {needed // mebi} MiB needed, {free // mebi} MiB free")


def free_space(folder: Path) -> int:
    """Free bytes where `folder` is or would be created."""
    return shutil.disk_usage(_existing(folder)).free


def _existing(folder: Path) -> Path:
    return next(place for place in (folder, *folder.parents) if place.exists())


def closed_parent(folder: Path) -> Path | None:
    """The outermost folder on the way to `folder`, itself included, that other users cannot enter; None when they can."""
    for place in (*reversed(folder.parents), folder):
        if place.exists() and not place.stat().st_mode & stat.S_IXOTH:
            return place
    return None
