"""What Deribit tells of trades, books, tickers and klines, in its streams and in its answers.

Funding of perpetuals accrues with every millisecond. Their tickers tell `current_funding`, the rate of this moment as interest
of eight hours, which is the one carried, and `funding_8h`, what accrued over the last eight hours (docs: "Funding
Specifications", "ticker.{instrument_name}.{interval}"; no ticker of a perpetual was recorded). There is no next time of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from ingest.decoding import decode
from ingest.feeds._levels import levels_of
from ingest.feeds._numbers import ABSENT, exact_or_none, number, number_or_none
from ingest.feeds._records import Maker, amount_of, figure_or_none
from ingest.feeds._sides import side_of
from market.depth import DepthKind
from market.errors import DataValidationError
from schemas.records import Record

TRADES, BOOK, TICKER, CHART = "trades", "book", "ticker", "chart"
KLINES = f"{CHART}.trades."
"""Beginning of the channels of klines, which have the resolution behind it: chart.trades.5."""
RESOLUTIONS = {
    **{str(minutes): f"{minutes}m" for minutes in (1, 3, 5, 15, 30)},
    **{str(hours * 60): f"{hours}h" for hours in (1, 2, 6, 12)},
}
"""Intervals by the venue's names for them; those of ten minutes, three hours and days are not carried."""

_FUNDING_SECONDS = 28_800
_PERPETUAL = "-PERP"

_Count = Annotated[int, msgspec.Meta(ge=0)]
_Row = tuple[str, msgspec.Raw, msgspec.Raw]


class _Trade(msgspec.Struct):
    trade_seq: _Count
    trade_id: str
    timestamp: _Count
    direction: str
    instrument_name: str
    price: msgspec.Raw = ABSENT
    amount: msgspec.Raw = ABSENT


class _Book(msgspec.Struct):
    type: str
    timestamp: _Count
    instrument_name: str
    change_id: _Count
    bids: list[_Row]
    asks: list[_Row]
    prev_change_id: _Count | None = None


class _Stats(msgspec.Struct, frozen=True):
    volume: msgspec.Raw = ABSENT
    price_change: msgspec.Raw = ABSENT
    low: msgspec.Raw = ABSENT
    high: msgspec.Raw = ABSENT


class _Ticker(msgspec.Struct):
    timestamp: _Count
    instrument_name: str
    stats: _Stats = _Stats()
    last_price: msgspec.Raw = ABSENT
    best_bid_price: msgspec.Raw = ABSENT
    best_bid_amount: msgspec.Raw = ABSENT
    best_ask_price: msgspec.Raw = ABSENT
    best_ask_amount: msgspec.Raw = ABSENT
    open_interest: msgspec.Raw = ABSENT
    mark_price: msgspec.Raw = ABSENT
    index_price: msgspec.Raw = ABSENT
    current_funding: msgspec.Raw = ABSENT


class KlineRow(msgspec.Struct):
    """A kline of a stream, or of an answer; `tick` is when it began, in milliseconds."""

    tick: _Count
    open: msgspec.Raw = ABSENT
    high: msgspec.Raw = ABSENT
    low: msgspec.Raw = ABSENT
    close: msgspec.Raw = ABSENT
    volume: msgspec.Raw = ABSENT
    cost: msgspec.Raw = ABSENT


_KLINE = msgspec.json.Decoder(KlineRow)
_TRADE_LIST = msgspec.json.Decoder(list[_Trade])
_BOOK_MESSAGE = msgspec.json.Decoder(_Book)
_TICKERS = msgspec.json.Decoder(_Ticker)

Reader = Callable[[msgspec.Raw, str, str, Maker], Sequence[Record]]


def _check_symbol(told: str, symbol: str) -> None:
    if told != symbol:
        raise DataValidationError(
            "symbol_mismatch", f"instrument_name: {told!r:.40} in the stream of {symbol:.40}", field="instrument_name"
        )


def _trades(data: msgspec.Raw, symbol: str, _channel: str, maker: Maker) -> Sequence[Record]:
    trades = decode(_TRADE_LIST, data)
    for trade in trades:
        _check_symbol(trade.instrument_name, symbol)
    return [
        maker.trade(
            trade_id=trade.trade_id,
            sequence=trade.trade_seq,
            price=number(trade.price, "price"),
            size=number(trade.amount, "size"),
            side=side_of(trade.direction),
            exchange_time=trade.timestamp * 1000,
        )
        for trade in trades
    ]


