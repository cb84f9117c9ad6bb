"""Writers of trades whose schema is newer than this program."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from io import BytesIO

import fastavro
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from market.trade import Trade, TradeStreamRecord
from schemas.partitioning import partition_of
from schemas.records import schema_text
from tests.faults.rig import TRADES, Rig

SUBJECT = f"{TRADES}-tapeline.Trade"


def register(rig: Rig, field: str) -> int:
    """Register a schema of trades with a field of the future; its id."""
    schema = json.loads(schema_text(Trade))
    schema["fields"].append({"name": field, "type": "string", "default": "", "doc": "A field that this program does not know."})
    return register_text(rig, json.dumps(schema))


def register_text(rig: Rig, text: str) -> int:
    """Register a schema of trades as it is. Raises SchemaRegistryError when the registry refuses it."""
    registry = SchemaRegistryClient({"url": rig.cluster.servers.registry})
    try:
        return registry.register_schema(SUBJECT, Schema(text, "AVRO"))
    finally:
        registry.close()


def publish_with(rig: Rig, schema: int, records: Iterable[TradeStreamRecord]) -> None:
    """Publish records as a writer of the new schema does; marks, which it does not change, as ever."""
    for record in records:
        if not isinstance(record, Trade):
            rig.cluster.send(TRADES, [record])
            continue
        value = rig.cluster.codec.encode(TRADES, record)
        # The fields come one after the other, so that the new one's value is what it adds to the bytes of the old ones.
        added = BytesIO()
        fastavro.schemaless_writer(added, "string", "from the future")
        framed = struct.pack(">bI", 0, schema) + value[5:] + added.getvalue()
        partition = partition_of(record.instrument, rig.cluster.settings.topics.partitions)
        rig.cluster.send_bytes(TRADES, record.instrument.encode(), framed, partition)
    rig.cluster.flush()
