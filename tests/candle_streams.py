"""A series of candles fed record by record, and the candles that a consumer keeps of what it tells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from market.candle import CandleEvent
from market.candle_series import CandleKey, CandleSeries, ClosedCandle, Outcome, SeriesState
from market.derived import check_candle
from market.interval import parse_interval
from market.session import TradingCalendar
from market.trade import TradeStreamRecord
from tests.builders import INSTRUMENT

GRACE = 2_000_000


class Stream:
    """A series that goes on with its state alone for each batch, as after a restart."""

    def __init__(
        self,
        intervals: Sequence[str] = ("1m",),
        *,
        instrument: str = INSTRUMENT,
        calendar: TradingCalendar | None = None,
        carry: bool = False,
    ) -> None:
        self.state = SeriesState()
        self.closed: dict[CandleKey, ClosedCandle] = {}
        self.intervals = [parse_interval(name) for name in intervals]
        self.calendar, self.carry = calendar, carry
        self.offset = 0
        self.outcomes: list[Outcome] = []
        self._instrument = instrument

    def series(self) -> CandleSeries:
        """The series as it is stored."""
        return CandleSeries(
            self._instrument,
            self.state,
            self.closed,
            intervals=self.intervals,
            grace=GRACE,
            source=("md.trades", 0),
            calendar=self.calendar,
            carry=self.carry,
        )

    def batch(self, *records: TradeStreamRecord) -> list[CandleEvent]:
        """What is told of records at the next offsets and of a commit behind them; all of it sound."""
        series, events = self.series(), []
        for record in records:
            outcome, found = series.apply(record, self.offset)
            self.outcomes.append(outcome)
            events += found
            self.offset += 1
        return [check_candle(event) for event in events + series.updates()]


def truth(events: Iterable[CandleEvent]) -> dict[CandleKey, CandleEvent]:
    """The candles that a consumer keeps."""
    latest: dict[CandleKey, CandleEvent] = {}
    for event in events:
        key = event.interval, event.open_time
        if key not in latest or event.version >= latest[key].version:
            latest[key] = event
    return latest
