"""The loop around a computation: what it acknowledges after what, and what it does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from market.candle_series import SeriesState
from market.trade import TimeMark
from processors import commits
from processors.agents import candles
from processors.batch import Batch, RawRecord
from processors.commits import MOST_BATCHES
from processors.computation import Effects
from processors.deliveries import Offsets
from processors.expiry import RecordsLost
from processors.fence import Superseded
from processors.loop import BatchLoop, BatchMissing
from processors.states.candles import encode_series
from processors.states.form import reflected_offset
from processors.surroundings import LoopHooks, LoopSettings, Ways
from processors.transport.packing import Output, counts_of, messages_of
from runtime.settings import ProcessorSettings
from schemas.codec import Codec, SchemaNotLearnt
from schemas.records import schema_text
from tests.builders import INSTRUMENT, START, make_trade
from tests.folding import CODEC, MAX_SKEW, batch_of, raw_of


class World:
    """Everything around a loop, in memory; `steps` is what happened, in order."""

    def __init__(self, codec: Codec = CODEC) -> None:
        self.steps: list[str] = []
        self.generation: int | None = 1
        self.failures: list[BaseException] = []
        self.counted: list[Batch] = []
        self.codec = codec
        self.tables = {name: Table(self, name) for name in ("closed-candles", "candles")}

    def loop(self, deliveries: Deliveries | None = None, *, commit_seconds: float = 1e9) -> BatchLoop:
        """A loop; by default it commits by itself only in the end."""
        ways = Ways(self.codec, 4, deliveries or Deliveries(self), Fence(self), lambda: START)  # type: ignore[arg-type]  # suffices
        return BatchLoop(
            "candles",
            candles.build(ProcessorSettings()),
            self.tables,  # type: ignore[arg-type]  # has what is asked of it
            ways,
            LoopSettings(commit_seconds, MAX_SKEW, compiled=True),
            LoopHooks(
                on_batch=lambda name, batch: self.counted.append(batch),
                on_effects=self._note,
                on_commit=lambda seconds: None,
                on_waiting=lambda reason: None,
                on_failure=self.failures.append,
                on_lost=self.failures.append,
            ),
        )

    def _note(self, name: str, effects: Effects) -> None:
        self.steps.append(f"{counts_of(effects.outputs).total()} outputs told")


class Fence:
    """A group whose generation the test sets."""

    def __init__(self, world: World) -> None:
        self._world = world

    def is_current(self, generation: int) -> bool:
        return self._world.generation == generation

    def check(self, generation: int) -> None:
        if not self.is_current(generation):
            raise Superseded


class Deliveries:
    """A broker that acknowledges at once, unless the group has gone on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._fence = Fence(world)

    async def send(self, outputs: Sequence[Output], generation: int) -> Offsets:
        self._fence.check(generation)
        await asyncio.sleep(0)
        messages = [*messages_of(outputs)]
        self._world.steps += [f"to {topic}" for topic in dict.fromkeys(message.topic for message in messages)]
        return {(message.topic, message.partition): 7 for message in messages}


class Table:
    """A table in memory."""

    def __init__(self, world: World, name: str) -> None:
        self.changelog_topic_name = f"{name} changelog"
        self.stored: dict[tuple[int, bytes], bytes] = {}
        self._world = world

    def read(self, partition: int, key: bytes) -> bytes | None:
        return self.stored.get((partition, key))

    def write(self, partition: int, writes: Iterable[tuple[bytes, bytes | None]], offset: int) -> None:
        assert offset == 7
        self._world.steps.append(f"{self.changelog_topic_name.split()[0]} stored")
        self.stored |= {(partition, key): value for key, value in writes if value is not None}


class Stream:
    """Events in, acknowledged offsets out; ends when `end` is set."""

    def __init__(self, world: World, batches: Sequence[Batch]) -> None:
        self.acknowledged: list[int] = []
        self._world = world
        self._batches = batches

    def noack(self) -> Stream:
        return self

    async def events(self) -> AsyncIterator[Any]:
        for batch in self._batches:
            yield SimpleNamespace(value=batch)

    async def ack(self, event: Any) -> None:
        self._world.steps.append("acknowledged")
        self.acknowledged.append(event.value.last_offset)


def batch(first: int, last: int, *, generation: int = 1, previous: int | None = None, partition: int = 0) -> Batch:
    """A batch of trades at these offsets."""
    raw = [raw_of(make_trade(offset + 1, at=START + offset), offset) for offset in range(first, last + 1)]
    return batch_of(raw, partition, generation=generation, previous=previous)


def run(world: World, batches: Sequence[Batch]) -> list[int]:
    """Acknowledged offsets."""
    stream = Stream(world, batches)
    try:
        asyncio.run(world.loop().run(stream))
    except BatchMissing:
        assert world.failures
    return stream.acknowledged


def test_batches_that_follow_each_other_are_acknowledged() -> None:
    world = World()
    batches = [batch(3, 5), batch(0, 9, partition=1), batch(6, 7, previous=5), batch(9, 9, previous=7)]
    assert (run(world, batches), world.failures) == ([5, 9, 7, 9], [])


