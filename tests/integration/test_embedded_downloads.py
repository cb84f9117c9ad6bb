"""Downloads from a repository that fails in every way it can: only whole and right files reach the cache."""

from __future__ import annotations

import gc
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tapeline.embedded import Progress, _download
from tapeline.embedded._artifacts import Artifact, missing, verify
from tapeline.embedded._errors import ChecksumMismatch, DownloadFailed, FolderUnusable


class Repository(ThreadingHTTPServer):
    """Serves `files` by name; a name in `cut` is broken off half-way that many times."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.cut: dict[str, int] = {}
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/maven2"

    def add(self, name: str, size: int) -> Artifact:
        content = name.encode() * (size // len(name) + 1)
        self.files[f"{name}-1.0.jar"] = content
        return Artifact("kafka", f"org.example:{name}:1.0", len(content), hashlib.sha256(content).hexdigest())


class _Handler(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        content = self.server.files.get(name)
        if content is None:
            self.send_error(404)
            return
        self.server.asked.append(name)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.server.cut.get(name, 0) > 0:
            self.server.cut[name] -= 1
            content = content[: len(content) // 2]
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the parent's name for it
        pass


@pytest.fixture
def repository() -> Iterator[Repository]:
    with Repository() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield server
        server.shutdown()
        thread.join()


# jgo drops answers it does not read to the end, with their sockets.
pytestmark = pytest.mark.filterwarnings("ignore:.*socket:pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_download, "FIRST_PAUSE", 0.0)
    yield
    gc.collect()  # those sockets now, not in another test


def fetch(artifacts: list[Artifact], cache: Path, repository: Repository, progress: Progress | None = None) -> None:
    _download.fetch(artifacts, cache, cache / "partial", progress or Progress(), repository=repository.url)


def test_files_reach_the_cache_whole(repository: Repository, tmp_path: Path) -> None:
    artifacts = [repository.add(f"part{number}", 50_000) for number in range(20)]
    fetch(artifacts, tmp_path, repository)
    assert missing(artifacts, tmp_path) == []
    verify(artifacts, tmp_path)


def test_a_download_that_breaks_off_is_tried_again(repository: Repository, tmp_path: Path) -> None:
    artifact = repository.add("broken", 200_000)
    repository.cut["broken-1.0.jar"] = 2
    fetch([artifact], tmp_path, repository)
    verify([artifact], tmp_path)
    assert repository.asked.count("broken-1.0.jar") == 3


def test_a_download_that_always_breaks_off_leaves_nothing_in_the_cache(repository: Repository, tmp_path: Path) -> None:
    artifact = repository.add("broken", 200_000)
    repository.cut["broken-1.0.jar"] = 99
    with pytest.raises(DownloadFailed, match=r"cannot download org\.example:broken:1\.0: .* Files fetched so far are kept"):
        fetch([artifact], tmp_path, repository)
    assert missing([artifact], tmp_path) == [artifact]


def test_a_file_the_repository_does_not_have_is_named(repository: Repository, tmp_path: Path) -> None:
    absent = Artifact("kafka", "org.example:absent:1.0", 1, "00" * 32)
    with pytest.raises(DownloadFailed, match=r"org\.example:absent:1\.0"):
        fetch([absent], tmp_path, repository)


def test_a_repository_that_is_not_there_is_named(tmp_path: Path) -> None:
    absent = Artifact("kafka", "org.example:absent:1.0", 1, "00" * 32)
    with pytest.raises(DownloadFailed, match=r"127\.0\.0\.1.*port=9\b"):
        _download.fetch([absent], tmp_path, tmp_path / "partial", Progress(), repository="http://127.0.0.1:9/maven2")


def test_another_file_than_the_locked_one_is_refused(repository: Repository, tmp_path: Path) -> None:
    artifact = repository.add("forged", 1000)
    repository.files["forged-1.0.jar"] = b"x" * artifact.size
    with pytest.raises(ChecksumMismatch, match="The repository gave another file"):
        fetch([artifact], tmp_path, repository)
    assert missing([artifact], tmp_path) == [artifact]


class GivesUp(Progress):
    """Ctrl-C, as the download of one file goes on."""

    def __init__(self, filename: str) -> None:
        self.filename = filename

    def download_advanced(self, filename: str, count: int) -> None:
        if filename == self.filename:
            raise KeyboardInterrupt


def test_what_was_finished_before_an_interruption_is_not_fetched_again(repository: Repository, tmp_path: Path) -> None:
    artifacts = [repository.add("first", 9000), repository.add("second", 5000), repository.add("third", 10)]
    done, last = artifacts[:2], artifacts[2]
    fetch(done, tmp_path, repository)
    with pytest.raises(KeyboardInterrupt):
        fetch([last], tmp_path, repository, GivesUp(last.filename))
    assert missing(artifacts, tmp_path) == [last]
    repository.asked.clear()
    (tmp_path / "partial" / "org/example/third/1.0/third-1.0.jar").unlink()  # as the cache does between two rounds
    fetch(missing(artifacts, tmp_path), tmp_path, repository)
    assert set(repository.asked) == {"third-1.0.jar"}
    verify(artifacts, tmp_path)


def test_a_cache_that_cannot_be_written_is_named(repository: Repository, tmp_path: Path) -> None:
    artifact = repository.add("part", 1000)
    (tmp_path / "cache").touch()
    with pytest.raises(FolderUnusable, match=f"cannot write to {tmp_path}/cache: Not a directory"):
        _download.fetch([artifact], tmp_path / "cache", tmp_path / "drafts", Progress(), repository=repository.url)
