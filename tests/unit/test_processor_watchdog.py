from processors.watchdog import Position, Watchdog


def test_partition_with_a_lag_that_does_not_move_is_stalled_after_the_patience() -> None:
    watchdog = Watchdog(60)
    still = {0: Position(5, 9), 1: Position(9, 9)}
    assert [watchdog.stalled(still, now) for now in (0, 59, 60)] == [[], [], [0]]


def test_partition_that_moves_or_has_nothing_to_do_is_not_stalled() -> None:
    watchdog = Watchdog(60)
    assert watchdog.stalled({0: Position(5, 9), 1: Position(9, 9)}, 0) == []
    assert watchdog.stalled({0: Position(6, 9), 1: Position(9, 9)}, 59) == []
    assert watchdog.stalled({0: Position(6, 9), 1: Position(9, 12)}, 100) == []


def test_partition_never_committed_counts_from_its_beginning() -> None:
    watchdog = Watchdog(60)
    assert Position(-1, 3).lag == 3
    assert watchdog.stalled({0: Position(-1, 3)}, 0) == []
    assert watchdog.stalled({0: Position(-1, 3)}, 61) == [0]


def test_partition_that_was_given_away_and_comes_back_starts_afresh() -> None:
    watchdog = Watchdog(60)
    watchdog.stalled({0: Position(5, 9)}, 0)
    watchdog.stalled({}, 30)
    assert watchdog.stalled({0: Position(5, 9)}, 61) == []