def test_batches_of_several_topics_follow_those_of_their_own() -> None:
    world = World()
    batches = [batch(3, 5), batch(0, 9), batch(6, 7, previous=5), batch(10, 10, previous=9)]
    for other in batches[1::2]:
        other.topic = "md.quotes"
    assert (run(world, batches), world.failures) == ([5, 9, 7, 10], [])


def test_each_step_waits_for_the_one_before() -> None:
    world = World()
    minute_later = raw_of(make_trade(9, at=START + 90_000_000), 9)
    poison = RawRecord(10, START // 1000, b"", b"\x01")
    assert run(world, [batch(0, 5), batch_of([minute_later, poison], 0, previous=5)]) == [5, 10]
    assert world.steps == [
        "to dlq",
        "to md.candles",
        "to closed-candles changelog",
        "closed-candles stored",
        "to candles changelog",
        "candles stored",
        "acknowledged",
        "acknowledged",
        "3 outputs told",
    ]


def test_batch_of_an_earlier_generation_is_left_to_be_read_again() -> None:
    world = World()
    world.generation = 2
    assert run(world, [batch(3, 5), batch(3, 8, generation=2)]) == [8]
    assert len(world.tables["candles"].stored) == 1


@pytest.mark.parametrize(
    "batches",
    [[batch(3, 5), batch(8, 9, previous=7)], [batch(6, 7, previous=5)]],
    ids=["between two", "before the first"],
)
def test_nothing_is_acknowledged_once_a_batch_is_missing(batches: Sequence[Batch]) -> None:
    world = World()
    assert run(world, batches) == []
    (failure,) = world.failures
    assert isinstance(failure, BatchMissing)
    assert f"the batch at {batches[-1].first_offset} follows {batches[-1].previous}" in str(failure)


def test_what_the_group_took_away_before_it_was_committed_is_neither_stored_nor_acknowledged() -> None:
    async def main() -> None:
        world = World()
        loop = world.loop()
        stream = Stream(world, [batch(3, 5)])
        loop._commits._stream = stream
        async for event in stream.events():
            await loop._take_in(event)
        world.generation = None
        await loop.commit()
        assert (world.steps, stream.acknowledged, world.failures) == ([], [], [])
        world.generation = 2
        again = Stream(world, [batch(3, 9, generation=2)])
        await loop.run(again)
        assert (again.acknowledged, world.failures) == ([9], [])

    asyncio.run(main())


def test_group_that_takes_partitions_away_during_a_commit_ends_it_before_the_store() -> None:
    class Fickle(Deliveries):
        async def send(self, outputs: Sequence[Output], generation: int) -> Offsets:
            offsets = await super().send(outputs, generation)
            if "candles changelog" in counts_of(outputs):
                self._world.generation = 2
            return offsets

    world = World()
    loop = world.loop(Fickle(world))
    stream = Stream(world, [batch(3, 5)])
    asyncio.run(loop.run(stream))
    assert world.steps == ["to md.candles", "to candles changelog"]
    assert (stream.acknowledged, world.tables["candles"].stored, world.failures) == ([], {}, [])


class Slow(Deliveries):
    """A broker that takes the records of one topic only when it is told to."""

    def __init__(self, world: World, topic: str) -> None:
        super().__init__(world)
        self.waiting, self.goes_on = asyncio.Event(), asyncio.Event()
        self._topic = topic

    async def send(self, outputs: Sequence[Output], generation: int) -> Offsets:
        if self._topic in counts_of(outputs):
            self.waiting.set()
            await self.goes_on.wait()
        return await super().send(outputs, generation)


def waiting_for(topic: str, *batches: Batch) -> tuple[World, Slow, BatchLoop, Stream]:
    """A loop to be driven by hand, whose broker holds the records of a topic back."""
    world = World()
    slow = Slow(world, topic)
    loop, stream = world.loop(slow), Stream(world, batches)
    loop._commits._stream = stream
    return world, slow, loop, stream


def test_folding_goes_on_while_a_commit_waits() -> None:
    async def main() -> None:
        _, slow, loop, stream = waiting_for("md.candles", batch(0, 5), batch(6, 8, previous=5))
        events = [event async for event in stream.events()]
        await loop._take_in(events[0])
        committing = asyncio.create_task(loop.commit())
        await slow.waiting.wait()
        await loop._take_in(events[1])
        assert stream.acknowledged == []
        slow.goes_on.set()
        await committing
        assert stream.acknowledged == [5]
        await loop.commit()
        assert stream.acknowledged == [5, 8]

    asyncio.run(main())


def test_results_are_published_while_tables_wait_and_stored_together_afterwards() -> None:
    async def main() -> None:
        world, slow, loop, stream = waiting_for(
            "candles changelog", batch(0, 5), batch(6, 8, previous=5), batch(9, 9, previous=8)
        )
        first, *others = [event async for event in stream.events()]
        await loop._take_in(first)
        storing = asyncio.create_task(loop.commit())
        await slow.waiting.wait()
        for event in others:
            await loop._take_in(event)
            await loop._commits._publish()
        assert world.steps == ["to md.candles"] * 3
        slow.goes_on.set()
        await storing
        await loop.commit()
        stored = ["to candles changelog", "candles stored", "acknowledged"]
        assert world.steps[3:] == [*stored, "2 outputs told", *stored, "1 outputs told", "acknowledged", "1 outputs told"]
        assert reflected_offset(world.tables["candles"].stored[0, INSTRUMENT.encode()]) == 9

    asyncio.run(main())


def test_nothing_is_stored_past_a_commit_whose_publishing_was_given_up() -> None:
    async def main() -> None:
        world, slow, loop, stream = waiting_for("md.candles", batch(0, 5), batch(6, 8, previous=5))
        first, second = [event async for event in stream.events()]
        await loop._take_in(first)
        draining = asyncio.create_task(loop.commit())
        await slow.waiting.wait()
        draining.cancel()
        await asyncio.wait([draining])
        slow.goes_on.set()
        await loop._take_in(second)
        await loop.commit()
        assert (world.steps, stream.acknowledged) == (["to md.candles"], [])

    asyncio.run(main())


def test_commits_that_cannot_be_stored_are_few_and_the_last_one_takes_in_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "MOST_COMMITS", 2)

    async def main() -> None:
        world = World()
        slow = Slow(world, "candles changelog")
        loop = world.loop(slow, commit_seconds=0.0)
        stream = Stream(world, [batch(number, number, previous=number - 1 if number else None) for number in range(9)])
        running = asyncio.create_task(loop._commits.run(stream))
        async for event in stream.events():
            await loop._take_in(event)
            await asyncio.sleep(0.01)
        await slow.waiting.wait()
        assert [len(commit.events) for commit in loop._commits._begun] == [1, 1]
        slow.goes_on.set()
        await loop.commit()
        assert stream.acknowledged == [*range(9)]
        running.cancel()

    asyncio.run(main())


