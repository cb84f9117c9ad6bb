"""Appends whole record batches, each once however often it is sent.

The broker knows a batch by its producer and sequence, so one that is sent again because no answer came is not appended twice.
One that is given up may or may not be appended; nobody could know the sequence that comes next, so a new producer begins.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    DuplicateSequenceNumber,
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    LeaderNotAvailableError,
    OutOfOrderSequenceNumber,
    RequestTimedOutError,
    UnknownProducerId,
    UnknownTopicOrPartitionError,
    for_code,
)
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from processors.outputs import Message
from processors.transport.packing import pack

Place = tuple[str, int]
"""Topic and partition."""

AT_ONCE = 128 << 10
"""Bytes packed before others have their turn."""

_ALL = -1  # replicas that have it before it counts as appended
_SEQUENCES = 1 << 31
_OUT_OF_STEP = (OutOfOrderSequenceNumber, UnknownProducerId, InvalidProducerEpoch)
"""The broker does not know this producer, or what it sent before."""


@dataclass(slots=True)
class _Identity:
    """What the broker called this producer, and how many records it has appended to each place."""

    producer: tuple[int, int]
    sequences: defaultdict[Place, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(slots=True)
class Chunk:
    """Records for one place that are appended together, packed when they are sent for the first time."""

    records: Sequence[Message]
    data: bytes = b""
    identity: _Identity | None = None
    is_sent: bool = False  # at least once, so that it may be appended


class BatchProducer:
    """A connection to the brokers that appends chunks.

    `make_client` makes the client, in the event loop that sends. Nothing is waited for longer than `patience` seconds, nor sent
    once that has passed. `clock` has the time in microseconds.
    """

    def __init__(
        self, make_client: Callable[[], AIOKafkaClient], patience: float, clock: Callable[[], int], *, compiled: bool = True
    ) -> None:
        self._make_client = make_client
        self._patience = patience
        self._clock = clock
        self._compiled = compiled
        self._client: AIOKafkaClient | None = None
        self._starting = asyncio.Lock()
        self._identity: _Identity | None = None
        self._turns: defaultdict[Place, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def turn(self, places: Iterable[Place]) -> AsyncIterator[None]:
        """Nobody else appends to these places meanwhile: the sequence of a batch counts on those before it."""
        async with AsyncExitStack() as stack:
            for place in sorted(places):
                await stack.enter_async_context(self._turns[place])
            yield

    async def prepare(self, chunks: Mapping[Place, Chunk]) -> None:
        """Do all that takes its time and writes nothing: connect, find the leaders, pack. Raises KafkaError."""
        try:
            async with asyncio.timeout(self._patience):
                client = await self._connected()
                identity = await self._identified(client)
                await self._reach_leaders(client, chunks)
        except TimeoutError:
            raise RequestTimedOutError(f"no answer in {self._patience:g} s") from None
        packed = 0
        for place, chunk in chunks.items():
            if chunk.identity is None:
                if packed > AT_ONCE:
                    packed = 0
                    await asyncio.sleep(0)
                chunk.data = pack(
                    chunk.records,
                    identity.producer,
                    identity.sequences[place],
                    self._clock() // 1000,
                    compiled=self._compiled,
                )
                chunk.identity = identity
                packed += len(chunk.data)

    async def append(self, chunks: Mapping[Place, Chunk]) -> dict[Place, int | KafkaError | None]:
        """Append prepared chunks, at most one to a place; what became of each.

        That is the offset of its last record, None when the broker had it already, or why it was not appended, as far as known.
        """
        client = await self._connected()
        by_node: defaultdict[Any, dict[Place, Chunk]] = defaultdict(dict)
        found: dict[Place, int | KafkaError | None] = {}
        for place, chunk in chunks.items():
            try:
                by_node[self._leader(client, place)][place] = chunk
            except KafkaError as error:
                found[place] = error
        for told in await asyncio.gather(*[self._append_at(client, *each) for each in by_node.items()]):
            found |= told
        if any(isinstance(told, KafkaError) for told in found.values()):
            client.force_metadata_update()
        return found

    def give_up(self, chunks: Iterable[Chunk]) -> None:
        """Nothing more is tried for these chunks."""
        if any(chunk.is_sent and chunk.identity is self._identity for chunk in chunks):
            self._identity = None

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _connected(self) -> AIOKafkaClient:
        async with self._starting:
            if self._client is None:
                client = self._make_client()
                try:
                    await client.bootstrap()
                except BaseException:
                    await client.close()
                    raise
                self._client = client
            return self._client

    async def _identified(self, client: AIOKafkaClient) -> _Identity:
        async with self._starting:
            if self._identity is None:
                answer = await client.send(client.get_random_node(), InitProducerIdRequest(None, 0))
                if answer.error_code:
                    raise for_code(answer.error_code)()
                self._identity = _Identity((answer.producer_id, answer.producer_epoch))
            return self._identity

    async def _reach_leaders(self, client: AIOKafkaClient, places: Iterable[Place]) -> None:
        for topic in {topic for topic, _ in places}:
            await client.add_topic(topic)
        try:
            for node in {self._leader(client, place) for place in places}:
                if not await client.ready(node):
                    raise KafkaConnectionError(f"broker {node} cannot be reached")
        except KafkaError:
            client.force_metadata_update()
            raise

    @staticmethod
    def _leader(client: AIOKafkaClient, place: Place) -> Any:
        """The broker that appends to a place. Raises KafkaError when there is none."""
        if place[1] not in (client.cluster.partitions_for_topic(place[0]) or ()):
            raise UnknownTopicOrPartitionError(f"there is no {place[0]}[{place[1]}]")
        node = client.cluster.leader_for_partition(TopicPartition(*place))
        if node is None or node == -1:
            raise LeaderNotAvailableError(f"{place[0]}[{place[1]}] has no leader")
        return node

    async def _append_at(
        self, client: AIOKafkaClient, node: Any, chunks: Mapping[Place, Chunk]
    ) -> dict[Place, int | KafkaError | None]:
        topics: defaultdict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for (topic, partition), chunk in chunks.items():
            topics[topic].append((partition, chunk.data))
            chunk.is_sent = True
        request = ProduceRequest(None, _ALL, round(self._patience * 1000), list(topics.items()))
        try:
            async with asyncio.timeout(self._patience):
                answer = await client.send(node, request)
        except KafkaError as error:
            return dict.fromkeys(chunks, error)
        except (TimeoutError, OSError) as error:
            return dict.fromkeys(chunks, RequestTimedOutError(f"no answer from broker {node}: {error!r}"))
        told = {(topic, number): (code, offset) for topic, numbers in answer.topics for number, code, offset, *_ in numbers}
        return {place: self._told(place, chunk, *told[place]) for place, chunk in chunks.items()}

    def _told(self, place: Place, chunk: Chunk, code: int, offset: int) -> int | KafkaError | None:
        """Take in what a broker answered on a chunk."""
        error: KafkaError = for_code(code)()
        count, identity = len(chunk.records), chunk.identity
        if identity is None:
            raise ValueError(f"a chunk for {place[0]}[{place[1]}] was appended that was not prepared")
        if isinstance(error, _OUT_OF_STEP):
            if self._identity is identity:
                self._identity = None
            chunk.identity = None  # packed anew
        if code and not isinstance(error, DuplicateSequenceNumber):
            return error
        identity.sequences[place] = (identity.sequences[place] + count) % _SEQUENCES
        return offset + count - 1 if not code and offset >= 0 else None
