"""Judges the records of one instrument in one topic by the rules of quality: events of what they break, a score a minute.

All is decided by the records' own times and order, so a replay tells the same. The stream's time is the latest event time or
time mark; an event time ahead of its receipt counts up to the tolerance only, so that one clock ahead neither closes minutes
early nor makes what follows seem late. Records that were refused count, but move no time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from market.quality_event import QualityEvent, Severity
from market.quality_minute import QualityMinute
from market.quality_score import MINUTE, QualityScore, score_of
from market.quality_telling import Told, due, tell
from market.quote import Quote
from market.rules.book import crossed_book
from market.rules.finding import Finding
from market.rules.gap import begin_of, gap
from market.rules.outlier import OutlierLimits, outlier
from market.rules.refused import Judged, Refused, believed_times, event_time_of, received_of, refused
from market.rules.repeated import repeated_quote, repeated_trade
from market.rules.silence import Silence
from market.rules.times import Place, future_time, out_of_order
from market.seen_trades import SeenTrades
from market.trade import GapMark, TimeMark, Trade

MAX_CHANNELS = 16
"""Channels of quotes whose order is remembered; venues have two or three."""

_TRADES = ""  # the name under which the order of trades is kept, as that of a channel


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """When rules are broken; times in microseconds.

    `stale_after`: without a trade. `tolerance`: an event time ahead of its receipt. `period`: from event to event of a rule.
    """

    stale_after: int = 60_000_000
    tolerance: int = 2_000_000
    period: int = 1_000_000
    outlier: OutlierLimits = field(default_factory=OutlierLimits)


@dataclass(slots=True)
class QualityState:
    """What is remembered of an instrument in a topic; plain data.

    `latest` is the stream's time, `clock` the latest time of receipt; `last` the last place in order by channel; `prices` the
    recent ones; `gap_until` the end of the latest gap; `told` what was told by rule and severity.
    """

    applied_offset: int = -1
    latest: int = 0
    clock: int = 0
    last: dict[str, Place] = field(default_factory=dict)
    seen: SeenTrades = field(default_factory=SeenTrades)
    prices: list[int] = field(default_factory=list)
    silence: Silence = field(default_factory=Silence)
    gap_until: int = 0
    minute: QualityMinute = field(default_factory=QualityMinute)
    told: dict[str, Told] = field(default_factory=dict)


class QualityMonitor:
    """Applies the records of one instrument and topic, and gives what is to be told."""

    def __init__(self, instrument: str, state: QualityState, *, source: tuple[str, int], limits: QualityLimits) -> None:
        self.instrument = instrument
        self.state = state
        self._source = source
        self._limits = limits

    def apply(self, record: Judged, offset: int) -> list[QualityEvent | QualityScore]:
        """Take in a sound record at `offset`; at or below the last applied offset nothing happens."""
        if offset <= self.state.applied_offset:
            return []
        received = received_of(record)
        time = min(event_time_of(record), received + self._limits.tolerance)
        scores = [] if isinstance(record, GapMark) else self._move(time, received, offset)
        findings = [finding for finding in self._judge(record, time) if finding is not None]
        return [*scores, *self._take_in(findings, event_time_of(record), received, offset)]

    def refuse(self, refusal: Refused, offset: int) -> list[QualityEvent | QualityScore]:
        """Take in a record that was refused; see `market.rules.refused`."""
        if offset <= self.state.applied_offset:
            return []
        return [*self._take_in([refused(refusal)], *believed_times(refusal), offset)]

    def _take_in(self, findings: list[Finding], event_time: int, received: int, offset: int) -> list[QualityEvent]:
        state, period = self.state, self._limits.period
        state.applied_offset, state.clock = offset, max(state.clock, received)
        state.minute.records += 1
        events = []
        for finding in findings:
            if finding.severity is not Severity.INFO:
                state.minute.count(finding.rule)
                state.minute.fault(state.latest, state.latest + 1)
            event = tell(state.told, self._event(finding, event_time, received, offset), state.clock, period)
            events += [] if event is None else [event]
        return events + due(state.told, state.clock, period)

    def _event(self, finding: Finding, event_time: int, received: int, offset: int) -> QualityEvent:
        topic, partition = self._source
        return QualityEvent(
            instrument=self.instrument,
            **finding._asdict(),
            occurrences=1,
            event_time=event_time,
            received_at=received,
            interval=None,
            open_time=None,
            source_topic=topic,
            source_partition=partition,
            source_offset=offset,
        )

    def _move(self, time: int, received: int, offset: int) -> list[QualityScore]:
        """Bring the stream's time to `time`; the score of the minute that this ends, if any."""
        state, scores = self.state, list[QualityScore]()
        if time <= state.latest:
            return scores
        minute, open_time = state.minute, MINUTE.open_time(time)
        if minute.open_time is None:
            minute.open_time = open_time
            minute.fault(open_time, state.gap_until)
        elif open_time > minute.open_time:
            self._mark_stale(open_time)
            scores = [self._score(minute.open_time, received, offset)]
            state.minute = QualityMinute(open_time)
            state.minute.fault(open_time, state.gap_until)
        state.latest = time
        self._mark_stale(time)
        return scores

    def _mark_stale(self, until: int) -> None:
        silence = self.state.silence
        if silence.is_stale:
            self.state.minute.fault(silence.heard_at + self._limits.stale_after, until)

    def _score(self, open_time: int, received: int, offset: int) -> QualityScore:
        minute, faulty = self.state.minute, self.state.minute.faulty_seconds
        figures = minute.records, minute.counts, faulty, score_of(faulty)
        return QualityScore(self.instrument, open_time, *figures, received, *self._source, offset)

    def _judge(self, record: Judged, time: int) -> list[Finding | None]:
        state, limits = self.state, self._limits
        match record:
            case Trade():
                return self._trade(record, time)
            case Quote():
                return self._quote(record, time)
            case TimeMark():
                return [state.silence.mark(state.latest, limits.stale_after)]
            case GapMark():
                begin = begin_of(record, state.latest)
                if begin is not None and not record.healed:
                    state.minute.fault(begin, record.end)
                    state.gap_until = max(state.gap_until, record.end)
                return [gap(record, state.latest)]

    def _trade(self, trade: Trade, time: int) -> list[Finding | None]:
        state, limits = self.state, self._limits
        repeated = repeated_trade(trade, state.seen)
        if repeated is not None:
            return [repeated]
        late = self._order(_TRADES, Place(time, trade.sequence))
        return [
            future_time(trade.event_time, trade.received_at, limits.tolerance),
            late,
            state.silence.trade(time, state.latest, limits.stale_after),
            outlier(trade.price, state.prices, limits.outlier) if late is None else None,
        ]

    def _quote(self, quote: Quote, time: int) -> list[Finding | None]:
        repeated = repeated_quote(quote, self.state.seen)
        if repeated is not None:
            return [repeated]
        return [
            future_time(event_time_of(quote), quote.received_at, self._limits.tolerance),
            self._order(quote.channel, Place(time, quote.sequence or 0)),
            crossed_book(quote),
        ]

    def _order(self, channel: str, place: Place) -> Finding | None:
        last = self.state.last
        late = out_of_order(place, last.get(channel))
        if late is None:
            last[channel] = place
            if len(last) > MAX_CHANNELS:
                del last[next(iter(last))]
        return late