def test_no_more_batches_are_taken_in_than_there_is_room_for() -> None:
    async def main() -> None:
        world = World()
        slow = Slow(world, "md.candles")
        batches = [batch(number, number, previous=number - 1 if number else None) for number in range(MOST_BATCHES + 3)]
        stream = Stream(world, batches)
        loop = world.loop(slow)
        running = asyncio.create_task(loop.run(stream))
        while len(world.counted) < MOST_BATCHES:
            await asyncio.sleep(0)
        committing = asyncio.create_task(loop.commit())
        await slow.waiting.wait()
        assert (len(world.counted), stream.acknowledged) == (MOST_BATCHES, [])
        slow.goes_on.set()
        await asyncio.gather(running, committing)
        assert stream.acknowledged == [*range(MOST_BATCHES + 3)]

    asyncio.run(main())


def test_schemas_are_asked_for_once_and_the_batch_is_counted_once() -> None:
    asked: list[int] = []
    lock = threading.Lock()

    def fetch(schema_id: int) -> str:
        with lock:
            asked.append(schema_id)
        return schema_text(TimeMark)

    value = Codec({("md.trades", TimeMark): 9}, lambda schema_id: None).encode("md.trades", TimeMark(INSTRUMENT, START))
    codec = Codec(CODEC._ids, fetch)
    raw = [RawRecord(offset, START // 1000, INSTRUMENT.encode(), value) for offset in range(3)]
    shared = batch_of([*raw, raw_of(make_trade(1), 3)], 0)
    world = World(codec)
    assert run(world, [shared]) == [3]
    assert (asked, world.counted, world.failures) == ([9], [shared], [])


def test_schema_of_what_was_kept_is_asked_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state may hold a record as it was read, under a schema that no record of the batch has."""
    codec, fold = Codec(CODEC._ids, lambda schema_id: schema_text(TimeMark)), candles.CandlesFold.fold

    def kept(self: candles.CandlesFold, batch: Batch) -> None:
        fold(self, batch)
        if codec.not_learnt([9]):
            raise SchemaNotLearnt(9)

    monkeypatch.setattr(candles.CandlesFold, "fold", kept)
    world = World(codec)
    assert run(world, [batch_of([raw_of(make_trade(1), 0)], 0)]) == [0]
    assert world.failures == []


@pytest.mark.parametrize(("known", "is_lost"), [(19, False), (20, True)])
def test_tables_that_know_more_than_the_topic_has_end_the_worker(known: int, is_lost: bool) -> None:
    async def main() -> None:
        world = World()
        world.tables["candles"].stored[0, INSTRUMENT.encode()] = encode_series(SeriesState(applied_offset=known))
        found = batch(3, 3)
        found.end = 20
        stream = Stream(world, [found])
        running = asyncio.create_task(world.loop().run(stream))
        if is_lost:
            while not world.failures:
                await asyncio.sleep(0)
            assert isinstance(world.failures[0], RecordsLost)
            running.cancel()
        else:
            await running
        assert stream.acknowledged == ([] if is_lost else [3])

    asyncio.run(main())
