"""Coinbase Exchange as the local exchange speaks it: one type a message, whole lists of subscriptions for an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tests.exchange.books import LocalBook
from tests.exchange.dialect import ClientRequest

_CHANNELS = {"match": "matches", "last_match": "matches", "ticker": "ticker", "snapshot": "level2", "l2update": "level2"}


class Coinbase:
    """See `tests.exchange.dialect.Dialect`. Topics are channel:product."""

    greetings: Sequence[str] = ()
    chatter = (
        '{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"SKL-USD","time":"2021-04-17T16:43:37.264230Z"}'
    )

    def topic(self, frame: bytes) -> str | None:
        message = json.loads(frame)
        channel = _CHANNELS.get(message["type"])
        return None if channel is None else f"{channel}:{message['product_id']}"

    def request(self, message: str) -> ClientRequest:
        request = json.loads(message)
        (channel,) = request["channels"]
        answer = {"type": "subscriptions", "channels": [{"name": channel, "product_ids": request["product_ids"]}]}
        topics = [f"{channel}:{product}" for product in request["product_ids"]]
        return ClientRequest(request["type"] == "subscribe", topics, [json.dumps(answer)])

    def pong(self, message: str) -> str | None:
        return None

    def keep_book(self, books: dict[str, LocalBook], frame: bytes) -> None:
        message, topic = json.loads(frame), self.topic(frame) or ""
        if not topic.startswith("level2:"):
            return
        book = books.setdefault(topic, LocalBook())
        if message["type"] == "snapshot":
            book.clear()
            book.put(message["bids"], message["asks"])
        else:
            bids, asks = ([row[1:] for row in message["changes"] if row[0] == side] for side in ("buy", "sell"))
            book.put(bids, asks)

    def keep_answer(self, books: dict[str, LocalBook], url: str, body: bytes) -> None:
        return

    def snapshots(self, topic: str, book: LocalBook) -> Sequence[str]:
        product = topic.partition(":")[2]
        told = {"type": "snapshot", "product_id": product, "bids": book.best_bids(), "asks": book.best_asks()}
        return [json.dumps(told)]

    def told_again(self, topic: str, happened: Sequence[bytes]) -> Sequence[str]:
        if not topic.startswith("matches:"):
            return ()
        last = [json.loads(frame) for frame in happened if self.topic(frame) == topic][-1:]
        return [json.dumps(match | {"type": "last_match"}) for match in last]

    def answer(
        self, path: str, query: Mapping[str, str], books: Mapping[str, LocalBook], happened: Sequence[bytes]
    ) -> bytes | None:
        return None
