"""A candle of ours beside the venue's kline of the same interval, figure by figure, by the venue's rule."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from market.kline_rules import PRICES, KlineRule, Opening


class Prices(Protocol):
    """The prices of either side."""

    @property
    def open(self) -> int:
        """First."""

    @property
    def high(self) -> int:
        """Highest."""

    @property
    def low(self) -> int:
        """Lowest."""

    @property
    def close(self) -> int:
        """Last."""


class CandleFigures(Prices, Protocol):
    """What is compared of ours: a `Candle`, a `CandleEvent`, or what is kept of one."""

    @property
    def volume(self) -> int:
        """Scale 12."""

    @property
    def amount(self) -> int:
        """Scale 24."""

    @property
    def taker_buy_volume(self) -> int | None:
        """Scale 12; None where a side is unknown."""

    @property
    def trade_count(self) -> int:
        """Single trades."""


class KlineFigures(Prices, Protocol):
    """What is compared of the venue's: a `Kline`, or what is kept of one; None where it is not stated."""

    @property
    def volume(self) -> int | None:
        """Scale 12."""

    @property
    def amount(self) -> int | None:
        """Scale 24."""

    @property
    def taker_buy_volume(self) -> int | None:
        """Scale 12."""

    @property
    def trade_count(self) -> int | None:
        """Single trades."""


class Difference(NamedTuple):
    """A figure in which a candle and its kline differ, in the field's own unit: ours, as the rule makes it, and the venue's."""

    field: str
    observed: int
    expected: int


def is_empty(kline: KlineFigures) -> bool:
    """Whether a kline says that there was no trade; by its amount where it does not say the volume."""
    return (kline.amount if kline.volume is None else kline.volume) == 0


def differences(
    candle: CandleFigures | None, kline: KlineFigures, rule: KlineRule, previous_close: int | None = None
) -> tuple[Difference, ...]:
    """What a kline says otherwise than its rule makes of our candle; None is an interval without trades.

    `previous_close` is that of the kline before, None where that is not at hand: then a kline that opens with it is taken at
    its word for the open, and high and low are those of our trades and that price. Trade ids are not compared, since counts
    and sums are. What one of both does not know is not compared either.
    """
    ours = _of_no_trades(kline, previous_close) if candle is None else _by_rule(candle, kline, rule, previous_close)
    found = []
    for field in rule.fields:
        observed, expected = ours[field], getattr(kline, field)
        if observed is not None and expected is not None and observed != expected:
            found.append(Difference(field, observed, expected))
    return tuple(found)


def _of_no_trades(kline: KlineFigures, previous_close: int | None) -> dict[str, int | None]:
    """An empty kline has one price, the close before; prices of a kline with trades find nothing of ours beside them."""
    price = (kline.close if previous_close is None else previous_close) if is_empty(kline) else None
    return {**dict.fromkeys(PRICES, price), "volume": 0, "amount": 0, "taker_buy_volume": 0, "trade_count": 0}


def _by_rule(candle: CandleFigures, kline: KlineFigures, rule: KlineRule, previous_close: int | None) -> dict[str, int | None]:
    open_, high, low = candle.open, candle.high, candle.low
    if rule.opening is Opening.PREVIOUS_CLOSE:
        open_ = kline.open if previous_close is None else previous_close
        high, low = max(high, open_), min(low, open_)
    return {
        "open": open_,
        "high": high,
        "low": low,
        "close": candle.close,
        "volume": candle.volume,
        "amount": candle.amount,
        "taker_buy_volume": candle.taker_buy_volume,
        "trade_count": candle.trade_count,
    }
