"""One partitioner for every producer: murmur2 of the partition id, as Java's clients do it.

Two clients with two partitioners would split one instrument over two partitions, so the partition is always given to the
client explicitly.
"""

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=65_536)
def partition_of(partition_id: str, partitions: int) -> int:
    """Partition of an id (the key, or the part of it that a topic is partitioned by)."""
    return int(murmur2(partition_id.encode()) & 0x7FFFFFFF) % partitions
