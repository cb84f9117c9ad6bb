"""What Kraken Futures' list of instruments says of its contracts.

It is read as recorded in 2021, when it told no step of sizes; linear contracts, that step (`contractValueTradePrecision`, below
zero for steps of tens and more) and `postOnly` as documented ("Get instruments"). A size is a number of contracts: of dollars
in inverse ones, of the base currency in linear ones. The list has no word for the state of a contract.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from ingest.decoding import decode
from ingest.feeds._definitions import define, read_definitions
from ingest.feeds._iso_times import micros_of_iso
from ingest.feeds._numbers import ABSENT, number
from ingest.rest_venue import Defined
from market.decimals import parse_positive
from market.instrument_definition import InstrumentDefinition, parts_of

_INVERSE = "futures_inverse"


class _Contract(msgspec.Struct, rename="camel"):
    """Or an index, which has neither tick nor size."""

    symbol: str
    type: str
    tradeable: bool
    post_only: bool = False
    last_trading_time: str | None = None
    contract_value_trade_precision: int | None = None
    tick_size: msgspec.Raw = ABSENT
    contract_size: msgspec.Raw = ABSENT


class _List(msgspec.Struct):
    instruments: list[msgspec.Raw]


_LIST = msgspec.json.Decoder(_List)
_CONTRACT = msgspec.json.Decoder(_Contract)


def definitions(answer: bytes, received_at: int, instrument_of: Callable[[str], str]) -> Iterable[Defined]:
    """What the list says of each contract; indices and what else is no instrument are left out."""
    rows = decode(_LIST, answer).instruments
    return read_definitions(rows, _CONTRACT, received_at, lambda row: instrument_of(row.symbol.upper()), _define)


def _define(instrument: str, row: _Contract, received_at: int) -> InstrumentDefinition:
    _, base, quote = parts_of(instrument)
    is_inverse = row.type == _INVERSE
    places, ends = row.contract_value_trade_precision, row.last_trading_time
    return define(
        instrument,
        row.symbol,
        received_at,
        settle=base if is_inverse else None,
        tick=number(row.tick_size, "tick_size"),
        lot=None if places is None else f"1e{-places}",
        multiplier=parse_positive(number(row.contract_size, "multiplier"), field="multiplier"),
        multiplier_currency=quote if is_inverse else base,
        expires_at=micros_of_iso(ends, "expires_at") if ends else None,
        is_trading=row.tradeable and not row.post_only,
    )
