"""Files with keys that change while the gateway runs: none ends the watching, and a wrong one changes nothing."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.background import watch_keys
from gateway.hub import Hub
from gateway.jwt_keys import read_key_set
from gateway.key_files import KeyFile
from runtime.errors import ConfigurationError
from tests.access_parts import ec_key, key_set, public_entry
from tests.gateway_parts import HandTurnedLoop, make_hub

GOOD = key_set(public_entry(ec_key("a"), "1"))
OTHER = key_set(public_entry(ec_key("b"), "2"))
LISTED = public_entry(ec_key()) | {"kid": ["1"]}


class Watched:
    """A key file, and the ids of the keys that were taken from it last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ids: list[str | None] = []
        self.file = KeyFile("gateway.access.jwt.key_set_file", path, self.use)

    def use(self, text: bytes) -> None:
        self.ids = [key.key_id for key in read_key_set(text, ("ES256",))]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    path = tmp_path / "keys.json"
    path.write_bytes(GOOD)
    watched = Watched(path)
    watched.file.load()
    return watched


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def writing(text: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(text)

    return write


WRONG: dict[str, tuple[Callable[[Path], None], str]] = {
    "deep": (writing(b'{"keys":' + b"[" * 100_000), "no JSON Web Key Set"),
    "lists as kid": (writing(key_set(LISTED, LISTED)), "kid that is no text"),
    "huge": (writing(b" " * (5 << 20)), "more than 4194304 bytes"),
    "half-written": (writing(GOOD[:50]), "no JSON Web Key Set"),
    "gone": (Path.unlink, "No such file"),
    "pipe": (replace_by_pipe, "no regular file"),
    "folder": (replace_by_folder, "no regular file"),
}


@pytest.mark.parametrize(("spoil", "fault"), WRONG.values(), ids=WRONG)
def test_wrong_file_changes_nothing_and_is_logged(watched: Watched, spoil: Callable[[Path], None], fault: str) -> None:
    spoil(watched.path)
    with capture_logs() as logs:
        assert not watched.file.refresh()
    [line] = logs
    assert (line["log_level"], line["file"]) == ("error", str(watched.path))
    assert fault in line["error"]
    assert watched.ids == ["1"]
    with pytest.raises(ConfigurationError, match=fault):
        Watched(watched.path).file.load()


@pytest.mark.parametrize("error", [RecursionError(), TypeError("unhashable"), MemoryError()])
def test_whatever_reading_raises_names_the_kind_and_not_the_content(tmp_path: Path, error: Exception) -> None:
    def use(text: bytes) -> None:
        if text == b"wrong":
            raise error

    path = tmp_path / "keys"
    path.write_bytes(b"")
    file = KeyFile("setting", path, use)
    file.load()
    path.write_bytes(b"wrong")
    with capture_logs() as logs:
        assert not file.refresh()
    assert logs[0]["error"] == f"cannot be read: {type(error).__name__}"


def test_keys_are_watched_on_after_a_wrong_file(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    hub: Hub = make_hub(HandTurnedLoop())
    reviews: list[list[str | None]] = []
    monkeypatch.setattr(hub, "review", lambda: reviews.append(list(watched.ids)))

    async def watch() -> None:
        watched.path.write_bytes(key_set(LISTED, LISTED))
        task = asyncio.create_task(watch_keys(hub, [watched.file], 0))
        while watched.file._seen != watched.file._signature():
            await asyncio.sleep(0)
        watched.path.write_bytes(OTHER)
        while not reviews and not task.done():
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()

    asyncio.run(asyncio.wait_for(watch(), 10))
    assert reviews == [["2"]]
