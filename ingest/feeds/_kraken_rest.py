"""Kraken's REST answers: trades (`Trades`), klines (`OHLC`) and tickers (`Ticker`), one pair an answer.

Trades and klines are read as recorded, tickers as documented ("Get Ticker Information"): none was recorded. Times of trades are
JSON numbers with more digits than a float holds, so they are read as text. Trades get the ids that the stream's have, of their
own figures, since its messages have no numbers; the venue's number (docs: "Get Recent Trades", `trade_id`) is their sequence.
Both were recorded, but never of the same time: should the stream round where we cut off behind the microsecond, its ids
differ, and what was missed is not taken for told (see `ingest.refilling`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feeds._kraken_frames import INTERVALS, SIDES, TickerFigures, figures_of, micros_of, quote_of
from ingest.feeds._nameless import NamelessTrades
from ingest.feeds._records import Maker
from ingest.feeds._sides import side_of
from market.decimals import parse_decimal
from market.errors import DataValidationError
from schemas.records import Record

_LAST = "last"

_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Answer(msgspec.Struct):
    error: list[str]
    result: dict[str, msgspec.Raw] = {}


_ANSWER = msgspec.json.Decoder(_Answer)
_TRADES = msgspec.json.Decoder(list[tuple[str, str, msgspec.Raw, str, str, str, _Count]])
_TICKER = msgspec.json.Decoder(TickerFigures)
_KLINES = msgspec.json.Decoder(list[tuple[_Count, str, str, str, str, str, str, _Count]])


def read_trades(answer: bytes, url: str, received_at: int, pairs: Mapping[str, str], max_skew: int) -> Sequence[Record]:
    """The trades of an answer, in its order: price, size, time, side, kind of order, nothing, id."""
    maker, rows = _read(answer, url, received_at, pairs, max_skew)
    names, found = NamelessTrades(), []
    for price, size, time, side, kind, _, number in decode(_TRADES, rows):
        micros = micros_of(bytes(time).decode(errors="replace"), "exchange_time")
        found.append(
            maker.trade(
                trade_id=names.name(maker.instrument, micros, figures_of(price, size, side, kind))[0],
                sequence=number,
                price=price,
                size=size,
                side=side_of(side, SIDES),
                exchange_time=micros,
            )
        )
    return found


def read_ohlc(answer: bytes, url: str, received_at: int, pairs: Mapping[str, str], max_skew: int) -> Sequence[Record]:
    """The klines of an answer, oldest first: time, open, high, low, close, VWAP, volume, count; the last one is still open.

    The interval is that of the request, one minute where it names none.
    """
    interval = _interval_of(url)
    maker, rows = _read(answer, url, received_at, pairs, max_skew)
    klines = decode(_KLINES, rows)
    found = []
    for number, (time, open_, high, low, close, _, volume, count) in enumerate(klines, start=1):
        given: dict[str, Any] = {"volume": parse_decimal(volume, field="volume"), "trade_count": count}
        prices = {"open": open_, "high": high, "low": low, "close": close}
        is_closed = number < len(klines)
        found.append(maker.kline(interval, time * 1_000_000, prices, is_closed=is_closed, exchange_time=None, **given))
    return found


def read_ticker(answer: bytes, url: str, received_at: int, pairs: Mapping[str, str], max_skew: int) -> Sequence[Record]:
    """The ticker of an answer, as of the stream but for the opening price, which is today's."""
    maker, row = _read(answer, url, received_at, pairs, max_skew)
    return (quote_of(decode(_TICKER, row), "ticker", None, maker),)


def _read(answer: bytes, url: str, received_at: int, pairs: Mapping[str, str], max_skew: int) -> tuple[Maker, msgspec.Raw]:
    message = decode(_ANSWER, answer)
    if message.error:
        raise DataValidationError("venue_error", f"the venue refuses a request: {', '.join(message.error)!s:.200}")
    found = [(pair, rows) for pair, rows in message.result.items() if pair != _LAST]
    if len(found) != 1:
        raise DataValidationError("missing_field", "result: the answer is not of one pair", field="result")
    pair, rows = found[0]
    instrument = pairs.get(pair) or _asked_for(url, pairs)
    if instrument is None:
        raise DataValidationError("unknown_symbol", f"{pair!r:.80} is not listed", field="symbol")
    return Maker(instrument, received_at, max_skew), rows


def _asked_for(url: str, pairs: Mapping[str, str]) -> str | None:
    """The instrument that a request names by what streams call it, without the stroke: answers have names of their own."""
    asked = parse_qs(urlsplit(url).query).get("pair", [""])[0]
    return next((instrument for symbol, instrument in pairs.items() if "/" in symbol and rest_name(symbol) == asked), None)


def rest_name(symbol: str) -> str:
    """What REST takes for a pair that streams call XBT/USD."""
    return symbol.replace("/", "")


def _interval_of(url: str) -> str:
    minutes = parse_qs(urlsplit(url).query).get("interval", ["1"])[0]
    interval = INTERVALS.get(int(minutes)) if minutes.isascii() and minutes.isdecimal() and len(minutes) < 6 else None
    if interval is None:
        raise DataValidationError("wrong_interval", f"interval: {minutes!r:.20} is no interval that is known", field="interval")
    return interval
