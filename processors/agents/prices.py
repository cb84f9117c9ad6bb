"""Quotes and trades to the latest prices of each instrument: one record for each commit in which they changed.

What each of the two topics tells of an instrument is stored as a value of its own, so a record is a function of how far it has
taken in either, and its version says how far that is. Every record is decoded by Python, which takes most of the time: 10 to
20 µs for a trade with its checks, twice that for a quote. Agents that decode the same topic share it.
"""

from __future__ import annotations

from market.errors import DataValidationError
from market.latest_price import Statements, latest_price, statement_of
from market.quote import Quote
from market.trade import Trade
from processors.batch import Batch, Refusal
from processors.computation import Computation, Effects, Scope
from processors.outputs import message_of
from processors.states.form import key_of
from processors.states.prices import decode_statements, encode_statements
from runtime.settings import ProcessorSettings
from schemas.topics import PRICES, QUOTES, TRADES

STATE = "prices"


class LatestPricesFold:
    """The prices of one partition; between commits the instruments in use are held in memory.

    What was said once changes nothing when it is said again, so a record read again after a crash needs no gate.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._known: dict[str, int] = {}
        self._said: dict[tuple[str, str], Statements] = {}
        self._changed: dict[tuple[str, str], None] = {}
        self._effects = Effects()

    def known(self, topic: str) -> int:
        """Highest offset of a topic that the values read from the table had taken in."""
        return self._known.get(topic, -1)

    def fold(self, batch: Batch) -> None:
        """Take in a batch. Raises SchemaNotLearnt."""
        records, refusals = batch.decode(self._scope.codec, self._scope.max_skew)
        self._effects.refuse(batch, *refusals)
        topic, partition = batch.topic, batch.partition
        for record, raw in records:
            if not isinstance(record, Quote | Trade):
                continue
            self._effects.trades += isinstance(record, Trade)
            try:
                if self._of(topic, record.instrument).take(statement_of(record, (topic, partition, raw.offset))):
                    self._changed[topic, record.instrument] = None
            except DataValidationError as error:
                self._effects.refuse(batch, Refusal(topic, raw, error.reason, str(error), error.field))

    def take(self) -> Effects:
        """One record for each instrument that changed; what changed is stored."""
        for instrument in dict.fromkeys(instrument for _, instrument in self._changed):
            quotes, trades = (self._of(topic.name, instrument) for topic in (QUOTES, TRADES))
            price = latest_price(instrument, quotes, trades)
            self._effects.outputs.append(message_of(PRICES, price, self._scope.codec, self._scope.partitions))
        for topic, instrument in self._changed:
            self._scope.tables[STATE].put(key_of(topic, instrument), encode_statements(self._said[topic, instrument]))
        self._changed.clear()
        self._said.clear()
        effects, self._effects = self._effects, Effects()
        return effects

    def _of(self, topic: str, instrument: str) -> Statements:
        said = self._said.get((topic, instrument))
        if said is None:
            data = self._scope.tables[STATE].get(key_of(topic, instrument))
            said = self._said[topic, instrument] = decode_statements(data, instrument, (topic, self._scope.partition))
            self._known[topic] = max(self.known(topic), said.applied_offset)
        return said


def build(_settings: ProcessorSettings) -> Computation:
    """The computation; there is nothing to configure."""
    return Computation((QUOTES, TRADES), (PRICES,), (STATE,), LatestPricesFold)
