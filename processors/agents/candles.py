"""Trades to candles: every version of every candle, closed by the stream's own time."""

from __future__ import annotations

from collections.abc import Sequence

from market.candle_series import CandleSeries, Outcome
from market.interval import Interval, parse_interval
from processors.batch import Refusal, SourceRecord
from processors.closed_candles import ClosedCandles
from processors.computation import Effects, Tables, by_instrument
from processors.state import decode_series, encode_series
from runtime.settings import ProcessorSettings
from schemas.topics import CANDLES, TRADES, Topic

OPEN = "candles"
CLOSED = "closed-candles"

_REFUSED = {
    Outcome.TOO_OLD: "the trade id is older than the ids remembered: it may have been counted already",
    Outcome.TOO_LATE: "the trade is older than the horizon for corrections",
    Outcome.TOO_LARGE: "with this trade the candle's sums have too many digits",
}


class Candles:
    """Folds the trade stream of each instrument into candles of all configured intervals."""

    def __init__(self, intervals: Sequence[Interval], grace: int) -> None:
        self._intervals = intervals
        self._grace = grace

    @property
    def source(self) -> Topic:
        """The trade stream."""
        return TRADES

    @property
    def tables(self) -> Sequence[str]:
        """Closed candles first: the state of open ones holds the offset that keeps a replay from writing them again."""
        return CLOSED, OPEN

    def fold(self, topic: str, partition: int, records: Sequence[SourceRecord], tables: Tables) -> Effects:
        """Events of all candles the records touch, UPDATEs once per candle and batch."""
        effects = Effects()
        for instrument, found in by_instrument(records).items():
            closed = ClosedCandles(instrument, tables[CLOSED])
            state = decode_series(tables[OPEN].get(instrument))
            effects.known = max(effects.known, state.applied_offset)
            series = CandleSeries(
                instrument,
                state,
                closed,
                intervals=self._intervals,
                grace=self._grace,
                source=(topic, partition),
            )
            self._apply(series, found, effects)
            for key, value in closed.written.items():
                effects.write(CLOSED, key, value)
            if series.changed:
                effects.write(OPEN, instrument, encode_series(series.state))
        return effects

    @staticmethod
    def _apply(series: CandleSeries, records: Sequence[SourceRecord], effects: Effects) -> None:
        for record, raw in records:
            outcome, events = series.apply(record, raw.offset)
            effects.counts[outcome.value] += 1
            effects.outputs += ((CANDLES, event) for event in events)
            if outcome in _REFUSED:
                effects.refusals.append(Refusal(raw, outcome.value, _REFUSED[outcome]))
        effects.outputs += ((CANDLES, event) for event in series.updates())


def build(settings: ProcessorSettings) -> Candles:
    """The computation as configured."""
    return Candles([parse_interval(name) for name in settings.intervals], round(settings.grace_seconds * 1e6))
