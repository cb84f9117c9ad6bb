"""Trades of feeds that tell snapshots alone: last price and what was traded since the beginning of the trading day.

The difference of two snapshots is one trade, which sums up the executions between them:
- its size is the difference of the volumes, so the sizes of a day add up to the day's volume, whichever snapshots were missed;
- its price is the last price, at which an execution took place. The quotient of the differences of amount and volume is no
  price that anybody paid, seldom a decimal that ends, and of amounts that many sources round. So price × size is not the
  amount of the executions: that is the difference of the amounts stated, which is given beside the trade;
- its time is that of the later snapshot; its `trade_count` is 1, the least that there can be, since nobody says how many;
- its id is made of the day and the volume reached, so that the same snapshot read again gives the same trade.

A new day begins at zero. Of the day in which a feed begins nothing is known up to its first snapshot: that gives no trade.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from market.decimals import ONE, format_decimal
from market.errors import DataValidationError
from market.trade import Trade

_DAY = 86_400 * 1_000_000


class Snapshot(NamedTuple):
    """What a source tells of an instrument at a moment.

    `price` is the last one and `volume` what was traded this day, in shares (scale 12); `amount` is the money that took (scale
    24), None where it is not told. A price of zero says that there was none yet.
    """

    price: int
    volume: int
    amount: int | None
    exchange_time: int | None
    received_at: int


class DayTotal(NamedTuple):
    """The volume and amount up to which the trades of a day were told, and the exchange time of that snapshot."""

    day: int
    volume: int = 0
    amount: int | None = 0
    exchange_time: int | None = None


class Outcome(StrEnum):
    """TRADED: there is a trade. UNCHANGED: nothing was traded. FIRST: nothing is known before it. OLD: a later one was told."""

    TRADED = "traded"
    UNCHANGED = "unchanged"
    FIRST = "first"
    OLD = "old"


class Step(NamedTuple):
    """What became of a snapshot: the trade, and the amount of its executions as stated, None where it is not."""

    outcome: Outcome
    trade: Trade | None = None
    amount: int | None = None


class SnapshotTrades:
    """Makes trades of the snapshots of one instrument.

    `utc_offset` (microseconds) is that of the venue's time zone, which decides the day of an exchange time. `total` is where to
    go on: a state kept, or `DayTotal(day)` where nothing was traded yet on a day.
    """

    def __init__(self, instrument: str, utc_offset: int, total: DayTotal | None = None) -> None:
        self.instrument = instrument
        self.total = total
        self._utc_offset = utc_offset

    def apply(self, snapshot: Snapshot, day: int | None = None) -> Step:
        """Take in the next snapshot; `day` names its trading day by a number that rises, by default the days since 1970.

        Raises DataValidationError, and remembers nothing of the snapshot, when its day cannot be known (`missing_field`), when
        the day's volume or amount fell (`volume_fell`, `amount_fell`): trades told cannot be taken back, so there are no others
        until it is above what it was; and when there is volume without a price (`not_positive`).
        """
        day = self._day_of(snapshot) if day is None else day
        before = self.total
        if before is not None and _is_older(snapshot, day, before):
            return Step(Outcome.OLD)
        base = DayTotal(day) if before is None or day > before.day else before
        _check_rose(snapshot, base)
        size = snapshot.volume - base.volume
        if size and snapshot.price <= 0:
            raise DataValidationError("not_positive", "price: there is a volume and no price", field="price")
        amount = None if snapshot.amount is None or base.amount is None else snapshot.amount - base.amount
        self.total = DayTotal(day, snapshot.volume, snapshot.amount, snapshot.exchange_time)
        if before is None:
            return Step(Outcome.FIRST)
        return Step(Outcome.TRADED, self._trade(snapshot, day, size), amount) if size else Step(Outcome.UNCHANGED)

    def _day_of(self, snapshot: Snapshot) -> int:
        if snapshot.exchange_time is None:
            raise DataValidationError(
                "missing_field", "exchange_time: without it nobody knows the day that the volume is of", field="exchange_time"
            )
        return (snapshot.exchange_time + self._utc_offset) // _DAY

    def _trade(self, snapshot: Snapshot, day: int, size: int) -> Trade:
        trade_id = f"{day}:{format_decimal(snapshot.volume)}"
        return Trade(
            instrument=self.instrument,
            trade_id=trade_id,
            sequence=snapshot.volume // ONE,
            price=snapshot.price,
            size=size,
            side=None,
            exchange_time=snapshot.exchange_time,
            received_at=snapshot.received_at,
            first_trade_id=trade_id,
            last_trade_id=trade_id,
        )


def _is_older(snapshot: Snapshot, day: int, before: DayTotal) -> bool:
    """Whether a snapshot was made before the last one: of an earlier day, or earlier by both its time and its volume."""
    if day != before.day:
        return day < before.day
    if snapshot.exchange_time is None or before.exchange_time is None:
        return False
    return snapshot.exchange_time < before.exchange_time and snapshot.volume <= before.volume


def _check_rose(snapshot: Snapshot, base: DayTotal) -> None:
    if snapshot.volume < base.volume:
        raise DataValidationError(
            "volume_fell",
            f"volume: {format_decimal(snapshot.volume)} is below the {format_decimal(base.volume)} told of the same day",
            field="volume",
        )
    if snapshot.amount is not None and base.amount is not None and snapshot.amount < base.amount:
        raise DataValidationError("amount_fell", "amount: is below that told of the same day", field="amount")
