"""Rows of portfolios: exact figures, null where nothing is known, and the last of each period."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from market.errors import DataValidationError
from market.portfolio import Portfolio
from market.portfolio_alert import Alert
from market.valuation import LineState
from market.valuation_record import UsedRate, Valuation, ValuationLine
from schemas.records import Record
from schemas.topics import DAY_ENDS, VALUATIONS
from sinks.store import KafkaRecord
from sinks.stores._postgres_copy import NULL, Row, time_text
from sinks.stores._postgres_rows import RowMaker
from sinks.stores._postgres_tables import TABLES
from tapeline.topic_docs.examples import example

PERIOD = 10_000_000
ROW_OF = RowMaker(1, PERIOD)


def made(record: Record, topic: str = VALUATIONS.name) -> tuple[Row, dict[str, str]]:
    row = ROW_OF(record, KafkaRecord(topic, 2, 70, b"key", b"value", 0))
    assert row is not None
    values = row.line.removesuffix("\n").split("\t")
    return row, dict(zip(TABLES[row.table].columns, values, strict=True))


def valuation() -> Valuation:
    found = example(Valuation)
    assert isinstance(found, Valuation)
    return found


def test_valuation_is_the_row_of_its_period_and_the_later_one_wins() -> None:
    found = valuation()._replace(valued_at=7 * PERIOD + 3, equity=None, day_pnl=-5, left_out=("a\\b",))
    row, columns = made(found)
    assert (row.table, row.key, row.version) == ("valuations", ("fund-1", 7 * PERIOD), (found.generation, found.sequence))
    assert (columns["period_time"], columns["equity"]) == (time_text(7 * PERIOD), NULL)
    assert columns["day_pnl"] == "-0.000000000000000000000005"
    assert columns["left_out"] == '["a' + "\\" * 4 + 'b"]'  # escaped by JSON, and once more for COPY
    assert made(found._replace(valued_at=8 * PERIOD - 1))[0].key == row.key


def test_last_valuation_of_a_day_has_a_table_of_its_own() -> None:
    row, columns = made(valuation(), DAY_ENDS.name)
    end = valuation().day_end_at
    assert (row.table, row.key) == ("day_ends", ("fund-1", end))
    assert columns["day_end_at"] == time_text(end or 0)


def test_days_last_valuation_that_does_not_say_which_day_is_refused() -> None:
    for end in (None, 10**17):
        with pytest.raises(DataValidationError) as caught:
            made(valuation()._replace(day_end_at=end), DAY_ENDS.name)
        assert caught.value.field == "day_end_at"


def test_rates_are_kept_with_their_times_and_sources() -> None:
    rate = UsedRate("CNY", 7 * 10**23, None, ("config", "a\tb"), is_stale=True)
    _, columns = made(valuation()._replace(rates=(rate, rate._replace(as_of=1))))
    first, second = json.loads(columns["rates"].replace("\\\\", "\\"))
    assert first == {"currency": "CNY", "rate": "0.7", "as_of": None, "sources": ["config", "a\tb"], "is_stale": True}
    assert second["as_of"] == time_text(1)
    line = example(ValuationLine)
    assert isinstance(line, ValuationLine)
    _, columns = made(line._replace(rate=rate))
    assert [columns[name] for name in ("rate", "rate_as_of", "rate_is_stale")] == ["0.7", NULL, "t"]


def test_line_without_a_value_is_null_and_says_why() -> None:
    found = example(ValuationLine)
    assert isinstance(found, ValuationLine)
    unpriced = found._replace(state=LineState.UNPRICED, reason="no price", price=None, value=None, base_value=None, rate=None)
    row, columns = made(unpriced)
    assert row.key == ("fund-1", found.valued_at // PERIOD * PERIOD, found.position_id)
    assert [columns[name] for name in ("state", "reason", "price", "value", "base_value", "rate", "rate_sources")] == [
        *("UNPRICED", "no price"),
        *[NULL] * 5,
    ]


def test_portfolio_is_its_latest_version_with_exact_figures_in_json() -> None:
    found = example(Portfolio)
    assert isinstance(found, Portfolio)
    row, columns = made(found)
    assert (row.key, row.version, row.month) == (("fund-1",), (found.version,), None)
    balances = json.loads(columns["balances"])
    assert balances.keys() == found.balances.keys()
    assert Fraction(balances["USDT"]["cash"]) * 10**24 == found.balances["USDT"].cash
    assert json.loads(columns["positions"]).keys() == found.positions.keys()
    assert json.loads(columns["policy"])["accounting"] == "FIFO"


def test_alert_is_known_by_its_valuation() -> None:
    found = example(Alert)
    assert isinstance(found, Alert)
    row, columns = made(found)
    assert row.key == ("fund-1", found.valued_at, "GROSS_EXPOSURE", found.source_partition, found.source_offset)
    assert (row.version, columns["is_breached"], columns["threshold"]) == ((), "t", "40000")
    assert made(found._replace(value=None, is_breached=False))[1]["value"] == NULL
