"""A client of the gateway: what it received, and how old it was."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from statistics import quantiles
from typing import Any

from gateway.client import GatewayClient
from market.errors import SubscriptionError, WebSocketError
from runtime.retry import Backoff

_LATENCIES_KEPT = 200_000
_CANDLES_KEPT = 8
_RETRY_SECONDS = 0.2


class Listener:
    """Subscribes to everything of one instrument and keeps the latest of it.

    Latencies are microseconds from the moment a frame was received by ingest to the moment its message is here.
    """

    def __init__(self, url: str, symbol: str, clock: Callable[[], int]) -> None:
        self.quote: dict[str, Any] = {}
        self.candles: dict[int, dict[str, Any]] = {}
        self.received: Counter[str] = Counter()
        self._latencies: deque[int] = deque(maxlen=_LATENCIES_KEPT)
        self._url = url
        self._symbol = symbol
        self._clock = clock

    async def run(self) -> None:
        """Listen until cancelled."""
        async with GatewayClient(self._url, client_id="demo", reconnect=Backoff()) as client:
            await self._subscribe(client)
            async for message in client:
                self._take(message)

    def latency_ms(self) -> tuple[float, float] | None:
        """Median and 99th percentile in milliseconds, None before there are any."""
        if len(self._latencies) < 2:
            return None
        cuts = quantiles(self._latencies, n=100)
        return cuts[49] / 1000, cuts[98] / 1000

    async def _subscribe(self, client: GatewayClient) -> None:
        """Ask until the instrument is known: the first record of a fresh system makes it so."""
        while True:
            with suppress(SubscriptionError, WebSocketError):
                await client.subscribe(self._symbol, ["QUOTE", "TRADE", "KLINE"])
                return
            await asyncio.sleep(_RETRY_SECONDS)

    def _take(self, message: dict[str, Any]) -> None:
        kind, data = message["type"], message["data"]
        self.received[kind] += 1
        if kind == "market_data":
            self.quote = data
        elif kind == "kline_data":
            self.candles[data["open_time"]] = data
            for oldest in sorted(self.candles)[:-_CANDLES_KEPT]:
                del self.candles[oldest]
        elif kind == "trade_data" and not message["metadata"].get("snapshot"):
            self._latencies.append(self._clock() - data["received_at"])