def _book(data: msgspec.Raw, symbol: str, _channel: str, maker: Maker) -> Sequence[Record]:
    book = decode(_BOOK_MESSAGE, data)
    _check_symbol(book.instrument_name, symbol)
    if book.type not in ("snapshot", "change"):
        raise DataValidationError("unknown_action", f"type: {book.type!r:.40} is no snapshot and no change", field="type")
    kind = DepthKind.SNAPSHOT if book.type == "snapshot" else DepthKind.DELTA
    sides = levels_of(map(_row, book.bids), "bids"), levels_of(map(_row, book.asks), "asks")
    previous = None if kind is DepthKind.SNAPSHOT else book.prev_change_id
    return [maker.depth(kind, *sides, book.timestamp * 1000, last=book.change_id, previous=previous)]


def _row(row: _Row) -> tuple[str, str]:
    """Price and size of what is done (new, change, delete), price and amount."""
    action, price, amount = row
    if action not in ("new", "change", "delete"):
        raise DataValidationError("unknown_action", f"level: {action!r:.40} is not known", field="level")
    size = number(amount, "amount")
    return number(price, "price"), "0" if action == "delete" else size


def _ticker(data: msgspec.Raw, symbol: str, channel: str, maker: Maker) -> Sequence[Record]:
    """The volume is in the base currency; open interest is in the unit of the sizes."""
    ticker = decode(_TICKERS, data)
    _check_symbol(ticker.instrument_name, symbol)
    stats = ticker.stats
    time = ticker.timestamp * 1000
    mark = exact_or_none(number_or_none(ticker.mark_price, "mark_price"), "mark_price")
    index = exact_or_none(number_or_none(ticker.index_price, "index_price"), "index_price")
    records: list[Record] = [
        maker.quote(
            channel,
            time,
            bid=number_or_none(ticker.best_bid_price, "bid"),
            bid_size=number_or_none(ticker.best_bid_amount, "bid_size"),
            ask=number_or_none(ticker.best_ask_price, "ask"),
            ask_size=number_or_none(ticker.best_ask_amount, "ask_size"),
            last=number_or_none(ticker.last_price, "last"),
            high_24h=number_or_none(stats.high, "high_24h"),
            low_24h=number_or_none(stats.low, "low_24h"),
            volume_24h=exact_or_none(number_or_none(stats.volume, "volume_24h"), "volume_24h"),
            change_percent_24h=exact_or_none(number_or_none(stats.price_change, "change_percent_24h"), "change_percent_24h"),
            mark_price=mark,
            index_price=index,
        )
    ]
    held = number_or_none(ticker.open_interest, "open_interest")
    if held is not None:
        records.append(maker.open_interest(channel, time, open_interest=held))
    rate = number_or_none(ticker.current_funding, "rate")
    if rate is not None and maker.instrument.endswith(_PERPETUAL):
        records.append(
            maker.funding(channel, time, rate=rate, interval_seconds=_FUNDING_SECONDS, mark_price=mark, index_price=index)
        )
    return records


def _kline(data: msgspec.Raw, _symbol: str, channel: str, maker: Maker) -> Sequence[Record]:
    """`volume` is in the base currency, `cost` in the quote currency (docs: "public/get_tradingview_chart_data").

    Nothing says that a kline is closed. Where nothing was traded, one repeats the last close.
    """
    return [read_kline(decode(_KLINE, data), RESOLUTIONS[channel.removeprefix(KLINES)], maker, is_closed=False)]


def read_kline(row: KlineRow, interval: str, maker: Maker, *, is_closed: bool) -> Record:
    """The record of a kline."""
    raws = {"open": row.open, "high": row.high, "low": row.low, "close": row.close}
    prices = {name: number(raw, name) for name, raw in raws.items()}
    volume = figure_or_none(exact_or_none(number_or_none(row.volume, "volume"), "volume"), "volume")
    cost = number_or_none(row.cost, "amount")
    given: dict[str, Any] = {"volume": volume, "amount": None if cost is None else amount_of(cost, "amount")}
    return maker.kline(interval, row.tick * 1000, prices, is_closed=is_closed, exchange_time=None, **given)


READERS: Mapping[str, Reader] = {TRADES: _trades, BOOK: _book, TICKER: _ticker, CHART: _kline}
