"""How late records are, as the flusher hears it."""

import pytest

from gateway.hub import Hub
from gateway.messages import Arrival, Source
from schemas.records import Record
from tests.builders import START, make_trade
from tests.gateway_parts import HandTurnedLoop, make_candle, make_hub, make_quote

SECOND = 1_000_000


def ages_told(monkeypatch: pytest.MonkeyPatch, *records: Record) -> list[float | None]:
    """What a hub tells its flusher of these records, that came together."""
    hub: Hub = make_hub(HandTurnedLoop(), clock=lambda: START + SECOND)
    ages = list[float | None]()
    monkeypatch.setattr(hub.publisher._flusher, "wake", ages.append)
    hub.take([Arrival(Source("md.trades", 0, number), record) for number, record in enumerate(records)])
    return ages


def test_oldest_of_what_ingest_published_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    trade = make_trade(1, received_at=START)._replace(published_at=START + SECOND // 2)
    quote = make_quote(sequence=1)._replace(published_at=START + SECOND // 4)
    assert ages_told(monkeypatch, trade, quote, make_candle(0)) == [0.75]


def test_what_was_computed_is_not_late_for_what_it_was_computed_of(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ages_told(monkeypatch, make_candle(0)) == [None]
