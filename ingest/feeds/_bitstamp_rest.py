"""What Bitstamp is asked for by REST, and what it answers: trades of the last minute, hour or day, newest first, and its pairs.

Pairs are read as recorded, trades as documented ("Transactions"); no answer of these was recorded. Ids, prices, amounts and
sides are those of the stream, but `date` has whole seconds where the stream has microseconds. Recorded ids rise with the
times, so the ids tell which trades lie between two others; each gets the earliest time it can have had there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from ingest.decoding import decode
from ingest.feed import Parsed
from ingest.feeds._definitions import define, read_definitions, step_of_places
from ingest.feeds._records import Maker, micros_of_millis
from ingest.marks import Stretch, number_of
from ingest.rest_venue import Defined, Page, Request
from market.errors import DataValidationError
from market.instrument_definition import InstrumentDefinition
from market.trade import Side, Trade

MARKET = "spot"
REST = "https://www.bitstamp.net/api/v2"
TRADES = "live_trades"

_SECOND = 1_000_000
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


_TRADES = msgspec.json.Decoder(list[_Trade])
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


def read(answer: bytes, maker: Maker) -> Parsed:
    """The trades of an answer, oldest first."""
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


def _within(stretch: Stretch, trade: Trade) -> Trade:
    return trade._replace(exchange_time=min(max(trade.event_time, stretch.begin), stretch.end))


def _number(text: str) -> int:
    number = number_of(text)
    if number is None:
        raise DataValidationError("wrong_type", f"{text!r:.40} is no whole number", field="tid")
    return number
