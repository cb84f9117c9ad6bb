"""TRADE: every trade once; who falls behind gets a bounded queue, then a notice of the gap."""

from __future__ import annotations

from typing import Any

from gateway.channel import ChannelOptions, Grant
from gateway.latest import LatestStore
from gateway.messages import Arrival, Message, Room, encode, room_of
from gateway.metrics import TRADES_TOO_OLD
from gateway.requests import Request
from market.decimals import format_decimal
from market.seen_trades import SeenTrades, Verdict
from market.trade import Trade
from runtime import metrics
from schemas.topics import TRADES


class _Tape:
    """The last trade of an instrument, and which were seen."""

    def __init__(self) -> None:
        self.seen = SeenTrades()
        self.last: Arrival | None = None


class Channel:
    """Trades by instrument. A trade repeated in the topic is told once.

    One whose id is older than the ids remembered may have been told already, so it is not told.
    """

    data_type = "TRADE"
    message_type = "trade_data"
    delivery = "all"
    records = (Trade,)
    topics = (TRADES,)
    fields = (
        *("instrument", "trade_id", "price", "size", "side", "exchange_time", "received_at"),
        *("first_trade_id", "last_trade_id", "trade_count", "origin"),
    )

    def __init__(self, options: ChannelOptions) -> None:
        self._tapes: LatestStore[str, _Tape] = LatestStore("trades", options.capacity)
        self._untold = {Verdict.DUPLICATE: metrics.DUPLICATES.labels(TRADES.name), Verdict.TOO_OLD: TRADES_TOO_OLD}

    def grant(self, instrument: str, request: Request) -> Grant:
        """Any known instrument has trades."""
        return Grant(room_of(self.data_type, instrument), {})

    def take(self, arrival: Arrival) -> Room | None:
        """Remember the trade; None for one that was told before, or may have been."""
        trade: Trade = arrival.record
        tape = self._tapes.entry(trade.instrument, _Tape)
        verdict = tape.seen.add(trade.trade_id)
        if verdict is not Verdict.NEW:
            self._untold[verdict].inc()
            return None
        tape.last = arrival
        return room_of(self.data_type, trade.instrument)

    def render(self, arrival: Arrival, now: int) -> Message:
        """The trade."""
        return self._message(arrival, now, {})

    def snapshot(self, grant: Grant, now: int) -> list[Message]:
        """The last trade, if there was one."""
        tape = self._tapes.look_up(grant.room.instrument)
        if tape is None or tape.last is None:
            return []
        return [self._message(tape.last, now, {"snapshot": True})]

    def _message(self, arrival: Arrival, now: int, metadata: dict[str, Any]) -> Message:
        trade: Trade = arrival.record
        payload = encode(self.message_type, now, describe(trade), metadata | arrival.source.metadata())
        return Message(room_of(self.data_type, trade.instrument), None, arrival.source, payload)


def describe(trade: Trade) -> dict[str, Any]:
    """A trade as messages carry it."""
    return {
        "instrument": trade.instrument,
        "trade_id": trade.trade_id,
        "price": format_decimal(trade.price),
        "size": format_decimal(trade.size),
        "side": trade.side,
        "exchange_time": trade.exchange_time,
        "received_at": trade.received_at,
        "first_trade_id": trade.first_trade_id,
        "last_trade_id": trade.last_trade_id,
        "trade_count": trade.trade_count,
        "origin": trade.origin,
    }
