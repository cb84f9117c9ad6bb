"""The partitioner as the page shows it, for those who cannot use a client's; the page prints what follows."""


def hash_of(data: bytes) -> int:
    """murmur2 of the bytes as Kafka's clients in Java have it, sign bit cleared."""
    mix, length, mask = 0x5BD1E995, len(data), 0xFFFFFFFF
    found = (0x9747B28C ^ length) & mask
    for begin in range(0, length - length % 4, 4):
        word = int.from_bytes(data[begin : begin + 4], "little") * mix & mask
        found = (found * mix & mask) ^ ((word ^ word >> 24) * mix & mask)
    if length % 4:
        found = (found ^ int.from_bytes(data[length - length % 4 :], "little")) * mix & mask
    found = (found ^ found >> 13) * mix & mask
    return (found ^ found >> 15) & 0x7FFFFFFF


def partition_of(partition_id: str, partitions: int) -> int:
    """Partition of an id."""
    return hash_of(partition_id.encode()) % partitions
