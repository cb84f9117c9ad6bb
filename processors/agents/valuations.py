"""Portfolios to what they are worth, at once when a price or a position changes.

The group shares out the partitions of pf.positions, and what is wrong with its records becomes dead letters; the work is done
beside that, since it is prices that set it off and since a portfolio is valued whether or not it changes (see
`processors.valuing.service`). Nothing is kept in tables: both topics are compacted, and read whole.
"""

from __future__ import annotations

from processors.batch import Batch
from processors.computation import Computation, Effects, Scope
from processors.surroundings import Beside
from processors.valuing.configured import rate_sources
from processors.valuing.service import Valuations
from runtime.settings import ProcessorSettings
from schemas.topics import POSITIONS, VALUATION_LINES, VALUATIONS


class PositionsFold:
    """Reads the portfolios of one partition for dead letters alone."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._effects = Effects()

    def known(self, topic: str) -> int:
        """Nothing is stored."""
        return -1

    def fold(self, batch: Batch) -> None:
        """Take in a batch. Raises SchemaNotLearnt."""
        _, refusals = batch.decode(self._scope.codec, self._scope.max_skew)
        self._effects.refuse(batch, *refusals)

    def take(self) -> Effects:
        """What was refused."""
        effects, self._effects = self._effects, Effects()
        return effects


async def value(beside: Beside) -> None:
    """Value portfolios until cancelled."""
    await Valuations(beside).run()


def build(settings: ProcessorSettings) -> Computation:
    """The computation. Raises ConfigurationError."""
    rate_sources(settings.valuation)
    return Computation((POSITIONS,), (VALUATIONS, VALUATION_LINES), (), PositionsFold, beside=value)
