"""Every name of Faust and aiokafka that is not public and that the processors reach into.

Faust and aiokafka are pinned exactly because of these. A unit test holds that they are there, and a worker at its start that
the methods are, so that an upgrade that moves one fails with its name.
"""

from __future__ import annotations

import inspect
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.stores.memory import Store as MemoryStore
from faust.stores.rocksdb import Store as RocksStore
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from mode.services import Service

METHODS: tuple[tuple[Any, str], ...] = (
    (driver.Consumer, "_drain_messages"),
    (driver.Consumer, "_wait_next_records"),
    (driver.Consumer, "_getmany"),
    (driver.Consumer, "_new_offset"),
    (driver.Consumer, "_to_message"),
    (driver.Consumer, "_new_consumer_thread"),
    (driver.Consumer, "ack"),
    (driver.Consumer, "wait_first"),
    (driver.Consumer, "verify_event_path"),
    (driver.AIOKafkaConsumerThread, "_fetch_records"),
    (driver.AIOKafkaConsumerThread, "on_start"),
    (driver.ConsumerRebalanceListener, "on_partitions_assigned"),
    (GroupCoordinator, "_do_heartbeat"),
    (RocksStore, "_db_for_partition"),
    (RocksStore, "_open_for_partition"),
    (RocksStore, "offset_key"),
)
"""Owner and name."""

ATTRIBUTES: tuple[tuple[Any, str], ...] = (
    (Consumer, "_acked"),
    (Consumer, "_read_offset"),
    (Consumer, "_n_acked"),
    (Consumer, "_unacked_messages"),
    (Consumer, "_waiting_for_ack"),
    (Consumer, "_buffered_partitions"),
    (driver.AIOKafkaConsumerThread, "_consumer"),
    (driver.ConsumerRebalanceListener, "_thread"),
    (Fetcher, "_fetch_max_wait_ms"),
    (Fetcher, "_fetch_min_bytes"),
    (MemoryStore, "_key_partition"),
    (Service, "_crash_reason"),
    (AIOKafkaClient, "_conns"),
    (AIOKafkaClient, "_sync_task"),
    (AIOKafkaConnection, "_writer"),
)
"""Owner and a name that its methods set on `self`. What views of batches reach into, `views.PRIVATE_NAMES` lists."""


def missing_methods() -> list[str]:
    """Methods that are no longer there, each with its owner."""
    return [f"{owner.__name__}.{name}" for owner, name in METHODS if not hasattr(owner, name)]


def missing_attributes() -> list[str]:
    """Attributes that are no longer set, each with its owner; reads the sources, which takes a while."""
    return [f"{owner.__name__}.{name}" for owner, name in ATTRIBUTES if f"self.{name}" not in inspect.getsource(owner)]
