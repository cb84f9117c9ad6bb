"""Deribit as the local exchange speaks it: JSON-RPC, books whose changes name the one before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.exchange.books import LocalBook, Row
from tests.exchange.dialect import ClientRequest


class Deribit:
    """See `tests.exchange.dialect.Dialect`. Topics are kind.interval:symbol."""

    greetings: Sequence[str] = ()
    chatter = '{"jsonrpc":"2.0","id":0,"result":{"version":"1.2.26"}}'

    def topic(self, frame: bytes) -> str | None:
        message = json.loads(frame)
        return _topic(message["params"]["channel"]) if message.get("method") == "subscription" else None

    def request(self, message: str) -> ClientRequest:
        request = json.loads(message)
        names = request["params"]["channels"]
        answer = json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": names})
        return ClientRequest(request["method"] == "public/subscribe", [_topic(name) for name in names], [answer])

    def pong(self, message: str) -> str | None:
        return self.chatter if json.loads(message)["method"] == "public/test" else None

    def keep_book(self, books: dict[str, LocalBook], frame: bytes) -> None:
        topic = self.topic(frame) or ""
        if not topic.startswith("book."):
            return
        data = json.loads(frame, parse_float=str)["params"]["data"]
        book = books.setdefault(topic, LocalBook())
        if data["type"] == "snapshot":
            book.clear()
        book.put(_rows(data["bids"]), _rows(data["asks"]))
        book.number = data["change_id"]

    def keep_answer(self, books: dict[str, LocalBook], url: str, body: bytes) -> None:
        return

    def snapshots(self, topic: str, book: LocalBook) -> Sequence[str]:
        channel, _, symbol = topic.partition(":")
        kind, _, interval = channel.partition(".")
        told = {"type": "snapshot", "timestamp": 1626993723632, "instrument_name": symbol, "change_id": book.number}
        told |= {"bids": _levels(book.best_bids()), "asks": _levels(book.best_asks())}
        params = {"channel": f"{kind}.{symbol}.{interval}", "data": told}
        return [json.dumps({"jsonrpc": "2.0", "method": "subscription", "params": params})]

    def told_again(self, topic: str, happened: Sequence[bytes]) -> Sequence[str]:
        return ()

    def answer(
        self, path: str, query: Mapping[str, str], books: Mapping[str, LocalBook], happened: Sequence[bytes]
    ) -> bytes | None:
        return None


def _topic(name: str) -> str:
    kind, _, rest = name.partition(".")
    symbol, _, interval = rest.rpartition(".")
    return f"{kind}.{interval}:{symbol}"


def _rows(levels: Sequence[Sequence[str]]) -> list[Row]:
    return [(price, "0" if action == "delete" else amount) for action, price, amount in levels]


def _levels(rows: Sequence[Row]) -> list[list[Any]]:
    return [["new", float(row[0]), float(row[1])] for row in rows]
