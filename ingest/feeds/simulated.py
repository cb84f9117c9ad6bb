"""A venue that does not exist: random prices for any number of instruments, with faults on demand.

The same seed, subscriptions and options give the same frames. They pass through a parser like those of any venue, so that
everything after it cannot tell the difference. Prices walk at random; their volatility itself swings around its mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Annotated, Any, Literal

import msgspec

from ingest.decoding import decode
from ingest.feed import UNKNOWN_CHANNEL, Listings, Parsed, Parser, Subscription
from ingest.recorded import Closed, Frame, Item, Opened
from market.decimals import parse_decimal, parse_positive
from market.errors import DataValidationError, SubscriptionError
from market.instrument import check_instrument, code_of, venue_of
from market.quote import Quote
from market.stated import check_quote
from market.trade import Trade, check_trade

_LINE, _URL = "simulated", "wss://simulated.invalid"
_START = 1_704_067_200_000_000  # 2024-01-01
_SECOND = 1_000_000
_SECONDS_PER_YEAR = 31_557_600
_TICKS = 100  # a price unit has 100 ticks

_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Id = Annotated[int, msgspec.Meta(ge=0)]
_Positive = Annotated[float, msgspec.Meta(gt=0)]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the configuration may say under `options`. Faults are probabilities for each trade."""

    seed: int = 1
    instruments: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 0
    """So many instruments sim:S001-USD, sim:S002-USD, … beside the symbols configured."""
    rate: Annotated[float, msgspec.Meta(gt=0, le=100_000)] = 5.0
    """Trades, and quotes, of each instrument a second."""
    price: _Positive = 100.0
    """Where prices begin."""
    volatility: _Positive = 0.8
    """Standard deviation of a year's returns."""
    heartbeat_seconds: _Positive = 1.0
    gaps: _Share = 0.0
    """One to five trades are never sent, though their ids are used up."""
    duplicates: _Share = 0.0
    """The trade is sent twice."""
    late: _Share = 0.0
    """The trade is sent after `late_seconds`."""
    late_seconds: _Positive = 3.0
    bad: _Share = 0.0
    """A damaged frame is sent beside the trade."""
    disconnects: _Share = 0.0
    """The line is lost for one to five seconds; a probability for each heartbeat."""


class _TradeFrame(msgspec.Struct, tag="trade", tag_field="channel"):
    symbol: str
    id: _Id
    price: str
    size: str
    side: Literal["buy", "sell"]
    time: int


class _QuoteFrame(msgspec.Struct, tag="quote", tag_field="channel"):
    symbol: str
    sequence: _Id
    bid: str
    bid_size: str
    ask: str
    ask_size: str
    time: int


class _HeartbeatFrame(msgspec.Struct, tag="heartbeat", tag_field="channel"):
    time: int


_DECODER = msgspec.json.Decoder(_TradeFrame | _QuoteFrame | _HeartbeatFrame)
_CHANNELS = ("trade", "quote")
_encode = msgspec.json.Encoder().encode


