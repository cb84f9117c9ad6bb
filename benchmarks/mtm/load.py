"""Portfolios and prices for the mark-to-market benchmark: seeded, in two currencies, one position in ten short."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from market.decimals import ONE
from market.interval import DAY
from market.portfolio import Balance, Policy, Portfolio, PriceChoice
from market.position import Position, Settlement
from market.price import PricePoint, PriceRecord, PriceSource
from processors.valuing.rates import RateSources

START = 1_790_000_000_000_000
RATE, HOT = "sim:USDT-USD", "sim:HOT-USD"
_POLICY = Policy(prices=(PriceChoice.MID, PriceChoice.LAST))
_CENT = int(ONE // 100)
_MONEY = 10**8 * ONE * ONE
_OPENED = START - 10 * DAY
"""Before the day began, so that it is measured from a price, too."""


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
        yield _portfolio(f"p{number}", _POLICY, held, number)


def watchers(count: int) -> Iterator[Portfolio]:
    """Portfolios of one position each, all in the same instrument, that are told at every change."""
    policy, chance = _POLICY._replace(valuation_period=0), random.Random(5)
    for number in range(count):
        yield _portfolio(f"w{number}", policy, {"0": _position("0", HOT, chance)}, number)


def _portfolio(name: str, policy: Policy, held: Mapping[str, Position], number: int) -> Portfolio:
    """A portfolio that was given its money, and has paid for its positions."""
    costs = Counter[str]()
    for position in held.values():
        costs[position.currency] += position.cost
    balances = {currency: Balance(_MONEY - cost, deposited=_MONEY) for currency, cost in costs.items()}
    return Portfolio(name, "USD", 1, policy, balances, held, {}, START, START, "pf.commands", 0, number)


def _position(name: str, instrument: str, chance: random.Random) -> Position:
    direction = -1 if chance.random() < 0.1 else 1
    quantity, cost = direction * chance.randint(1, 10**6) * ONE // 1000, direction * chance.randint(1, 10**8) * ONE * _CENT
    return Position(
        name,
        instrument,
        instrument.rpartition("-")[2],
        ONE,
        Settlement.CASH,
        quantity,
        cost,
        (),
        0,
        0,
        0,
        0,
        _OPENED,
        _OPENED,
        1,
    )


def batch(instruments: Sequence[str], number: int, chance: random.Random, at: int | None = None) -> list[PriceRecord]:
    """New prices of all instruments, received at a time, or soon after `START`, with a reference of the day each."""
    at = START + number if at is None else at
    return [_record(instrument, number, _price(instrument, chance), at) for instrument in instruments]


def _price(instrument: str, chance: random.Random) -> int:
    if instrument == RATE:
        return int(ONE) + chance.randint(-100, 100) * _CENT // 100
    return chance.randint(10**3, 10**8) * _CENT


def _record(instrument: str, number: int, bid: int, at: int) -> PriceRecord:
    source = PriceSource("bookTicker", at, at, "md.quotes", 0, number)
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
        received_at=at,
        quotes_offset=number,
        trades_offset=None,
        **nothing,
    )
