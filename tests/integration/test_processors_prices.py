"""Latest prices by a worker on the real broker, which is killed meanwhile."""

from market.decimals import ONE
from market.price import PriceRecord
from market.quote import Quote
from market.trade import Trade
from processors.agents import prices
from runtime.settings import ProcessorSettings, load
from schemas.topics import PRICES, QUOTES, TRADES
from tapeline.commands.topics import apply_topics
from tests.builders import START
from tests.cluster import Cluster, wait_for
from tests.folding import Runner, told
from tests.gateway_parts import make_quote
from tests.price_parts import newest
from tests.processing import FAST, GROUP, INSTRUMENTS, Start, stream

ALONE = {**FAST, "agents": ["prices"], "store": "rocksdict"}


def book_tops(count: int) -> list[Quote]:
    """Book tops and now and then a ticker of several instruments over five minutes."""
    found = []
    for number in range(count):
        at, price = START + number * 300_000_000 // count, 100 + number % 7
        fields = {"bid": price * ONE, "ask": (price + 1) * ONE}
        if number % 10 == 0:
            fields |= {"last": price * ONE, "open_24h": 90 * ONE, "volume_24h": number * ONE}
        channel = "bookTicker" if number % 10 else "ticker"
        instrument = INSTRUMENTS[number % 7]
        found.append(
            make_quote(channel=channel, at=at, instrument=instrument, exchange_time=at - 50, sequence=number, **fields)
        )
    return found


def model(quotes: list[Quote], trades: list[Trade]) -> dict[str, PriceRecord]:
    """The last records when nothing goes wrong, but for where their sources lie."""
    runs = Runner(prices.build(ProcessorSettings()))
    return without_places(newest(told(runs.batch(quotes, QUOTES.name), runs.batch(trades, TRADES.name))))


def without_places(records: dict[str, PriceRecord]) -> dict[str, PriceRecord]:
    return {instrument: without_place(record) for instrument, record in records.items()}


def without_place(record: PriceRecord) -> PriceRecord:
    bid, ask, last = (
        None if point is None else point._replace(source=point.source._replace(partition=0, offset=0))
        for point in (record.bid, record.ask, record.last)
    )
    day = None if record.source_24h is None else record.source_24h._replace(partition=0, offset=0)
    return record._replace(bid=bid, ask=ask, last=last, source_24h=day, quotes_offset=None, trades_offset=None)


def is_done(cluster: Cluster) -> bool:
    return all(cluster.all_committed(GROUP, topic.name) for topic in (QUOTES, TRADES))


def test_worker_killed_again_and_again_tells_the_latest_prices(cluster: Cluster, start: Start) -> None:
    records, quotes = stream(3, 1_500), book_tops(1_500)
    trades = [record for record in records if isinstance(record, Trade)]
    config = cluster.config(processors=ALONE)
    apply_topics(load(config))
    worker = start("process", "-c", config)
    for begin in range(0, len(quotes), 500):
        cluster.publish(TRADES.name, records[begin : begin + 500])
        cluster.publish(QUOTES.name, quotes[begin : begin + 500])
        seen = len(cluster.read(PRICES.name))
        wait_for(lambda seen=seen: len(cluster.read(PRICES.name)) > seen, "the worker to be at work")  # type: ignore[misc]
        worker.kill()
        worker.start()
    cluster.publish(TRADES.name, records[len(quotes) :])
    wait_for(lambda: is_done(cluster), "all offsets to be committed", timeout=100, every=0.5)
    worker.kill()

    stored = cluster.read(PRICES.name)
    assert all(one.key == one.record.instrument.encode() for one in stored)
    by_version: dict[tuple[str, int | None, int | None], bytes | None] = {}
    for one in stored:
        version = one.record.instrument, one.record.quotes_offset, one.record.trades_offset
        assert by_version.setdefault(version, one.value) == one.value, "one version, two contents"
    assert without_places(newest(one.record for one in stored)) == model(quotes, trades)
    assert cluster.read("dlq") == []
