"""Coinbase Advanced Trade as the local exchange speaks it, as documented: every frame of a connection has the next number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from websockets.asyncio.server import ServerConnection

from tests.exchange.books import LocalBook
from tests.exchange.dialect import ClientRequest
from tests.exchange.exchange import Exchange

_CHANNELS = {"market_trades": "market_trades", "l2_data": "level2"}
_TIME = "2023-02-09T20:32:50.714964855Z"


def frame(channel: str, *events: Mapping[str, Any]) -> bytes:
    """A frame without its number, which it gets with each connection."""
    return json.dumps({"channel": channel, "client_id": "", "timestamp": _TIME, "events": events}).encode()


class CoinbaseAdvanced:
    """See `tests.exchange.dialect.Dialect`. Topics are channel:product; a frame is of one product."""

    greetings: Sequence[str] = ()
    chatter = frame("heartbeats", {"current_time": _TIME, "heartbeat_counter": 1}).decode()

    def topic(self, frame: bytes) -> str | None:
        message = json.loads(frame)
        channel, event = _CHANNELS.get(message["channel"]), message["events"][0]
        if channel is None:
            return None
        return f"{channel}:{event['product_id'] if channel == 'level2' else event['trades'][0]['product_id']}"

    def request(self, message: str) -> ClientRequest:
        request = json.loads(message)
        topics = [f"{request['channel']}:{product}" for product in request.get("product_ids", ["all"])]
        answer = frame("subscriptions", {"subscriptions": {request["channel"]: request.get("product_ids", [])}})
        return ClientRequest(request["type"] == "subscribe", topics, [answer.decode()])

    def pong(self, message: str) -> str | None:
        return None

    def keep_book(self, books: dict[str, LocalBook], frame: bytes) -> None:
        topic = self.topic(frame) or ""
        if not topic.startswith("level2:"):
            return
        (event,) = json.loads(frame)["events"]
        rows = [(one["side"], (one["price_level"], one["new_quantity"])) for one in event["updates"]]
        sides = [[row for side, row in rows if side == wanted] for wanted in ("bid", "offer")]
        books.setdefault(topic, LocalBook()).put(*sides)

    def keep_answer(self, books: dict[str, LocalBook], url: str, body: bytes) -> None:
        return

    def snapshots(self, topic: str, book: LocalBook) -> Sequence[str]:
        sides = {"bid": book.best_bids(), "offer": book.best_asks()}
        updates = [
            {"side": side, "event_time": "1970-01-01T00:00:00Z", "price_level": price, "new_quantity": size}
            for side, rows in sides.items()
            for price, size in rows
        ]
        event = {"type": "snapshot", "product_id": topic.partition(":")[2], "updates": updates}
        return [frame("l2_data", event).decode()]

    def told_again(self, topic: str, happened: Sequence[bytes]) -> Sequence[str]:
        """The latest trades, newest first."""
        trades = _trades(topic.partition(":")[2], happened)[-10:] if topic.startswith("market_trades:") else []
        return [frame("market_trades", {"type": "snapshot", "trades": trades[::-1]}).decode()] if trades else []

    def answer(
        self, path: str, query: Mapping[str, str], books: Mapping[str, LocalBook], happened: Sequence[bytes]
    ) -> bytes | None:
        product = path.removeprefix("/api/v3/brokerage/market/products/").removesuffix("/ticker")
        if product == path or "/" in product:
            return None
        return json.dumps({"trades": _trades(product, happened)[-int(query["limit"]) :][::-1]}).encode()


def _trades(product: str, happened: Sequence[bytes]) -> list[dict[str, Any]]:
    told = (json.loads(one) for one in happened if b'"market_trades"' in one)
    rows = [row for message in told for event in message["events"] for row in event["trades"]]
    return [row for row in rows if row["product_id"] == product]


class NumberingExchange(Exchange):
    """Numbers what each connection is sent; of the next frames as many as `leaves_out` are counted and not sent."""

    leaves_out = 0

    async def converse(self, connection: ServerConnection) -> None:
        send, number = connection.send, 0

        async def numbered(message: Any, text: bool | None = None) -> None:  # as the library's
            nonlocal number
            told = json.loads(message) | {"sequence_num": number}
            number += 1
            if self.leaves_out:
                self.leaves_out -= 1
            else:
                await send(json.dumps(told), text=text)

        connection.send = numbered  # type: ignore[method-assign]
        await super().converse(connection)
