"""The agent of order books on the real broker: a worker killed again and again tells what one that lives tells."""

import pytest

from market.book_top import BookTop
from market.depth import Depth
from processors.agents import books
from runtime.settings import ProcessorSettings, load
from tapeline.commands.topics import apply_topics
from tests.cluster import Cluster, wait_for
from tests.folding import Runner, told
from tests.processing import FAST, GROUP, Start
from tests.venue_data import BITGET, OKX, recorded

TOPIC = "md.depth"
BOOKS = {"agents": ["books"], "books": {"levels": 10, "seconds": 0.05}}


def expected(depths: list[Depth]) -> list[BookTop]:
    return told(Runner(books.build(ProcessorSettings.model_validate(BOOKS))).batch(depths, TOPIC))


def without_source(top: BookTop) -> BookTop:
    return top._replace(source_topic="", source_partition=0, source_offset=0)


@pytest.mark.parametrize("store", ["memory", "rocksdict"])
def test_worker_killed_again_and_again_tells_the_tops_of_the_recorded_books(cluster: Cluster, start: Start, store: str) -> None:
    found = [*recorded("okx", *OKX)[0], *recorded("bitget", *BITGET)[0]]
    depths = [record for record in found if isinstance(record, Depth)]
    config = cluster.config(processors={**FAST, **BOOKS, "store": store})
    apply_topics(load(config))  # the agent's own tables
    worker = start("process", "-c", config)
    for begin in range(0, len(depths), 140):
        seen = len(cluster.read("md.books"))
        cluster.publish(TOPIC, depths[begin : begin + 140])
        wait_for(lambda seen=seen: len(cluster.read("md.books")) > seen, "the worker to be at work")  # type: ignore[misc]
        worker.kill()
        worker.start()
    wait_for(lambda: cluster.all_committed(GROUP, TOPIC), "all offsets to be committed", timeout=100, every=0.5)
    worker.kill()

    tops: dict[tuple[int, int], BookTop] = {}
    for stored in cluster.read("md.books"):
        top = stored.record
        assert stored.key == top.instrument.encode()
        assert stored.partition == top.source_partition
        assert tops.setdefault((top.source_partition, top.source_offset), top) == top
    assert cluster.read("dlq") == []
    for instrument in {depth.instrument for depth in depths}:
        mine = [without_source(top) for _, top in sorted(tops.items()) if top.instrument == instrument]
        wanted = [without_source(top) for top in expected(depths) if top.instrument == instrument]
        assert mine == wanted
        assert mine
