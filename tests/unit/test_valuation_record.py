"""Valuations, lines and alerts that are sound are taken unchanged; a time that is none is refused by its name."""

from __future__ import annotations

from typing import Any

import pytest

from market.errors import DataValidationError
from market.portfolio_alert import Alert, check_alert
from market.valuation_record import UsedRate, Valuation, ValuationLine, check_valuation
from tapeline.topic_docs.examples import example

NEVER = 1 << 62
"""Microseconds that no calendar has."""


def check(record: Any) -> Any:
    return check_alert(record) if isinstance(record, Alert) else check_valuation(record)


def refused(record: Any, **changes: Any) -> str | None:
    with pytest.raises(DataValidationError) as caught:
        check(record._replace(**changes))
    return caught.value.field


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (Valuation, ("valued_at", "oldest_price_at", "as_of", "day_end_at")),
        (ValuationLine, ("valued_at", "price_at")),
        (Alert, ("valued_at", "oldest_price_at", "as_of")),
    ],
)
def test_time_that_is_none_is_refused_by_its_name(kind: type[Any], names: tuple[str, ...]) -> None:
    record: Any = example(kind)
    assert check(record) is record
    for name in names:
        assert refused(record, **{name: NEVER}) == name
    known: dict[str, Any] = dict.fromkeys(names[1:])
    unknown = record._replace(**known)
    assert check(unknown) is unknown


def test_time_of_a_rate_is_refused_by_its_currency() -> None:
    rate = UsedRate("CNY", 1, NEVER, (), is_stale=False)
    assert refused(example(Valuation), rates=(rate,)) == "rates.CNY.as_of"
    assert refused(example(ValuationLine), rate=rate) == "rate.as_of"
