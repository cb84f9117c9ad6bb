"""What Bitstamp is asked for by REST, and what it answers: trades of the last minute, hour or day, newest first, and its pairs.

Pairs are read as recorded, trades and candles, of which there is no stream, as documented ("Transactions", "OHLC data"); no
answer of these was recorded. Ids, prices, amounts and
sides are those of the stream, but `date` has whole seconds where the stream has microseconds. Recorded ids rise with the
times, so the ids tell which trades lie between two others; each gets the earliest time it can have had there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._asked import asked_for
from ingest.feeds._definitions import define, read_definitions, step_of_places
from ingest.feeds._pages import Window
from ingest.feeds._records import Maker, micros_of_millis
from ingest.marks import Stretch, number_of
from ingest.rest_venue import Defined, Page, Place, Request
from market.decimals import parse_decimal
from market.errors import DataValidationError
from market.instrument_definition import InstrumentDefinition
from market.trade import Side, Trade
from schemas.records import Record

MARKET = "spot"
REST = "https://www.bitstamp.net/api/v2"
TRADES = "live_trades"
_OHLC = "ohlc"
CANDLES = {
    f"{_OHLC}.{seconds}": interval
    for seconds, interval in {
        **{60 * minutes: f"{minutes}m" for minutes in (1, 3, 5, 15, 30)},
        **{3_600 * hours: f"{hours}h" for hours in (1, 2, 4, 6, 12)},
        86_400: "1d",
    }.items()
}
"""Channels of candles, of history alone, and their intervals; those of three days are not carried."""

_SECOND = 1_000_000
_MOST_CANDLES = 1_000
_MARGIN = 20 * _SECOND  # by which its clock and ours may differ, and an answer be late
_SPANS = {"minute": 60 * _SECOND, "hour": 3_600 * _SECOND, "day": 86_400 * _SECOND}
_SIDES: Mapping[int, Side] = {0: "buy", 1: "sell"}


class _Trade(msgspec.Struct):
    tid: str | int
    date: str
    price: str
    amount: str
    type: str | int


class _Pair(msgspec.Struct):
    """`name` is BTC/USD, `minimum_order` 20.0 USD."""

    name: str
    url_symbol: str
    base_decimals: int
    counter_decimals: int
    minimum_order: str
    trading: str
    instant_and_market_orders: str


class _Candle(msgspec.Struct):
    """`timestamp` is when it began, in seconds."""

    timestamp: str
    open: str
    high: str
    low: str
    close: str
    volume: str


class _Chart(msgspec.Struct):
    ohlc: list[_Candle]


class _Charted(msgspec.Struct):
    data: _Chart


_TRADES = msgspec.json.Decoder(list[_Trade])
_CHARTED = msgspec.json.Decoder(_Charted)
_PAIRS = msgspec.json.Decoder(list[msgspec.Raw])
_PAIR = msgspec.json.Decoder(_Pair)


def since(pair: str, begin: int, now: int) -> Request | None:
    """The request for the trades since a time; None where that is longer ago than a day."""
    span = next((name for name, micros in _SPANS.items() if now - begin + _MARGIN <= micros), None)
    return None if span is None else Request(MARKET, f"{REST}/transactions/{pair}/?time={span}", 1)


def page(stretch: Stretch, parsed: Parsed) -> Page:
    """The trades of a stretch, by their ids, each at a time within it."""
    first, last = min(map(_number, stretch.before)), _number(stretch.after)
    trades = (record for record in parsed.records if isinstance(record, Trade) and first <= record.sequence <= last)
    return Page([_within(stretch, trade) for trade in trades], None)


def history(pair: str, channel: str, place: Place, end: int) -> Request | None:
    """The request for a page of candles; nothing else is told of the past."""
    if channel not in CANDLES:
        return None
    window = _window(channel, place, end)
    span = {"start": -(-window.begin // _SECOND), "end": (window.until - 1) // _SECOND}  # both are part of it
    query = urlencode({"step": channel.removeprefix(f"{_OHLC}."), **span, "limit": _MOST_CANDLES})
    return Request(MARKET, f"{REST}/{_OHLC}/{pair}/?{query}", 1)


def history_page(channel: str, place: Place, end: int, parsed: Parsed) -> Page:
    """The page of candles of an answer."""
    return _window(channel, place, end).page(parsed.records)


def definitions_request() -> Request:
    """The request for the list of pairs."""
    return Request(MARKET, f"{REST}/trading-pairs-info/", 1)


def definitions(answer: bytes, received_at: int, instrument_of: Callable[[str], str]) -> Iterable[Defined]:
    """What the list says of each pair; `instrument_of` tells the instrument of a name such as BTC/USD."""
    pairs = decode(_PAIRS, answer)
    return read_definitions(pairs, _PAIR, received_at, lambda pair: instrument_of(pair.name), _define)


def _define(instrument: str, pair: _Pair, received_at: int) -> InstrumentDefinition:
    return define(
        instrument,
        pair.url_symbol,
        received_at,
        tick=step_of_places(pair.counter_decimals, "tick_size"),
        lot=step_of_places(pair.base_decimals, "lot_size"),
        min_notional=_least_worth(pair),
        status=pair.trading,
        is_trading=pair.trading == pair.instant_and_market_orders == "Enabled",
    )


def read(url: str, answer: bytes, maker: Maker) -> Parsed:
    """The trades or candles of an answer, oldest first."""
    if f"/{_OHLC}/" in urlsplit(url).path:
        channel = f"{_OHLC}.{asked_for(url, 'step')}"
        interval = CANDLES.get(channel)
        if interval is None:
            raise DataValidationError("wrong_interval", "step: the request has none that is known", field="interval")
        return Parsed(channel, [_candle(candle, interval, maker) for candle in decode(_CHARTED, answer).data.ohlc])
    trades = [_trade(trade, maker) for trade in decode(_TRADES, answer)]
    trades.sort(key=lambda trade: trade.sequence)
    return Parsed(TRADES, trades)


def taker_of(kind: int) -> Side:
    """The taker's side by the `type` of a trade. Raises DataValidationError (`unknown_side`)."""
    side = _SIDES.get(kind)
    if side is None:
        raise DataValidationError("unknown_side", f"type: {kind!r:.40} is no side", field="type")
    return side


