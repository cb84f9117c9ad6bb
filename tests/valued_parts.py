"""Valuations, lines and alerts of a few portfolios, as the stages would publish them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from market.decimals import ONE
from market.limits import LimitKind
from market.portfolio_alert import Alert
from market.valuation import LineState
from market.valuation_record import UsedRate, Valuation, ValuationLine
from schemas.records import Record
from schemas.topics import ALERTS, DAY_ENDS, VALUATION_LINES, VALUATIONS
from tapeline.topic_docs.examples import example
from tests.builders import START

PORTFOLIOS = ("fund-1", "fund-2", "Fund:3@x")
_DAY = 86_400_000_000
_SECOND = 1_000_000


def stored(record: Record) -> Record:
    """A record as far as the history keeps it."""
    if isinstance(record, Valuation):
        return record._replace(board=(), replies_offset=None, limits=())
    return record


def valued(seed: int, count: int) -> Iterator[tuple[str, Record]]:
    """Records with their topics, among them earlier ones of a period behind later ones; what is unknown is None."""
    chance = random.Random(seed)
    for number in range(count):
        portfolio_id, sequence = chance.choice(PORTFOLIOS), number ^ 5  # each once, but not in order
        valued_at = START + sequence * 3 * _SECOND + chance.randrange(1000)
        stamp: dict[str, Any] = {"generation": 1 + sequence // 50, "sequence": sequence, "valued_at": valued_at}
        valuation = _valuation(portfolio_id, chance)._replace(**stamp)
        yield VALUATIONS.name, valuation
        if number % 3 == 0:
            yield DAY_ENDS.name, valuation._replace(day_end_at=START + sequence // 7 * _DAY)
        yield VALUATION_LINES.name, _line(portfolio_id, chance)._replace(**stamp)
        if number % 2:
            yield ALERTS.name, _alert(portfolio_id, number, chance)._replace(valued_at=valued_at)


def _valuation(portfolio_id: str, chance: random.Random) -> Valuation:
    found = example(Valuation)
    assert isinstance(found, Valuation)
    rates = (UsedRate("CNY", chance.randrange(1, 10**30), chance.choice([None, START + 1]), ("config", "a\\b"), True),)
    return found._replace(
        portfolio_id=portfolio_id,
        equity=chance.choice([None, chance.randrange(-(10**40), 10**40)]),
        day_pnl=chance.choice([None, -1]),
        as_of=chance.choice([None, START + 7]),
        left_out=chance.choice([(), ("a", 'b"\\c')]),
        rates=chance.choice([(), rates]),
    )


def _line(portfolio_id: str, chance: random.Random) -> ValuationLine:
    found = example(ValuationLine)
    assert isinstance(found, ValuationLine)
    line = found._replace(
        portfolio_id=portfolio_id, position_id=chance.choice(["p1", "p2", "p3"]), quantity=chance.randrange(-9, 9) * ONE + 1
    )
    if chance.random() < 0.5:
        return line
    unpriced = line._replace(state=LineState.UNPRICED, reason="no price\tyet", price=None, price_choice=None, price_source=None)
    nothing = unpriced._replace(price_at=None, reference_price=None, reference_kind=None, rate=None)
    return nothing._replace(value=None, unrealised_pnl=None, base_value=None, base_unrealised_pnl=None)


def _alert(portfolio_id: str, number: int, chance: random.Random) -> Alert:
    found = example(Alert)
    assert isinstance(found, Alert)
    figures: list[dict[str, Any]] = [{"is_breached": False, "value": None, "as_of": None}, {"value": 10**49}]
    return found._replace(
        portfolio_id=portfolio_id,
        kind=chance.choice(list(LimitKind)),
        source_offset=number,
        **chance.choice(figures),
    )
