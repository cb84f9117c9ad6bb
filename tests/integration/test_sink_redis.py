"""Redis: the store by itself, and its sink as the process a user starts, on a real server."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from redis import Redis

from market.trade import Trade
from runtime.settings import load
from schemas.records import Record
from schemas.topics import TOPICS
from sinks.store import Advance, Batch, Entry, KafkaRecord, StoredOffset, StoreUnavailable, StoreUnfit
from sinks.stores import redis
from sinks.stores._redis_latest import TOPICS as TAKEN
from sinks.stores._redis_latest import latest_of
from tapeline.embedded import EmbeddedStack
from tests.builders import INSTRUMENT, START, make_trade
from tests.cluster import Cluster, Service, wait_for
from tests.influx_running import records
from tests.servers import throwaway_stack
from tests.sink_running import INSTRUMENTS, is_reading, not_ready, publish

P0 = ("md.trades", 0)
KEY = f"tapeline:md.trades:{INSTRUMENT}"
Start = Callable[..., Service]


@pytest.fixture(scope="module")
def stack() -> Iterator[EmbeddedStack]:
    with throwaway_stack(["redis"]) as found:
        yield found


@pytest.fixture
def client(stack: EmbeddedStack) -> Iterator[Redis]:
    with Redis.from_url(stack.addresses.redis) as found:
        found.flushall()
        yield found


def make_store(address: str, **section: Any) -> redis.RedisStore:
    overrides = [f"redis.{name}={value}" for name, value in {"url": address, **section}.items()]
    return redis.create(load(environ={}, overrides=overrides), sink="redis", writer="me")


@pytest.fixture
def store(stack: EmbeddedStack, client: Redis) -> Iterator[redis.RedisStore]:
    found = make_store(stack.addresses.redis)
    found.open()
    yield found
    found.close()


def batch(store: redis.RedisStore, trades: Iterable[Trade], begin: int = 0, *, age: float = 0.0) -> Batch:
    now = round((time.time() - age) * 1000)
    sources = [(trade, KafkaRecord(*P0, begin + n, b"", str(trade.sequence).encode(), now)) for n, trade in enumerate(trades)]
    entries = [Entry(source, store.row(trade, source)) for trade, source in sources]
    return Batch(entries, {P0: Advance(None, begin + len(entries), "id")}, {})


def dump(client: Redis) -> dict[bytes, Any]:
    """All keys with what they hold and when they expire."""
    return {key: (client.hgetall(key), client.pexpiretime(key)) for key in client.scan_iter()}


def test_latest_wins_in_any_order_and_again_changes_nothing(store: redis.RedisStore, client: Redis) -> None:
    trades = [make_trade(number, at=START + number // 3) for number in range(50)]
    once = batch(store, trades)
    shuffled = random.Random(1).sample(once.entries, len(trades))
    assert sum(store.write(Batch([entry], once.advances, {})).get("md.trades", 0) for entry in shuffled) < len(trades)
    before = dump(client)
    assert client.hget(KEY, "value") == b"49"
    assert client.hget(KEY, "offset") == b"49"
    assert store.write(once) == {}
    assert dump(client) == before
    assert store.offsets([P0, ("md.trades", 1)]) == {P0: StoredOffset(50, "id")}


def test_value_expires_by_the_age_of_its_record(stack: EmbeddedStack, client: Redis) -> None:
    store = make_store(stack.addresses.redis, ttl_seconds=60)
    store.open()
    assert store.write(batch(store, [make_trade(1)], age=61)) == {}
    assert client.exists(KEY) == 0
    assert store.write(batch(store, [make_trade(2)], 1, age=50)) == {"md.trades": 1}
    assert 0 < client.pttl(KEY) <= 10_100  # the server has a clock of its own
    assert store.offsets([P0]) == {P0: StoredOffset(2, "id")}
    store.close()


def test_offset_can_be_put_elsewhere(store: redis.RedisStore) -> None:
    store.write(batch(store, [make_trade(1)]))
    store.set_offset(P0, StoredOffset(7, "new id"))
    assert store.offsets([P0]) == {P0: StoredOffset(7, "new id")}


def test_wrong_password_and_full_memory_are_named(stack: EmbeddedStack, store: redis.RedisStore, client: Redis) -> None:
    with pytest.raises(StoreUnfit, match=r"Redis at redis://127.0.0.1:\d+/0: .*WRONGPASS|invalid") as caught:
        make_store(stack.addresses.redis.replace("redis://:", "redis://:s3cret")).open()
    assert "s3cret" not in str(caught.value)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailable, match="memory"):
            store.write(batch(store, [make_trade(1)]))
        assert store.offsets([P0]) == {}
    finally:
        client.config_set("maxmemory", 0)


def wanted(cluster: Cluster) -> dict[bytes, bytes]:
    """By a model in plain Python: for each name the bytes of its highest version, of equal ones the last."""
    highest: dict[bytes, tuple[Any, bytes]] = {}
    for topic in TAKEN:
        for stored in cluster.read(topic.name):
            latest = latest_of(stored.record)
            if latest is not None and stored.value is not None:
                key = f"tapeline:{topic.name}:{latest.name}".encode()
                highest[key] = max(highest.get(key, ((), b"")), ((*latest.version, stored.offset), stored.value))
    return {key: value for key, (_, value) in highest.items()}


def held(client: Redis) -> dict[bytes, bytes]:
    keys: list[Any] = [key for key in client.scan_iter() if b":sink_offsets:" not in key]
    values: dict[bytes, Any] = {key: client.hget(key, "value") for key in keys}
    return {key: value for key, value in values.items() if value is not None}


def test_sink_fills_the_cache_over_kills_of_itself_and_of_the_server(cluster: Cluster, start: Start) -> None:
    def level() -> bool:
        ends = {f"{topic.name}/{number}".encode(): end for topic in TAKEN for number, end in cluster.ends(topic.name).items()}
        found = {key: int(text.split()[0]) for key, text in cache.hgetall("tapeline:sink_offsets:redis").items()}
        return found == ends

    by_topic: dict[str, list[Record]] = {topic: some for topic, some in records(seed=6, count=3000).items() if topic in TOPICS}
    with throwaway_stack(["redis"]) as stack, Redis.from_url(stack.addresses.redis) as cache:
        section = {"url": stack.addresses.redis}
        run = iter(range(100))

        def sink() -> Service:
            sinks = {"group_id": f"redis-{next(run)}", "batch_rows": 50, "batch_seconds": 0.05}
            return start("sink", "redis", "-c", cluster.config("redis.yaml", sinks=sinks, redis=section))

        worker = sink()
        publish(cluster, by_topic)
        wait_for(lambda: is_reading(worker), "the sink to read", every=0.02)
        worker.kill()
        worker = sink()
        wait_for(level, "the topics to be stored", timeout=60, every=0.2)
        assert held(cache) == wanted(cluster)
        assert len(held(cache)) > len(INSTRUMENTS)
        stack.kill("redis")  # it keeps nothing on the disk
        wait_for(lambda: "store" in not_ready(worker), "the loss to be noticed", every=0.1)
        stack.start("redis")
        wait_for(lambda: not_ready(worker) == {}, "the sink to go on", every=0.1)
        wait_for(level, "the topics to be stored again", timeout=60, every=0.2)
        assert held(cache) == wanted(cluster)
        assert worker.terminate() == 0