class SimulatedParser:
    """Reads the frames; see `ingest.feed.Parser`."""

    contiguous = ("trade",)

    def __init__(self, max_clock_skew: int) -> None:
        self._max_skew = max_clock_skew

    def parse(self, frame: bytes, received_at: int) -> Parsed:
        """See `ingest.feed.Parser.parse`."""
        message = decode(_DECODER, frame)
        if isinstance(message, _TradeFrame):
            return Parsed("trade", (self._trade(message, received_at),))
        if isinstance(message, _QuoteFrame):
            return Parsed("quote", (self._quote(message, received_at),))
        return Parsed("heartbeat", ())

    def channel_of(self, frame: bytes) -> str:
        """See `ingest.feed.Parser.channel_of`."""
        try:
            named: Any = msgspec.json.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return UNKNOWN_CHANNEL
        channel = named.get("channel") if isinstance(named, dict) else None
        return channel if channel in _CHANNELS else UNKNOWN_CHANNEL

    def _trade(self, message: _TradeFrame, received_at: int) -> Trade:
        trade_id = str(message.id)
        trade = Trade(
            instrument=check_instrument(f"sim:{message.symbol}"),
            trade_id=trade_id,
            sequence=message.id,
            price=parse_positive(message.price, field="price"),
            size=parse_positive(message.size, field="size"),
            side=message.side,
            exchange_time=message.time,
            received_at=received_at,
            first_trade_id=trade_id,
            last_trade_id=trade_id,
        )
        return check_trade(trade, max_skew=self._max_skew)

    def _quote(self, message: _QuoteFrame, received_at: int) -> Quote:
        nothing = dict.fromkeys(("last_size", "open_24h", "high_24h", "low_24h", "volume_24h", "amount_24h"))
        quote = Quote(
            instrument=check_instrument(f"sim:{message.symbol}"),
            channel="quote",
            sequence=message.sequence,
            bid=parse_decimal(message.bid, field="bid"),
            bid_size=parse_decimal(message.bid_size, field="bid_size"),
            ask=parse_decimal(message.ask, field="ask"),
            ask_size=parse_decimal(message.ask_size, field="ask_size"),
            last=None,
            change_24h=None,
            change_percent_24h=None,
            **nothing,
            exchange_time=message.time,
            received_at=received_at,
        )
        return check_quote(quote, max_skew=self._max_skew)


class _Instrument:
    """The random walk of one instrument, of a generator of its own, so that others do not change it."""

    def __init__(self, symbol: str, options: Options) -> None:
        self.symbol = symbol
        self.random = Random(f"{options.seed}/{symbol}")  # noqa: S311  # a simulation, not a secret
        self._ticks = options.price * _TICKS
        self._sigma = options.volatility / math.sqrt(_SECONDS_PER_YEAR * options.rate)
        self._heat = 0.0
        self._trade_id = 0
        self._sequence = 0

    def move(self) -> None:
        """One step of price and volatility."""
        self._heat = 0.99 * self._heat + self.random.gauss(0, 0.1)
        self._ticks *= math.exp(self.random.gauss(0, self._sigma * math.exp(self._heat)))

    def trade(self, at: int) -> _TradeFrame:
        """The next trade."""
        self._trade_id += 1
        side: Literal["buy", "sell"] = "buy" if self.random.random() < 0.5 else "sell"
        price = self._price(1 if side == "buy" else -1)
        return _TradeFrame(self.symbol, self._trade_id, price, self._size(), side, at)

    def quote(self, at: int) -> _QuoteFrame:
        """The book's best prices."""
        self._sequence += 1
        return _QuoteFrame(self.symbol, self._sequence, self._price(-1), self._size(), self._price(1), self._size(), at)

    def lose(self, trades: int) -> None:
        """Use up trade ids."""
        self._trade_id += trades

    def _price(self, distance: int) -> str:
        ticks = max(1, round(self._ticks) + distance)
        return f"{ticks // _TICKS}.{ticks % _TICKS:02d}"

    def _size(self) -> str:
        lots = max(1, round(self.random.lognormvariate(6, 1)))
        return f"{lots // 1000}.{lots % 1000:03d}"


