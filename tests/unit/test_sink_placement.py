import pytest

from sinks.batching import Place
from sinks.placement import Extent, RecordsLost, place
from sinks.store import StoredOffset

TRADES = ("md.trades", 3)


def test_reading_goes_on_at_the_stored_offset() -> None:
    assert place(TRADES, StoredOffset(70, "id"), Extent(10, 100, "id")) == Place(70, 70, "id")


def test_first_start_begins_at_the_oldest_record() -> None:
    assert place(TRADES, None, Extent(10, 100, "id")) == Place(10, None, "id")


@pytest.mark.parametrize("offset", [10, 100])
def test_first_offset_and_end_are_still_there(offset: int) -> None:
    assert place(TRADES, StoredOffset(offset, "id"), Extent(10, 100, "id")).offset == offset


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (StoredOffset(9, "id"), "deleted before they were stored"),
        (StoredOffset(101, "id"), "lost its end"),
        (StoredOffset(50, "other"), "deleted and created again"),
    ],
)
def test_lost_records_are_told_with_both_figures_and_the_way_to_go_on(stored: StoredOffset, reason: str) -> None:
    with pytest.raises(RecordsLost) as caught:
        place(TRADES, stored, Extent(10, 100, "id"))
    text = str(caught.value)
    for part in ("md.trades[3]", str(stored.next_offset), "10 to 100", reason, "tapeline sink seek md.trades 3 10"):
        assert part in text
