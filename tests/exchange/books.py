"""The exchange's own books: texts by price, so that what is rebuilt from its messages can be compared with something else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

Row = Sequence[str]


@dataclass
class LocalBook:
    """Rows (price, size, whatever the venue adds) by price; `number` is that of the last change, where there are numbers."""

    bids: dict[Decimal, Row] = field(default_factory=dict)
    asks: dict[Decimal, Row] = field(default_factory=dict)
    number: int = -1
    depth: int | None = None

    def clear(self) -> None:
        self.bids.clear()
        self.asks.clear()

    def put(self, bids: Iterable[Row], asks: Iterable[Row]) -> None:
        for side, rows in ((self.bids, bids), (self.asks, asks)):
            for row in rows:
                if Decimal(row[1]):
                    side[Decimal(row[0])] = row
                else:
                    side.pop(Decimal(row[0]), None)
        if self.depth is not None:
            self.bids = {Decimal(row[0]): row for row in self.best_bids(self.depth)}
            self.asks = {Decimal(row[0]): row for row in self.best_asks(self.depth)}

    def best_bids(self, number: int | None = None) -> list[Row]:
        return [self.bids[price] for price in sorted(self.bids, reverse=True)[:number]]

    def best_asks(self, number: int | None = None) -> list[Row]:
        return [self.asks[price] for price in sorted(self.asks)[:number]]

    def best(self, number: int) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """Prices and sizes of the best levels, bids and asks."""
        sides = self.best_bids(number), self.best_asks(number)
        bids, asks = ([(Decimal(row[0]), Decimal(row[1])) for row in rows] for rows in sides)
        return bids, asks
