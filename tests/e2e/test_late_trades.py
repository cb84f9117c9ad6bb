"""A trade that comes after its candles have closed: one correction in each interval it belongs to, as far as the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from market.candle import CandleEvent, CandleEventKind
from market.decimals import ONE
from market.interval import parse_interval
from market.trade import TimeMark, Trade, TradeStreamRecord
from runtime.settings import load
from sinks.stores.postgres import migrate
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.cluster import Cluster, Service, wait_for
from tests.processing import FAST, everything_committed
from tests.sink_running import Database

INTERVALS = ["1m", "5m", "15m", "1h", "4h", "1d"]
DAY = 24 * 60 * MINUTE
CLOSED_BY = START + DAY + MINUTE
"""Event time that closes the day of the trades; the late one is within the horizon for corrections then."""


def test_late_trade_corrects_each_interval_once_and_the_database_ends_with_the_corrected_candle(
    cluster: Cluster, start: Callable[..., Service], database: str
) -> None:
    trades = [make_trade(number, at=START + DAY - 20 * MINUTE + number * MINUTE, price=100 + number) for number in range(1, 19)]
    late = make_trade(19, at=START + DAY - 5 * MINUTE + 1, received_at=CLOSED_BY, price=500, size=7)
    records: list[TradeStreamRecord] = [*trades, TimeMark(INSTRUMENT, CLOSED_BY), late, late]
    config = cluster.config(processors={**FAST, "intervals": INTERVALS}, postgres={"dsn": database})
    migrate(load(config))
    start("process", "-c", config)
    start("sink", "postgres", "-c", config)
    cluster.publish("md.trades", records)
    wait_for(lambda: everything_committed(cluster), "all offsets to be committed", every=0.5)

    events: list[CandleEvent] = [stored.record for stored in cluster.read("md.candles")]
    corrections = Counter(event.interval for event in events if event.kind is CandleEventKind.CORRECTION)
    assert corrections == dict.fromkeys(INTERVALS, 1)
    expected = {(name, open_time): plain(name, open_time, [*trades, late]) for name, open_time in opened([*trades, late])}
    truth = {(event.interval, event.open_time): figures(event) for event in sorted(events, key=lambda event: event.version)}
    assert truth == expected

    stored = Database(database)
    wait_for(lambda: len(stored.rows("candles")) == len(expected), "the candles to be stored")
    wait_for(lambda: rows(stored) == expected, f"the corrected candles to be stored: {rows(stored)} for {expected}")


def opened(trades: list[Trade]) -> set[tuple[str, int]]:
    """Interval and open time of every candle that the trades belong to."""
    return {(name, parse_interval(name).open_time(trade.event_time)) for name in INTERVALS for trade in trades}


Figures = tuple[int, int, int, int, int, int, bool]
"""Open, high, low, close and volume in whole units, trade count, and whether it is closed."""


def plain(interval: str, open_time: int, trades: list[Trade]) -> Figures:
    """What a candle must say, by plain arithmetic."""
    inside = [trade for trade in trades if parse_interval(interval).open_time(trade.event_time) == open_time]
    prices = [trade.price // ONE for trade in sorted(inside, key=lambda trade: trade.event_time)]
    return prices[0], max(prices), min(prices), prices[-1], sum(trade.size for trade in inside) // ONE, len(inside), True


def figures(event: CandleEvent) -> Figures:
    """What a candle says."""
    numbers = [value // ONE for value in (event.open, event.high, event.low, event.close, event.volume)]
    return (*numbers, event.trade_count, event.is_closed)


def rows(database: Database) -> dict[tuple[str, int], Figures]:
    """What the database says of the candles."""
    found = database.query(
        "SELECT interval, (extract(epoch FROM open_time) * 1000000)::bigint, open, high, low, close, volume, trade_count,"
        " is_closed FROM candles"
    )
    return {(row[0], row[1]): (*map(int, row[2:8]), row[8]) for row in found}
