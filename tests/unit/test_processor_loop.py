"""The loop around a computation: what it acknowledges, and what it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from processors.agents import candles
from processors.batch import Batch, RawRecord
from processors.loop import BatchLoop, BatchMissing
from runtime.settings import ProcessorSettings
from schemas.codec import Codec


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


def batch(first: int, last: int, *, generation: int = 1, previous: int | None = None, partition: int = 0) -> Batch:
    raw = [RawRecord(offset, 0, b"", b"") for offset in range(first, last + 1)]
    return Batch("md.trades", partition, raw, generation, previous, decoded=[], refusals=[])


def run(batches: Sequence[Batch]) -> tuple[list[int], list[BaseException]]:
    """Acknowledged offsets, and what ended the loop."""
    failures: list[BaseException] = []
    stream = Stream(batches)
    loop = BatchLoop(
        candles.build(ProcessorSettings()),
        {"candles": {}, "closed-candles": {}},  # type: ignore[dict-item]  # never written
        NothingToWrite(),  # type: ignore[arg-type]
        Codec({}, lambda schema_id: None),
        max_skew=0,
        on_batch=lambda batch: None,
        on_effects=lambda batch, effects: None,
        on_waiting=lambda reason: None,
        on_failure=failures.append,
    )
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
