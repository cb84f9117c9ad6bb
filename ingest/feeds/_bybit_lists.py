"""What Bybit's lists of instruments say of them ("Get Instruments Info"): linear and inverse contracts and spot pairs.

Linear contracts are read as recorded, the others as documented. Contracts come in pages of a thousand, spot pairs all at once.
Sizes of linear contracts and of pairs are in the base currency, those of inverse contracts are dollars, which a multiplier of
one tells. Of pairs the list has a smallest size, too, but the venue says that it goes by the smallest amount alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feeds._bybit_frames import INVERSE, SPOT, instrument_of, market_of_instrument
from ingest.feeds._bybit_rest import REST
from ingest.feeds._definitions import define, read_definitions, time_or_none
from ingest.feeds._instruments import by_symbol
from ingest.rest_venue import Defined, Request
from market.decimals import ONE
from market.errors import DataValidationError
from market.instrument_definition import InstrumentDefinition

_MOST = 1_000
_TRADING = "Trading"


class _Listing(msgspec.Struct, rename="camel"):
    symbol: str
    base_coin: str
    quote_coin: str
    contract_type: str = ""
    delivery_time: str = "0"


class _Result(msgspec.Struct):
    listings: list[_Listing] = msgspec.field(name="list")


class _Listed(msgspec.Struct):
    result: _Result


class _PriceFilter(msgspec.Struct, rename="camel"):
    tick_size: str


class _Sizes(msgspec.Struct, rename="camel"):
    qty_step: str
    min_order_qty: str
    min_notional_value: str | None = None


class _SizesOfPair(msgspec.Struct, rename="camel"):
    base_precision: str
    min_order_amt: str


class _Contract(_Listing, rename="camel", kw_only=True):
    status: str
    settle_coin: str
    price_filter: _PriceFilter
    lot_size_filter: _Sizes


class _Pair(_Listing, rename="camel", kw_only=True):
    status: str
    price_filter: _PriceFilter
    lot_size_filter: _SizesOfPair


class _Rows(msgspec.Struct, rename="camel"):
    listings: list[msgspec.Raw] = msgspec.field(name="list")
    next_page_cursor: str = ""


class _List(msgspec.Struct):
    result: _Rows


_LISTED = msgspec.json.Decoder(_Listed)
_LIST = msgspec.json.Decoder(_List)
_CONTRACT = msgspec.json.Decoder(_Contract)
_PAIR = msgspec.json.Decoder(_Pair)


def is_of(url: str) -> bool:
    """Whether this is the address of a list."""
    return urlsplit(url).path.endswith("/instruments-info")


def request(market: str, cursor: str = "") -> Request:
    """The request for a market's list, or for the page of it at a cursor."""
    pages = {} if market == SPOT else {"limit": _MOST} | ({"cursor": cursor} if cursor else {})
    return Request(market, f"{REST}/market/instruments-info?{urlencode({'category': market, **pages})}", 1)


def next_request(asked: Request, answer: bytes) -> Request | None:
    """The request for the page behind an answer; None where it is the last. Raises DataValidationError.

    A cursor is told as it stands in an address, with its signs already replaced.
    """
    result = decode(_LIST, answer).result
    cursor = unquote(result.next_page_cursor)
    known = parse_qs(urlsplit(asked.url).query).get("cursor", [])
    return request(asked.market, cursor) if cursor and result.listings and cursor not in known else None


def listed(market: str, answer: bytes) -> dict[str, str]:
    """Instruments by symbol; symbols outside our alphabet are left out, since frames of them are refused by name."""
    rows = {listing.symbol: listing for listing in decode(_LISTED, answer).result.listings}
    return by_symbol(rows, lambda symbol: _instrument_of(market, rows[symbol]))


def definitions(market: str, answer: bytes, received_at: int) -> Iterable[Defined]:
    """What a list says of each instrument; those outside our alphabet are left out, since no topic has anything of them."""

    def instrument_in(row: _Listing) -> str:
        return _instrument_of(market, row)

    rows = decode(_LIST, answer).result.listings
    if market == SPOT:
        return read_definitions(rows, _PAIR, received_at, instrument_in, _define_pair)
    return read_definitions(rows, _CONTRACT, received_at, instrument_in, _define_contract)


def _define_pair(instrument: str, row: _Pair, received_at: int) -> InstrumentDefinition:
    return define(
        instrument,
        row.symbol,
        received_at,
        tick=row.price_filter.tick_size,
        lot=row.lot_size_filter.base_precision,
        min_notional=row.lot_size_filter.min_order_amt,
        status=row.status,
        is_trading=row.status == _TRADING,
    )


def _define_contract(instrument: str, row: _Contract, received_at: int) -> InstrumentDefinition:
    is_inverse, sizes = market_of_instrument(instrument) == INVERSE, row.lot_size_filter
    return define(
        instrument,
        row.symbol,
        received_at,
        settle=row.settle_coin,
        tick=row.price_filter.tick_size,
        lot=sizes.qty_step,
        min_size=sizes.min_order_qty,
        min_notional=sizes.min_notional_value,
        multiplier=ONE if is_inverse else None,
        multiplier_currency=row.quote_coin if is_inverse else None,
        expires_at=time_or_none(row.delivery_time, "expires_at") if _is_dated(row) else None,
        status=row.status,
        is_trading=row.status == _TRADING,
    )


def _instrument_of(market: str, listing: _Listing) -> str:
    delivery = _delivery(listing.delivery_time) if _is_dated(listing) else ""
    return instrument_of(market, listing.base_coin, listing.quote_coin, delivery)


def _is_dated(listing: _Listing) -> bool:
    return "Futures" in listing.contract_type


def _delivery(millis: str) -> str:
    try:
        return datetime.fromtimestamp(int(millis) / 1000, UTC).strftime("%y%m%d")
    except (ValueError, OverflowError, OSError):
        raise DataValidationError("bad_time", f"deliveryTime: {millis!r:.40} is no time", field="deliveryTime") from None
