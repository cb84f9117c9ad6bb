"""Asks exchanges by CCXT; the only module that knows the library, which is optional.

CCXT is told to keep numbers as the exchange wrote them: its JSON is read without binary numbers, its figures are text, and what
its order books make of them is taken from the text again. A figure that is a binary number all the same is refused.

Its own throttle keeps to each exchange's rate limit. An exchange that answers that it was asked too much is left alone for a
minute.

| CCXT | here |
|---|---|
| BadSymbol, NotSupported, ArgumentsRequired, AuthenticationError | SubscriptionError: asking again is of no use |
| NetworkError (RateLimitExceeded, DDoSProtection, ExchangeNotAvailable, RequestTimeout, …), every other error | Unanswered |
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from ingest.feed import Answered, Asking, Subscription
from ingest.feeds._ccxt_frames import BOOK, FUNDING, OHLCV, OPEN_INTEREST, PAYMENTS, TICKER, TRADES, frame_of
from ingest.rest import Unanswered
from market.errors import DataValidationError, SubscriptionError
from market.instrument import check_instrument, venue_of

_METHODS = {
    TICKER: "fetchTicker",
    TRADES: "fetchTrades",
    BOOK: "fetchOrderBook",
    FUNDING: "fetchFundingRate",
    OPEN_INTEREST: "fetchOpenInterest",
    PAYMENTS: "fetchFundingRateHistory",
}
_KLINES = 3
_LEFT_ALONE = 60.0


class CcxtSource:
    """See `ingest.feed.Source`. Raises SubscriptionError where the library is not installed."""

    def __init__(self, asking: Asking, *, seconds: float, trades: int, levels: int) -> None:
        self._library = _library()
        self._asking = asking
        self._trades = trades
        self._levels = levels
        self._exchanges: dict[str, Any] = {}
        self._symbols: dict[str, dict[str, list[str]]] = {}
        self._closed_until: dict[str, float] = {}
        self.seconds = seconds

    def batches(self, streams: Sequence[Subscription]) -> Sequence[Sequence[Subscription]]:
        """See `ingest.feed.Source.batches`: each by itself."""
        return [[stream] for stream in streams]

    async def ask(self, streams: Sequence[Subscription]) -> Answered:
        """See `ingest.feed.Source.ask`."""
        (stream,) = streams
        return Answered([await self._frame(stream, self._fetch)], venue_of(stream.instrument))

    async def ask_past(self, stream: Subscription, since: int, most: int) -> bytes:
        """See `ingest.ccxt_history.Told.ask_past`."""
        wanted = stream._replace(channel=PAYMENTS)

        async def fetch(exchange: Any, stream: Subscription) -> Any:
            paid = await exchange.fetch_funding_rate_history(self._had(exchange, stream), since=since, limit=most)
            return [_without_info(one) for one in paid]

        return await self._frame(wanted, fetch)

    async def _frame(self, stream: Subscription, fetch: Callable[[Any, Subscription], Awaitable[Any]]) -> bytes:
        exchange_id = venue_of(stream.instrument)
        now = self._asking.clock.monotonic()
        if now < self._closed_until.get(exchange_id, now):
            raise Unanswered(f"{exchange_id} was asked too much and is left alone")
        errors = self._library
        try:
            exchange = await self._exchange(exchange_id)
            return frame_of(exchange_id, stream.channel, stream.instrument, await fetch(exchange, stream))
        except (errors.BadSymbol, errors.NotSupported, errors.ArgumentsRequired, errors.AuthenticationError) as error:
            raise SubscriptionError(_told(error)) from error
        except (errors.RateLimitExceeded, errors.DDoSProtection) as error:
            self._closed_until[exchange_id] = self._asking.clock.monotonic() + _LEFT_ALONE
            raise Unanswered(_told(error)) from error
        except (errors.BaseError, DataValidationError, TimeoutError, OSError) as error:
            raise Unanswered(_told(error)) from error

    def distrust(self) -> None:
        """See `ingest.feed.Source.distrust`: there is no other address."""

    async def close(self) -> None:
        """See `ingest.feed.Source.close`."""
        exchanges, self._exchanges = list(self._exchanges.values()), {}
        for exchange in exchanges:
            await exchange.close()

    async def _exchange(self, exchange_id: str) -> Any:
        if exchange_id not in self._exchanges:
            if exchange_id not in self._library.exchanges:
                similar = get_close_matches(exchange_id, self._library.exchanges, n=1)
                hint = f"; did you mean {similar[0]}?" if similar else ""
                raise SubscriptionError(f"{exchange_id} is no exchange of CCXT{hint}")
            self._exchanges[exchange_id] = self._made(exchange_id)
        exchange = self._exchanges[exchange_id]
        if exchange_id not in self._symbols:
            markets = await exchange.load_markets()
            self._symbols[exchange_id] = symbols_of(exchange_id, markets.values())
        return exchange

    def _made(self, exchange_id: str) -> Any:
        exchange = exact(getattr(self._library, exchange_id))({"enableRateLimit": True})
        if self._asking.proxy is None:
            exchange.aiohttp_trust_env = True
        else:
            exchange.https_proxy = self._asking.proxy
        if self._asking.base_url is not None:
            exchange.urls["api"] = _redirected(exchange.urls["api"], self._asking.base_url)
        return exchange

    def _had(self, exchange: Any, stream: Subscription) -> str:
        """The exchange's symbol. Raises SubscriptionError where it has none, or not this channel."""
        symbol = self._symbol(exchange.id, stream.instrument)
        method = "fetchOHLCV" if stream.channel.startswith(OHLCV) else _METHODS[stream.channel]
        if not exchange.has.get(method):
            raise SubscriptionError(f"{exchange.id} has no {method}")
        return symbol

    async def _fetch(self, exchange: Any, stream: Subscription) -> Any:
        symbol = self._had(exchange, stream)
        if stream.channel.startswith(OHLCV):
            interval = stream.channel.removeprefix(OHLCV)
            if exchange.timeframes and interval not in exchange.timeframes:
                raise SubscriptionError(f"{exchange.id} has no {interval}; there are: {', '.join(exchange.timeframes)}")
            rows = await exchange.fetch_ohlcv(symbol, interval, limit=_KLINES)
            return rows[-_KLINES:]
        if stream.channel == TICKER:
            return _without_info(await exchange.fetch_ticker(symbol))
        if stream.channel == FUNDING:
            return _without_info(await exchange.fetch_funding_rate(symbol))
        if stream.channel == OPEN_INTEREST:
            return _without_info(await exchange.fetch_open_interest(symbol))
        if stream.channel == TRADES:
            return [_without_info(trade) for trade in await exchange.fetch_trades(symbol, limit=self._trades)]
        book = await exchange.fetch_order_book(symbol)
        by_price = {side: sorted(book[side], key=lambda row: Decimal(row[0])) for side in ("bids", "asks")}
        cut = {"bids": by_price["bids"][: -self._levels - 1 : -1], "asks": by_price["asks"][: self._levels]}
        return {**cut, "timestamp": book.get("timestamp")}

    def _symbol(self, exchange_id: str, instrument: str) -> str:
        found = self._symbols[exchange_id].get(instrument, [])
        if not found:
            similar = get_close_matches(instrument, self._symbols[exchange_id], n=1)
            hint = f"; did you mean {similar[0]}?" if similar else ""
            raise SubscriptionError(f"{exchange_id} has no {instrument}{hint}")
        if len(found) > 1:
            raise SubscriptionError(f"{instrument} is ambiguous: CCXT has it as {', '.join(found)}")
        return found[0]


