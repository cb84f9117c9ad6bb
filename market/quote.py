"""Quotes and the venue's own candles, as a venue states them."""

from __future__ import annotations

from typing import NamedTuple


class Quote(NamedTuple):
    """What one message of a venue says about an instrument's prices; a field it does not give is None, never zero.

    `channel` is the venue's name for the message (bookTicker, ticker). Prices, sizes and the 24 h volume are unscaled at
    scale 12, `amount_24h` at scale 24; `change_24h` is a price difference, `change_percent_24h` a per cent ratio (scale 12).
    Of venues that close the figures of 24 hours are those of the trading day, `open_24h` is the close of the one before, and
    volumes are in shares. `mark_price` is that by which the venue values positions of a contract, `index_price` that of its
    underlying by the venue's index.
    """

    instrument: str
    channel: str
    sequence: int | None
    bid: int | None
    bid_size: int | None
    ask: int | None
    ask_size: int | None
    last: int | None
    last_size: int | None
    open_24h: int | None
    high_24h: int | None
    low_24h: int | None
    volume_24h: int | None
    amount_24h: int | None
    change_24h: int | None
    change_percent_24h: int | None
    exchange_time: int | None
    received_at: int
    published_at: int | None = None
    mark_price: int | None = None
    index_price: int | None = None


class Kline(NamedTuple):
    """A candle computed by the venue itself. Units as in `market.candle.Candle`; trade ids as text; None where not given.

    `volume` is in the base currency; a venue may tell the amount alone.
    """

    instrument: str
    interval: str
    open_time: int
    open: int
    high: int
    low: int
    close: int
    volume: int | None
    amount: int | None
    trade_count: int | None
    taker_buy_volume: int | None
    first_trade_id: str | None
    last_trade_id: str | None
    is_closed: bool
    exchange_time: int | None
    received_at: int
    published_at: int | None = None
