"""Values the portfolios of this worker's partitions for as long as it runs, beside what its group delivers.

Portfolios come of pf.positions and prices of md.prices, both read whole and without the group, so a valuation is a function
of what is published. Nothing is valued before both were read to their ends, nor while partitions are being shared out; what
is sent bears the generation in which its portfolios were this worker's and goes through the same fence as all its records.

Where more of a burst of prices comes while the totals of many portfolios are made, they are made anew with it: told without it,
they could not be told again before the period of their policies is over.

Who wants a portfolio revalued at once sends a command, and its acceptance is read of pf.replies. Only what comes while a
partition is this worker's is read of that topic: all portfolios of a partition that was taken up are told whole anyway.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

from market.portfolio import Portfolio
from market.portfolio_commands import Revalue, name_of
from market.portfolio_reply import PortfolioReply
from market.price import PriceRecord
from market.valuation_record import Stamp
from processors.calendars import Calendars
from processors.fence import Superseded
from processors.metrics import REVALUATION_SECONDS
from processors.outputs import Message
from processors.surroundings import Beside, Owned
from processors.valuing.configured import rate_sources
from processors.valuing.publishing import Asked, Pace, Publishing
from processors.valuing.tail import Arrival, Tail, places_of
from processors.valuing.valuer import REFRESH, Valuer
from processors.valuing.writing import Read
from runtime import metrics
from runtime.kafka import tail_options
from schemas.partitioning import partition_of
from schemas.topics import POSITIONS, PRICES, REPLIES, VALUATION_LINES

POLL_SECONDS, REBALANCE_SECONDS = 0.02, 0.05

REVALUE = name_of(Revalue)

LINES_AT_ONCE = 250
"""Lines looked at in one turn, which takes some 10 ms, after which prices that came meanwhile have theirs."""


class Valuations:
    """Reads, values and publishes; see the module."""

    def __init__(self, beside: Beside) -> None:
        settings, self._ways = beside.settings, beside.ways
        processors = settings.processors
        self._owned_of = beside.owned
        self._partitions = beside.ways.partitions
        compiled = processors.compiled == "auto"
        self._valuer = Valuer(rate_sources(processors.valuation), Calendars(processors.calendars).of, compiled=compiled)
        pace = Pace(round(processors.valuation.lines_seconds * 1e6), round(processors.valuation.snapshot_seconds * 1e6))
        self._publishing = Publishing(self._valuer, beside.ways.codec, self._partitions, pace, compiled=compiled)
        options = tail_options(settings.kafka, "processors-valuations", without_offset="earliest")
        self._tail = Tail(
            options,
            beside.ways.codec,
            settings.ingest.max_clock_skew,
            from_end={REPLIES.name},
            keys_of={VALUATION_LINES.name},
        )
        self._mine: frozenset[int] = frozenset()
        self._is_changed = True
        self._can_wait = True  # with totals, for the rest of a burst
        self._sequence = 0

    async def run(self) -> None:
        """Work until cancelled. Raises KafkaException when the broker cannot be read for good."""
        try:
            while True:
                owned = self._owned_of(POSITIONS.name)
                if owned is None:
                    await asyncio.sleep(REBALANCE_SECONDS)
                    continue
                self._own(owned.partitions)
                is_busy = self._tail.is_caught_up and self._publishing.has_lines_due(self._ways.clock())
                patience = 0.0 if is_busy else POLL_SECONDS
                self._take_in(await asyncio.to_thread(self._tail.read, self._places(), patience))
                if self._tail.is_caught_up:
                    await self._value(owned)
        finally:
            self._tail.close()

    def _places(self) -> frozenset[tuple[str, int]]:
        own = (places_of(topic.name, self._mine) for topic in (POSITIONS, VALUATION_LINES, REPLIES))
        return places_of(PRICES.name, range(self._partitions)).union(*own)

    def _own(self, partitions: frozenset[int]) -> None:
        """Let go of the portfolios of partitions that are others' now."""
        for portfolio_id in list(self._valuer.portfolios) if self._mine - partitions else ():
            if partition_of(portfolio_id, self._partitions) not in partitions:
                self._valuer.drop_portfolio(portfolio_id)
                self._publishing.forget(portfolio_id)
        self._mine = partitions

    def _take_in(self, arrivals: Iterable[Arrival]) -> None:
        for topic, partition, key, record, is_there in arrivals:
            if topic == VALUATION_LINES.name:
                portfolio_id, _, position_id = key.partition("|")
                self._publishing.know_line(portfolio_id, position_id, is_there=is_there)
                continue
            if isinstance(record, PortfolioReply):
                if record.accepted and record.command == REVALUE and record.version is not None:
                    self._publishing.ask(record.portfolio_id, Asked(record.version, record.decided_at))
                continue
            self._is_changed = True
            if isinstance(record, PriceRecord):
                self._valuer.put_price(record)
            elif partition in self._mine and isinstance(record, Portfolio):
                self._put(record)

    def _put(self, portfolio: Portfolio) -> None:
        before = self._valuer.portfolios.get(portfolio.portfolio_id)
        if before is None or portfolio.version > before.version:
            self._valuer.put_portfolio(portfolio)

    async def _value(self, owned: Owned) -> None:
        now = self._ways.clock()
        if now - self._valuer.refreshed_at >= REFRESH:
            self._is_changed = True
            self._publishing.touch_silent(now)
        if self._is_changed:
            self._valuer.revalue(now)
            self._publishing.touch(self._valuer.take_touched())
            self._is_changed = False
        self._publishing.touch_asked()
        self._publishing.touch_aged(now)
        self._sequence = max(self._sequence + 1, now)  # so that it rises when a worker is started again, too
        stamp = Stamp(owned.group_generation, self._sequence, now)
        messages = list[Message]()
        read = Read(tuple(self._tail.offsets(PRICES.name).values()), self._tail.offsets(REPLIES.name))
        for number, some in enumerate(self._publishing.totals(stamp, read)):
            messages += some
            await asyncio.sleep(0)
            if number and self._can_wait and self._tail.has_more():
                self._can_wait = False  # but once: totals are told however long a burst goes on
                self._publishing.lost()
                return
        self._can_wait = True
        try:
            await self._send(messages, owned)
            await self._send(list(self._publishing.lines(stamp, LINES_AT_ONCE)), owned)  # no totals wait for them
        except Superseded:
            self._publishing.lost()

    async def _send(self, messages: list[Message], owned: Owned) -> None:
        """Send what was made since the last time, which is told once it has arrived. Raises Superseded."""
        await self._ways.deliveries.send(messages, owned.generation)
        for asked in self._publishing.sent():
            REVALUATION_SECONDS.observe((self._ways.clock() - asked.at) / 1e6)
        for topic, count in Counter(message.topic for message in messages).items():
            metrics.RECORDS_OUT.labels(topic).inc(count)
