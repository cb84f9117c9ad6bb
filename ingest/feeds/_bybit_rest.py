"""What Bybit's v5 API is asked for by REST, and what it answers: trades, tickers, klines, funding, open interest.

Klines, funding and open interest are read as recorded; trades and tickers as documented, none was recorded. Of trades the last
thousand are told (of spot the last sixty), so what is older cannot be had. Lists come newest first. Nothing
was recorded of inverse contracts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._asked import asked_for
from ingest.feeds._bybit_frames import INTERVALS, SIDES, SPOT, TICKERS, TRADES, amount_told, read_snapshot, sequence_of
from ingest.feeds._pages import Window, latest_page
from ingest.feeds._records import Maker, amount_of, micros_of_millis
from ingest.feeds._sides import side_of
from ingest.rest_venue import Page, Place, Request
from market.decimals import parse_decimal
from market.errors import DataValidationError
from schemas.records import Record

REST = "https://api.bybit.com/v5"
_KLINES = "kline"
PAYMENTS = "funding/history"
"""Path of the funding that was paid; records of it have this for their channel."""
OPEN_INTERESTS = "open-interest"
"""Path of open interest; the channels of its history have the period behind it, such as open-interest.5min."""
ARCHIVES = {
    f"{OPEN_INTERESTS}.{theirs}": ours
    for theirs, ours in {"5min": "5m", "15min": "15m", "30min": "30m", "1h": "1h", "4h": "4h", "1d": "1d"}.items()
}
_MOST_PAYMENTS = 200
_MOST_POINTS = 200
_MOST_KLINES = 1_000
_MOST_TRADES = 1_000
_MOST_TRADES_OF_SPOT = 60
_LONGEST_SEQ = 15
_BEYOND_A_DAY = ("1w", "1M")
_DATED = re.compile(r"-\d|USD[A-Z]\d\d$", re.ASCII)


class _Result(msgspec.Struct):
    rows: msgspec.Raw = msgspec.field(name="list")


class _Answer(msgspec.Struct, rename="camel"):
    ret_code: int
    ret_msg: str = ""
    result: msgspec.Raw = msgspec.Raw(b"{}")
    time: int = 0


class _Trade(msgspec.Struct, rename="camel"):
    exec_id: str
    price: str
    size: str
    side: str
    time: str
    seq: str = "0"
    is_block_trade: bool = False


class _Payment(msgspec.Struct, rename="camel"):
    funding_rate: str
    funding_rate_timestamp: str


class _Point(msgspec.Struct, rename="camel"):
    open_interest: str
    timestamp: str


_ANSWER = msgspec.json.Decoder(_Answer)
_RESULT = msgspec.json.Decoder(_Result)
_TRADE_ROWS = msgspec.json.Decoder(list[_Trade])
_PAYMENT_ROWS = msgspec.json.Decoder(list[_Payment])
_POINT_ROWS = msgspec.json.Decoder(list[_Point])
_KLINE_ROWS = msgspec.json.Decoder(list[tuple[str, str, str, str, str, str, str]])
_TICKER_ROWS: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


def latest(market: str, symbol: str, channel: str) -> Request | None:
    """The request for the latest of a stream; books are not asked for."""
    if channel == TRADES:
        return _request(market, "recent-trade", symbol, limit=_most_trades(market))
    if channel == TICKERS:
        return _request(market, "tickers", symbol)
    if channel.removeprefix("kline.") in INTERVALS:
        return _request(market, _KLINES, symbol, interval=channel.removeprefix("kline."), limit=2)
    return None


def history(market: str, symbol: str, channel: str, place: Place, end: int) -> Request | None:
    """The request for a page; weeks and months are not told of the past, of tickers the funding of perpetuals."""
    if channel == TRADES:
        return latest(market, symbol, channel)
    if channel == TICKERS and market != SPOT and not _DATED.search(symbol):
        window = Window.of_funding(place, end, _MOST_PAYMENTS)
        span = {"startTime": -(-window.begin // 1000), "endTime": (window.until - 1) // 1000}  # both are part of it
        return _request(market, PAYMENTS, symbol, **span, limit=_MOST_PAYMENTS)
    if channel in ARCHIVES and market != SPOT:
        window = _window_of_points(channel, place, end)
        span = {"startTime": -(-window.begin // 1000), "endTime": (window.until - 1) // 1000}  # both are part of it
        period = channel.removeprefix(f"{OPEN_INTERESTS}.")
        return _request(market, OPEN_INTERESTS, symbol, intervalTime=period, **span, limit=_MOST_POINTS)
    if INTERVALS.get(channel.removeprefix("kline.")) not in (None, *_BEYOND_A_DAY):
        window = _window(channel, place, end)
        span = {"start": -(-window.begin // 1000), "end": (window.until - 1) // 1000}  # both are part of it
        return _request(market, _KLINES, symbol, interval=channel.removeprefix("kline."), **span, limit=_MOST_KLINES)
    return None


def page(market: str, channel: str, place: Place, end: int, parsed: Parsed) -> Page:
    """The page of an answer. Raises DataValidationError (`no_history`) where the latest trades do not reach back so far."""
    if channel == TRADES:
        return latest_page("Bybit", parsed.records, place, end, _most_trades(market))
    if channel == TICKERS:
        return Window.of_funding(place, end, _MOST_PAYMENTS).payments(parsed.records)
    if channel in ARCHIVES:
        return _window_of_points(channel, place, end).points(parsed.records)
    return _window(channel, place, end).page(parsed.records)


def read(url: str, answer: bytes, maker: Maker) -> Parsed | None:
    """What an answer about a symbol tells, oldest first, under the name of the stream; None for a path that is not carried."""
    parts = urlsplit(url)
    path = parts.path.rpartition("/market/")[2]
    if path not in ("recent-trade", "tickers", _KLINES, PAYMENTS, OPEN_INTERESTS):
        return None
    told = decode(_ANSWER, answer)
    if told.ret_code:
        raise DataValidationError("venue_error", f"the venue refuses a request: {told.ret_code} {told.ret_msg:.200}")
    rows = decode(_RESULT, told.result).rows
    if path == _KLINES:
        return _klines(parse_qs(parts.query).get("interval", [""])[0], rows, maker)
    if path == "tickers":
        tickers = decode(_TICKER_ROWS, rows)
        if len(tickers) != 1:
            raise DataValidationError("missing_field", f"list: {len(tickers)} tickers were told of one symbol", field="list")
        return Parsed(TICKERS, read_snapshot(tickers[0], told.time, maker))
    if path == PAYMENTS:
        newest_first = decode(_PAYMENT_ROWS, rows)
        return Parsed(PAYMENTS, [_payment(one, maker) for one in reversed(newest_first)])
    if path == OPEN_INTERESTS:
        channel, points = f"{path}.{asked_for(url, 'intervalTime')}", decode(_POINT_ROWS, rows)
        return Parsed(channel, [_point(one, channel, maker) for one in reversed(points)])
    return Parsed(TRADES, _trades(rows, maker))


def _payment(paid: _Payment, maker: Maker) -> Record:
    return maker.payment(PAYMENTS, micros_of_millis(paid.funding_rate_timestamp, "exchange_time"), paid.funding_rate)


def _point(point: _Point, channel: str, maker: Maker) -> Record:
    time = micros_of_millis(point.timestamp, "exchange_time")
    return maker.open_interest(channel, time, open_interest=point.open_interest)


def _trades(rows: msgspec.Raw, maker: Maker) -> Sequence[Record]:
    """Block trades are left out, as of the stream."""
    numbers = Counter[str]()
    found, newest_first = [], decode(_TRADE_ROWS, rows)
    for trade in reversed(newest_first):
        sequence = sequence_of(_whole(trade.seq), numbers[trade.seq])
        numbers[trade.seq] += 1
        if not trade.is_block_trade:
            found.append(
                maker.trade(
                    trade_id=trade.exec_id,
                    sequence=sequence,
                    price=trade.price,
                    size=trade.size,
                    side=side_of(trade.side, SIDES),
                    exchange_time=micros_of_millis(trade.time, "exchange_time"),
                )
            )
    return found


def _whole(seq: str) -> int:
    if not (seq.isascii() and seq.isdecimal() and len(seq) <= _LONGEST_SEQ):
        raise DataValidationError("wrong_type", f"seq: {seq!r:.40} is no whole number", field="sequence")
    return int(seq)


def _klines(word: str, rows: msgspec.Raw, maker: Maker) -> Parsed:
    interval = INTERVALS.get(word)
    if interval is None or interval in _BEYOND_A_DAY:
        raise DataValidationError("wrong_interval", "interval: the request does not name one that is known", field="interval")
    newest_first = decode(_KLINE_ROWS, rows)
    return Parsed(f"kline.{word}", [_kline(row, interval, maker) for row in reversed(newest_first)])


def _kline(row: tuple[str, ...], interval: str, maker: Maker) -> Record:
    time, open_, high, low, close, volume, turnover = row
    opened = micros_of_millis(time, "open_time")
    amount = amount_told(turnover, maker.instrument)
    given: dict[str, Any] = {
        "volume": parse_decimal(volume, field="volume"),
        "amount": None if amount is None else amount_of(amount, "amount"),
    }
    return maker.past_kline(interval, opened, {"open": open_, "high": high, "low": low, "close": close}, **given)


def _request(market: str, path: str, symbol: str, **options: object) -> Request:
    return Request(market, f"{REST}/market/{path}?{urlencode({'category': market, 'symbol': symbol, **options})}", 1)


def _most_trades(market: str) -> int:
    return _MOST_TRADES_OF_SPOT if market == SPOT else _MOST_TRADES


def _window(channel: str, place: Place, end: int) -> Window:
    return Window.at(place, end, INTERVALS[channel.removeprefix("kline.")], _MOST_KLINES)


def _window_of_points(channel: str, place: Place, end: int) -> Window:
    return Window.at(place, end, ARCHIVES[channel], _MOST_POINTS)
