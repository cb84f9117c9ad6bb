"""Appends whole record batches, each once however often it is sent.

The broker knows a batch by its producer and sequence, so one that is sent again because no answer came is not appended twice.
One that is given up may or may not be appended; nobody could know the sequence that comes next, so the producer begins a new
epoch, as Java's does (KIP-360): what is late of the one before is refused wherever the new one has written. A request without
an answer takes its connection with it, and what is not on its way yet is thrown away: it must not arrive after its time.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import (
    DuplicateSequenceNumber,
    InvalidProducerEpoch,
    KafkaConnectionError,
    KafkaError,
    LeaderNotAvailableError,
    OutOfOrderSequenceNumber,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
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

ANSWER_SHARE, APPEND_SHARE = 0.8, 0.6
"""Of the patience: how long an answer is waited for, and how long the broker may wait for its replicas before it gives one."""

CLOSE_SECONDS = 2.0
"""How long closing may take; a broker that does not read would otherwise be waited for until TCP gives up."""

_ALL = -1  # replicas that have it before it counts as appended
_SEQUENCES = 1 << 31
_LAST_EPOCH = (1 << 15) - 1
_INVALID_RECORD = 87  # which aiokafka does not know
_DROP_UNSENT = struct.pack("ii", 1, 0)  # of SO_LINGER
_OUT_OF_STEP = (OutOfOrderSequenceNumber, UnknownProducerId, InvalidProducerEpoch)
"""The broker does not know this producer, or what it sent before."""


class RecordRefused(KafkaError):  # type: ignore[misc]  # aiokafka has no type hints
    """The broker calls a record invalid, and would do so again."""


Told: TypeAlias = "int | KafkaError | None"
"""What became of a chunk: the offset of its last record, None when the broker had it already, or why it was not appended."""


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
        self._unreached_since: float | None = None
        self._turns: defaultdict[Place, asyncio.Lock] = defaultdict(asyncio.Lock)

    @asynccontextmanager
    async def turn(self, places: Iterable[Place]) -> AsyncIterator[None]:
        """Nobody else appends to these places meanwhile: the sequence of a batch counts on those before it."""
        async with AsyncExitStack() as stack:
            for place in sorted(places):
                await stack.enter_async_context(self._turns[place])
            yield

    async def prepare(self, chunks: Mapping[Place, Chunk]) -> dict[Place, KafkaError]:
        """Do all that takes its time and writes nothing: connect, find the leaders, pack.

        Returns what cannot be appended now, and why. Raises KafkaError when nothing can be.
        """
        try:
            async with asyncio.timeout(self._patience):
                client = await self._connected()
                identity = await self._identified(client)
                unready = await self._reach_leaders(client, chunks)
        except TimeoutError:
            self._note(is_reached=False)
            raise RequestTimedOutError(f"no answer in {self._patience:g} s") from None
        packed = 0
        for place, chunk in chunks.items():
            if chunk.identity is None and place not in unready:
                if packed > AT_ONCE:
                    packed = 0
                    await asyncio.sleep(0)
                sequence, now = identity.sequences[place], self._clock() // 1000
                chunk.data = pack(chunk.records, identity.producer, sequence, now, compiled=self._compiled)
                chunk.identity = identity
                packed += len(chunk.data)
        return unready

    async def append(self, chunks: Mapping[Place, Chunk]) -> dict[Place, Told]:
        """Append prepared chunks, at most one to a place."""
        client = self._client
        if client is None:
            return dict.fromkeys(chunks, KafkaConnectionError("the connection was closed"))
        by_node: defaultdict[Any, dict[Place, Chunk]] = defaultdict(dict)
        found: dict[Place, Told] = {}
        for place, chunk in chunks.items():
            try:
                by_node[_leader(client, place)][place] = chunk
            except KafkaError as error:
                found[place] = error
        for told in await asyncio.gather(*[self._append_at(client, *each) for each in by_node.items()]):
            found |= told
        if any(isinstance(told, KafkaError) for told in found.values()):
            client.force_metadata_update()
        return found

    def give_up(self, chunks: Iterable[Chunk]) -> None:
        """Nothing more is tried for these chunks."""
        identity = self._identity
        if identity is None or not any(chunk.is_sent and chunk.identity is identity for chunk in chunks):
            return
        number, epoch = identity.producer
        self._identity = _Identity((number, epoch + 1)) if epoch < _LAST_EPOCH else None

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await client.close()

    async def _connected(self) -> AIOKafkaClient:
        async with self._starting:
            if self._client is not None and self._is_lost(self._client):
                await self.close()
            if self._client is None:
                client = self._make_client()
                try:
                    await client.bootstrap()
                except BaseException:
                    await client.close()
                    raise
                self._client, self._unreached_since = client, None
            return self._client

    def _is_lost(self, client: AIOKafkaClient) -> bool:
        """Whether a client no longer learns where the brokers are: it asks only those it knew last, in a task that may end."""
        since = self._unreached_since
        return client._sync_task.done() or (since is not None and time.monotonic() - since > 2 * self._patience)

    def _note(self, *, is_reached: bool) -> None:
        if is_reached:
            self._unreached_since = None
        elif self._unreached_since is None:
            self._unreached_since = time.monotonic()

    async def _identified(self, client: AIOKafkaClient) -> _Identity:
        async with self._starting:
            if self._identity is None:
                answer = await client.send(client.get_random_node(), InitProducerIdRequest(None, 0))
                if answer.error_code:
                    raise for_code(answer.error_code)()
                self._identity = _Identity((answer.producer_id, answer.producer_epoch))
            return self._identity

    async def _reach_leaders(self, client: AIOKafkaClient, places: Iterable[Place]) -> dict[Place, KafkaError]:
        for topic in {topic for topic, _ in places}:
            await client.add_topic(topic)
            if client.cluster.partitions_for_topic(topic) is None:  # an update under way may not have asked for it
                await client.force_metadata_update()
        unready: dict[Place, KafkaError] = {}
        reached: dict[Any, bool] = {}
        for place in places:
            try:
                node = _leader(client, place)
                if node not in reached:
                    reached[node] = await client.ready(node)
                if not reached[node]:
                    raise KafkaConnectionError(f"broker {node} cannot be reached")
            except KafkaError as error:
                unready[place] = error
        self._note(is_reached=any(reached.values()))
        if unready:
            client.force_metadata_update()
        return unready

    async def _append_at(self, client: AIOKafkaClient, node: Any, chunks: Mapping[Place, Chunk]) -> dict[Place, Told]:
        topics: defaultdict[str, list[tuple[int, bytes]]] = defaultdict(list)
        for (topic, partition), chunk in chunks.items():
            topics[topic].append((partition, chunk.data))
            chunk.is_sent = True
        request = ProduceRequest(None, _ALL, round(APPEND_SHARE * self._patience * 1000), list(topics.items()))
        connection = client._conns.get((node, ConnectionGroup.DEFAULT))
        try:
            async with asyncio.timeout(ANSWER_SHARE * self._patience):
                answer = await client.send(node, request)
        except (KafkaError, OSError, TimeoutError, KeyError) as error:  # the last: a connection that another request closed
            _abort(connection)
            lost = error if isinstance(error, KafkaError) else RequestTimedOutError(f"no answer from broker {node}")
            return dict.fromkeys(chunks, lost)
        except BaseException:
            _abort(connection)
            raise
        told = {(topic, number): (code, offset) for topic, numbers in answer.topics for number, code, offset, *_ in numbers}
        silent = RequestTimedOutError.errno, -1
        return {place: self._told(place, chunk, *told.get(place, silent)) for place, chunk in chunks.items()}

    def _told(self, place: Place, chunk: Chunk, code: int, offset: int) -> Told:
        """Take in what a broker answered on a chunk."""
        if code == _INVALID_RECORD:
            return RecordRefused("the broker calls a record invalid")
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


def _leader(client: AIOKafkaClient, place: Place) -> Any:
    """The broker that appends to a place. Raises KafkaError when there is none."""
    topic, partition = place
    if topic in client.cluster.unauthorized_topics:
        raise TopicAuthorizationFailedError(topic)
    if partition not in (client.cluster.partitions_for_topic(topic) or ()):
        raise UnknownTopicOrPartitionError(f"there is no {topic}[{partition}]")
    node = client.cluster.leader_for_partition(TopicPartition(*place))
    if node is None or node == -1:
        raise LeaderNotAvailableError(f"{topic}[{partition}] has no leader")
    return node


def _abort(connection: Any) -> None:
    """Close a connection at once, without sending what still waits in it or in the operating system."""
    writer = None if connection is None else connection._writer
    if writer is None:
        return
    with suppress(OSError, AttributeError):  # closed meanwhile
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_UNSENT)
    writer.transport.abort()
    connection.close()
