"""Fixtures of the pure tests."""

from typing import Any

import pytest

from market.candle_series import CandleSeries
from market.trade import TradeStreamRecord


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Offsets of the records that candle series took in by the full rules."""
    found: list[int] = []
    apply = CandleSeries.apply

    def noting(series: CandleSeries, record: TradeStreamRecord, offset: int) -> Any:
        found.append(offset)
        return apply(series, record, offset)

    monkeypatch.setattr(CandleSeries, "apply", noting)
    return found
