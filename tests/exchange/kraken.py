"""Kraken's v1 as the local exchange speaks it: arrays, a heartbeat of the venue's own, books cut to the depth subscribed to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tests.exchange.books import LocalBook
from tests.exchange.dialect import ClientRequest

_DEPTH = 1000


class Kraken:
    """See `tests.exchange.dialect.Dialect`. Topics are channel:pair."""

    greetings: Sequence[str] = ('{"connectionID":1,"event":"systemStatus","status":"online","version":"1.8.3"}',)
    chatter = '{"event":"heartbeat"}'

    def topic(self, frame: bytes) -> str | None:
        message = json.loads(frame)
        return f"{message[-2]}:{message[-1]}" if isinstance(message, list) else None

    def request(self, message: str) -> ClientRequest:
        request = json.loads(message)
        asked = request["subscription"]
        channel = asked["name"] if asked["name"] != "book" else f"book-{asked['depth']}"
        told = {"channelName": channel, "event": "subscriptionStatus", "status": f"{request['event']}d", "subscription": asked}
        answers = [json.dumps(told | {"channelID": 1, "pair": pair, "reqid": request["reqid"]}) for pair in request["pair"]]
        return ClientRequest(request["event"] == "subscribe", [f"{channel}:{pair}" for pair in request["pair"]], answers)

    def pong(self, message: str) -> str | None:
        return None

    def keep_book(self, books: dict[str, LocalBook], frame: bytes) -> None:
        message = json.loads(frame)
        topic = self.topic(frame) or ""
        if not topic.startswith("book-"):
            return
        book = books.setdefault(topic, LocalBook(depth=_DEPTH))
        for part in message[1:-2]:
            if "as" in part:
                book.clear()
            book.put(part.get("bs", part.get("b", ())), part.get("as", part.get("a", ())))

    def keep_answer(self, books: dict[str, LocalBook], url: str, body: bytes) -> None:
        return

    def snapshots(self, topic: str, book: LocalBook) -> Sequence[str]:
        channel, _, pair = topic.partition(":")
        return [json.dumps([1, {"as": book.best_asks(), "bs": book.best_bids()}, channel, pair])]

    def told_again(self, topic: str, happened: Sequence[bytes]) -> Sequence[str]:
        return ()

    def answer(
        self, path: str, query: Mapping[str, str], books: Mapping[str, LocalBook], happened: Sequence[bytes]
    ) -> bytes | None:
        return None
