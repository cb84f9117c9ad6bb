"""Kraken Futures as the local exchange speaks it: feeds of products, snapshots of books and trades, numbers as JSON numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tests.exchange.books import LocalBook, Row
from tests.exchange.dialect import ClientRequest

_MOST_TRADES = 100


class KrakenFutures:
    """See `tests.exchange.dialect.Dialect`. Topics are feed:product."""

    greetings: Sequence[str] = ('{"event":"info","version":1}',)
    chatter = '{"feed":"heartbeat","time":1626994927744}'

    def topic(self, frame: bytes) -> str | None:
        message = json.loads(frame)
        return None if "event" in message else f"{message['feed'].removesuffix('_snapshot')}:{message['product_id']}"

    def request(self, message: str) -> ClientRequest:
        request = json.loads(message)
        feed, products = request["feed"], request["product_ids"]
        word = f"{request['event']}d"
        answers = [json.dumps({"event": word, "feed": feed, "product_ids": [product]}) for product in products]
        return ClientRequest(request["event"] == "subscribe", [f"{feed}:{product}" for product in products], answers)

    def pong(self, message: str) -> str | None:
        return None

    def keep_book(self, books: dict[str, LocalBook], frame: bytes) -> None:
        topic = self.topic(frame) or ""
        if not topic.startswith("book:"):
            return
        message = json.loads(frame, parse_float=str)
        book = books.setdefault(topic, LocalBook())
        if message["feed"] == "book_snapshot":
            book.clear()
            book.put(*([(level["price"], level["qty"]) for level in message[side]] for side in ("bids", "asks")))
        else:
            row = (message["price"], message["qty"])
            book.put(*([row] if message["side"] == side else [] for side in ("buy", "sell")))
        book.number = message["seq"]

    def keep_answer(self, books: dict[str, LocalBook], url: str, body: bytes) -> None:
        return

    def snapshots(self, topic: str, book: LocalBook) -> Sequence[str]:
        product, bids, asks = topic.partition(":")[2], _levels(book.best_bids()), _levels(book.best_asks())
        head = f'"feed":"book_snapshot","product_id":"{product}","timestamp":1626994927744,"seq":{book.number}'
        return [f'{{{head},"bids":{bids},"asks":{asks}}}']

    def told_again(self, topic: str, happened: Sequence[bytes]) -> Sequence[str]:
        if not topic.startswith("trade:"):
            return ()
        told = [json.loads(frame) for frame in happened if self.topic(frame) == topic]
        trades = [trade for message in told for trade in reversed(message.get("trades", [message]))]
        snapshot = {"feed": "trade_snapshot", "product_id": topic.partition(":")[2], "trades": trades[: -_MOST_TRADES - 1 : -1]}
        return [json.dumps(snapshot)] if trades else ()

    def answer(
        self, path: str, query: Mapping[str, str], books: Mapping[str, LocalBook], happened: Sequence[bytes]
    ) -> bytes | None:
        return None


def _levels(rows: Sequence[Row]) -> str:
    levels = (f'{{"price":{row[0]},"qty":{row[1]}}}' for row in rows)
    return f"[{','.join(levels)}]"
