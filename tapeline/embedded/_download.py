"""Fetch artifacts from Maven Central with jgo.

jgo writes a download under its final name and takes a file that is there for whole; so it works in a folder for drafts, and a
file moves into the cache only when its sum is right. Files finished before an interruption are kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import requests
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext, PythonResolver

from tapeline.embedded._artifacts import Artifact, check_sum, split
from tapeline.embedded._errors import DownloadFailed, FolderUnusable
from tapeline.embedded._progress import Progress

AT_ONCE = 4
TRIES = 3
FIRST_PAUSE = 1.0
"""Seconds before the second try; twice that before the third."""
TIMEOUT = 20
"""Seconds without an answer or a byte after which a try has failed."""


class _Cancelled(Exception):
    """Another download failed, or the user gave up."""


def fetch(
    artifacts: list[Artifact], cache: Path, drafts: Path, progress: Progress, *, repository: str = MAVEN_CENTRAL_URL
) -> None:
    """Put `artifacts` into the cache, some at a time, each checked against its sum; the first failure ends all.

    Raises:
        DownloadFailed: a file could not be had.
        ChecksumMismatch: the repository gave another file than the lock names.
        FolderUnusable: the cache cannot be written.

    """
    progress.download_planned(len(artifacts), sum(artifact.size for artifact in artifacts))
    maven = MavenContext(repo_cache=drafts, remote_repos={"repository": repository}, timeout=TIMEOUT)
    round_ = _Round(maven, cache, progress)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        largest_first = sorted(artifacts, key=lambda artifact: -artifact.size)  # none is left alone at the end
        downloads = [pool.submit(round_.download, artifact) for artifact in largest_first]
        try:
            for download in as_completed(downloads):
                download.result()
        except BaseException:
            round_.cancelled.set()
            pool.shutdown(cancel_futures=True)
            raise


class _Round:
    """Downloads that end together."""

    def __init__(self, maven: MavenContext, cache: Path, progress: Progress) -> None:
        self.cancelled = threading.Event()
        self._cache = cache
        self._progress = progress
        self._maven = maven
        self._maven.resolver = PythonResolver(progress_callback=self._watch)

    def download(self, artifact: Artifact) -> None:
        self._progress.download_began(artifact.filename, artifact.size)
        try:
            draft = self._try_often(artifact)
            check_sum(artifact, draft, "The repository gave another file than the one this version was made with.")
            final = artifact.path(self._cache)
            final.parent.mkdir(parents=True, exist_ok=True)
            draft.replace(final)
        except OSError as error:
            raise FolderUnusable(f"cannot write to {self._cache}: {error.strerror}") from error
        self._progress.download_ended(artifact.filename)

    def _try_often(self, artifact: Artifact) -> Path:
        group, name, packaging, classifier, version = split(artifact.coordinates)
        source = self._maven.project(group, name).at_version(version).artifact(classifier, packaging)
        for attempt in range(1, TRIES + 1):
            try:
                return source.resolve()
            except (requests.RequestException, RuntimeError) as error:  # RuntimeError: jgo, for any status but 200
                reason = error
            if source.cached_path:
                source.cached_path.unlink(missing_ok=True)
            if attempt < TRIES and self.cancelled.wait(FIRST_PAUSE * attempt):
                raise _Cancelled
        raise DownloadFailed(
            f"cannot download {artifact.coordinates}: {reason}. Files fetched so far are kept; run the command again."
        ) from reason

    @contextmanager
    def _watch(self, filename: str, size: int) -> Iterator[Callable[[int], None]]:
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            if self.cancelled.is_set():
                raise _Cancelled
            done += count
            self._progress.download_advanced(filename, count)

        try:
            yield advance
        except requests.RequestException:
            self._progress.download_advanced(filename, -done)
            raise
