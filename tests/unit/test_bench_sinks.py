"""The sinks' benchmark: a trade counts as found when an offset behind its own was seen first."""

from benchmarks.sinks.latency import delays
from benchmarks.sinks.postgres import values
from sinks.stores._postgres_tables import TRADES
from tests.builders import make_trade


def test_a_trade_is_found_when_the_stored_offset_has_passed_it() -> None:
    seen = {0: [(10, 5_000_000), (20, 6_000_000)], 3: [(1, 7_000_000)]}
    rows = [(0, 0, 4_999_000), (0, 9, 4_000_000), (0, 10, 5_500_000), (3, 0, 6_999_500)]
    assert delays(rows, seen) == [1, 1000, 500, 0.5]


def test_row_that_executemany_is_given_has_every_column_of_the_table() -> None:
    trade = make_trade()._replace(origin="backfill")
    row = dict(zip(TRADES.columns, values(trade, 7), strict=True))
    assert (row["trade_id"], row["origin"], row["source_offset"]) == (trade.trade_id, "backfill", 7)
