"""Valuations to alerts, when limits of portfolios are breached or kept again, and to the last valuation of each day.

Both are functions of pf.valuations alone, since a valuation carries the limits and the end of the day that held when it was
made: they come out the same however often its records are read. The last valuation of a day is told when the first one of a
later day comes, so a day ends by the time of records, whenever that is; nothing has to be awake at its end.
"""

from __future__ import annotations

from typing import cast

from market.portfolio_alert import see
from market.valuation_record import Valuation
from processors.batch import Batch, SourceRecord
from processors.computation import Computation, Effects, Scope
from processors.metrics import REPLAYED
from processors.outputs import message_of
from processors.states.alerts import Kept, decode_kept, encode_kept
from runtime.settings import ProcessorSettings
from schemas.records import Record
from schemas.topics import ALERTS, DAY_ENDS, VALUATIONS, Topic

STATE = "watched-portfolios"

MOST_PORTFOLIOS = 20_000
"""Portfolios of a partition held in memory; beyond it those in use are read from the table again."""


class AlertsFold:
    """The alerts of one partition."""

    def __init__(self, scope: Scope) -> None:
        self._known = -1
        self._scope = scope
        self._kept: dict[str, Kept] = {}
        self._touched: set[str] = set()
        self._effects = Effects()

    def known(self, topic: str) -> int:
        """Highest offset that the states read from the table had taken in."""
        return self._known

    def fold(self, batch: Batch) -> None:
        """Take in a batch. Raises SchemaNotLearnt."""
        sources, refusals = batch.decode(self._scope.codec, self._scope.max_skew)
        for source in sources:
            self._see(source)
        self._effects.refuse(batch, *refusals)  # at the end: what is folded again after a schema was learnt is refused once

    def take(self) -> Effects:
        """Alerts and ends of days in the order of the valuations; the state of every portfolio that was valued is stored."""
        for portfolio_id in sorted(self._touched):
            self._scope.tables[STATE].put(portfolio_id, encode_kept(self._kept[portfolio_id]))
        self._touched.clear()
        if len(self._kept) > MOST_PORTFOLIOS:
            self._kept.clear()
        effects, self._effects = self._effects, Effects()
        return effects

    def _see(self, source: SourceRecord) -> None:
        valuation, raw = cast("Valuation", source.record), source.raw
        kept = self._kept.get(valuation.portfolio_id) or self._open(valuation.portfolio_id)
        if raw.offset <= kept.applied_offset:
            self._effects.tallies[REPLAYED, (VALUATIONS.name,)] += 1
            return
        seen = see(kept.watched, valuation, (VALUATIONS.name, self._scope.partition, raw.offset))
        if seen.ends_day:
            self._tell(DAY_ENDS, self._scope.codec.decode_learnt(kept.last))
        for alert in seen.alerts:
            self._tell(ALERTS, alert)
        last = kept.last if seen.watched == kept.watched else raw.value or b""
        self._kept[valuation.portfolio_id] = Kept(raw.offset, seen.watched, last)
        self._touched.add(valuation.portfolio_id)

    def _open(self, portfolio_id: str) -> Kept:
        kept = decode_kept(self._scope.tables[STATE].get(portfolio_id))
        self._known = max(self._known, kept.applied_offset)
        return kept

    def _tell(self, topic: Topic, record: Record) -> None:
        self._effects.outputs.append(message_of(topic, record, self._scope.codec, self._scope.partitions))


def build(settings: ProcessorSettings) -> Computation:
    """The computation; there is nothing to configure."""
    return Computation((VALUATIONS,), (ALERTS, DAY_ENDS), (STATE,), AlertsFold, at_once=True)
