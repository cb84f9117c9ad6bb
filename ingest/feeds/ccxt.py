"""Any exchange that CCXT knows, polled: tickers, trades, order books, klines, funding, open interest, as far as it has them.

Instruments have CCXT's id of the exchange before the code: `coinbaseexchange:BTC-USDT` (spot), `binanceusdm:BTC-USDT-PERP`
(swap). Which symbol of CCXT's that is comes from its list of the exchange's markets. Funding that was paid is told of the past,
as far back as the exchange goes. Needs `pip install 'tapeline[ccxt]'`; what was captured is read without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Annotated, Self

import msgspec

from ingest.backfill import History
from ingest.feed import Asking, Listings, Parser, Source, Subscription
from ingest.feeds import _ccxt_frames as frames
from market.errors import MarketDataError, SubscriptionError
from market.instrument import check_instrument
from market.interval import parse_interval


class CcxtOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the configuration may say under `options`."""

    poll_seconds: Annotated[float, msgspec.Meta(ge=0.1, le=3600)] = 2.0
    """From one round of questions to the next; CCXT makes it slower where an exchange wants that."""
    trades: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    """Trades asked for at a time."""
    levels: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    """Levels of each side of an order book."""


@dataclass(frozen=True)
class Ccxt:
    """See `ingest.feed.PolledVenue`."""

    options: CcxtOptions = field(default_factory=CcxtOptions)

    name = "ccxt"
    markets = ("ccxt",)
    heartbeats = ()
    default_channels = (frames.TICKER, frames.TRADES)
    channels = (*frames.CHANNELS, f"{frames.OHLCV}1m")

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`; whether an exchange has it shows when it is asked."""
        for instrument, channel in subscriptions:
            try:
                check_instrument(instrument)
                if channel.startswith(frames.OHLCV):
                    parse_interval(channel.removeprefix(frames.OHLCV))
                    continue
            except MarketDataError as error:
                raise SubscriptionError(f"{instrument!r:.80} {channel!r:.40}: {error}") from error
            if channel not in frames.CHANNELS:
                there = f"{', '.join(frames.CHANNELS)}, {frames.OHLCV}1m and other intervals"
                raise SubscriptionError(f"{channel!r:.40} is no channel of ccxt; there are: {there}")

    def market_of(self, _url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`: only captures of this feed can be read."""
        return None

    def listed(self, _url: str, _answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`: frames name their instrument."""
        return {}

    def parser(self, _market: str | None, _listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return frames.CcxtParser(max_clock_skew)

    def configured(self, options: Mapping[str, object]) -> Self:
        """See `ingest.feed.PolledVenue.configured`."""
        return replace(self, options=msgspec.convert(options, CcxtOptions))

    def source(self, asking: Asking) -> Source:
        """See `ingest.feed.PolledVenue.source`."""
        from ingest.ccxt_source import CcxtSource  # here: the library is optional, and slow to import

        options = self.options
        return CcxtSource(asking, seconds=options.poll_seconds, trades=options.trades, levels=options.levels)

    def check_history(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.backfill.RetrievingVenue.check_history`; the funding that was paid."""
        wanted = list(subscriptions)
        self.check(wanted)
        for instrument, channel in wanted:
            if channel != frames.FUNDING:
                raise SubscriptionError(f"ccxt does not tell the history of {channel} of {instrument}")

    def history(self, asking: Asking, max_clock_skew: int) -> AbstractAsyncContextManager[History]:
        """See `ingest.backfill.RetrievingVenue.history`."""
        from ingest.ccxt_history import told_by  # here, as it asks by the library
        from ingest.ccxt_source import CcxtSource

        source = CcxtSource(asking, seconds=self.options.poll_seconds, trades=self.options.trades, levels=self.options.levels)
        return told_by(source, frames.CcxtParser(max_clock_skew), asking.clock)

    def instrument_of(self, frame: bytes) -> str | None:
        """See `ingest.feed.PolledVenue.instrument_of`."""
        return frames.instrument_of(frame)

    def traded(self, subscriptions: Iterable[Subscription]) -> frozenset[str]:
        """See `ingest.feed.PolledVenue.traded`."""
        return frozenset(stream.instrument for stream in subscriptions if stream.channel == frames.TRADES)


VENUE = Ccxt()
