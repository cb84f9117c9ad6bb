"""The quality agent on the real broker: what it tells of two topics is what the rules tell, whatever kills it."""

from typing import Any

from market.quality_event import QualityEvent, QualityRule
from market.quality_monitor import QualityLimits, QualityMonitor, QualityState
from market.quality_score import QualityScore
from market.quote import Quote
from runtime.settings import load
from schemas.topics import QUOTES, TRADES
from tapeline.commands.topics import apply_topics
from tests.builders import START, make_trade
from tests.cluster import Cluster, wait_for
from tests.gateway_parts import make_quote
from tests.processing import FAST, GROUP, INSTRUMENTS, Start, stream

SOURCES = (TRADES.name, QUOTES.name)


def quotes(count: int) -> list[Quote]:
    """Quotes of the instruments in turn; every tenth is crossed, every twentieth comes twice."""
    found: list[Quote] = []
    for number in range(count):
        bid = 101 if number % 10 == 0 else 99
        quote = make_quote(bid=bid)._replace(
            instrument=INSTRUMENTS[number % len(INSTRUMENTS)], ask=100, sequence=number, received_at=START + number * 100_000
        )
        found += [quote] * (2 if number % 20 == 0 else 1)
    return found


def identity(record: QualityEvent | QualityScore) -> tuple[Any, ...]:
    what = (record.rule, record.field) if isinstance(record, QualityEvent) else ("score",)
    return *what, record.source_topic, record.source_partition, record.source_offset


def by_the_rules(cluster: Cluster) -> dict[tuple[Any, ...], QualityEvent | QualityScore]:
    """What the records in the topics must tell, each instrument's judged in their order."""
    told = {}
    for topic in SOURCES:
        monitors: dict[str, QualityMonitor] = {}
        for stored in cluster.read(topic):
            name = stored.record.instrument
            if name not in monitors:
                source = topic, stored.partition
                monitors[name] = QualityMonitor(name, QualityState(), source=source, limits=QualityLimits())
            told.update({identity(one): one for one in monitors[name].apply(stored.record, stored.offset)})
    return told


def all_committed(cluster: Cluster) -> bool:
    return all(cluster.all_committed(GROUP, topic) for topic in SOURCES)


def test_worker_killed_again_and_again_tells_what_the_rules_tell(cluster: Cluster, start: Start) -> None:
    config = cluster.config(processors={**FAST, "agents": ["quality"]})
    apply_topics(load(config))
    trades, tops = stream(9, 4_000), quotes(2_000)
    worker = start("process", "-c", config)
    for part in range(4):
        for topic, records in ((TRADES.name, trades), (QUOTES.name, tops)):
            cluster.publish(topic, records[part * len(records) // 4 : (part + 1) * len(records) // 4])
        seen = len(cluster.read("md.quality"))
        wait_for(lambda seen=seen: len(cluster.read("md.quality")) > seen, "the worker to be at work")  # type: ignore[misc]
        worker.kill()
        worker.start()
    wait_for(lambda: all_committed(cluster), "all offsets to be committed", timeout=60, every=0.5)
    expected = by_the_rules(cluster)
    cluster.publish(TRADES.name, [make_trade(9, instrument=INSTRUMENTS[0])._replace(price=0)])
    wait_for(lambda: all_committed(cluster), "all offsets to be committed", timeout=60, every=0.5)
    worker.kill()

    found: dict[tuple[Any, ...], Any] = {}
    for stored in cluster.read("md.quality"):
        assert stored.key == stored.record.instrument.encode()
        assert found.setdefault(identity(stored.record), stored.record) == stored.record, "one identity, two contents"
    refused = [key for key in found if key[0] is QualityRule.NOT_POSITIVE]
    assert [found.pop(key).field for key in refused] == ["price"]
    assert found == expected
    rules = {QualityRule.CROSSED_BOOK, QualityRule.DUPLICATE, QualityRule.GAP, QualityRule.OUT_OF_ORDER, "score"}
    assert {key[0] for key in found} >= rules
    assert [letter.record.reason for letter in cluster.read("dlq")] == ["not_positive"]