def _least_worth(pair: _Pair) -> str:
    amount, _, currency = pair.minimum_order.partition(" ")
    if currency != pair.name.partition("/")[2]:
        raise DataValidationError(
            "symbol_mismatch", f"minimum_order: {pair.minimum_order!r:.40} of {pair.name:.40}", field="min_notional"
        )
    return amount


def _trade(trade: _Trade, maker: Maker) -> Trade:
    return maker.trade(
        trade_id=str(trade.tid),
        sequence=_number(str(trade.tid)),
        price=trade.price,
        size=trade.amount,
        side=taker_of(_number(str(trade.type))),
        exchange_time=micros_of_millis(f"{trade.date}000", "exchange_time"),
    )


def _candle(candle: _Candle, interval: str, maker: Maker) -> Record:
    opened = micros_of_millis(f"{candle.timestamp}000", "open_time")
    given: dict[str, Any] = {"volume": parse_decimal(candle.volume, field="volume")}
    return maker.past_kline(
        interval, opened, {"open": candle.open, "high": candle.high, "low": candle.low, "close": candle.close}, **given
    )


def _window(channel: str, place: Place, end: int) -> Window:
    return Window.at(place, end, CANDLES[channel], _MOST_CANDLES)


def _within(stretch: Stretch, trade: Trade) -> Trade:
    return trade._replace(exchange_time=min(max(trade.event_time, stretch.begin), stretch.end))


def _number(text: str) -> int:
    number = number_of(text)
    if number is None:
        raise DataValidationError("wrong_type", f"{text!r:.40} is no whole number", field="tid")
    return number
