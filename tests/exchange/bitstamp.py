"""Bitstamp as the local exchange speaks it: a message for each stream, books by REST."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from tests.exchange.books import LocalBook
from tests.exchange.dialect import ClientRequest

_BOOKS = "diff_order_book"


class Bitstamp:
    """See `tests.exchange.dialect.Dialect`. Topics are channel:symbol."""

    greetings: Sequence[str] = ()
    chatter = '{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}'

    def topic(self, frame: bytes) -> str | None:
        message = json.loads(frame)
        return _topic(message["channel"]) if message["event"] in ("data", "trade") else None

    def request(self, message: str) -> ClientRequest:
        request = json.loads(message)
        word, channel = request["event"].removeprefix("bts:"), request["data"]["channel"]
        event = "bts:subscription_succeeded" if word == "subscribe" else "bts:unsubscription_succeeded"
        answer = json.dumps({"event": event, "channel": channel, "data": {}})
        return ClientRequest(word == "subscribe", [_topic(channel)], [answer])

    def pong(self, message: str) -> str | None:
        return self.chatter if json.loads(message)["event"] == "bts:heartbeat" else None

    def keep_book(self, books: dict[str, LocalBook], frame: bytes) -> None:
        topic, data = self.topic(frame) or "", json.loads(frame)["data"]
        if topic in books and int(data["microtimestamp"]) > books[topic].number:
            books[topic].put(data["bids"], data["asks"])
            books[topic].number = int(data["microtimestamp"])

    def keep_answer(self, books: dict[str, LocalBook], url: str, body: bytes) -> None:
        folder, _, symbol = urlsplit(url).path.rpartition("/")
        if folder.endswith("/order_book"):
            told = json.loads(body)
            book = books[f"{_BOOKS}:{symbol}"] = LocalBook(number=int(told["microtimestamp"]))
            book.put(told["bids"], told["asks"])

    def snapshots(self, topic: str, book: LocalBook) -> Sequence[str]:
        return ()

    def told_again(self, topic: str, happened: Sequence[bytes]) -> Sequence[str]:
        return ()

    def answer(
        self, path: str, query: Mapping[str, str], books: Mapping[str, LocalBook], happened: Sequence[bytes]
    ) -> bytes | None:
        folder, _, symbol = path.rpartition("/")
        book = books.get(f"{_BOOKS}:{symbol}")
        if folder != "/api/v2/order_book" or book is None:
            return None
        told = {"microtimestamp": str(book.number), "bids": book.best_bids(), "asks": book.best_asks()}
        return json.dumps(told).encode()


def _topic(channel: str) -> str:
    name, _, symbol = channel.rpartition("_")
    return f"{name}:{symbol}"
