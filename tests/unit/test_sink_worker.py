"""The worker against a broker, a store and a dead-letter topic of plain Python that fail as they are told to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.dead_letter import DeadLetter
from market.errors import DataValidationError
from runtime.health import Health
from runtime.retry import Backoff
from schemas.registry import RegistryError
from sinks.batching import Limits, Place
from sinks.dead_letters import LettersUndelivered, dead_letter
from sinks.intake import BrokerUnavailable
from sinks.placement import Extent, RecordsLost, place
from sinks.store import (
    Batch,
    Entry,
    KafkaRecord,
    OffsetConflict,
    Partition,
    RecordRefused,
    StoredOffset,
    StoreUnavailable,
)
from sinks.worker import CHECKS, SinkWorker

P0, P1 = ("md.trades", 0), ("md.trades", 1)
ID = "topic-id"
LOST = StoreUnavailable("Store", "here", "gone")

BAD, UNSTORABLE = b"bad", b"unstorable"
"""Values: one that cannot be decoded, one that only the store refuses."""


@dataclass
class World:
    """What outlives a worker, and the faults that the next calls meet (by name of the call, first come first served)."""

    log: dict[Partition, list[bytes]] = field(default_factory=lambda: {P0: [], P1: []})
    rows: list[tuple[Partition, int]] = field(default_factory=list)
    stored: dict[Partition, StoredOffset] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    faults: dict[str, list[Exception | str]] = field(default_factory=dict)
    acknowledged: dict[Partition, int] = field(default_factory=dict)
    seconds: float = 0.0
    write_seconds: float = 0.0
    batches: list[int] = field(default_factory=list)
    """Records of each batch that was stored."""

    def meet(self, call: str) -> str:
        fault = self.faults[call].pop(0) if self.faults.get(call) else ""
        if isinstance(fault, Exception):
            raise fault
        return fault

    def publish(self, partition: Partition, *values: bytes) -> None:
        self.log[partition] += values


class FakeIntake:
    """A broker's partitions; `poll` meets "rebalance" (the assignment is taken and given again)."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._positions: dict[Partition, int] | None = None
        self.is_member = False
        self.given = sorted(world.log)
        self.rebalanced = False
        self.is_closed = False

    def open(self) -> None:
        self.is_member = True

    def check(self) -> None:
        self._world.meet("check")

    @property
    def is_waiting(self) -> bool:
        return self._positions is None

    def begin(self, stored: Mapping[Partition, StoredOffset]) -> dict[Partition, Place]:
        self._world.meet("begin")
        extents = {key: Extent(0, len(log), ID) for key, log in self._world.log.items()}
        places = {key: place(key, stored.get(key), extent) for key, extent in extents.items()}
        self._positions = {key: where.offset for key, where in places.items()}
        return places

    def halt(self) -> None:
        self._positions = None

    def poll(self, most: int, timeout: float) -> list[KafkaRecord]:
        self.rebalanced = self._world.meet("poll") == "rebalance"
        if self.rebalanced:
            self._positions = None
        records: list[KafkaRecord] = []
        if self._positions is not None:
            for share in (2, 1):  # some of each partition, then what there is
                for key in self.given:
                    records += self._fetch(key, -((len(records) - most) // share), self._positions)
        if len(records) < most:
            self._world.seconds += timeout
        return records

    def _fetch(self, key: Partition, most: int, positions: dict[Partition, int]) -> list[KafkaRecord]:
        begin = positions[key]
        values = self._world.log[key][begin : begin + most]
        positions[key] += len(values)
        return [KafkaRecord(*key, begin + index, b"key", value, 0) for index, value in enumerate(values)]

    def acknowledge(self, settled: Mapping[Partition, int]) -> None:
        self._world.acknowledged |= settled

    def lags(self, settled: Mapping[Partition, int]) -> dict[Partition, int]:
        return {}

    def close(self) -> None:
        self.is_closed = True


class FakeStore:
    """Transactions in memory; `write` meets "lost" (the answer to a commit is lost) besides plain errors."""

    name = "fake"
    topics = ()

    def __init__(self, world: World) -> None:
        self._world = world
        self._last: Batch | None = None

    def open(self) -> None:
        self._world.meet("open")

    def offsets(self, partitions: Sequence[Partition]) -> Mapping[Partition, StoredOffset]:
        self._world.meet("offsets")
        return {key: offset for key, offset in self._world.stored.items() if key in partitions}

    def write(self, batch: Batch) -> Mapping[str, int]:
        fault = self._world.meet("write")
        for key, advance in batch.advances.items():
            found = self._world.stored.get(key)
            if (found.next_offset if found else None) != advance.before:
                raise OffsetConflict("sink", key, advance.before, found and found.next_offset, "someone")
        for entry in batch.entries:
            if entry.row == UNSTORABLE:
                raise RecordRefused(entry, "not in this store")
        self._world.seconds += self._world.write_seconds
        self._world.batches.append(sum(batch.records.values()))
        self._world.rows += [((entry.source.topic, entry.source.partition), entry.source.offset) for entry in batch.entries]
        self._world.stored |= {key: StoredOffset(advance.after, advance.topic_id) for key, advance in batch.advances.items()}
        if fault == "lost":
            raise LOST
        return {"trades": len(batch.entries)}

    def close(self) -> None:
        self._last = None


class FakeLetters:
    def __init__(self, world: World) -> None:
        self._world = world

    def send(self, letters: Sequence[DeadLetter]) -> None:
        self._world.meet("send")
        self._world.letters += letters


def make_worker(world: World) -> tuple[SinkWorker, Health]:
    def translate(source: KafkaRecord) -> Entry:
        world.meet("translate")
        if source.value == BAD:
            raise DataValidationError("undecodable", "no Avro", field="value")
        return Entry(source, source.value)

    health = Health(CHECKS)
    worker = SinkWorker(
        cast("Any", FakeStore(world)),
        cast("Any", FakeIntake(world)),
        cast("Any", FakeLetters(world)),
        translate,
        health=health,
        limits=Limits(records=4, seconds=0.5, catch_up=10),
        backoff=Backoff(initial_seconds=1.0, jitter=0.0),
        clock=lambda: world.seconds,
        now=lambda: 1_700_000_000_000_000,
    )
    worker.open()
    return worker, health


def step(worker: SinkWorker, times: int) -> None:
    for _ in range(times):
        worker.step()


def test_records_are_stored_with_their_offsets() -> None:
    world = World()
    world.publish(P0, *[b"a"] * 3)
    world.publish(P1, b"b")
    worker, health = make_worker(world)
    step(worker, 4)
    assert sorted(world.rows) == [(P0, 0), (P0, 1), (P0, 2), (P1, 0)]
    assert world.stored == {P0: StoredOffset(3, ID), P1: StoredOffset(1, ID)}
    assert world.acknowledged == {P0: 3, P1: 1}
    assert health.reasons() == {}


def test_small_batch_is_written_at_its_age() -> None:
    world = World()
    world.publish(P0, b"a")
    worker, _ = make_worker(world)
    step(worker, 1)
    assert world.rows == []
    step(worker, 1)
    assert world.rows == [(P0, 0)]


def test_records_waiting_are_taken_along_in_larger_batches() -> None:
    world = World()
    world.publish(P0, *[b"a"] * 27)
    worker, _ = make_worker(world)
    step(worker, 5)
    assert world.batches == [10, 10, 7]


def test_store_that_takes_long_over_every_batch_keeps_up() -> None:
    world = World(write_seconds=0.3)
    worker, _ = make_worker(world)
    step(worker, 1)
    published = 0
    while world.seconds < 60.0:  # 20 records a second: more than one batch of four in the time that a batch takes
        due = int(world.seconds * 20)
        world.publish(P0, *[b"a"] * (due - published))
        published = due
        step(worker, 1)
        assert len(world.log[P0]) - len(world.rows) < 20
    assert max(world.batches) > 4


def test_batch_that_is_tried_again_is_no_larger_than_it_must_be() -> None:
    world = World(faults={"write": [LOST] * 2})
    world.publish(P0, *[b"a"] * 20)
    worker, _ = make_worker(world)
    step(worker, 40)
    assert world.batches == [4, 10, 6]


def test_poison_goes_to_the_dead_letters_and_its_neighbours_are_stored() -> None:
    world = World()
    world.publish(P0, b"a", BAD, b"a", b"a")
    worker, _ = make_worker(world)
    step(worker, 5)
    assert world.rows == [(P0, 0), (P0, 2), (P0, 3)]
    [letter] = world.letters
    assert letter == DeadLetter(
        *("md.trades", 0, 1, "sinks", "undecodable", "no Avro", "value"),
        b"key",
        BAD,
        truncated=False,
        failed_at=1_700_000_000_000_000,
    )
    assert world.stored[P0].next_offset == 4


def test_record_that_the_store_refuses_goes_to_the_dead_letters_and_the_rest_is_stored() -> None:
    world = World()
    world.publish(P0, b"a", UNSTORABLE, UNSTORABLE, b"a")
    worker, _ = make_worker(world)
    step(worker, 5)
    assert world.rows == [(P0, 0), (P0, 3)]
    assert [(letter.source_offset, letter.reason) for letter in world.letters] == [
        (1, "refused_by_store"),
        (2, "refused_by_store"),
    ]


def test_nothing_is_stored_while_dead_letters_cannot_be_written() -> None:
    world = World(faults={"send": [LettersUndelivered("dlq is down")] * 2})
    world.publish(P0, b"a", BAD, b"a", b"a")
    worker, health = make_worker(world)
    step(worker, 3)
    assert (world.rows, world.stored) == ([], {})
    assert health.reasons()["dead_letters"] == "dlq is down"
    step(worker, 30)
    assert [offset for _, offset in world.rows] == [0, 2, 3]
    assert len(world.letters) == 1
    assert health.reasons() == {}


@pytest.mark.parametrize(
    ("call", "fault", "check"),
    [
        ("write", LOST, "store"),
        ("write", "lost", "store"),
        ("offsets", LOST, "store"),
        ("check", BrokerUnavailable("no broker"), "kafka"),
        ("begin", BrokerUnavailable("no broker"), "kafka"),
        ("poll", BrokerUnavailable("no broker"), "kafka"),
        ("translate", RegistryError("no registry"), "registry"),
    ],
)
def test_outage_is_waited_out_and_nothing_is_lost_or_doubled(call: str, fault: Exception | str, check: str) -> None:
    world = World(faults={call: [fault, fault]})
    world.publish(P0, *[b"a"] * 29)
    worker, health = make_worker(world)
    for _ in range(60):
        if not world.faults[call]:
            break
        step(worker, 1)
    assert check in health.reasons()
    step(worker, 60)
    assert world.rows == [(P0, offset) for offset in range(29)]
    assert health.reasons() == {}


def test_lost_store_is_noticed_while_no_record_comes() -> None:
    world = World()
    worker, health = make_worker(world)
    step(worker, 4)
    assert health.reasons() == {}
    world.faults["offsets"] = [LOST]
    began = world.seconds
    while not health.reasons():
        step(worker, 1)
    assert world.seconds - began < 6.0
    assert "gone" in health.reasons()["store"]
    step(worker, 30)
    assert health.reasons() == {}


def test_store_says_when_to_come_again() -> None:
    world = World(faults={"offsets": [StoreUnavailable("Store", "here", "busy", retry_after=7.0)]})
    worker, health = make_worker(world)
    step(worker, 1)
    began = world.seconds
    while health.reasons():
        step(worker, 1)
    assert 7.0 <= world.seconds - began < 8.0


def test_rebalance_drops_what_is_collected() -> None:
    world = World(faults={"poll": ["", "rebalance"]})
    world.publish(P0, b"a")
    worker, _ = make_worker(world)
    step(worker, 2)
    assert world.rows == []
    step(worker, 3)
    assert world.rows == [(P0, 0)]


def test_second_sink_ends_the_worker() -> None:
    world = World()
    world.publish(P0, b"a")
    worker, _ = make_worker(world)
    step(worker, 1)
    world.stored[P0] = StoredOffset(1, ID)
    with pytest.raises(OffsetConflict, match=r"md\.trades\[0\] is 1, written by someone, but it was None"):
        step(worker, 5)
    assert world.rows == []


def test_lost_records_end_the_worker() -> None:
    world = World(stored={P0: StoredOffset(5, ID)})
    worker, _ = make_worker(world)
    with pytest.raises(RecordsLost):
        step(worker, 1)


def test_stop_writes_what_is_collected() -> None:
    world = World()
    world.publish(P0, b"a")
    worker, _ = make_worker(world)
    stops = iter([False, True])
    worker.run(lambda: next(stops))
    assert world.rows == [(P0, 0)]


def test_stop_does_not_wait_for_a_dead_store() -> None:
    world = World(faults={"write": [LOST] * 99})
    world.publish(P0, b"a")
    worker, _ = make_worker(world)
    stops = iter([False, True])
    worker.run(lambda: next(stops))
    assert world.rows == []


FAULTS = st.sampled_from(
    [
        ("write", LOST),
        ("write", "lost"),
        ("offsets", LOST),
        ("send", LettersUndelivered("dlq is down")),
        ("translate", RegistryError("no registry")),
        ("poll", BrokerUnavailable("no broker")),
        ("poll", "rebalance"),
        ("crash", ""),
        ("none", ""),
    ]
)
VALUES = st.lists(st.sampled_from([b"a", b"a", b"a", BAD, UNSTORABLE]), max_size=8)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(FAULTS, st.sampled_from([P0, P1]), VALUES, st.integers(1, 6)), max_size=12))
def test_whatever_fails_every_record_is_stored_once_or_told_of(
    story: list[tuple[tuple[str, Exception | str], Partition, list[bytes], int]],
) -> None:
    world = World()
    worker, _ = make_worker(world)
    for (call, fault), partition, values, steps in story:
        world.publish(partition, *values)
        if call == "crash":
            worker, _ = make_worker(world)
        world.faults.setdefault(call, []).append(fault)
        step(worker, steps)
        assert_offsets_cover_just_the_rows(world)
    world.faults.clear()
    step(worker, 200)
    for key, log in world.log.items():
        assert world.stored.get(key, StoredOffset(0, ID)).next_offset == len(log)
    assert_offsets_cover_just_the_rows(world)


def assert_offsets_cover_just_the_rows(world: World) -> None:
    """Below a stored offset every record is one row, or is in a letter; at and above it there is no row."""
    refused = {((letter.source, letter.source_partition), letter.source_offset) for letter in world.letters}
    expected = []
    for key, log in world.log.items():
        stored = world.stored.get(key, StoredOffset(0, ID)).next_offset
        for offset, value in enumerate(log[:stored]):
            if value == b"a":
                expected.append((key, offset))
            else:
                assert (key, offset) in refused
    assert sorted(world.rows) == expected


def test_letter_keeps_the_original_bytes() -> None:
    letter = dead_letter(KafkaRecord("md.trades", 1, 2, None, None, 0), "undecodable", "there is no value", None, 5)
    assert (letter.key, letter.value, letter.truncated) == (None, None, False)


def test_letter_of_an_oversized_record_is_cut_short_and_says_so() -> None:
    letter = dead_letter(KafkaRecord("md.trades", 1, 2, b"k" * 10**6, b"v" * 5_000_000, 0), "undecodable", "e" * 10**6, None, 5)
    assert letter.truncated
    assert letter.value
    assert letter.key
    assert len(letter.value) + len(letter.key) + len(letter.error) < 4 << 20
