"""`tapeline parse`, as it is typed."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from ingest.recorded import RecordingError
from runtime.errors import ConfigurationError
from tapeline.commands.parse import register
from tests.ingest_parts import FUTURES, NOW, ROOT, SAMPLE, SPOT, SPOT_LISTING, combined, trade_frame
from tests.venue_data import BITGET, KRAKEN, KRAKEN_FUTURES, OKX

TRADE_FIELDS = {"instrument", "trade_id", "price", "size", "side", "exchange_time", "received_at"}
CANDLE_FIELDS = [
    *("instrument", "interval", "open_time", "open", "high", "low", "close", "volume", "amount", "count"),
    *("taker_buy_volume", "first_trade_id", "last_trade_id", "complete"),
]


def tapeline(*arguments: str | Path) -> Result:
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return CliRunner().invoke(app, ["parse", *map(str, arguments)])


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def recording(tmp_path: Path, *frames: bytes, name: str = "recording") -> Path:
    path = tmp_path / name
    path.write_bytes(b"".join(b"%d %s\n" % ((NOW + second * 1_000_000) * 1000, frame) for second, frame in enumerate(frames)))
    return path


def test_trade_is_printed_with_decimals_as_text_and_times_in_microseconds(tmp_path: Path) -> None:
    (line,) = lines(tapeline("binance", recording(tmp_path, trade_frame(7, price="61837.63000000"))))
    assert line.keys() >= TRADE_FIELDS
    assert (line["kind"], line["instrument"], line["trade_id"]) == ("trade", "binance:BTC-USDT", "7")
    assert (line["price"], line["size"], line["side"]) == ("61837.63", "1.5", "buy")
    assert (line["exchange_time"], line["received_at"]) == (NOW, NOW)


def test_kinds_to_print_are_chosen(tmp_path: Path) -> None:
    path = recording(tmp_path, trade_frame(1), b"?", trade_frame(2))
    assert [line["kind"] for line in lines(tapeline("binance", path, "--kind", "trade"))] == ["trade", "trade"]
    assert lines(tapeline("binance", path, "--kind", "quote")) == []
    (letter,) = lines(tapeline("binance", path, "--kind", "dead_letter"))
    assert (letter["value"], letter["reason"], letter["source"]) == ("?", "malformed_json", "binance:unknown")
    others = lines(tapeline("binance", path, "--kind", "gap_mark,time_mark,feed_status"))
    assert {line["kind"] for line in others} == {"gap_mark", "time_mark", "feed_status"}


def test_candles_are_printed_in_their_last_state(tmp_path: Path) -> None:
    frames = [trade_frame(number, at=NOW + number * 1_000_000, price=str(100 + number)) for number in range(70)]
    printed = lines(tapeline("binance", recording(tmp_path, *frames), "--candles", "1m,5m"))
    assert [list(line) for line in printed] == [CANDLE_FIELDS] * 3
    assert [(line["interval"], line["open_time"], line["count"], line["complete"]) for line in printed] == [
        ("1m", NOW, 60, False),
        ("1m", NOW + 60_000_000, 10, False),
        ("5m", NOW, 70, False),
    ]
    first = printed[0]
    assert (first["open"], first["high"], first["low"], first["close"]) == ("100", "159", "100", "159")
    assert (first["volume"], first["amount"], first["taker_buy_volume"]) == ("90", "11655", "90")
    assert (first["first_trade_id"], first["last_trade_id"]) == ("0", "59")


def test_late_trade_is_in_its_candle(tmp_path: Path) -> None:
    frames = [trade_frame(number, at=NOW + number * 1_000_000) for number in range(70) if number != 58]
    frames.append(trade_frame(58, at=NOW + 58_000_000, price="7"))
    first, _ = lines(tapeline("binance", recording(tmp_path, *frames), "--candles", "1m"))
    assert (first["low"], first["count"]) == ("7", 60)


def test_repeated_trade_is_counted_once_and_said(tmp_path: Path) -> None:
    result = tapeline("binance", recording(tmp_path, trade_frame(1), trade_frame(1)), "--candles", "1m")
    assert lines(result)[0]["count"] == 1
    assert "not in candles 1 (duplicate 1)" in result.stderr


def test_messages_about_books_are_printed_with_the_state_of_the_book(tmp_path: Path) -> None:
    message = {"E": NOW // 1000, "s": "BTCUSDT", "U": 5, "u": 6, "b": [["61.50", "1.5"]], "a": []}
    (line,) = lines(tapeline("binance", recording(tmp_path, combined("btcusdt@depth", message)), "--kind", "depth"))
    assert (line["kind"], line["message"], line["state"], line["bids"]) == ("depth", "DELTA", "SYNCING", [["61.5", "1.5"]])


def test_funding_and_open_interest_are_printed_beside_the_quote_of_their_message() -> None:
    printed = lines(tapeline("bitget", *BITGET, "--kind", "quote,funding,open_interest"))
    funding = next(line for line in printed if line["kind"] == "funding")
    assert funding == {
        "kind": "funding",
        "instrument": "bitget:DASH-USDT-PERP",
        "channel": "ticker",
        "rate": "-0.0001",
        "next_funding_time": 1_649_314_800_000_000,
        "interval_seconds": None,
        "mark_price": "113.381",
        "index_price": "113.427",
        "exchange_time": 1_649_290_077_309_000,
        "received_at": 1_649_290_077_583_327,
    }
    (told,) = (line for line in printed if line["kind"] == "open_interest" and line["received_at"] == funding["received_at"])
    assert (told["open_interest"], told["notional"], told["exchange_time"]) == ("21957.17", None, funding["exchange_time"])
    (quote,) = (line for line in printed if line["kind"] == "quote" and line["received_at"] == funding["received_at"])
    assert quote["last"] == "113.37"


def test_counts_go_to_standard_error(tmp_path: Path) -> None:
    path = recording(tmp_path, trade_frame(1), b"?", trade_frame(2, p="x"), combined("btcusdt@miniTicker", {}))
    assert tapeline("binance", path).stderr.splitlines() == [
        "frames 4; records 1 (trade 1); ignored 1 (miniTicker 1); rejected 2 (malformed_json 1, not_a_decimal 1)"
    ]


def test_answers_and_connections_are_counted_apart() -> None:
    result = tapeline("binance", SPOT, SPOT_LISTING)
    assert len(lines(result)) == 88
    assert "not frames 3 (REST exchangeInfo 1, configuration 1, connection 1)" in result.stderr


def test_futures_are_told_from_spot_by_the_recorded_address() -> None:
    instruments = {line["instrument"] for line in lines(tapeline("binance", FUTURES))}
    assert instruments == {f"binance:{base}-USDT-PERP" for base in ("SUSHI", "AKRO", "KEEP", "CTK")}


def test_market_can_be_said_where_nothing_shows_it(tmp_path: Path) -> None:
    kline = {
        "t": NOW // 1000,
        "i": "1m",
        "f": 1,
        "L": 2,
        "o": "1",
        "c": "1",
        "h": "1",
        "l": "1",
        "v": "1",
        "n": 2,
        "x": False,
        "q": "1",
        "V": "1",
    }
    path = recording(tmp_path, combined("btcusdt@kline_1m", {"E": NOW // 1000, "s": "BTCUSDT", "k": kline}))
    assert "unknown_market 1" in tapeline("binance", path).stderr
    (line,) = lines(tapeline("binance", path, "--market", "usdm"))
    assert line["instrument"] == "binance:BTC-USDT-PERP"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nobody", SPOT), "VENUE: 'nobody' is no venue; there are: akshare, binance, bitfinex, bitget, bitstamp, bybit, "),
        (("binance", SPOT, "--kind", "trades"), "--kind: 'trades' is none of trade, quote"),
        (("binance", SPOT, "--kind", ","), "--kind: names no kind"),
        (("binance", SPOT, "--candles", "7m"), "--candles: '7m' is not a candle interval"),
        (("binance", SPOT, "--candles", ","), "--candles: names no interval"),
        (("okx", *OKX, "--books", "--candles", "1m"), "--books: candles and order books cannot be printed together"),
        (("binance", SPOT, "--market", "moon"), "--market: 'moon' is none of spot, usdm"),
    ],
)
def test_wrong_argument_is_named(arguments: tuple[Any, ...], message: str) -> None:
    error = tapeline(*arguments).exception
    assert isinstance(error, ConfigurationError)
    assert str(error).startswith(message)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "No such file or directory"),
        (b"", "is empty"),
        (SPOT.read_bytes()[:-100], "cannot be read: Compressed file ended"),
        (gzip.compress(b"1723161253937085768 {}\n")[:-8] + bytes(8), "cannot be read: CRC check failed"),
    ],
    ids=["missing", "empty", "cut", "damaged"],
)
def test_file_that_cannot_be_read_is_named(data: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recording.gz"
    if data is not None:
        path.write_bytes(data)
    result = tapeline("binance", path)
    assert result.exit_code != 0
    assert isinstance(result.exception, RecordingError)
    assert str(result.exception).startswith(f"{path} ")
    assert message in str(result.exception)


def test_full_disk_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full does not exist here")
    command = [sys.executable, "-m", "tapeline", "parse", "binance", str(SPOT)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[1:] == ["Error: standard output cannot be written: No space left on device"]


def test_file_of_unknown_format_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("buy low, sell high")
    error = tapeline("binance", path).exception
    assert isinstance(error, RecordingError)
    assert "buy low" in str(error)


def test_reader_that_goes_away_is_no_failure() -> None:
    command = [sys.executable, "-m", "tapeline", "parse", "binance", str(FUTURES)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 141
    assert errors.startswith(b"frames ")
    assert b"Traceback" not in errors


@pytest.mark.parametrize(
    ("venue", "paths", "messages", "checksums"),
    [
        ("okx", OKX, 290, 290),
        ("kraken", KRAKEN, 506, 503),
        ("bitget", BITGET, 112, 112),
        ("kraken_futures", KRAKEN_FUTURES, 7_024, 0),
    ],
)
def test_books_are_rebuilt_and_every_checksum_is_compared(
    venue: str, paths: tuple[Path, ...], messages: int, checksums: int
) -> None:
    result = tapeline(venue, *paths, "--books")
    books = lines(result)
    assert {(book["state"], book["missed"], book["crossed"]) for book in books} == {("LIVE", 0, 0)}
    assert sum(book["messages"] for book in books) == messages
    assert sum(book["checksums_compared"] for book in books) == checksums
    assert all(float(book["bid"]) < float(book["ask"]) for book in books)
    told = f"messages {messages}, missed 0; checksums compared {checksums}, matched {checksums}"
    assert told in result.stderr


def test_message_that_is_left_out_shows_in_the_books(tmp_path: Path) -> None:
    items = gzip.decompress(OKX[0].read_bytes()).splitlines(keepends=True)
    updates = [number for number, line in enumerate(items) if b'"channel":"books","instId":"BTC-USDT"}' in line]
    path = tmp_path / "OKX.ws.1.0"
    path.write_bytes(b"".join(items[: updates[40]] + items[updates[40] + 1 :]))
    broken = [book for book in lines(tapeline("okx", path, "--books")) if book["state"] != "LIVE"]
    ((instrument, state, compared, matched),) = [
        (book["instrument"], book["state"], book["checksums_compared"], book["checksums_matched"]) for book in broken
    ]
    assert (instrument, state) == ("okx:BTC-USDT", "GAP")
    assert matched == compared - 1


def test_book_that_is_told_whole_each_minute_is_counted_once() -> None:
    (book,) = lines(tapeline("binance", *SAMPLE, "--books"))
    assert (book["messages"], book["snapshots"], book["missed"]) == (6_495 + 1, 1, 0)
