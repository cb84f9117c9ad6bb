"""A client that is cut anywhere, again and again, holds what one holds that never was. Without sockets."""

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.client_subscriptions import Subscribed
from gateway.hub import Hub, ResumeOptions
from gateway.messages import Arrival
from market.candle import CandleEventKind
from market.decimals import ONE
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_parts import HandTurnedLoop, Listener, arrivals, make_candle, make_hub, make_origin, make_quote

TYPES = ["QUOTE", "TRADE", "KLINE"]


class World:
    """A gateway that can be started anew, and what was published so far."""

    def __init__(self) -> None:
        self.loop = HandTurnedLoop()
        self.published: list[Arrival] = []
        self.lots = 0
        self.restart()

    def restart(self) -> None:
        """Another gateway of the same key reads the same topics."""
        self.hub: Hub = make_hub(self.loop, known=[INSTRUMENT], resume=ResumeOptions(b"k" * 32, origin=make_origin))
        self.hub.take(self.published)

    def publish(self) -> None:
        """A trade, a quote, and a minute that closes and is corrected later."""
        lot = self.lots = self.lots + 1
        candles = [
            make_candle(lot, offset=10 * lot),
            make_candle(lot, offset=10 * lot + 1, revision=1, kind=CandleEventKind.CLOSE),
            make_candle(lot - 1, offset=10 * lot + 2, revision=2, kind=CandleEventKind.CORRECTION),
            make_candle(lot + 1, offset=10 * lot + 3),
        ]
        new = [
            *arrivals("md.trades", [make_trade(lot, price=lot, at=START + lot)], lot),
            *arrivals("md.quotes", [make_quote(sequence=lot, at=START + lot, bid=lot * ONE)], lot),
            *arrivals("md.candles", candles, 4 * lot),
        ]
        self.published += new
        self.hub.take(new)
        self.loop.settle()


class Torn:
    """A client that reads as far as it is told to, and can be cut there."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.subscribed = Subscribed()
        self.trades: list[int] = []
        self.closed: list[tuple[int, int]] = []
        self.candles: dict[int, tuple[int, int]] = {}
        self.bid: str | None = None
        self.resets = 0
        self._connect()
        for data_type in TYPES:
            self.listener.say(action="subscribe", symbol=INSTRUMENT, data_type=data_type, history=20)

    def _connect(self) -> None:
        self.listener = Listener(self.world.hub)
        self._read = 0

    def cut(self) -> None:
        """Lose what was not read yet, and come back."""
        self.world.hub.disconnect(self.listener.client)
        self._connect()
        for subscription in self.subscribed:
            self.listener.say(**subscription.request())
        self.world.loop.settle()

    def read(self, count: int | None = None) -> None:
        """Read so many messages, all if none is said."""
        self.world.loop.settle()
        end = None if count is None else self._read + count
        for message in self.listener.sent[self._read : end]:
            self._read += 1
            self.subscribed.take(message)
            self._hold(message)

    def _hold(self, message: dict[str, Any]) -> None:
        data = message["data"]
        match message["type"]:
            case "trade_data":
                self.trades.append(int(data["trade_id"]))
            case "market_data":
                self.bid = data["bid"]
            case "kline_data":
                version = data["revision"], data["source_offset"]
                self.candles[data["open_time"]] = max(version, self.candles.get(data["open_time"], version))
                if data["is_closed"]:
                    self.closed.append((data["open_time"], data["revision"]))
            case "subscribe":
                self.resets += sum(grant.get("recovery") == "reset" for grant in data["subscriptions"])


def compare(world: World, torn: Torn) -> None:
    torn.read()
    whole = Torn(world)
    whole.read()
    assert torn.trades == list(range(1, world.lots + 1))
    assert torn.bid == str(world.lots)
    assert whole.candles.items() <= torn.candles.items()
    closed = [
        (arrival.record.open_time, arrival.record.revision)
        for arrival in world.published
        if arrival.source.topic == "md.candles" and arrival.record.is_closed
    ]
    assert torn.closed == closed
    assert torn.resets == 0


def begin() -> tuple[World, Torn]:
    """A client that has its subscriptions, before anything was published."""
    world = World()
    torn = Torn(world)
    torn.read()
    return world, torn


steps = st.lists(st.sampled_from(["publish", "publish", "cut", "restart", "ping"]) | st.integers(0, 12), max_size=60)


@settings(max_examples=40)
@given(steps)
def test_client_that_is_cut_anywhere_misses_nothing_and_hears_nothing_twice(taken: list[str | int]) -> None:
    world, torn = begin()
    for step in taken:
        match step:
            case "publish":
                world.publish()
            case "cut":
                torn.cut()
            case "restart":
                world.restart()
                torn.cut()
            case "ping":
                torn.listener.say(action="ping")
            case int():
                torn.read(step)
    world.publish()
    compare(world, torn)


def test_two_hundred_cuts_at_random() -> None:
    world, torn = begin()
    chance = random.Random(11)  # no secret
    for number in range(200):
        for _ in range(chance.randrange(4)):
            world.publish()
        torn.read(chance.randrange(12))
        if number % 20 == 0:
            world.restart()
        torn.cut()
    world.publish()
    compare(world, torn)
