"""Trades and quotes to events of broken quality rules, and a score a minute.

Each topic of an instrument is judged by itself, in a stored value of its own: between topics no order is given.
"""

from __future__ import annotations

from collections.abc import Sequence

from market.quality_event import QualityEvent
from market.quality_monitor import QualityLimits, QualityMonitor
from market.quality_score import QualityScore
from market.rules.outlier import OutlierLimits
from market.rules.refused import Judged, Refused, is_of_quality
from market.trade import Trade
from processors.batch import Batch, Refusal, SourceRecord
from processors.computation import Computation, Effects, Scope
from processors.figures import unscaled
from processors.metrics import QUALITY_FINDINGS
from processors.outputs import message_of
from processors.states.form import key_of
from processors.states.quality import decode_quality, encode_quality
from runtime.settings import ProcessorSettings
from schemas.topics import QUALITY, QUOTES, TOPICS, TRADES

STATE = "quality"


class QualityFold:
    """The quality of one partition; between commits the instruments in use are held in memory."""

    def __init__(self, scope: Scope, limits: QualityLimits) -> None:
        self._known: dict[str, int] = {}
        self._scope = scope
        self._limits = limits
        self._monitors: dict[tuple[str, str], QualityMonitor] = {}
        self._effects = Effects()

    def known(self, topic: str) -> int:
        """Highest offset of a source that the states read from the table had taken in."""
        return self._known.get(topic, -1)

    def fold(self, batch: Batch) -> None:
        """Take in a batch. Raises SchemaNotLearnt."""
        for source in batch.in_order(self._scope.codec, self._scope.max_skew):
            if isinstance(source, Refusal):
                self._refuse(batch, source)
            else:
                self._apply(batch.topic, source)

    def take(self) -> Effects:
        """Events and scores in the order of their triggers; the state of every instrument met is stored."""
        for (topic, instrument), monitor in self._monitors.items():
            self._scope.tables[STATE].put(key_of(topic, instrument), encode_quality(monitor.state))
        self._monitors.clear()
        effects, self._effects = self._effects, Effects()
        return effects

    def _apply(self, topic: str, source: SourceRecord) -> None:
        record, raw = source
        self._effects.trades += isinstance(record, Trade)
        if isinstance(record, Judged):
            self._tell(self._of(topic, record.instrument).apply(record, raw.offset))

    def _refuse(self, batch: Batch, refusal: Refusal) -> None:
        self._effects.refuse(batch, refusal)
        if not is_of_quality(refusal.reason):
            return
        raw, scope = refusal.raw, self._scope
        record = scope.codec.decode_learnt(raw.value)
        if not isinstance(record, Judged) or TOPICS[batch.topic].place(record)[0] != raw.key:
            return  # under another key it is a record of nobody knows what
        refused = Refused(record, refusal.reason, refusal.field, refusal.error, raw.timestamp_ms * 1000, scope.max_skew)
        self._tell(self._of(batch.topic, record.instrument).refuse(refused, raw.offset))

    def _tell(self, told: Sequence[QualityEvent | QualityScore]) -> None:
        for record in told:
            if isinstance(record, QualityEvent):
                self._effects.tallies[QUALITY_FINDINGS, (record.rule.value, record.severity.value)] += record.occurrences
            self._effects.outputs.append(message_of(QUALITY, record, self._scope.codec, self._scope.partitions))

    def _of(self, topic: str, instrument: str) -> QualityMonitor:
        monitor = self._monitors.get((topic, instrument))
        if monitor is None:
            state = decode_quality(self._scope.tables[STATE].get(key_of(topic, instrument)))
            self._known[topic] = max(self.known(topic), state.applied_offset)
            monitor = QualityMonitor(instrument, state, source=(topic, self._scope.partition), limits=self._limits)
            self._monitors[topic, instrument] = monitor
        return monitor


def build(settings: ProcessorSettings) -> Computation:
    """The computation as configured. Raises ConfigurationError."""
    quality = settings.quality
    outlier = quality.outlier
    limits = QualityLimits(
        stale_after=round(quality.stale_after_seconds * 1e6),
        tolerance=round(quality.clock_tolerance_seconds * 1e6),
        period=round(quality.event_period_seconds * 1e6),
        outlier=OutlierLimits(
            outlier.window,
            unscaled(outlier.deviations, "processors.quality.outlier.deviations"),
            unscaled(outlier.percent, "processors.quality.outlier.percent"),
        ),
    )
    return Computation((TRADES, QUOTES), (QUALITY,), (STATE,), lambda scope: QualityFold(scope, limits))
