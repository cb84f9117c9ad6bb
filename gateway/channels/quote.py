"""QUOTE: the merged latest quote of an instrument, told at each change; who falls behind gets the latest only."""

from __future__ import annotations

from typing import Any

from gateway.channel import ChannelOptions, Grant
from gateway.latest import LatestStore
from gateway.messages import Arrival, Message, Room, Source, encode, room_of
from gateway.quotes import FIELDS, QuoteState
from gateway.requests import Request
from market.quote import Quote
from market.trade import Trade
from schemas.topics import QUOTES, TRADES


class Channel:
    """Quotes by instrument."""

    data_type = "QUOTE"
    message_type = "market_data"
    delivery = "latest"
    records = (Quote, Trade)
    topics = (QUOTES, TRADES)
    fields = ("instrument", *FIELDS, "sources")

    def __init__(self, options: ChannelOptions) -> None:
        self._quotes: LatestStore[str, QuoteState] = LatestStore("quotes", options.capacity)

    @property
    def store(self) -> LatestStore[str, QuoteState]:
        """The latest quotes, for REST."""
        return self._quotes

    def grant(self, instrument: str, request: Request) -> Grant:
        """Any known instrument has quotes."""
        return Grant(room_of(self.data_type, instrument), {})

    def take(self, arrival: Arrival) -> Room | None:
        """Merge a quote, or a trade's price, into the instrument's quote."""
        record, source = arrival.record, arrival.source
        state = self._quotes.entry(record.instrument, lambda: QuoteState(record.instrument))
        changed = state.take_quote(record, source) if isinstance(record, Quote) else state.take_trade(record, source)
        return room_of(self.data_type, record.instrument) if changed else None

    def render(self, arrival: Arrival, now: int) -> Message:
        """The whole quote after this record."""
        instrument = arrival.record.instrument
        state = self._quotes.entry(instrument, lambda: QuoteState(instrument))
        return self._message(state, arrival.source, now, {})

    def snapshot(self, grant: Grant, now: int) -> list[Message]:
        """The quote as it stands, if there is one."""
        state = self._quotes.look_up(grant.room.instrument)
        if state is None or state.updated is None:
            return []
        return [self._message(state, state.updated.source, now, {"snapshot": True})]

    def _message(self, state: QuoteState, source: Source, now: int, metadata: dict[str, Any]) -> Message:
        room = room_of(self.data_type, state.instrument)
        payload = encode(self.message_type, now, state.describe(), metadata | source.metadata())
        return Message(room, room, source, payload)