class _Simulation:
    """The frames of all instruments in the order of time, and their faults."""

    def __init__(self, subscriptions: Iterable[Subscription], options: Options) -> None:
        self._options = options
        self._random = Random(f"{options.seed}")  # noqa: S311  # a simulation, not a secret
        self._order = count()
        self._down_until = 0
        self._due: list[tuple[int, int, Callable[[int], Iterable[Item]]]] = []
        self._at(_START, self._heartbeat)
        for instrument, channel in dict.fromkeys(subscriptions):
            walk = _Instrument(code_of(instrument), options)
            self._again(_START, walk, self._trade if channel == "trade" else self._quote)

    def items(self) -> Iterator[Item]:
        yield Opened(_START, _LINE, _URL)
        while True:
            at, _, happen = heappop(self._due)
            for item in happen(at):
                if at >= self._down_until or not isinstance(item, Frame):
                    yield item

    def _at(self, at: int, happen: Callable[[int], Iterable[Item]]) -> None:
        heappush(self._due, (at, next(self._order), happen))

    def _again(self, at: int, walk: _Instrument, act: Callable[[_Instrument, int], Iterable[Item]]) -> None:
        pause = walk.random.expovariate(self._options.rate)

        def happen(now: int) -> Iterable[Item]:
            walk.move()
            self._again(now, walk, act)
            return act(walk, now)

        self._at(at + 1 + round(pause * _SECOND), happen)

    def _quote(self, walk: _Instrument, at: int) -> Iterable[Item]:
        return [_frame(at, _encode(walk.quote(at - _latency(walk))))]

    def _trade(self, walk: _Instrument, at: int) -> Iterable[Item]:
        options, random = self._options, walk.random
        if random.random() < options.gaps:
            walk.lose(random.randint(1, 5))
        data = _encode(walk.trade(at - _latency(walk)))
        late, twice, bad = (random.random() < share for share in (options.late, options.duplicates, options.bad))
        if late:
            self._at(at + round(options.late_seconds * _SECOND), lambda now: [_frame(now, data)])
        frames = [] if late else [data]
        frames += [data] if twice else []
        frames += [_damaged(data, random)] if bad else []
        return [_frame(at, frame) for frame in frames]

    def _heartbeat(self, at: int) -> Iterable[Item]:
        self._at(at + round(self._options.heartbeat_seconds * _SECOND), self._heartbeat)
        if at >= self._down_until and self._random.random() < self._options.disconnects:
            self._down_until = at + self._random.randint(_SECOND, 5 * _SECOND)
            self._at(self._down_until, lambda now: [Opened(now, _LINE, _URL)])
            return [Closed(at, _LINE, "simulated loss of the connection")]
        return [_frame(at, _encode(_HeartbeatFrame(at)))]


def _frame(at: int, data: bytes) -> Frame:
    return Frame(at, _LINE, data)


def _latency(walk: _Instrument) -> int:
    return walk.random.randint(1_000, 20_000)


def _damaged(data: bytes, random: Random) -> bytes:
    message = msgspec.json.decode(data)
    faults: tuple[Callable[[], Any], ...] = (
        lambda: message | {"price": f"-{message['price']}"},
        lambda: message | {"price": "NaN"},
        lambda: message | {"size": "0"},
        lambda: message | {"id": "one"},
        lambda: message | {"symbol": "no symbol"},
        lambda: message | {"channel": "rumour"},
        lambda: message | {"time": message["time"] + 3_600 * _SECOND},
        lambda: {key: value for key, value in message.items() if key != "size"},
    )
    chosen = random.randrange(len(faults) + 1)
    return data[: len(data) // 2] if chosen == len(faults) else _encode(faults[chosen]())


class Simulated:
    """The venue; see `ingest.feed.Venue`."""

    name = "sim"
    markets = ("simulated",)
    heartbeats = ("heartbeat",)
    default_channels = _CHANNELS

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`."""
        for instrument, channel in subscriptions:
            try:
                check_instrument(instrument)
            except DataValidationError as error:
                raise SubscriptionError(str(error)) from error
            if venue_of(instrument) != self.name:
                raise SubscriptionError(f"{instrument} is no instrument of {self.name}: write sim:S001-USD")
            if channel not in _CHANNELS:
                raise SubscriptionError(f"{channel!r:.40} is no channel of {self.name}: there are {', '.join(_CHANNELS)}")

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`."""
        return self.markets[0] if url == _URL else None

    def listed(self, url: str, answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`."""
        return {}

    def parser(self, market: str | None, listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return SimulatedParser(max_clock_skew)

    def generate(self, subscriptions: Iterable[Subscription], options: Mapping[str, object]) -> Iterator[Item]:
        """See `ingest.feed.GeneratingVenue.generate`."""
        try:
            given = msgspec.convert(dict(options), Options, strict=False)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error
        wanted = list(subscriptions)
        channels = dict.fromkeys(subscription.channel for subscription in wanted) or dict.fromkeys(self.default_channels)
        wanted += [
            Subscription(f"sim:S{number:03d}-USD", channel)
            for number in range(1, given.instruments + 1)
            for channel in channels
        ]
        self.check(wanted)
        return _Simulation(wanted, given).items()


VENUE = Simulated()
