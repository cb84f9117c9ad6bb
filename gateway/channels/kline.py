"""KLINE: recent candles, then every new version of each; readers keep the higher (revision, source_offset)."""

from __future__ import annotations

from typing import Any

from gateway.candle_history import CandleHistory, HeldCandle
from gateway.channel import ChannelOptions, Grant
from gateway.messages import Arrival, Message, Room, Source, encode, room_of
from gateway.refusals import ErrorCode, Refusal
from gateway.requests import Request
from market.candle import CandleEvent
from market.decimals import AMOUNT_SCALE, format_decimal
from schemas.topics import CANDLES

DEFAULT_HISTORY = 100
"""Past candles a subscriber gets when it does not say how many."""


class Channel:
    """Candles by instrument and interval, as the platform folds them from the trades."""

    data_type = "KLINE"
    message_type = "kline_data"
    delivery = "history"
    records = (CandleEvent,)
    topics = (CANDLES,)
    fields = CandleEvent._fields

    def __init__(self, options: ChannelOptions) -> None:
        self._history = CandleHistory(options.history_size)
        self._most = options.history_size
        self._intervals = tuple(options.intervals)

    def grant(self, instrument: str, request: Request) -> Grant:
        """The interval asked for (the first configured one if none is), and so many past candles as are kept at most."""
        interval = request.candle_interval or self._intervals[0]
        if interval not in self._intervals:
            raise Refusal(
                ErrorCode.UNKNOWN_INTERVAL,
                f"there are no candles of interval {interval!r}, only {', '.join(self._intervals)}",
                candidates=list(self._intervals),
            )
        history = min(DEFAULT_HISTORY if request.history is None else request.history, self._most)
        return Grant(room_of(self.data_type, instrument, interval), {"interval": interval, "history": history})

    def take(self, arrival: Arrival) -> Room | None:
        """Keep the candle; None if its version is not higher than what is kept, or it is older than all that is."""
        event: CandleEvent = arrival.record
        if not self._history.take(event, arrival.source):
            return None
        return room_of(self.data_type, event.instrument, event.interval)

    def render(self, arrival: Arrival, now: int) -> Message:
        """The candle in its new version."""
        event: CandleEvent = arrival.record
        payload = encode(self.message_type, now, describe(event), arrival.source.metadata())
        return self._message(event, arrival.source, payload)

    def snapshot(self, grant: Grant, now: int) -> list[Message]:
        """The past candles that were granted, oldest first."""
        held = self._history.latest(grant.room.instrument, grant.settings["interval"], grant.settings["history"])
        return [self._message(candle.event, candle.source, self._past(candle, now)) for candle in held]

    def _past(self, candle: HeldCandle, now: int) -> bytes:
        if candle.payload is None:
            metadata = {"snapshot": True} | candle.source.metadata()
            candle.payload = encode(self.message_type, now, describe(candle.event), metadata)
        return candle.payload

    def _message(self, event: CandleEvent, source: Source, payload: bytes) -> Message:
        room = room_of(self.data_type, event.instrument, event.interval)
        return Message(room, (room, event.open_time), source, payload)


def describe(event: CandleEvent) -> dict[str, Any]:
    """A candle as messages carry it."""
    buy = event.taker_buy_volume
    return event._asdict() | {
        "kind": event.kind.value,
        "open": format_decimal(event.open),
        "high": format_decimal(event.high),
        "low": format_decimal(event.low),
        "close": format_decimal(event.close),
        "volume": format_decimal(event.volume),
        "amount": format_decimal(event.amount, AMOUNT_SCALE),
        "vwap": format_decimal(event.vwap),
        "taker_buy_volume": None if buy is None else format_decimal(buy),
    }
