"""Records of several partitions in the order in which they were stored, however they were read."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.progress import Partition
from gateway.replay.clock import FOREVER
from gateway.replay.lanes import End, LaneLimits, Lanes, Stored

A, B = ("md.quotes", 0), ("md.trades", 0)


def stored(partition: Partition, offset: int, at: int, *, wanted: bool = True, size: int = 1) -> Stored:
    return Stored(partition, offset, at, size, object() if wanted else None)


def offsets(taken: list[Stored]) -> list[tuple[str, int]]:
    return [(each.partition[0], each.offset) for each in taken]


def test_record_waits_until_the_other_partition_was_read_past_it() -> None:
    lanes = Lanes()
    lanes.begin({A: 0, B: 0}, 100)
    lanes.take_in([stored(A, 0, 110), stored(A, 1, 130)])
    assert lanes.take_out(FOREVER, 10) == []
    assert lanes.lacking(FOREVER) == {B}
    lanes.take_in([stored(B, 0, 120, wanted=False)])
    assert offsets(lanes.take_out(FOREVER, 10)) == [("md.quotes", 0)]
    lanes.take_in([End(B, 1)])
    assert offsets(lanes.take_out(FOREVER, 10)) == []  # the next of A may have its time as well
    assert lanes.lacking(FOREVER) == {A}
    lanes.take_in([End(A, 2)])
    assert offsets(lanes.take_out(FOREVER, 10)) == [("md.quotes", 1)]
    assert lanes.is_over


def test_nothing_later_than_is_due_is_told_nor_needed() -> None:
    lanes = Lanes()
    lanes.begin({A: 0}, 100)
    assert lanes.lacking(105) == {A}
    lanes.take_in([stored(A, 0, 110), stored(A, 1, 120)])
    assert (lanes.lacking(105), lanes.take_out(105, 10), lanes.next_time()) == (set(), [], 110)
    assert offsets(lanes.take_out(110, 10)) == [("md.quotes", 0)]


def test_records_of_one_time_go_by_topic_partition_and_offset() -> None:
    lanes = Lanes()
    lanes.begin({B: 0, A: 0}, 0)
    lanes.take_in([stored(B, 0, 5), stored(B, 1, 5), End(B, 2), stored(A, 0, 5), End(A, 1)])
    assert offsets(lanes.take_out(FOREVER, 2)) == [("md.quotes", 0), ("md.trades", 0)]
    assert offsets(lanes.take_out(FOREVER, 2)) == [("md.trades", 1)]


def test_end_is_left_when_more_comes() -> None:
    lanes = Lanes()
    lanes.begin({A: 0}, 0)
    lanes.take_in([End(A, 0)])
    assert lanes.is_over
    lanes.take_in([stored(A, 0, 9)])
    assert not lanes.is_over
    assert lanes.lacking(FOREVER) == {A}


def test_partition_begun_again_tells_nothing_twice_and_leaves_nothing_out() -> None:
    lanes = Lanes()
    lanes.begin({A: 3, B: 0}, 100)
    lanes.take_in([stored(A, number, 100 + number) for number in range(3, 9)])
    lanes.take_in([stored(B, 0, 200, wanted=False)])
    told = lanes.take_out(105, 10)
    lanes.begin({A: 4}, 104)
    assert lanes.starts() == {A: 6, B: 1}
    lanes.take_in([stored(A, number, 100 + number) for number in range(3, 9)])
    lanes.take_in([End(A, 9)])
    told += lanes.take_out(FOREVER, 10)
    assert [each.offset for each in told] == [3, 4, 5, 6, 7, 8]


def test_what_waits_is_counted_in_records_and_bytes() -> None:
    lanes = Lanes(LaneLimits(records=3, total_bytes=100))
    lanes.begin({A: 0}, 0)
    lanes.take_in([stored(A, 0, 1, size=50), stored(A, 1, 2, size=49)])
    assert not lanes.is_full
    lanes.take_in([stored(A, 2, 3, size=1)])
    assert lanes.is_full
    lanes.take_out(1, 1)
    assert not lanes.is_full
    lanes.begin({A: 0}, 2)
    assert lanes.next_time() is None
    lanes.take_in([stored(A, number, 1 + number, size=100) for number in range(1, 2)])
    assert lanes.is_full


@given(
    st.tuples(*[st.lists(st.integers(0, 9), max_size=6).map(sorted)] * 3),
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.integers(1, 5)), max_size=20),
)
def test_order_does_not_depend_on_how_the_partitions_were_read(
    times: tuple[list[int], ...], reads: list[tuple[int, int, int]]
) -> None:
    partitions = [("t", number) for number in range(len(times))]
    waiting = [[stored(each, offset, at) for offset, at in enumerate(times[each[1]])] for each in partitions]
    lanes, told = Lanes(), list[Stored]()
    lanes.begin(dict.fromkeys(partitions, 0), 0)
    for lane, some, taken in [*reads, *((number, 9, 99) for number in range(3))]:
        lanes.take_in([waiting[lane].pop(0) for _ in range(min(some, len(waiting[lane])))])
        if not waiting[lane]:
            lanes.take_in([End(partitions[lane], len(times[lane]))])
        told += lanes.take_out(FOREVER, taken)
    assert lanes.is_over
    expected = sorted((at, each, offset) for each in partitions for offset, at in enumerate(times[each[1]]))
    assert [(each.stored_at, each.partition, each.offset) for each in told] == expected
