"""Portfolios and prices for the mark-to-market benchmark: seeded, in two currencies, one position in ten short."""

from __future__ import annotations

import random
from collections.abc import Iterator

from market.decimals import ONE
from market.portfolio import Policy, Portfolio, PriceChoice
from market.position import Position, Settlement
from market.price import PricePoint, PriceRecord, PriceSource
from processors.valuing.rates import RateSources

START = 1_790_000_000_000_000
RATE = "sim:USDT-USD"
_POLICY = Policy(prices=(PriceChoice.MID, PriceChoice.LAST))
_CENT = ONE // 100


def sources() -> RateSources:
    """USDT in USD by an instrument."""
    return RateSources({RATE: ("USDT", "USD")}, (), 10**12)


def symbols(count: int) -> list[str]:
    """Every other one is quoted in USDT."""
    return [f"sim:S{number}-{'USDT' if number % 2 else 'USD'}" for number in range(count)]


def portfolios(count: int, positions: int, instruments: list[str], seed: int) -> Iterator[Portfolio]:
    """Portfolios of so many positions each, in instruments of their own choice."""
    chance = random.Random(seed)
    for number in range(count):
        chosen = (
            chance.sample(instruments, positions) if positions <= len(instruments) else chance.choices(instruments, k=positions)
        )
        held = {str(place): _position(str(place), instrument, chance) for place, instrument in enumerate(chosen)}
        yield Portfolio(f"p{number}", "USD", 1, _POLICY, {}, held, {}, START, START, "pf.commands", 0, number)


def _position(name: str, instrument: str, chance: random.Random) -> Position:
    direction = -1 if chance.random() < 0.1 else 1
    quantity, cost = direction * chance.randint(1, 10**6) * ONE // 1000, direction * chance.randint(1, 10**8) * ONE * _CENT
    return Position(
        name, instrument, instrument.rpartition("-")[2], ONE, Settlement.CASH, quantity, cost, (), 0, 0, 0, 0, START, START, 1
    )


def batch(instruments: list[str], number: int, chance: random.Random) -> list[PriceRecord]:
    """New prices of all instruments, received with a reference of the day each."""
    return [_record(instrument, number, chance.randint(10**3, 10**8) * _CENT) for instrument in instruments]


def _record(instrument: str, number: int, bid: int) -> PriceRecord:
    source = PriceSource("bookTicker", START + number, START + number, "md.quotes", 0, number)
    point, ask = PricePoint(bid, ONE, source), PricePoint(bid + _CENT, ONE, source)
    nothing: dict[str, None] = dict.fromkeys(
        ("mark_price", "index_price", "close", "previous_close", "high_24h", "low_24h", "volume_24h", "amount_24h")
    )
    return PriceRecord(
        instrument=instrument,
        bid=point,
        ask=ask,
        last=point,
        open_24h=bid - bid % ONE + ONE,
        change_24h=None,
        change_percent_24h=None,
        source_24h=source,
        received_at=START + number,
        quotes_offset=number,
        trades_offset=None,
        **nothing,
    )
