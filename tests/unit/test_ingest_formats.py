"""Recordings: recognised by what they hold, read item by item, written by ourselves."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import formats
from ingest.capture import Capture
from ingest.recorded import Answer, Closed, Ended, Frame, Item, Opened, RecordingError, Skipped, Unreadable, micros_of_seconds
from ingest.recordings import read_recordings
from tests.ingest_parts import ALL_DATA, FUTURES, FUTURES_LISTING, SAMPLE, SPOT

HFTBACKTEST = b'1723161253937085768 {"stream":"x"}\n1723161253937085999 {"n":2}\n'
CRYPTOFEED = b"""\
wss://stream.binance.com:9443/stream?streams=a <-> 1633998511.159679
1633998512.0633569: {"stream":"x"}
wss://stream.binance.com:9443/stream <- 1633998512.5: {"op":"subscribe"}
https://api.binance.com/api/v3/depth?symbol=A -> 1633998513.25: {"bids":[]}
configuration: {"trades":[]}

"""
JSONL = b"""\
{"t":"header","format":2,"exchange":"BYBIT"}
{"t":"http","conn":"h","ts":1786310817.601629,"url":"https://api.bybit.com/v5/x","data":"{}"}
{"t":"connect","conn":"ws.2","ts":1786310818.2235148,"addr":"wss://stream.bybit.com"}
{"t":"send","conn":"ws.2","ts":1786310819.228715,"data":"{}"}
{"t":"recv","conn":"ws.2","ts":1786310820,"data":"{\\"topic\\":\\"x\\"}"}
"""


def written(tmp_path: Path, data: bytes, name: str = "recording") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def read(path: Path) -> list[Item]:
    return list(read_recordings([path]))


def test_hftbacktest_lines(tmp_path: Path) -> None:
    path = written(tmp_path, HFTBACKTEST)
    assert read(path) == [
        Frame(1723161253937085, str(path), b'{"stream":"x"}'),
        Frame(1723161253937085, str(path), b'{"n":2}'),
        Ended(1723161253937085, str(path)),
    ]


def test_cryptofeed_lines(tmp_path: Path) -> None:
    path = written(tmp_path, CRYPTOFEED)
    assert read(path) == [
        Opened(1633998511159679, str(path), "wss://stream.binance.com:9443/stream?streams=a"),
        Frame(1633998512063356, str(path), b'{"stream":"x"}'),
        Skipped(1633998512500000, "sent"),
        Answer(1633998513250000, "https://api.binance.com/api/v3/depth?symbol=A", b'{"bids":[]}'),
        Skipped(1633998513250000, "configuration"),
        Ended(1633998513250000, str(path)),
    ]


def test_cryptofeed_json_lines(tmp_path: Path) -> None:
    assert read(written(tmp_path, JSONL)) == [
        Skipped(0, "header"),
        Answer(1786310817601629, "https://api.bybit.com/v5/x", b"{}"),
        Opened(1786310818223514, "ws.2", "wss://stream.bybit.com"),
        Skipped(1786310819228715, "sent"),
        Frame(1786310820000000, "ws.2", b'{"topic":"x"}'),
        Ended(1786310820000000, "ws.2"),
    ]


@pytest.mark.parametrize("data", [HFTBACKTEST, CRYPTOFEED, JSONL])
def test_compressed_recording_is_recognised_whatever_its_name(tmp_path: Path, data: bytes) -> None:
    plain = read(written(tmp_path, data, "recording.gz"))
    assert read(written(tmp_path, gzip.compress(data), "recording.gz")) == plain
    assert len(read(written(tmp_path, gzip.compress(data), "recording.txt"))) == len(plain)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"symbol,price\nBTC,1\n", r"no recording that is known .* it begins with b'symbol,price'"),
        (b'{"stream":"x"}\n', "no recording that is known"),
        (b'{"venue":"binance"}\n', "no recording that is known"),
        (bytes(range(256)) * 40, "no recording that is known"),
    ],
)
def test_other_file_is_refused_by_name(tmp_path: Path, data: bytes, message: str) -> None:
    path = written(tmp_path, data)
    with pytest.raises(RecordingError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_missing_file_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        read_recordings([written(tmp_path, HFTBACKTEST), tmp_path / "nothing"])


def test_damaged_archive_is_an_error_after_what_could_be_read(tmp_path: Path) -> None:
    items = read_recordings([written(tmp_path, gzip.compress(HFTBACKTEST * 5000)[:-20])])
    assert isinstance(next(items), Frame)
    with pytest.raises(RecordingError, match="cannot be read"):
        list(items)


@pytest.mark.parametrize("data", [HFTBACKTEST, CRYPTOFEED, JSONL])
def test_line_that_does_not_fit_is_told_and_the_rest_is_read(tmp_path: Path, data: bytes) -> None:
    good = read(written(tmp_path, data))
    items = read(written(tmp_path, data + b"\x00torn li\n"))
    (bad,) = [item for item in items if isinstance(item, Unreadable)]
    assert (bad.data, bad.error.reason) == (b"\x00torn li", "bad_line")
    assert [item for item in items if item is not bad] == good


def test_several_files_are_read_in_the_order_of_their_times(tmp_path: Path) -> None:
    late, early = written(tmp_path, JSONL, "a"), written(tmp_path, HFTBACKTEST, "b")
    times = [item.at for item in read_recordings([late, early]) if isinstance(item, Frame)]
    assert times == sorted(times)
    assert len(times) == 3


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5), st.sampled_from(formats.names()))
def test_no_format_raises_whatever_a_line_holds(lines: list[bytes], name: str) -> None:
    format_ = _module(name)
    for line in lines:
        format_.recognises(line)
    assert len(list(format_.read(lines))) == len(lines)


def _module(name: str) -> formats.Format:
    first = {
        "cryptofeed": CRYPTOFEED,
        "cryptofeed_jsonl": JSONL,
        "hftbacktest": HFTBACKTEST,
        "tapeline": b'{"venue":"x","format":"tapeline-capture","version":1}',
    }[name]
    found = formats.recognise(first.split(b"\n")[0])
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        (b"1633998512.0633569", 1633998512063356),
        (b"1633998512", 1633998512000000),
        (b"1633998512.5", 1633998512500000),
        (b"1633998512.000001", 1633998512000001),
    ],
)
def test_decimal_seconds_are_cut_to_microseconds(text: bytes, micros: int) -> None:
    assert micros_of_seconds(text) == micros


# our own captures

FRAMES = [b'{"stream":"x"}', b"\xff\x00binary", "tête".encode(), b""]


@pytest.mark.parametrize("name", ["capture.jsonl", "capture.jsonl.gz"])
def test_capture_gives_back_what_was_captured(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    capture = Capture(path, "binance")
    capture.opened(1, "line", "wss://x", "spot")
    for at, frame in enumerate(FRAMES, start=2):
        capture.frame(at, "line", frame)
    capture.closed(9, "line", "cable cut")
    capture.close()
    assert read(path) == [
        Skipped(0, "header"),
        Opened(1, "line", "wss://x", "spot"),
        *(Frame(at, "line", frame) for at, frame in enumerate(FRAMES, start=2)),
        Closed(9, "line", "cable cut"),
    ]
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == name.endswith(".gz")


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_every_frame_survives_its_capture(tmp_path_factory: pytest.TempPathFactory, frames: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("capture") / "c"
    capture = Capture(path, "binance")
    for frame in frames:
        capture.frame(1, "line", frame)
    capture.close()
    assert [item.data for item in read(path) if isinstance(item, Frame)] == frames


def test_capture_is_continued_after_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "capture"
    for number in (1, 2):
        capture = Capture(path, "binance")
        capture.frame(number, "line", b"{}")
        capture.close()
        path.write_bytes(path.read_bytes() + b'{"at":9,"li')
    frames = [item for item in read(path) if isinstance(item, Frame)]
    assert [frame.at for frame in frames] == [1, 2]


def test_archive_that_a_crash_left_unfinished_is_put_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "capture.gz"
    for number in (1, 2, 3):
        capture = Capture(path, "binance")
        capture.frame(number, "line", b"{}")
        capture.close()
        if number < 3:
            path.write_bytes(path.read_bytes()[:-4])
    assert [item.at for item in read(path) if isinstance(item, Frame)] == [3]
    for number in (1, 2):
        items = read_recordings([tmp_path / f"capture.unfinished-{number}.gz"])
        assert [next(items), next(items)] == [Skipped(0, "header"), Frame(number, "line", b"{}")]


def test_whole_archive_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "capture.gz"
    for number in (1, 2):
        capture = Capture(path, "binance")
        capture.frame(number, "line", b"{}")
        capture.close()
    assert [item.at for item in read(path) if isinstance(item, Frame)] == [1, 2]
    assert list(tmp_path.iterdir()) == [path]


def test_capture_never_overwrites_another_file(tmp_path: Path) -> None:
    path = written(tmp_path, HFTBACKTEST)
    with pytest.raises(RecordingError, match="not overwritten"):
        Capture(path, "binance")
    assert path.read_bytes() == HFTBACKTEST


def test_capture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be written: No such file or directory"):
        Capture(tmp_path / "no folder" / "capture", "binance")


def test_full_disk_ends_the_capture_but_not_the_feed(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("/dev/full does not exist here")
    link = tmp_path / "capture"
    link.symlink_to(full)
    capture = Capture(link, "binance")
    capture.frame(1, "line", b"{}")
    capture.flush()
    capture.frame(2, "line", b"{}")
    capture.close()


def test_capture_of_a_later_version_is_not_guessed_at(tmp_path: Path) -> None:
    items = read(written(tmp_path, b'{"venue":"binance","format":"tapeline-capture","version":2}\n'))
    assert [type(item) for item in items] == [Unreadable]


# the recordings there are


@pytest.mark.parametrize("path", [*SAMPLE, SPOT, FUTURES, FUTURES_LISTING], ids=lambda path: path.name)
def test_every_line_of_a_recording_is_understood(path: Path) -> None:
    items = read(path)
    assert not [item for item in items if isinstance(item, Unreadable)]
    times = [item.at for item in items if isinstance(item, Frame)]
    assert times == sorted(times)


if ALL_DATA.is_dir():  # recordings that may not be copied into the project

    def test_every_line_of_all_recordings_is_understood() -> None:
        paths = [*ALL_DATA.glob("cryptofeed/*/*.gz"), *ALL_DATA.glob("cryptofeed-v3/*.gz")]
        assert len(paths) > 20
        for path in paths:
            assert not [item for item in read_recordings([path]) if isinstance(item, Unreadable)], path

    def test_json_lines_hold_as_many_messages_as_counted_when_collected() -> None:
        (path,) = ALL_DATA.glob("cryptofeed-v3/*.gz")
        items = read(path)
        assert len([item for item in items if isinstance(item, Frame)]) == 1312
