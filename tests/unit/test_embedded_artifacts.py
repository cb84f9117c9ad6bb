"""The lock of the servers' files: what it names, where they lie, and what happens to a file that differs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tapeline.embedded import _server
from tapeline.embedded._artifacts import Artifact, check_sum, locked, missing, split, verify
from tapeline.embedded._errors import ChecksumMismatch, EmbeddedError


def artifact(content: bytes, coordinates: str = "org.example:part:1.0") -> Artifact:
    return Artifact("kafka", coordinates, len(content), hashlib.sha256(content).hexdigest())


def put(cache: Path, wanted: Artifact, content: bytes) -> Path:
    path = wanted.path(cache)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_the_lock_names_what_every_server_is_made_of() -> None:
    for server in _server.names():
        coordinates = {part.coordinates for part in locked([server])}
        assert set(_server.load(server).MAVEN) <= coordinates


def test_every_locked_file_has_a_size_a_sha_256_sum_and_a_path_of_its_own() -> None:
    artifacts = locked()
    assert len({part.path(Path("cache")) for part in artifacts}) == len(artifacts) > 40
    for part in artifacts:
        assert part.size > 0
        assert len(bytes.fromhex(part.sha256)) == 32


@pytest.mark.parametrize(
    ("coordinates", "path"),
    [
        ("org.lz4:lz4-java:1.8.0", "maven/org/lz4/lz4-java/1.8.0/lz4-java-1.8.0.jar"),
        ("io.a.b:app:tar.gz:all:3.0.9", "maven/io/a/b/app/3.0.9/app-3.0.9-all.tar.gz"),
    ],
)
def test_a_file_lies_in_the_cache_as_in_a_maven_repository(coordinates: str, path: str) -> None:
    assert artifact(b"", coordinates).path(Path("cache")) == Path("cache", path)


def test_coordinates_of_another_shape_are_refused_by_name() -> None:
    with pytest.raises(EmbeddedError, match=r"'org\.example:part' is no Maven coordinate"):
        split("org.example:part")


def test_only_files_that_are_absent_are_missing(tmp_path: Path) -> None:
    here, absent = artifact(b"here"), artifact(b"absent", "org.example:other:1.0")
    put(tmp_path, here, b"here")
    assert missing([here, absent], tmp_path) == [absent]


def test_a_damaged_file_is_named_with_both_sums(tmp_path: Path) -> None:
    wanted = artifact(b"whole")
    path = put(tmp_path, wanted, b"wh0le")
    with pytest.raises(ChecksumMismatch) as caught:
        verify([wanted], tmp_path)
    for part in (str(path), wanted.sha256, hashlib.sha256(b"wh0le").hexdigest(), "Delete it"):
        assert part in str(caught.value)


def test_a_file_cut_short_does_not_pass_for_whole(tmp_path: Path) -> None:
    wanted = artifact(b"whole")
    with pytest.raises(ChecksumMismatch):
        check_sum(wanted, put(tmp_path, wanted, b"whol"))


def test_a_whole_file_passes(tmp_path: Path) -> None:
    wanted = artifact(b"whole")
    check_sum(wanted, put(tmp_path, wanted, b"whole"))
