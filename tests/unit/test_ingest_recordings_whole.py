"""The recordings there are, from the first frame to the last: nothing lost, and candles as the venue has them."""

import gzip
import json
from fractions import Fraction
from typing import Any

import pytest

from ingest import feeds
from ingest.parsing import CandleFold, candle_as_plain
from ingest.playback import Playback
from ingest.recordings import read_recordings
from market.decimals import AMOUNT_SCALE, SCALE
from market.depth import Depth
from market.instrument_definition import InstrumentDefinition
from market.interval import parse_interval
from market.quote import Kline, Quote
from market.trade import GapMark, Trade
from schemas.records import Record
from tests.builders import MINUTE
from tests.ingest_parts import FUTURES, FUTURES_LISTING, SAMPLE, SPOT, SPOT_LISTING, played, played_files


@pytest.fixture(scope="module")
def sample() -> tuple[Playback, list[Record]]:
    """The shipped sample, played."""
    playback = Playback(feeds.load("binance"))
    return playback, played(read_recordings(SAMPLE), playback=playback)


@pytest.fixture(scope="module")
def messages() -> dict[str, list[dict[str, Any]]]:
    """Trades and quotes of the sample by channel, read without any code of ours."""
    found: dict[str, list[dict[str, Any]]] = {"trade": [], "bookTicker": []}
    for path in SAMPLE:
        for line in gzip.decompress(path.read_bytes()).decode().splitlines():
            frame = json.loads(line.partition(" ")[2])
            if (kept := found.get(frame.get("stream", "").rpartition("@")[2])) is not None:
                kept.append(frame["data"])
    return found


def test_every_trade_of_the_sample_arrives_once_and_in_order(sample: tuple[Playback, list[Record]]) -> None:
    trades = [record for record in sample[1] if isinstance(record, Trade)]
    assert [int(trade.trade_id) for trade in trades] == list(range(3735683259, 3735703163))
    assert {trade.instrument for trade in trades} == {"binance:BTC-USDT"}


def test_trades_of_the_sample_say_what_the_messages_say(
    sample: tuple[Playback, list[Record]], messages: dict[str, list[dict[str, Any]]]
) -> None:
    trades = [record for record in sample[1] if isinstance(record, Trade)]
    for trade, message in zip(trades, messages["trade"], strict=True):
        assert Fraction(trade.price, 10**SCALE) == Fraction(message["p"])
        assert Fraction(trade.size, 10**SCALE) == Fraction(message["q"])
        assert trade.exchange_time == message["T"] * 1000
        assert (trade.side == "sell") == message["m"]


def test_quotes_of_the_sample_say_what_the_messages_say(
    sample: tuple[Playback, list[Record]], messages: dict[str, list[dict[str, Any]]]
) -> None:
    quotes = [record for record in sample[1] if isinstance(record, Quote)]
    for quote, message in zip(quotes, messages["bookTicker"], strict=True):
        assert quote.bid is not None
        assert quote.ask is not None
        assert Fraction(quote.bid, 10**SCALE) == Fraction(message["b"])
        assert Fraction(quote.ask, 10**SCALE) == Fraction(message["a"])
        assert quote.sequence == message["u"]


def test_frames_of_the_sample_are_all_accounted_for(sample: tuple[Playback, list[Record]]) -> None:
    counts = sample[0].session.counts
    assert counts.frames == 41_249 + 58_325
    assert counts.received == {"bookTicker": 73_174, "trade": 19_904, "depth@100ms": 6_495, "depth snapshot": 1}
    assert counts.ignored == {}
    assert counts.records[Depth] == 6_495 + 1 + 10  # each message, the snapshot, and the book told whole each minute
    assert counts.rejected == {}


def test_recordings_that_follow_each_other_have_no_gap_between_them(sample: tuple[Playback, list[Record]]) -> None:
    marks = [record for record in sample[1] if isinstance(record, GapMark)]
    assert [(mark.instrument, mark.begin) for mark in marks] == [("binance:BTC-USDT", None)]


def test_candles_of_the_sample_equal_those_of_plain_arithmetic(
    sample: tuple[Playback, list[Record]], messages: dict[str, list[dict[str, Any]]]
) -> None:
    candles = CandleFold([parse_interval("1m"), parse_interval("5m")])
    for record in sample[1]:
        candles.take(record)
    by_minute: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for message in messages["trade"]:
        for name, length in (("1m", MINUTE), ("5m", 5 * MINUTE)):
            by_minute.setdefault((name, message["T"] * 1000 // length * length), []).append(message)
    found = {(candle.interval, candle.open_time): candle for candle in candles.candles()}
    assert found.keys() == by_minute.keys()
    for key, within in by_minute.items():
        candle, prices = found[key], [Fraction(message["p"]) for message in within]
        sizes = [Fraction(message["q"]) for message in within]
        taken = [size for size, message in zip(sizes, within, strict=True) if not message["m"]]
        ordered = sorted(within, key=lambda message: (message["T"], message["t"]))
        assert candle.open == Fraction(ordered[0]["p"]) * 10**SCALE
        assert candle.close == Fraction(ordered[-1]["p"]) * 10**SCALE
        assert (candle.high, candle.low) == (max(prices) * 10**SCALE, min(prices) * 10**SCALE)
        assert candle.volume == sum(sizes) * 10**SCALE
        assert candle.amount == sum(a * b for a, b in zip(prices, sizes, strict=True)) * 10**AMOUNT_SCALE
        assert candle.taker_buy_volume == sum(taken) * 10**SCALE
        assert candle.trade_count == len(within)
    complete = [candle.open_time for candle in candles.candles() if candle.complete and candle.interval == "1m"]
    opened = sorted(open_time for name, open_time in by_minute if name == "1m")
    assert complete == opened[1:-1]  # the first began before the recording, the last is not over
    assert not candles.outcomes


def test_last_kline_of_a_minute_equals_the_candle_that_is_printed() -> None:
    candles = CandleFold([parse_interval("1m")])
    records = played_files(FUTURES)
    for record in records:
        candles.take(record)
    printed = {(candle.instrument, candle.open_time): candle_as_plain(candle) for candle in candles.candles()}
    latest = {(record.instrument, record.open_time): record for record in records if isinstance(record, Kline)}
    same = [
        key
        for key, kline in latest.items()
        if key in printed
        and (kline.first_trade_id, kline.last_trade_id) == (printed[key]["first_trade_id"], printed[key]["last_trade_id"])
        and kline.trade_count == printed[key]["count"]
    ]
    for key in same:
        assert Fraction(printed[key]["amount"]) * 10**AMOUNT_SCALE == latest[key].amount
        for name in ("open", "high", "low", "close", "volume", "taker_buy_volume"):
            assert Fraction(printed[key][name]) * 10**SCALE == getattr(latest[key], name), name
    assert same


def test_listings_name_the_instruments_that_the_symbols_form_names() -> None:
    for listing, recording in ((SPOT_LISTING, SPOT), (FUTURES_LISTING, FUTURES)):
        told = [record for record in played_files(listing, recording) if not isinstance(record, InstrumentDefinition)]
        assert told == played_files(recording)
