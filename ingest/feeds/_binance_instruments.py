"""What Binance's `exchangeInfo` says of its instruments, by their filters (docs: "Filters"; "Exchange Information")."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ingest.decoding import decode
from ingest.feeds._binance_frames import FUTURES, SPOT, instrument_of
from ingest.feeds._binance_rest import ADDRESSES
from ingest.feeds._definitions import define, read_definitions
from ingest.rest_venue import Defined, Request
from market.instrument_definition import InstrumentDefinition

_TRADING = "TRADING"
_WORTH = ("NOTIONAL", "MIN_NOTIONAL")  # spot has the former since 2023
_WEIGHTS = {SPOT: 20, FUTURES: 1}


class _Filter(msgspec.Struct, rename="camel"):
    """Of any type; spot tells the smallest value as minNotional, futures as notional."""

    filter_type: str
    tick_size: str | None = None
    step_size: str | None = None
    min_qty: str | None = None
    min_notional: str | None = None
    notional: str | None = None


class _Row(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    base_asset: str
    quote_asset: str
    filters: list[_Filter]
    margin_asset: str | None = None
    delivery_date: int | None = None


class _List(msgspec.Struct):
    symbols: list[msgspec.Raw]


_LIST = msgspec.json.Decoder(_List)
_ROW = msgspec.json.Decoder(_Row)


def request(market: str) -> Request:
    """The request for the list of a market."""
    return Request(market, f"{ADDRESSES[market]}/exchangeInfo", _WEIGHTS[market])


def read(market: str, answer: bytes, received_at: int) -> Iterator[Defined]:
    """See `ingest.rest_venue.DefiningVenue.definitions`."""
    rows = decode(_LIST, answer).symbols
    return read_definitions(
        rows,
        _ROW,
        received_at,
        lambda row: instrument_of(market, row.base_asset, row.quote_asset, _delivery(row)),
        _define,
    )


def _delivery(row: _Row) -> str:
    return row.symbol.partition("_")[2]


def _define(instrument: str, row: _Row, received_at: int) -> InstrumentDefinition:
    price, lot, worth = (_filter(row, *names) for names in (("PRICE_FILTER",), ("LOT_SIZE",), _WORTH))
    return define(
        instrument,
        row.symbol,
        received_at,
        settle=row.margin_asset,
        tick=price.tick_size,
        lot=lot.step_size,
        min_size=lot.min_qty,
        min_notional=worth.min_notional or worth.notional,
        expires_at=row.delivery_date * 1000 if _delivery(row) and row.delivery_date else None,
        status=row.status,
        is_trading=row.status == _TRADING,
    )


def _filter(row: _Row, *names: str) -> _Filter:
    return next((one for one in row.filters if one.filter_type in names), _Filter(""))
