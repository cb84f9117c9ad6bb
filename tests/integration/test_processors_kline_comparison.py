"""The comparison of klines in a worker on the real broker, beside the candles it compares, killed in between."""

from market.decimals import ONE
from market.quality_event import Severity, of_price
from market.trade import TimeMark
from runtime.settings import load
from tapeline.commands.topics import apply_topics
from tests.builders import INSTRUMENT, MINUTE, START, make_trade
from tests.cluster import Cluster, wait_for
from tests.kline_parts import kline, last_words
from tests.processing import FAST, GROUP, Start

AGENTS = {**FAST, "agents": ["candles", "kline_comparison"]}
SOURCES = ("md.trades", "md.candles", "md.klines")


def test_worker_tells_what_candles_and_klines_differ_in_whatever_kills_it(cluster: Cluster, start: Start) -> None:
    def is_done() -> bool:
        return all(cluster.all_committed(GROUP, topic) for topic in SOURCES)

    trades = [make_trade(minute, at=START + minute * MINUTE) for minute in range(9)]
    klines = [kline(minute, taker_buy_volume=ONE) for minute in range(9)]
    klines[2] = kline(2, 5, taker_buy_volume=ONE)
    path = cluster.config(processors=AGENTS)
    apply_topics(load(path))
    worker = start("process", "-c", path)
    cluster.publish("md.trades", trades[:5])
    cluster.publish("md.klines", klines[:3])
    wait_for(lambda: len(cluster.read("md.quality")) >= 3, "the difference to be told")
    worker.kill()
    worker.start()
    cluster.publish("md.trades", [*trades[5:], TimeMark(INSTRUMENT, START + 20 * MINUTE)])
    cluster.publish("md.klines", [one for one in klines[3:] if one.open_time != START + 3 * MINUTE])
    wait_for(is_done, "all offsets to be committed", timeout=60, every=0.5)
    worker.kill()
    worker.start()
    late = make_trade(100, at=START + 2 * MINUTE + 1, size=4)
    cluster.publish("md.trades", [late])
    wait_for(is_done, "all offsets to be committed", timeout=60, every=0.5)
    worker.kill()

    events = [stored.record for stored in cluster.read("md.quality")]
    differing = [one for one in events if one.severity is Severity.WARNING]
    assert {(one.field, one.observed, one.expected) for one in differing if one.field == "volume"} == {
        ("volume", of_price(ONE), of_price(5 * ONE))
    }
    # The late trade corrects all but the count and the taker's side; the kline of the fourth minute never came.
    assert last_words(events) == {
        ("1m", START + 2 * MINUTE): {
            "taker_buy_volume": (of_price(5 * ONE), of_price(ONE)),
            "trade_count": (2 * 10**24, 5 * 10**24),
        },
        ("1m", START + 3 * MINUTE): {None: (None, None)},
    }
    assert cluster.read("dlq") == []
