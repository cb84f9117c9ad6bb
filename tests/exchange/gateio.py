"""Gate.io's v4 as the local exchange speaks it: channels with payloads, books by REST."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.exchange.books import LocalBook
from tests.exchange.dialect import ClientRequest

_BOOKS, _CANDLES = "spot.order_book_update", "spot.candlesticks"


class Gateio:
    """See `tests.exchange.dialect.Dialect`. Topics are channel:pair; the trades of perpetuals are told in lists."""

    greetings: Sequence[str] = ()
    chatter = '{"time":1619093562,"channel":"spot.pong","event":"","result":null}'

    def topic(self, frame: bytes) -> str | None:
        message = json.loads(frame)
        return None if message["event"] != "update" else f"{message['channel']}:{_pair(message['result'])}"

    def request(self, message: str) -> ClientRequest:
        request = json.loads(message)
        assert request["time"] > 1_700_000_000
        payload, channel = request["payload"], request["channel"]
        pairs = {_BOOKS: payload[:1], _CANDLES: payload[1:]}.get(channel, payload)
        told = {"time": request["time"], "id": request["id"], "channel": channel, "event": request["event"]}
        answer = json.dumps(told | {"error": None, "result": {"status": "success"}})
        return ClientRequest(request["event"] == "subscribe", [f"{channel}:{pair}" for pair in pairs], [answer])

    def pong(self, message: str) -> str | None:
        return None

    def keep_book(self, books: dict[str, LocalBook], frame: bytes) -> None:
        message = json.loads(frame)
        if message["channel"] != _BOOKS:
            return
        topic, result = self.topic(frame) or "", message["result"]
        if topic in books and result["u"] > books[topic].number:
            books[topic].put(result["b"], result["a"])
            books[topic].number = result["u"]

    def keep_answer(self, books: dict[str, LocalBook], url: str, body: bytes) -> None:
        parts = urlsplit(url)
        if parts.path.endswith("/spot/order_book"):
            told = json.loads(body)
            book = books[f"{_BOOKS}:{parse_qs(parts.query)['currency_pair'][0]}"] = LocalBook(number=told["id"])
            book.put(told["bids"], told["asks"])

    def snapshots(self, topic: str, book: LocalBook) -> Sequence[str]:
        return ()

    def told_again(self, topic: str, happened: Sequence[bytes]) -> Sequence[str]:
        return ()

    def answer(
        self, path: str, query: Mapping[str, str], books: Mapping[str, LocalBook], happened: Sequence[bytes]
    ) -> bytes | None:
        book = books.get(f"{_BOOKS}:{query['currency_pair']}")
        if path != "/api/v4/spot/order_book" or book is None or query["with_id"] != "true":
            return None
        limit = int(query["limit"])
        return json.dumps({"id": book.number, "bids": book.best_bids(limit), "asks": book.best_asks(limit)}).encode()


def _pair(result: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    if isinstance(result, Sequence):
        return str(result[0]["contract"])
    if "n" in result:
        return str(result["n"]).partition("_")[2]
    return str(result.get("s") or result["currency_pair"])
