import pytest

from sinks.batching import Accumulator, Limits, Place
from sinks.store import Advance, Entry, KafkaRecord

LIMITS = Limits(records=3, seconds=0.5, bytes=100)
TRADES = ("md.trades", 0)
CANDLES = ("md.candles", 1)


def record(offset: int, partition: tuple[str, int] = TRADES, value: bytes = b"x") -> KafkaRecord:
    return KafkaRecord(*partition, offset, b"key", value, 0)


def collecting(*offsets: int) -> Accumulator:
    collected = Accumulator(LIMITS)
    collected.begin({TRADES: Place(10, 10, "id-1"), CANDLES: Place(0, None, "id-2")})
    for offset in offsets:
        add(collected, record(offset))
    return collected


def add(collected: Accumulator, source: KafkaRecord, since: float = 0.0) -> None:
    assert collected.owns(source)
    collected.add(source, Entry(source, "row"), since)


def test_batch_is_due_when_it_is_full() -> None:
    collected = collecting(10, 11)
    assert not collected.is_due(0.1)
    add(collected, record(12))
    assert collected.is_due(0.1)


def test_batch_is_due_when_its_first_record_is_old() -> None:
    collected = collecting()
    add(collected, record(10), since=5.0)
    add(collected, record(11), since=5.4)
    assert not collected.is_due(5.49)
    assert collected.patience(5.3) == pytest.approx(0.2)
    assert collected.is_due(5.5)
    assert collected.patience(6.0) == 0.0


def test_batch_is_due_when_it_is_large() -> None:
    collected = collecting()
    add(collected, record(10, value=b"x" * 100))
    assert collected.is_due(0.0)


def test_nothing_collected_is_never_due() -> None:
    collected = collecting()
    assert not collected.is_due(1e9)
    assert collected.batch() is None


def test_batch_advances_each_partition_from_its_stored_offset() -> None:
    collected = collecting(10, 11)
    add(collected, record(0, CANDLES))
    batch = collected.batch()
    assert batch is not None
    assert batch.advances == {TRADES: Advance(10, 12, "id-1"), CANDLES: Advance(None, 1, "id-2")}
    assert batch.records == {"md.trades": 2, "md.candles": 1}


def test_record_without_a_row_still_moves_the_offset() -> None:
    collected = collecting()
    collected.add(record(10), None, 0.0)
    batch = collected.batch()
    assert batch is not None
    assert batch.entries == []
    assert batch.advances == {TRADES: Advance(10, 11, "id-1")}


def test_holes_in_the_offsets_are_passed() -> None:
    batch = collecting(10, 17).batch()
    assert batch is not None
    assert batch.advances[TRADES].after == 18


def test_next_batch_begins_where_the_stored_one_ended() -> None:
    collected = collecting(10)
    collected.settle()
    assert collected.is_empty
    add(collected, record(11))
    batch = collected.batch()
    assert batch is not None
    assert batch.advances == {TRADES: Advance(11, 12, "id-1")}


def test_refused_entry_leaves_the_batch_and_its_offset_stays() -> None:
    collected = collecting(10, 11)
    batch = collected.batch()
    assert batch is not None
    collected.refuse(batch.entries[1])
    after = collected.batch()
    assert after is not None
    assert [entry.source.offset for entry in after.entries] == [10]
    assert after.advances == batch.advances


def test_records_read_before_a_rebalance_are_not_ours() -> None:
    collected = collecting(10)
    assert not collected.owns(record(10))  # taken already
    assert not collected.owns(record(3, ("md.trades", 7)))  # another worker's partition
    collected.begin({TRADES: Place(10, 10, "id-1")})
    assert collected.is_empty
    assert collected.owns(record(10))
    assert not collected.owns(record(9))


def test_due_batch_takes_what_else_is_at_hand_up_to_a_larger_number() -> None:
    collected = Accumulator(Limits(records=3, seconds=0.5, bytes=100, catch_up=5))
    collected.begin({TRADES: Place(0, 0, "id-1")})
    assert (collected.lacking, collected.room) == (3, 5)
    for offset in range(3):
        add(collected, record(offset))
    assert (collected.is_due(0.0), collected.lacking, collected.room) == (True, 0, 2)
    add(collected, record(3, value=b"x" * 100))
    assert collected.room == 0  # many bytes are enough


def test_batch_takes_no_fewer_records_than_make_it_due() -> None:
    collected = Accumulator(Limits(records=3, catch_up=1))
    assert (collected.lacking, collected.room) == (3, 3)
