"""The loop around a computation: what it acknowledges, and what it does not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from market.candle_series import SeriesState
from market.trade import TimeMark
from processors.agents import candles
from processors.batch import Batch, RawRecord, SourceRecord
from processors.expiry import RecordsLost
from processors.loop import BatchLoop, BatchMissing
from processors.state import encode_series
from runtime.settings import ProcessorSettings
from schemas.codec import Codec
from schemas.records import schema_text
from tests.builders import INSTRUMENT, START, make_trade


class Stream:
    """Events in, acknowledged offsets out."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.acknowledged: list[int] = []
        self._batches = batches

    def noack(self) -> Stream:
        return self

    async def events(self) -> AsyncIterator[Any]:
        for batch in self._batches:
            yield SimpleNamespace(value=batch)

    async def ack(self, event: Any) -> None:
        self.acknowledged.append(event.value.raw[-1].offset)


class NothingToWrite:
    """Outputs of batches that have none."""

    async def refuse(self, batch: Batch, refusals: Sequence[Any]) -> None:
        assert not refusals

    async def send(self, outputs: Sequence[Any]) -> None:
        assert not outputs


class Table(dict[bytes, bytes]):
    """A table whose changelog is acknowledged at once."""

    async def apply(self, writes: Mapping[str, bytes]) -> None:
        self.update({key.encode(): value for key, value in writes.items()})


def batch(first: int, last: int, *, generation: int = 1, previous: int | None = None, partition: int = 0) -> Batch:
    raw = [RawRecord(offset, 0, b"", b"") for offset in range(first, last + 1)]
    return Batch("md.trades", partition, raw, generation, previous, decoded=[], refusals=[])


def make_loop(codec: Codec, on_batch: Callable[[Batch], None], on_failure: Callable[[BaseException], None]) -> BatchLoop:
    return BatchLoop(
        candles.build(ProcessorSettings()),
        {"candles": Table(), "closed-candles": Table()},  # type: ignore[dict-item]  # has what is asked of it
        NothingToWrite(),  # type: ignore[arg-type]
        codec,
        max_skew=0,
        on_batch=on_batch,
        on_effects=lambda batch, effects: None,
        on_waiting=lambda reason: None,
        on_failure=on_failure,
        on_lost=on_failure,
    )


def run(batches: Sequence[Batch]) -> tuple[list[int], list[BaseException]]:
    """Acknowledged offsets, and what ended the loop."""
    failures: list[BaseException] = []
    stream = Stream(batches)
    loop = make_loop(Codec({}, lambda schema_id: None), lambda batch: None, failures.append)
    try:
        asyncio.run(loop.run(stream))
    except BatchMissing:
        assert failures
    return stream.acknowledged, failures


def test_batches_that_follow_each_other_are_acknowledged() -> None:
    batches = [batch(3, 5), batch(0, 9, partition=1), batch(6, 7, previous=5), batch(9, 9, previous=7)]
    assert run(batches) == ([5, 9, 7, 9], [])


def test_first_batch_of_a_generation_follows_none() -> None:
    batches = [batch(3, 5), batch(6, 7, previous=5), batch(4, 7, generation=2), batch(8, 8, generation=2, previous=7)]
    assert run(batches) == ([5, 7, 7, 8], [])


@pytest.mark.parametrize(
    "batches",
    [
        [batch(3, 5), batch(8, 9, previous=7)],
        [batch(6, 7, previous=5)],
        [batch(3, 5), batch(8, 9, generation=2, previous=7)],
    ],
    ids=["between two", "before the first", "at the start of a generation"],
)
def test_batch_after_a_missing_one_is_not_acknowledged(batches: Sequence[Batch]) -> None:
    acknowledged, (failure,) = run(batches)
    assert acknowledged == [one.raw[-1].offset for one in batches[:-1]]
    assert isinstance(failure, BatchMissing)
    assert f"the batch at {batches[-1].raw[0].offset} follows {batches[-1].previous}" in str(failure)


def test_batch_whose_schemas_two_agents_waited_for_is_counted_once() -> None:
    both_asked = threading.Barrier(2, timeout=10)

    def fetch(schema_id: int) -> str:
        both_asked.wait()  # neither agent has its answer before both have asked
        return schema_text(TimeMark)

    written = Codec({("md.trades", TimeMark): 9}, lambda schema_id: None)
    value = written.encode("md.trades", TimeMark(INSTRUMENT, START))
    shared = Batch("md.trades", 0, [RawRecord(0, START // 1000, INSTRUMENT.encode(), value)], generation=1)
    counted: list[Batch] = []
    failures: list[BaseException] = []
    codec = Codec({}, fetch)
    streams = [Stream([shared]), Stream([shared])]

    async def run_both() -> None:
        await asyncio.gather(*[make_loop(codec, counted.append, failures.append).run(stream) for stream in streams])

    asyncio.run(run_both())
    assert [stream.acknowledged for stream in streams] == [[0], [0]]
    assert (counted, failures) == ([shared], [])


@pytest.mark.parametrize(("known", "is_lost"), [(19, False), (20, True)])
def test_tables_that_know_more_than_the_topic_has_end_the_worker(known: int, is_lost: bool) -> None:
    async def main() -> None:
        failures: asyncio.Queue[BaseException] = asyncio.Queue()
        raw = RawRecord(3, 0, b"", b"")
        stream = Stream([Batch("md.trades", 0, [raw], end=20, decoded=[SourceRecord(make_trade(), raw)], refusals=[])])
        loop = make_loop(Codec({}, lambda schema_id: None), lambda batch: None, failures.put_nowait)
        await loop._tables["candles"].apply({INSTRUMENT: encode_series(SeriesState(applied_offset=known))})
        running = asyncio.create_task(loop.run(stream))
        if is_lost:
            assert isinstance(await failures.get(), RecordsLost)
            running.cancel()
        else:
            await running
        assert stream.acknowledged == ([] if is_lost else [3])
        assert failures.empty()

    asyncio.run(main())
