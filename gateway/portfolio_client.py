"""A client of the gateway's portfolios for Python programs.

    async with PortfolioClient("ws://127.0.0.1:8080", "fund-1") as client:
        await client.subscribe()
        await client.update_price("binance:BTC-USDT", "61000", version=7, reason="feed is down", expires_at=...)
        async for message in client:
            print(message["type"], message["data"])

Figures are decimal text, both ways. A command gets an id of its own unless one is given; after a loss it may be sent again with
the same id and is done once. See `gateway.client` for tokens, reconnection and what is raised.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

from gateway.client import GatewayClient
from gateway.client_subscriptions import Message
from gateway.door import PORTFOLIO_PATH
from gateway.portfolios.requests import ANY_VERSION


class PortfolioClient:
    """One connection; `portfolio_id` is the portfolio meant where none is named. `options` as `GatewayClient` has them."""

    def __init__(self, url: str, portfolio_id: str | None = None, **options: Any) -> None:
        parameters = {} if portfolio_id is None else {"portfolio_id": portfolio_id}
        self._link = GatewayClient(url, path=PORTFOLIO_PATH, parameters=parameters, **options)

    async def __aenter__(self) -> Self:
        await self._link.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[Message]:
        return self._link.__aiter__()

    async def close(self) -> None:
        """Leave; messages received before can still be read."""
        await self._link.close()

    async def subscribe(self, portfolio_id: str | None = None) -> Message:
        """Hear of a portfolio: `portfolio_snapshot` comes, then `portfolio_update`s."""
        fields = _fields(portfolio_id=portfolio_id)
        answer = await self._link.ask("subscribe", fields)
        self._link.asked_again[answer["portfolio_id"]] = {"action": "subscribe", **fields}
        return answer

    async def unsubscribe(self, portfolio_id: str | None = None) -> Message:
        """Hear no more of a portfolio."""
        answer = await self._link.ask("unsubscribe", _fields(portfolio_id=portfolio_id))
        self._link.asked_again.pop(answer["portfolio_id"], None)
        return answer

    async def snapshot(self, portfolio_id: str | None = None) -> Message:
        """All that is known of a portfolio."""
        return await self._link.ask("get_snapshot", _fields(portfolio_id=portfolio_id))

    async def register_position(
        self,
        position_id: str,
        *,
        instrument: str,
        currency: str,
        quantity: str,
        cost: str,
        version: int | None,
        portfolio_id: str | None = None,
        command_id: str | None = None,
        **more: str,
    ) -> Message:
        """Bring a position in at its total cost; `version` is the portfolio's that was seen, None for whichever it is.

        `more` are `multiplier` and `settlement`. Raises Refused; its `error` has the current version where another was seen.
        """
        position = {"position_id": position_id, "instrument": instrument, "currency": currency, **more}
        figures = {"quantity": quantity, "cost": cost}
        return await self._command("register_position", version, command_id, portfolio_id, position | figures)

    async def update_price(
        self,
        instrument: str,
        price: str | None,
        *,
        version: int | None,
        portfolio_id: str | None = None,
        command_id: str | None = None,
        **more: Any,
    ) -> Message:
        """Value an instrument by a price of one's own, for a `reason` and until `expires_at` (microseconds); None: no longer.

        Raises as `register_position` does.
        """
        fields = {"instrument": instrument, "price": price, **more}
        return await self._command("update_price", version, command_id, portfolio_id, fields)

    async def update_price_batch(
        self,
        prices: Mapping[str, str | None],
        *,
        version: int | None,
        portfolio_id: str | None = None,
        command_id: str | None = None,
        **more: Any,
    ) -> Message:
        """Value several instruments as `update_price` does one: all of them or, where one cannot be, none.

        Raises as `register_position` does; the `field` of the error is `prices.3.price` where it is the fourth one's.
        """
        fields = {"prices": [{"instrument": name, "price": price} for name, price in prices.items()], **more}
        return await self._command("update_price_batch", version, command_id, portfolio_id, fields)

    async def _command(
        self, action: str, version: int | None, command_id: str | None, portfolio_id: str | None, fields: Message
    ) -> Message:
        expected = ANY_VERSION if version is None else version
        head = {"expected_version": expected, "command_id": command_id or secrets.token_hex(16)}
        return await self._link.ask(action, {**_fields(portfolio_id=portfolio_id), **head, **fields})


def _fields(**given: Any) -> Message:
    return {name: value for name, value in given.items() if value is not None}
