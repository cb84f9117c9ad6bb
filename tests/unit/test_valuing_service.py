"""Values portfolios beside the group: what is sent before what, and how long prices are waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from market.decimals import ONE
from market.price import PricePoint
from processors.fence import Superseded
from processors.outputs import Message
from processors.surroundings import Beside, Owned, Ways
from processors.valuing import publishing, service
from processors.valuing.tail import Arrival
from runtime.settings import Settings
from schemas.topics import POSITIONS, PRICES, VALUATION_LINES, VALUATIONS
from tests.builders import START
from tests.folding import CODEC
from tests.price_parts import SOURCE, make_price
from tests.valuing import AMOUNT, make_portfolio, make_position

INSTRUMENT = "x:A-USD"
PARTITION = 0
TOTALS, LINES = VALUATIONS.name, VALUATION_LINES.name


class Over(Exception):
    """All that there is was read."""


class World:
    """A broker that delivers these arrivals, read by read, and takes what is sent; all at one moment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *reads: list[Arrival], refused: int = -1) -> None:
        self.reads = list(reads)
        self.refused = refused
        self.sent: list[list[str]] = []
        self.waits: list[float] = []
        self.is_caught_up = True
        self.is_coming = False  # more of a burst
        monkeypatch.setattr(service, "Tail", lambda *_, **__: self)
        ways = Ways(CODEC, 1, self, None, lambda: START + 10)  # type: ignore[arg-type]  # suffices
        self.valuations = service.Valuations(Beside(ways, Settings(), lambda _: Owned(1, 1, frozenset({PARTITION}))))

    def run(self) -> None:
        with pytest.raises(Over):
            asyncio.run(self.valuations.run())

    def read(self, _places: object, seconds: float) -> list[Arrival]:
        if not self.reads:
            raise Over
        self.waits.append(seconds)
        return self.reads.pop(0)

    def has_more(self) -> bool:
        return self.is_coming

    def offsets(self, _topic: str) -> dict[int, int]:
        return {PARTITION: 1}

    def close(self) -> None:
        pass

    async def send(self, messages: list[Message], _generation: int) -> dict[Any, int]:
        self.sent.append([message.topic for message in messages])
        if len(self.sent) - 1 == self.refused:
            raise Superseded("others have the partitions")
        return {}


def portfolio(name: str, positions: int = 2) -> Arrival:
    held = [make_position(str(number), quantity=ONE, instrument=INSTRUMENT, cost=AMOUNT) for number in range(positions)]
    return Arrival(POSITIONS.name, PARTITION, name, make_portfolio(*held)._replace(portfolio_id=name))


def price() -> Arrival:
    point = PricePoint(7 * ONE, None, SOURCE._replace(exchange_time=None, received_at=START))
    return Arrival(PRICES.name, PARTITION, INSTRUMENT, make_price()._replace(instrument=INSTRUMENT, mark_price=point))


def test_totals_are_sent_before_lines_and_wait_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, [portfolio("ours"), price()])
    world.run()
    assert world.sent == [[TOTALS], [LINES, LINES]]


def test_prices_are_looked_for_at_once_while_there_are_lines_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LINES_AT_ONCE", 1)
    world = World(monkeypatch, [portfolio("one"), portfolio("other"), price()], [], [])
    world.run()
    assert world.sent == [[TOTALS, TOTALS], [LINES, LINES], [], [LINES, LINES], [], []]
    assert world.waits == [service.POLL_SECONDS, 0.0, service.POLL_SECONDS]


def test_lines_that_cannot_be_told_yet_do_not_keep_the_worker_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "LINES_AT_ONCE", 1)
    world = World(monkeypatch, [portfolio("one"), portfolio("other"), price()], [])

    async def send(_messages: list[Message], _generation: int) -> dict[Any, int]:
        world.is_caught_up = False  # a partition was taken up
        return {}

    monkeypatch.setattr(world, "send", send)
    world.run()
    assert world.waits == [service.POLL_SECONDS] * 2


@pytest.mark.parametrize(("refused", "again"), [(0, [[TOTALS], [LINES, LINES]]), (1, [[], [LINES, LINES]])])
def test_what_was_superseded_is_told_again_and_what_arrived_is_not(
    monkeypatch: pytest.MonkeyPatch, refused: int, again: list[list[str]]
) -> None:
    world = World(monkeypatch, [portfolio("ours"), price()], [], refused=refused)
    world.run()
    assert world.sent[refused + 1 :] == again


def test_totals_that_more_of_a_burst_would_change_at_once_are_made_anew_with_it_but_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publishing, "TOTALS_AT_ONCE", 1)
    world = World(monkeypatch, [portfolio("one"), portfolio("other")], [price()], [])
    world.is_coming = True
    world.run()
    assert world.sent == [[TOTALS, TOTALS], [LINES] * 4, [], []]


def test_totals_that_are_made_in_no_time_wait_for_no_more_of_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, [portfolio("one"), portfolio("other"), price()])
    world.is_coming = True
    world.run()
    assert world.sent == [[TOTALS, TOTALS], [LINES] * 4]
