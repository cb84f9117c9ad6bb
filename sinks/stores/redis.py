"""Redis: the latest value of everything, for readers that want it at once and may do without it. An optional package.

`PREFIX:TOPIC:NAME` (such as `tapeline:md.candles:binance:BTC-USDT|1m`) is a hash of `value`, the record's bytes as they stand
in its topic, `version` and `offset`. A script compares and sets it in one step: only a higher version takes the place of
another, so records may come again, and of two workers the slower one harms nothing. A value expires `redis.ttl_seconds` after
the broker took its record, however late it is written; without an expiry a market that is gone would pass for a quiet one.

Offsets are a hash, written behind the values of their batch: where Redis loses both, everything that is still in the topics
is read again. Expired records are passed over.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from runtime.errors import ConfigurationError, Problem
from runtime.settings import Settings
from schemas.records import Record
from schemas.topics import Topic
from sinks.store import Batch, KafkaRecord, Partition, StoredOffset, StoreUnavailable, StoreUnfit
from sinks.stores._redis_latest import TOPICS, latest_of, sortable

if TYPE_CHECKING:
    from redis import Redis

NAME = "Redis"

_SET = """
local stored = redis.call('HGET', KEYS[1], 'version')
if stored and stored >= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[1], 'offset', ARGV[2], 'value', ARGV[3])
redis.call('PEXPIREAT', KEYS[1], ARGV[4])
return 1
"""


class Row(NamedTuple):
    """A value to set; `expires_at` in milliseconds since the epoch."""

    key: str
    version: str
    offset: int
    value: bytes
    expires_at: int


def create(settings: Settings, *, sink: str, writer: str) -> RedisStore:
    """The store of these settings. Raises ConfigurationError when the package is not installed."""
    try:
        from redis import Redis
    except ImportError as error:
        raise ConfigurationError(Problem("redis", "needs a package", "", hint="pip install 'tapeline[redis]'")) from error
    redis = settings.redis
    url, timeout = redis.url.get_secret_value(), redis.timeout_seconds
    client = Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
    parts = urlsplit(url)
    address = f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}{parts.path}"
    return RedisStore(client, address, prefix=redis.prefix, ttl=redis.ttl_seconds, sink=sink)


class RedisStore:
    """One server, `address` without password. `ttl` in seconds; `sink` names whose offsets these are."""

    name = "redis"
    topics: tuple[Topic, ...] = TOPICS

    def __init__(self, client: Redis, address: str, *, prefix: str, ttl: float, sink: str) -> None:
        self._client = client
        self._address = address
        self._prefix = prefix
        self._ttl = round(ttl * 1000)
        self._offsets = f"{prefix}:sink_offsets:{sink}"
        self._set = client.register_script(_SET)

    def open(self) -> None:
        """Connect. Raises StoreUnavailable, StoreUnfit."""
        with self._named_failures():
            self._client.ping()

    def offsets(self, partitions: Sequence[Partition]) -> Mapping[Partition, StoredOffset]:
        """Stored offsets; a partition of which nothing was stored yet is left out. Raises StoreUnavailable."""
        with self._named_failures():
            stored: list[Any] = (
                self._client.hmget(self._offsets, [_field(partition) for partition in partitions]) if partitions else []
            )
        found = {key: text.decode().split(" ", 1) for key, text in zip(partitions, stored, strict=True) if text is not None}
        return {key: StoredOffset(int(offset), topic_id) for key, (offset, topic_id) in found.items()}

    def set_offset(self, partition: Partition, offset: StoredOffset) -> None:
        """Put a stored offset where a person says it should be; a worker that runs meanwhile puts its own there again."""
        with self._named_failures():
            self._client.hset(self._offsets, _field(partition), _text(offset))

    def row(self, record: Record, source: KafkaRecord) -> Row | None:
        """What to store of a record, None for nothing."""
        latest = latest_of(record)
        if latest is None or source.value is None:
            return None
        key = f"{self._prefix}:{source.topic}:{latest.name}"
        version = sortable((*latest.version, source.offset))
        return Row(key, version, source.offset, source.value, source.timestamp_ms + self._ttl)

    def write(self, batch: Batch) -> Mapping[str, int]:
        """Set what is later than what is there, then the offsets; values changed by topic.

        Trying a batch again is safe. Raises StoreUnavailable, StoreUnfit.
        """
        now = time.time_ns() // 1_000_000
        newest: dict[str, tuple[str, Row]] = {}
        for entry in batch.entries:
            row: Row = entry.row
            if row.expires_at > now and (row.key not in newest or row.version > newest[row.key][1].version):
                newest[row.key] = entry.source.topic, row
        offsets: dict[Any, Any] = {
            _field(key): _text(StoredOffset(advance.after, advance.topic_id)) for key, advance in batch.advances.items()
        }
        with self._named_failures(), self._client.pipeline(transaction=False) as pipeline:
            for _, row in newest.values():
                self._set(keys=[row.key], args=[row.version, row.offset, row.value, row.expires_at], client=pipeline)
            changed = pipeline.execute()
            if offsets:  # not in the pipeline: it would be carried out behind a script that failed
                self._client.hset(self._offsets, mapping=offsets)
        return Counter(topic for (topic, _), done in zip(newest.values(), changed, strict=True) if done)

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    @contextmanager
    def _named_failures(self) -> Iterator[None]:
        from redis import exceptions

        try:
            yield
        except (exceptions.AuthenticationError, exceptions.NoPermissionError) as error:
            raise StoreUnfit(f"{NAME} at {self._address}: {error}") from error
        except (
            exceptions.ConnectionError,
            exceptions.TimeoutError,
            exceptions.OutOfMemoryError,
            exceptions.ReadOnlyError,
            exceptions.TryAgainError,
        ) as error:
            raise StoreUnavailable(NAME, self._address, str(error)) from error
        except exceptions.RedisError as error:
            raise StoreUnfit(f"{NAME} at {self._address}: {error}") from error


def _field(partition: Partition) -> str:
    return f"{partition[0]}/{partition[1]}"


def _text(offset: StoredOffset) -> str:
    return f"{offset.next_offset} {offset.topic_id}"
