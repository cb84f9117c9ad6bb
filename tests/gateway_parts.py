"""Small parts for the gateway's tests: makers of records, a hand-turned event loop, a client without a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from gateway.admission import Admission, Visitor
from gateway.channel import Channel, ChannelOptions, find_channels
from gateway.clients import Client
from gateway.close_codes import CloseCode
from gateway.door import Entrance
from gateway.flusher import Flusher, FlushPolicy
from gateway.hub import Hub, ResumeOptions
from gateway.instruments import Instruments
from gateway.intake import Origin
from gateway.messages import Arrival, Source
from gateway.outbox import OutboxLimits
from gateway.outcome import SessionLimits
from gateway.positions import Positions
from gateway.recent import Recent
from gateway.replay.replays import Replays
from gateway.resume_tokens import ResumeTokens
from gateway.resumption import Resumption
from gateway.wire import Frame
from market.candle import CandleEvent, CandleEventKind
from market.decimals import ONE
from market.quote import Quote
from schemas.records import Record
from tests.builders import INSTRUMENT, MINUTE, START

ALL_CHANNELS = ("quote", "trade", "kline", "depth", "book", "price", "status", "quality")


def make_quote(*, channel: str = "bookTicker", at: int = START, instrument: str = INSTRUMENT, **fields: Any) -> Quote:
    """A quote received at a time; every field not named is None. Prices are unscaled as given."""
    empty: dict[str, Any] = dict.fromkeys(Quote._fields)
    return Quote(**{**empty, "instrument": instrument, "channel": channel, "received_at": at, **fields})


def make_candle(
    minute: int = 0,
    *,
    offset: int = 0,
    revision: int = 0,
    kind: CandleEventKind = CandleEventKind.UPDATE,
    instrument: str = INSTRUMENT,
    close: int = 100,
) -> CandleEvent:
    """A 1m candle of a minute after START."""
    open_time = START + minute * MINUTE
    closed = kind in (CandleEventKind.CLOSE, CandleEventKind.CORRECTION)
    return CandleEvent(
        instrument=instrument,
        interval="1m",
        open_time=open_time,
        close_time=open_time + MINUTE,
        kind=kind,
        revision=revision,
        open=100 * ONE,
        high=max(100, close) * ONE,
        low=min(100, close) * ONE,
        close=close * ONE,
        volume=ONE,
        amount=100 * ONE * ONE,
        vwap=100 * ONE,
        taker_buy_volume=None,
        trade_count=1,
        first_trade_id="1",
        last_trade_id="1",
        is_closed=closed,
        complete=closed,
        gap=False,
        last_trade_time=open_time,
        received_at=open_time,
        source_topic="md.trades",
        source_partition=0,
        source_offset=offset,
    )


def arrivals(topic: str, records: Iterable[Record], first_offset: int = 0) -> list[Arrival]:
    """Records as they come from partition 0 of a topic."""
    return [Arrival(Source(topic, 0, offset), record) for offset, record in enumerate(records, start=first_offset)]


class Timer:
    """What a hand-turned loop will do, unless it is cancelled before."""

    def __init__(self, later: list[tuple[float, Callable[[], None]]], entry: tuple[float, Callable[[], None]]) -> None:
        self._later, self._entry = later, entry

    def cancel(self) -> None:
        if self._entry in self._later:
            self._later.remove(self._entry)


class HandTurnedLoop:
    """A scheduler whose time stands still until it is told to pass."""

    def __init__(self) -> None:
        self.now = 0.0
        self._soon: list[Callable[[], None]] = []
        self._later: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        self._soon.append(callback)

    def call_later(self, delay: float, callback: Callable[[], None]) -> Timer:
        entry = (self.now + delay, callback)
        self._later.append(entry)
        return Timer(self._later, entry)

    def turn(self) -> None:
        """Run what is due, once."""
        due = [entry for entry in self._later if entry[0] <= self.now]
        self._later[:] = [entry for entry in self._later if entry[0] > self.now]
        soon, self._soon = self._soon, []
        for callback in [*soon, *(callback for _, callback in due)]:
            callback()

    def pass_to(self, time: float) -> None:
        """Turn until it is so late."""
        while self._soon or any(when <= time for when, _ in self._later):
            if not self._soon:
                self.now = max(self.now, min(when for when, _ in self._later))
            self.turn()
        self.now = max(self.now, time)

    def settle(self) -> None:
        """Turn until nothing is left to do, letting time pass as needed."""
        while self._soon or self._later:
            self.pass_to(self.now if self._soon else min(when for when, _ in self._later))


class Listener:
    """A client of a hub without a socket: remembers what it was sent and how it was closed."""

    def __init__(
        self, hub: Hub, client_id: str = "listener", visitor: Visitor | None = None, entrance: Entrance | None = None
    ) -> None:
        self.sent: list[dict[str, Any]] = []
        self.writes = 0
        self.closed: CloseCode | None = None
        self.hub = hub
        self.client: Client = hub.connect(
            client_id, self._write, self._close, visitor or hub.arrive("127.0.0.1", None), entrance
        )

    def say(self, **message: Any) -> None:
        """Send a message to the gateway."""
        self.hub.receive(self.client, orjson.dumps(message))

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """What it was sent of one type."""
        return [message for message in self.sent if message["type"] == kind]

    def _write(self, frames: list[bytes]) -> None:
        self.writes += 1
        self.sent += [orjson.loads(frame) for frame in frames]

    def _close(self, code: CloseCode) -> None:
        self.closed = code
        self.hub.disconnect(self.client)


def make_origin(topic_id: str = "id") -> Origin:
    """Every topic has one partition, read from its beginning."""
    topics = sorted({topic.name for channel in find_channels(ALL_CHANNELS) for topic in channel.topics})
    return Origin({(topic, 0): 0 for topic in topics}, dict.fromkeys(topics, topic_id))


def make_resumption() -> Resumption:
    """What compares tokens with a gateway that has read nothing yet."""
    return Resumption(ResumeTokens(), Positions(make_origin), Recent())


def make_channels(names: Sequence[str] = ALL_CHANNELS, **options: Any) -> list[Channel]:
    """These channels, all of market data if none is named, fresh."""
    return [channel(ChannelOptions(**options)) for channel in find_channels(names)]


def make_hub(
    loop: HandTurnedLoop,
    *,
    session: SessionLimits = SessionLimits(),  # noqa: B008  # immutable
    outbox: OutboxLimits = OutboxLimits(),  # noqa: B008  # immutable
    flush: FlushPolicy = FlushPolicy(),  # noqa: B008  # immutable
    known: Iterable[str] = (),
    admission: Admission | None = None,
    clock: Callable[[], int] = lambda: START,
    channels: Sequence[str] = ALL_CHANNELS,
    resume: ResumeOptions | None = None,
    replays: Replays | None = None,
    frame: Frame = lambda payload, wire: payload,
) -> Hub:
    """A hub with all channels, whose frames are the bare payloads and whose clock stands at START."""
    return Hub(
        make_channels(channels),
        Instruments(known),
        Flusher(loop, flush),
        frame=frame,
        clock=clock,
        session_limits=session,
        outbox_limits=outbox,
        admission=admission or Admission(),
        resume=resume or ResumeOptions(origin=make_origin),
        replays=replays,
    )
