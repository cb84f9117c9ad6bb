"""How each venue makes its klines of its trades: what is known to differ from our candles, and for which venues that is proved.

| rule | what a kline does otherwise than our candle |
|---|---|
| `Opening.PREVIOUS_CLOSE` | opens with the close of the kline before, from which high and low begin, not with its first trade |
| `Closing.NEXT_KLINE` | is not said to be closed: it is when the venue has begun the next one |
| an interval without trades | has a kline that repeats the close of the one before, with a volume of zero; we have no candle |

All other figures are sums of the trades, as ours are. `market.kline_comparison` compares by these rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

PRICES = ("open", "high", "low", "close")
FIELDS = (*PRICES, "volume", "amount", "taker_buy_volume", "trade_count")
"""What a kline and a candle may both say, in the order in which differences are told."""


class Opening(StrEnum):
    """What a kline opens with."""

    FIRST_TRADE = "first_trade"
    PREVIOUS_CLOSE = "previous_close"


class Closing(StrEnum):
    """How to know that a kline will not change any more: the venue says so, or it has begun the next one."""

    STATED = "stated"
    NEXT_KLINE = "next_kline"


@dataclass(frozen=True, slots=True)
class KlineRule:
    """How a venue makes klines. `fields` are those it states; `is_proved`: recorded klines were found to follow the rule."""

    opening: Opening
    closing: Closing
    fields: tuple[str, ...]
    is_proved: bool = True


UNPROVED = KlineRule(Opening.FIRST_TRADE, Closing.STATED, FIELDS, is_proved=False)
"""Of a venue whose rule nobody has seen: as ours, until a difference says otherwise."""

RULES: Mapping[str, KlineRule] = {
    "binance": KlineRule(Opening.FIRST_TRADE, Closing.STATED, FIELDS),
    "bitget": KlineRule(Opening.PREVIOUS_CLOSE, Closing.NEXT_KLINE, (*PRICES, "volume")),
    "bybit": KlineRule(Opening.PREVIOUS_CLOSE, Closing.STATED, (*PRICES, "volume", "amount")),
    # Of Bitfinex no candles were recorded, of Coinbase Advanced Trade nothing at all.
    "bitfinex": KlineRule(Opening.FIRST_TRADE, Closing.NEXT_KLINE, (*PRICES, "volume"), is_proved=False),
    "coinbase_advanced": KlineRule(Opening.FIRST_TRADE, Closing.NEXT_KLINE, (*PRICES, "volume"), is_proved=False),
    # Sums are left out: of inverse contracts of Deribit a kline's volume is in the base currency, ours in dollars.
    "deribit": KlineRule(Opening.FIRST_TRADE, Closing.NEXT_KLINE, PRICES, is_proved=False),
    "gateio": KlineRule(Opening.FIRST_TRADE, Closing.STATED, (*PRICES, "volume", "amount")),
    # Proved by its answers to requests; of its stream no klines were recorded.
    "kraken": KlineRule(Opening.FIRST_TRADE, Closing.NEXT_KLINE, (*PRICES, "volume", "trade_count")),
    # The recording of OKX has no klines.
    "okx": KlineRule(Opening.FIRST_TRADE, Closing.STATED, (*PRICES, "volume", "amount"), is_proved=False),
}
"""By venue."""


def rule_of(venue: str) -> KlineRule:
    """The rule of a venue, `UNPROVED` for one that the table does not have."""
    return RULES.get(venue, UNPROVED)
