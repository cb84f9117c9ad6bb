"""`tapeline ingest` and `python -m ingest`, as they are typed, with settings that cannot work."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.ingest_parts import ROOT

WAYS = (("tapeline", "ingest"), ("ingest",))


def typed(*arguments: str | Path) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of both ways, which run beside each other."""
    commands = [[sys.executable, "-m", *way, *map(str, arguments)] for way in WAYS]
    running = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for command in commands
    ]
    told = [one.communicate(timeout=120) for one in running]
    return [(one.returncode, *texts) for one, texts in zip(running, told, strict=True)]


def feeds(folder: Path, text: str) -> Path:
    path = folder / "feeds.yaml"
    path.write_text(f"ingest:\n  feeds:\n{text}", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("feed", "error"),
    [
        (
            "feed: binanse, symbols: [binance:BTC-USDT]",
            "ingest.feeds.a.feed: 'binanse' is no venue; there are: akshare, binance, ",
        ),
        ("feed: binance, symbols: [BTCUSDT]", "ingest.feeds.a: 'BTCUSDT' is no instrument of binance"),
        ("feed: okx, symbols: [binance:BTC-USDT]", "ingest.feeds.a: 'binance:BTC-USDT' is no instrument of okx"),
        (
            "feed: okx, symbols: [okx:BTC-USDT], channels: [rumours]",
            "ingest.feeds.a: 'rumours' is no channel of okx: there are ",
        ),
        (
            "feed: okx, symbols: [okx:BTC-USDT], channels: [funding-rate]",
            "ingest.feeds.a: funding-rate tells the funding of perpetuals, and okx:BTC-USDT is none",
        ),
        (
            "feed: okx, symbols: [okx:BTC-USDT], websocket_url: http://127.0.0.1:1",
            "ingest.feeds.a.websocket_url: must be a ws:// or wss:// URL without credentials",
        ),
        (
            "feed: okx, symbols: [okx:BTC-USDT], rest_url: nonsense",
            "ingest.feeds.a.rest_url: must be an http:// or https:// URL without credentials",
        ),
        ("feed: okx, symbols: []", "ingest.feeds.a.symbols: "),
        ("feed: okx, symbol: [okx:BTC-USDT]", "ingest.feeds.a.symbol: "),
    ],
    ids=["venue", "symbol", "another venue's", "channel", "channel of others", "address", "REST address", "none", "key"],
)
def test_what_is_wrong_is_named_in_a_line(feed: str, error: str, tmp_path: Path) -> None:
    for code, _, errors in typed("-c", feeds(tmp_path, f"    a: {{{feed}}}\n")):
        assert (code, [error in line for line in errors.splitlines()].count(True)) == (2, 1), errors
        assert "Traceback" not in errors


def test_nothing_to_do_and_no_settings_are_wrong_too(tmp_path: Path) -> None:
    empty = tmp_path / "empty.yaml"
    empty.touch()
    for file, error in ((empty, "ingest.feeds: no feed is configured"), (tmp_path / "none.yaml", "none.yaml cannot be read")):
        for code, _, errors in typed("-c", file):
            assert (code, error in errors) == (2, True), errors


def test_both_ways_are_one_command() -> None:
    by_name, by_package = (" ".join(shown.split()) for _, shown, _ in typed("--help"))
    assert by_package.startswith("Usage: tapeline ingest [OPTIONS]")
    assert by_package == by_name.replace("python -m tapeline", "tapeline")
