import pytest
from confluent_kafka import KafkaException, TopicPartition

from processors.watchdog import Place, Position, Watchdog, read_positions

P0, P1 = Place("md.trades", 0), Place("md.trades", 1)


def test_partition_with_a_lag_that_does_not_move_is_stalled_after_the_patience() -> None:
    watchdog = Watchdog(60)
    still = {P0: Position(5, 0, 9), P1: Position(9, 0, 9)}
    assert [watchdog.stalled(still, now) for now in (0, 59, 60)] == [[], [], [P0]]


def test_partition_that_moves_or_has_nothing_to_do_is_not_stalled() -> None:
    watchdog = Watchdog(60)
    assert watchdog.stalled({P0: Position(5, 0, 9), P1: Position(9, 0, 9)}, 0) == []
    assert watchdog.stalled({P0: Position(6, 0, 9), P1: Position(9, 0, 9)}, 59) == []
    assert watchdog.stalled({P0: Position(6, 0, 9), P1: Position(9, 0, 12)}, 100) == []


def test_partition_never_committed_counts_from_its_beginning() -> None:
    watchdog = Watchdog(60)
    assert Position(-1, 0, 3).lag == 3
    assert watchdog.stalled({P0: Position(-1, 0, 3)}, 0) == []
    assert watchdog.stalled({P0: Position(-1, 0, 3)}, 61) == [P0]


def test_partition_that_was_given_away_and_comes_back_starts_afresh() -> None:
    watchdog = Watchdog(60)
    watchdog.stalled({P0: Position(5, 0, 9)}, 0)
    watchdog.stalled({}, 30)
    assert watchdog.stalled({P0: Position(5, 0, 9)}, 61) == []


def test_partition_emptied_by_retention_has_no_lag_and_is_never_stalled() -> None:
    watchdog = Watchdog(60)
    emptied = {P0: Position(-1, 500, 500), P1: Position(100, 500, 500)}
    assert [position.lag for position in emptied.values()] == [0, 0]
    assert [watchdog.stalled(emptied, now) for now in (0, 61)] == [[], []]


def test_lag_counts_the_records_there_are() -> None:
    assert [Position(100, 400, 500).lag, Position(-1, 400, 500).lag, Position(600, 0, 500).lag] == [100, 100, 0]


def test_excused_partitions_start_afresh() -> None:
    watchdog = Watchdog(60)
    watchdog.stalled({P0: Position(5, 0, 9)}, 0)
    watchdog.excuse()
    assert [watchdog.stalled({P0: Position(5, 0, 9)}, now) for now in (61, 120, 121)] == [[], [], [P0]]


class FakeConsumer:
    """Answers for partition 0 as librdkafka does; -1001 stands for no offset."""

    def __init__(self, bounds: tuple[int, int] | None) -> None:
        self._bounds = bounds

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [TopicPartition(one.topic, one.partition, -1001) for one in partitions]

    def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int] | None:
        return self._bounds


def test_positions_are_read_with_both_ends_of_the_log() -> None:
    found = read_positions(FakeConsumer((500, 502)), [P0])  # type: ignore[arg-type]  # has what is asked of it
    assert found == {P0: Position(-1, 500, 502)}


def test_broker_that_does_not_say_where_a_partition_ends_is_no_answer() -> None:
    with pytest.raises(KafkaException):
        read_positions(FakeConsumer(None), [P0])  # type: ignore[arg-type]
