"""PORTFOLIO: what a portfolio is worth and of what it consists, whole and then each change; not for who may not see it.

Of totals and of each line a client that falls behind gets the latest; changes of the portfolio itself all count.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from gateway.channel import ChannelOptions, Grant
from gateway.identity import PORTFOLIO
from gateway.messages import Arrival, Message, Room, Source, encode, room_of
from gateway.portfolios.book import Change, PortfolioBook
from gateway.portfolios.figures import (
    describe,
    describe_balances,
    describe_line,
    describe_overrides,
    describe_policy,
    describe_position,
    describe_totals,
)
from gateway.refusals import unknown_portfolio
from gateway.requests import Request
from market.portfolio import Portfolio
from market.valuation_record import Valuation, ValuationLine
from schemas.topics import POSITIONS, REPLIES, VALUATION_LINES, VALUATIONS

SNAPSHOT = "portfolio_snapshot"


class Channel:
    """Everything known of portfolios. Who asks for one must have been checked before."""

    data_type = PORTFOLIO
    message_type = "portfolio_update"
    delivery = "latest"
    records = (Portfolio, Valuation, ValuationLine)
    topics = (POSITIONS, VALUATIONS, VALUATION_LINES, REPLIES)
    fields = ("portfolio_id", "version", "totals", "line", "positions", "removed", "balances", "policy", "overrides")

    def __init__(self, options: ChannelOptions) -> None:
        self.book = PortfolioBook()
        self.valuations = 0
        """How many valuations came, those of the time before the start among them."""
        self._sources: dict[str, Source] = {}
        self._change: Change | None = None

    def grant(self, instrument: str, request: Request | None = None) -> Grant:
        """A portfolio that exists. Raises Refusal."""
        if self.book.find(instrument) is None:
            raise unknown_portfolio()
        return Grant(room_of(PORTFOLIO, instrument), {})

    def take(self, arrival: Arrival) -> Room | None:
        """Keep the record; None for one that is not later than the one kept."""
        record: Any = arrival.record
        match record:
            case Portfolio():
                self._change = self.book.take_portfolio(record)
                is_later = self._change is not None
            case Valuation():
                self.valuations += 1
                is_later = self.book.take_valuation(record)
            case _:
                is_later = self.book.take_line(record)
        if not is_later:
            return None
        self._sources[record.portfolio_id] = arrival.source
        return room_of(PORTFOLIO, record.portfolio_id)

    def render(self, arrival: Arrival, now: int) -> Message:
        """What the record just taken changed."""
        record: Any = arrival.record
        room = room_of(PORTFOLIO, record.portfolio_id)
        key: Hashable | None
        match record:
            case Portfolio():
                key, part = None, self._changed(record)
            case Valuation():
                key, part = (room, ""), {"totals": describe_totals(record)}
            case _:
                key, part = (room, record.position_id), {"line": self._line(record)}
        payload = encode(self.message_type, now, {"portfolio_id": record.portfolio_id, **part}, arrival.source.metadata())
        return Message(room, key, arrival.source, payload)

    def snapshot(self, grant: Grant, now: int) -> list[Message]:
        """All that is known of the portfolio, in one message."""
        portfolio_id = grant.room.instrument
        source = self._sources[portfolio_id]
        metadata = {"snapshot": True, **source.metadata()}
        return [Message(grant.room, None, source, encode(SNAPSHOT, now, self.describe(portfolio_id), metadata))]

    def describe(self, portfolio_id: str) -> dict[str, Any]:
        """All that is known of a portfolio. Raises Refusal where that is nothing."""
        held = self.book.find(portfolio_id)
        if held is None:
            raise unknown_portfolio()
        return describe(portfolio_id, held)

    def _line(self, line: ValuationLine) -> dict[str, Any]:
        held = self.book.find(line.portfolio_id)
        return describe_line(line, None if held is None else held.positions.get(line.position_id))

    def _changed(self, portfolio: Portfolio) -> dict[str, Any]:
        positions, removed = self._change or ((), ())
        return {
            "version": portfolio.version,
            "positions": [describe_position(position) for position in positions],
            "removed": list(removed),
            "balances": describe_balances(portfolio),
            "policy": describe_policy(portfolio),
            "overrides": describe_overrides(portfolio),
        }
