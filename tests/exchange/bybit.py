"""Bybit v5 as the local exchange speaks it: topics, JSON pings, numbered books."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tests.exchange.books import LocalBook
from tests.exchange.dialect import ClientRequest


class Bybit:
    """See `tests.exchange.dialect.Dialect`."""

    greetings: Sequence[str] = ()
    chatter = '{"success":true,"ret_msg":"pong","conn_id":"x","req_id":"","op":"ping"}'

    def topic(self, frame: bytes) -> str | None:
        topic = json.loads(frame).get("topic")
        return None if topic is None else str(topic)

    def request(self, message: str) -> ClientRequest:
        request = json.loads(message)
        told = json.dumps({"success": True, "ret_msg": "", "req_id": request["req_id"], "op": request["op"]})
        assert len(request["args"]) <= 10
        return ClientRequest(request["op"] == "subscribe", request["args"], [told])

    def pong(self, message: str) -> str | None:
        return self.chatter if json.loads(message).get("op") == "ping" else None

    def keep_book(self, books: dict[str, LocalBook], frame: bytes) -> None:
        message = json.loads(frame)
        if not message["topic"].startswith("orderbook"):
            return
        book = books.setdefault(message["topic"], LocalBook())
        if message["type"] == "snapshot":
            book.clear()
        book.put(message["data"]["b"], message["data"]["a"])
        book.number = message["data"]["u"]

    def keep_answer(self, books: dict[str, LocalBook], url: str, body: bytes) -> None:
        return

    def snapshots(self, topic: str, book: LocalBook) -> Sequence[str]:
        symbol = topic.rpartition(".")[2]
        data = {"s": symbol, "b": book.best_bids(), "a": book.best_asks(), "u": book.number, "seq": 1}
        return [json.dumps({"topic": topic, "type": "snapshot", "ts": 1_700_000_000_000, "data": data})]

    def told_again(self, topic: str, happened: Sequence[bytes]) -> Sequence[str]:
        return ()

    def answer(
        self, path: str, query: Mapping[str, str], books: Mapping[str, LocalBook], happened: Sequence[bytes]
    ) -> bytes | None:
        return None
