"""What Deribit's lists say of futures, perpetuals and pairs, read as documented ("public/get_instruments"); none was recorded.

Sizes are amounts, as in the streams: dollars of inverse (`reversed`) contracts, which a multiplier of one tells, else the base
currency. The documentation does not say in which steps amounts go, so there is no lot. Options are not asked for: they are
contracts of a strike, which a definition does not hold. A list may be asked for once in ten seconds, five times at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from ingest.decoding import decode
from ingest.feeds._definitions import define, read_definitions, time_or_none
from ingest.feeds._numbers import ABSENT, number
from ingest.rest_venue import Defined, Request
from market.decimals import ONE
from market.errors import DataValidationError
from market.instrument_definition import InstrumentDefinition, InstrumentType, parts_of

_INVERSE, _LINEAR = "reversed", "linear"
_TRADING = "open"
_KINDS = ("future", "spot")


class _Contract(msgspec.Struct):
    """`state` is told by newer servers; a pair has neither a type nor a currency in which it is settled."""

    instrument_name: str
    is_active: bool
    instrument_type: str = ""
    settlement_currency: str | None = None
    state: str | None = None
    expiration_timestamp: msgspec.Raw = ABSENT
    tick_size: msgspec.Raw = ABSENT
    min_trade_amount: msgspec.Raw = ABSENT


class _List(msgspec.Struct):
    result: list[msgspec.Raw]


_LIST = msgspec.json.Decoder(_List)
_CONTRACT = msgspec.json.Decoder(_Contract)


def requests(rest: str, market: str) -> Sequence[Request]:
    """The requests for the lists."""
    return [Request(market, f"{rest}/get_instruments?currency=any&kind={kind}", 1) for kind in _KINDS]


def definitions(answer: bytes, received_at: int, instrument_of: Callable[[str], str]) -> Iterable[Defined]:
    """What a list says of each contract and pair; options are left out."""

    def instrument_in(row: _Contract) -> str:
        instrument = instrument_of(row.instrument_name)
        parts_of(instrument)  # of an option it raises
        return instrument

    rows = decode(_LIST, answer).result
    return read_definitions(rows, _CONTRACT, received_at, instrument_in, _define)


def _define(instrument: str, row: _Contract, received_at: int) -> InstrumentDefinition:
    kind, _, quote = parts_of(instrument)
    is_pair = kind is InstrumentType.SPOT
    if not is_pair and row.instrument_type not in (_INVERSE, _LINEAR):
        raise DataValidationError(
            "unknown_type", f"instrument_type: {row.instrument_type!r:.40} is neither reversed nor linear", field="multiplier"
        )
    is_inverse = not is_pair and row.instrument_type == _INVERSE
    ends = number(row.expiration_timestamp, "expires_at") if kind is InstrumentType.FUTURE else ""
    return define(
        instrument,
        row.instrument_name,
        received_at,
        settle=None if is_pair else row.settlement_currency,
        tick=number(row.tick_size, "tick_size"),
        min_size=number(row.min_trade_amount, "min_size"),
        multiplier=ONE if is_inverse else None,
        multiplier_currency=quote if is_inverse else None,
        expires_at=time_or_none(ends, "expires_at"),
        status=row.state,
        is_trading=row.is_active and row.state in (None, _TRADING),
    )
