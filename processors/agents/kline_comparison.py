"""Our candles beside the venues' klines: what differs becomes an event of quality."""

from __future__ import annotations

from market.candle import CandleEvent
from market.instrument import venue_of
from market.kline_events import Place, events_of
from market.kline_reconciliation import Reconciliation, Verdict, is_needed
from market.kline_rules import rule_of
from market.quote import Kline
from processors.batch import Batch
from processors.computation import Computation, Effects, Scope
from processors.metrics import KLINE_DIFFERENCES, KLINES_COMPARED
from processors.outputs import message_of
from processors.states.form import key_of
from processors.states.kline_comparison import decode_candle_side, decode_kline_side, encode_candle_side, encode_kline_side
from runtime.settings import ProcessorSettings
from schemas.topics import CANDLES, KLINES, QUALITY

STATE = "kline-comparison"


class ComparisonFold:
    """The comparison of one partition; between commits the instruments in use are held in memory."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._known = {CANDLES.name: -1, KLINES.name: -1}
        self._place = Place(CANDLES.name, KLINES.name, scope.partition)
        self._reconciliations: dict[str, Reconciliation] = {}
        self._effects = Effects()

    def known(self, topic: str) -> int:
        """Highest offset of a topic that the states read from the table had taken in."""
        return self._known[topic]

    def fold(self, batch: Batch) -> None:
        """Take in a batch. Raises SchemaNotLearnt."""
        records, refusals = batch.decode(self._scope.codec, self._scope.max_skew)
        self._effects.refuse(batch, *refusals)
        for record, raw in records:
            if isinstance(record, CandleEvent | Kline) and is_needed(record, rule_of(venue_of(record.instrument))):
                self._apply(record, raw.offset)

    def take(self) -> Effects:
        """Events in the order of what brought them about; each side that changed is stored."""
        table = self._scope.tables[STATE]
        for instrument, found in self._reconciliations.items():
            if found.candles_changed:
                table.put(key_of(CANDLES.name, instrument), encode_candle_side(found.candles))
            if found.klines_changed:
                table.put(key_of(KLINES.name, instrument), encode_kline_side(found.klines))
        self._reconciliations.clear()
        effects, self._effects = self._effects, Effects()
        return effects

    def _apply(self, record: CandleEvent | Kline, offset: int) -> None:
        found = self._of(record.instrument)
        verdicts = found.apply_kline(record, offset) if isinstance(record, Kline) else found.apply_candle(record, offset)
        for verdict in verdicts:
            self._tell(record.instrument, verdict)

    def _tell(self, instrument: str, verdict: Verdict) -> None:
        venue, effects, scope = venue_of(instrument), self._effects, self._scope
        effects.tallies[KLINES_COMPARED, (venue, verdict.outcome.value)] += 1
        effects.tallies.update((KLINE_DIFFERENCES, (venue, one.field)) for one in verdict.differences)
        for event in events_of(verdict, instrument, rule_of(venue), self._place):
            effects.outputs.append(message_of(QUALITY, event, scope.codec, scope.partitions))

    def _of(self, instrument: str) -> Reconciliation:
        found = self._reconciliations.get(instrument)
        if found is None:
            table = self._scope.tables[STATE]
            candles = decode_candle_side(table.get(key_of(CANDLES.name, instrument)))
            klines = decode_kline_side(table.get(key_of(KLINES.name, instrument)))
            for topic, side in ((CANDLES, candles), (KLINES, klines)):
                self._known[topic.name] = max(self._known[topic.name], side.applied_offset)
            found = self._reconciliations[instrument] = Reconciliation(candles, klines, rule_of(venue_of(instrument)))
        return found


def build(settings: ProcessorSettings) -> Computation:
    """The computation, which has no settings."""
    return Computation((CANDLES, KLINES), (QUALITY,), (STATE,), ComparisonFold)
