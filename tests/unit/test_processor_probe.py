"""What a worker shows of itself, and when its probe ends it."""

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from confluent_kafka import KafkaError, KafkaException
from faust.tables.recovery import Recovery
from faust.types import TP

from processors.computation import Effects
from processors.probe import Probe, WorkerFailed
from processors.service import count
from processors.watchdog import Place, Position, Watchdog
from runtime import metrics
from runtime.health import Health

TOPIC = "md.probed"
STUCK = Position(5, 0, 9)


def recovery() -> Any:
    """Faust's own account of a recovery, in the state that it has before anything is assigned."""
    app = SimpleNamespace(conf=SimpleNamespace(stream_recovery_delay=0))
    return Recovery(app, SimpleNamespace())


class World:
    """A worker, its clock, and what the broker says of its partitions."""

    def __init__(self, **positions: Position) -> None:
        self.now = 0.0
        self.positions = {int(name[1:]): position for name, position in positions.items()}
        self.recovery = recovery()
        self.health = Health(("kafka", "registry", "tables"))
        self.health.ready("registry")
        self.failure: KafkaException | None = None
        consumer = SimpleNamespace(
            assignment=lambda: {TP(TOPIC, partition) for partition in self.positions},
            thread_loop=object(),
        )
        self.app: Any = SimpleNamespace(consumer=consumer, rebalancing=False, tables=SimpleNamespace(recovery=self.recovery))
        self.probe = Probe(self.app, {TOPIC}, self.health, Watchdog(60), Watchdog(60), self._answer, lambda: self.now)

    def _answer(self, places: list[Place]) -> dict[Place, Position]:
        if self.failure:
            raise self.failure
        return {place: self.positions[place.partition] for place in places}

    def look(self, *at: float) -> None:
        for self.now in at:
            asyncio.run(self.probe.look())


def shown() -> dict[str, float]:
    (family,) = metrics.CONSUMER_LAG.collect()
    return {each.labels["partition"]: each.value for each in family.samples if each.labels["topic"] == TOPIC}


def test_stalled_partition_ends_the_worker() -> None:
    world = World(p0=STUCK)
    world.look(0, 59)
    with pytest.raises(WorkerFailed, match=r"md.probed\[0\]: records are waiting"):
        world.look(60)


def test_time_in_which_tables_are_rebuilt_does_not_count_as_a_stall() -> None:
    world = World(p0=STUCK)
    world.recovery.in_recovery = True
    world.look(0, 60, 120)
    assert "tables" in world.health.reasons()
    world.recovery.in_recovery = False
    world.look(121, 180)
    assert world.health.reasons() == {}
    with pytest.raises(WorkerFailed):
        world.look(181)


def test_time_in_which_the_registry_is_waited_for_does_not_count_as_a_stall() -> None:
    world = World(p0=STUCK)
    world.health.not_ready("registry", "unreachable")
    world.look(0, 60, 120)
    world.health.ready("registry")
    world.look(121, 180)
    with pytest.raises(WorkerFailed):
        world.look(181)


def test_lag_of_a_partition_given_to_another_worker_is_no_longer_shown() -> None:
    world = World(p0=Position(5, 0, 9), p1=Position(9, 0, 9))
    world.look(0)
    assert shown() == {"0": 4, "1": 0}
    del world.positions[0]
    world.look(3)
    assert shown() == {"1": 0}


def test_broker_that_does_not_answer_makes_the_worker_unready() -> None:
    world = World(p0=STUCK)
    world.failure = KafkaException(KafkaError(KafkaError._TIMED_OUT))
    world.look(0)
    assert "kafka" in world.health.reasons()
    world.failure = None
    world.look(3)
    assert world.health.reasons() == {}


def test_time_without_a_broker_is_no_stall() -> None:
    world = World(p0=STUCK)
    world.look(0)
    world.failure = KafkaException(KafkaError(KafkaError._TIMED_OUT))
    world.look(60, 119)
    world.failure = None
    world.look(121, 180)
    with pytest.raises(WorkerFailed):
        world.look(241)


def test_records_skipped_because_the_tables_have_them_are_counted() -> None:
    count(Effects(counts=Counter(replayed=3, applied=1)))
    assert metrics.REGISTRY.get_sample_value("tapeline_records_replayed_total", {"topic": "md.trades"}) == 3


class Table(NamedTuple):
    """What a recovery asks of a table."""

    name: str
    offset: int | None

    def persisted_offset(self, _tp: TP) -> int | None:
        return self.offset


def changelog(world: World, table: str, partition: int, *, offset: int | None, end: int | None) -> None:
    """Assign a partition of a table; it is read up to `offset`, and its topic ends at `end` where that is known already."""
    tp = TP(f"app-{table}-changelog", partition)
    world.recovery.add_active(Table(table, offset), tp)
    if end is not None:
        world.recovery.active_highwaters[tp] = end - 1  # Faust keeps the offset of the last record


def left_to_read(table: str) -> float | None:
    return metrics.REGISTRY.get_sample_value("tapeline_recovery_remaining_records", {"table": table})


def test_what_is_left_to_read_of_changelogs_is_shown_by_table_and_told_as_the_reason() -> None:
    world = World(p0=STUCK)
    world.recovery.in_recovery = True
    changelog(world, "left-a", 0, offset=-1, end=12_000)
    changelog(world, "left-a", 1, offset=99, end=200)
    changelog(world, "left-b", 0, offset=54, end=300)
    world.look(0)
    assert world.health.reasons() == {"tables": "12,345 changelog records left to read"}
    assert (left_to_read("left-a"), left_to_read("left-b")) == (12_100, 245)
    world.recovery.active_offsets.update({TP("app-left-a-changelog", 0): 12_000})
    world.recovery.active_offsets[TP("app-left-a-changelog", 1)] = 199
    world.recovery.active_offsets[TP("app-left-b-changelog", 0)] = 299
    world.recovery.in_recovery = False
    world.look(3)
    assert world.health.reasons() == {}
    assert (left_to_read("left-a"), left_to_read("left-b")) == (0, 0)


def test_tables_whose_ends_are_not_known_yet_are_told_of_without_a_figure() -> None:
    world = World(p0=STUCK)
    world.recovery.in_recovery = True
    changelog(world, "unknown", 0, offset=None, end=None)
    changelog(world, "unknown", 1, offset=None, end=50)
    world.look(0)
    assert world.health.reasons() == {"tables": "partitions are being shared out or their tables rebuilt"}
    assert left_to_read("unknown") == 0


def test_partition_of_a_table_that_another_worker_has_now_counts_no_longer() -> None:
    world = World(p0=STUCK)
    world.recovery.in_recovery = True
    changelog(world, "moved", 0, offset=9, end=50)
    world.look(0)
    assert left_to_read("moved") == 40
    world.recovery.active_tps.clear()
    world.look(3)
    assert left_to_read("moved") == 0


def test_tables_for_which_no_record_comes_end_the_worker() -> None:
    world = World(p0=STUCK)
    world.recovery.in_recovery = True
    changelog(world, "stuck", 0, offset=9, end=50)
    world.look(0, 30)
    world.recovery.active_offsets[TP("app-stuck-changelog", 0)] = 10
    world.look(59, 118)
    with pytest.raises(WorkerFailed, match="of 39 changelog records left to read none has come"):
        world.look(119)
