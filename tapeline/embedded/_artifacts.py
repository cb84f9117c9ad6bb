"""The files the servers are made of: named with their sums in `artifacts.lock`, kept in the cache under Maven's own layout.

A line of the lock is `server group:artifact[:packaging:classifier]:version size sha256`. Nothing runs that the lock does not
name, and every file is compared with its sum at each start, so that a damaged cache is named and not run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tapeline.embedded._errors import ChecksumMismatch, EmbeddedError

LOCK = Path(__file__).with_name("artifacts.lock")


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a Maven repository; `size` in bytes, `sha256` in hexadecimal."""

    server: str
    coordinates: str
    size: int
    sha256: str

    @property
    def filename(self) -> str:
        """The file's name in any Maven repository."""
        _, name, packaging, classifier, version = split(self.coordinates)
        return f"{name}-{version}{'-' if classifier else ''}{classifier}.{packaging}"

    def path(self, cache: Path) -> Path:
        """Where the file is once it is whole."""
        group, name, _, _, version = split(self.coordinates)
        return cache.joinpath("maven", *group.split("."), name, version, self.filename)


def split(coordinates: str) -> tuple[str, str, str, str, str]:
    """Group, artifact, packaging, classifier (may be empty), version."""
    match coordinates.split(":"):
        case [group, name, version]:
            return group, name, "jar", "", version
        case [group, name, packaging, classifier, version]:
            return group, name, packaging, classifier, version
    raise EmbeddedError(f"{coordinates!r} is no Maven coordinate")


def locked(servers: Iterable[str] | None = None, *, lock: Path = LOCK) -> list[Artifact]:
    """The artifacts of the servers named, or of all."""
    lines = (line.split() for line in lock.read_text().splitlines() if line and not line.startswith("#"))
    artifacts = [Artifact(server, coordinates, int(size), sha256) for server, coordinates, size, sha256 in lines]
    wanted = None if servers is None else set(servers)
    return [artifact for artifact in artifacts if wanted is None or artifact.server in wanted]


def missing(artifacts: Iterable[Artifact], cache: Path) -> list[Artifact]:
    """Those that are not in the cache."""
    return [artifact for artifact in artifacts if not artifact.path(cache).is_file()]


def verify(artifacts: Iterable[Artifact], cache: Path) -> None:
    """Compare files in the cache with their sums.

    Raises:
        ChecksumMismatch: for the first that differs.

    """
    with ThreadPoolExecutor(max_workers=4) as pool:
        for _ in pool.map(lambda artifact: check_sum(artifact, artifact.path(cache)), artifacts):
            pass


def check_sum(artifact: Artifact, path: Path, advice: str = "Delete it: the next start downloads it again.") -> None:
    """Raise `ChecksumMismatch` unless `path` holds exactly the artifact."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != artifact.sha256:
        raise ChecksumMismatch(path, expected=artifact.sha256, found=found, advice=advice)
