"""What a venue's own list says of an instrument: in which steps it is traded, in which currencies, and whether it is."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from market.decimals import AMOUNT_PRECISION
from market.errors import DataValidationError
from market.instrument import check_instrument, code_of
from market.quality import check_id, check_not_negative, check_positive, check_time


class InstrumentType(StrEnum):
    """What is traded: an asset itself, a contract without end, or one that ends on a day."""

    SPOT = "SPOT"
    PERPETUAL = "PERPETUAL"
    FUTURE = "FUTURE"


class InstrumentDefinition(NamedTuple):
    """An instrument as its venue lists it; what the list does not say is None, never zero.

    Prices are multiples of `tick_size`, sizes of `lot_size` and at least `min_size`, an order's value is at least
    `min_notional`. Figures are unscaled at scale 12, `min_notional` at scale 24. One contract of a derivative stands for
    `multiplier` of `multiplier_currency`: of the base currency in linear contracts, of the quote currency in inverse ones; both
    are None where sizes are told in base currency. `calendar` names the trading sessions, None: it is traded around the clock.
    `status` is the venue's own word, `is_trading` whether it means that orders of every kind are matched.
    """

    instrument: str
    venue_symbol: str
    instrument_type: InstrumentType
    base_currency: str
    quote_currency: str
    settle_currency: str | None
    tick_size: int | None
    lot_size: int | None
    min_size: int | None
    min_notional: int | None
    multiplier: int | None
    multiplier_currency: str | None
    expires_at: int | None
    calendar: str | None
    status: str | None
    is_trading: bool | None
    received_at: int
    published_at: int | None = None


_WORDS = ("settle_currency", "multiplier_currency", "calendar", "status")


def parts_of(instrument: str) -> tuple[InstrumentType, str, str]:
    """Type, base and quote currency of an instrument of pairs: of binance:BTC-USDT-PERP a perpetual of BTC in USDT.

    A word before the end tells contracts of one pair and end apart (kraken_futures:BTC-USD-FLEX-PERP).

    Raises DataValidationError for ids that name no pair.
    """
    base, _, rest = code_of(instrument).partition("-")
    quote, _, contract = rest.partition("-")
    word, _, end = contract.rpartition("-")
    if not base or not quote or (word and not word.isalpha()):
        raise DataValidationError("bad_instrument", f"{instrument:.100} names no pair of currencies", field="instrument")
    kind = InstrumentType.FUTURE if contract else InstrumentType.SPOT
    return InstrumentType.PERPETUAL if end == "PERP" else kind, base, quote


def check_definition(definition: InstrumentDefinition) -> InstrumentDefinition:
    """Return a definition unchanged whose steps are above zero where given. Raises DataValidationError naming the field."""
    check_instrument(definition.instrument)
    for field in ("venue_symbol", "base_currency", "quote_currency"):
        check_id(getattr(definition, field), field=field)
    for field in _WORDS:
        word = getattr(definition, field)
        if word is not None:
            check_id(word, field=field)
    for field in ("tick_size", "lot_size", "multiplier"):
        step = getattr(definition, field)
        if step is not None:
            check_positive(step, field=field)
    if definition.min_size is not None:
        check_not_negative(definition.min_size, field="min_size")
    if definition.min_notional is not None:
        check_not_negative(definition.min_notional, field="min_notional", precision=AMOUNT_PRECISION)
    if definition.expires_at is not None:
        check_time(definition.expires_at, field="expires_at")
    check_time(definition.received_at, field="received_at")
    if definition.published_at is not None:
        check_time(definition.published_at, field="published_at")
    return definition