def exact(exchange: type) -> type:
    """A class of CCXT's that makes no binary numbers: of JSON, of figures, of order books."""

    class Exact(exchange):  # type: ignore[misc]
        number = str

        def on_json_response(self, body: str) -> Any:
            return json.loads(body, parse_float=str)

        def parse_bid_ask(self, row: Any, price: Any = 0, amount: Any = 1, _count: Any = 2) -> list[str]:
            return [self.safe_string(row, price), self.safe_string(row, amount)]

        parse_order_book_bid_ask = parse_bid_ask  # its name in later versions

    Exact.__name__ = exchange.__name__
    return Exact


def symbols_of(exchange_id: str, markets: Any) -> dict[str, list[str]]:
    """CCXT's symbols by our instruments: spot, swaps (-PERP), futures (-240927); what is settled in another currency names it.

    Markets whose code is outside of our alphabet, and options, are left out.
    """
    found: dict[str, list[str]] = {}
    for market in markets:
        instrument = _instrument(exchange_id, market)
        if instrument is not None and market["symbol"] not in found.setdefault(instrument, []):
            found[instrument].append(market["symbol"])
    return found


def _instrument(exchange_id: str, market: Mapping[str, Any]) -> str | None:
    parts = [market["base"], market["quote"]]
    if not market.get("spot") and market.get("settle") not in (None, market["quote"]):
        parts.append(market["settle"])
    if market.get("swap"):
        parts.append("PERP")
    elif market.get("future"):
        parts.append(str(market["symbol"]).rpartition("-")[2])
    elif not market.get("spot"):
        return None
    try:
        return check_instrument(f"{exchange_id}:{'-'.join(map(str, parts)).upper()}")
    except DataValidationError:
        return None


def _library() -> Any:
    try:
        return import_module("ccxt.async_support")
    except ImportError as error:
        raise SubscriptionError("the feed needs the package ccxt: pip install 'tapeline[ccxt]'") from error


def _redirected(urls: Any, base_url: str) -> Any:
    """The same addresses at another server."""
    if isinstance(urls, Mapping):
        return {name: _redirected(url, base_url) for name, url in urls.items()}
    return base_url.rstrip("/") + urlsplit(urls).path if isinstance(urls, str) else urls


def _without_info(data: Mapping[str, Any]) -> dict[str, Any]:
    """What CCXT says, without the exchange's own words beside it."""
    return {name: value for name, value in data.items() if name not in ("info", "fee", "fees")}


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error!s:.300}"
