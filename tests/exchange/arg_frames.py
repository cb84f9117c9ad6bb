"""OKX and Bitget as the local exchange speaks them: `{"arg": …, "data": …}`, text pings, books with checksums."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any
from zlib import crc32

from tests.exchange.books import LocalBook, Row
from tests.exchange.dialect import ClientRequest


class ArgFrames:
    """See `tests.exchange.dialect.Dialect`. Topics are market:channel:symbol in small letters."""

    greetings: Sequence[str] = ()
    chatter = "pong"

    def topic(self, frame: bytes) -> str | None:
        message = json.loads(frame)
        return None if "event" in message else _topic(message["arg"])

    def request(self, message: str) -> ClientRequest:
        request = json.loads(message)
        answers = [json.dumps({"event": request["op"], "arg": arg}) for arg in request["args"]]
        return ClientRequest(request["op"] == "subscribe", [_topic(arg) for arg in request["args"]], answers)

    def pong(self, message: str) -> str | None:
        return "pong" if message == "ping" else None

    def keep_book(self, books: dict[str, LocalBook], frame: bytes) -> None:
        message = json.loads(frame)
        topic = _topic(message["arg"])
        if ":books:" not in topic:
            return
        book = books.setdefault(topic, LocalBook())
        if message["action"] == "snapshot":
            book.clear()
        for data in message["data"]:
            book.put(data["bids"], data["asks"])
            book.number = int(data["ts"])

    def keep_answer(self, books: dict[str, LocalBook], url: str, body: bytes) -> None:
        return

    def snapshots(self, topic: str, book: LocalBook) -> Sequence[str]:
        market, channel, symbol = topic.split(":")
        arg = {"channel": channel, "instId": symbol.upper()} | ({"instType": market} if market else {})
        bids, asks = book.best_bids(), book.best_asks()
        data = {"bids": bids, "asks": asks, "ts": str(book.number), "checksum": _checksum(bids, asks)}
        return [json.dumps({"action": "snapshot", "arg": arg, "data": [data]})]

    def told_again(self, topic: str, happened: Sequence[bytes]) -> Sequence[str]:
        market, channel, symbol = topic.split(":")
        if not market or channel != "trade":  # Bitget's
            return ()
        told = [json.loads(frame) for frame in happened if self.topic(frame) == topic]
        rows = [row for message in reversed(told) for row in message["data"]]  # newest first
        arg = {"instType": market, "channel": channel, "instId": symbol.upper()}
        return [json.dumps({"action": "snapshot", "arg": arg, "data": rows[:50]})] if rows else ()

    def answer(
        self, path: str, query: Mapping[str, str], books: Mapping[str, LocalBook], happened: Sequence[bytes]
    ) -> bytes | None:
        return None


def _topic(arg: Mapping[str, Any]) -> str:
    return f"{arg.get('instType', '')}:{arg['channel']}:{arg['instId']}".lower()


def _checksum(bids: Sequence[Row], asks: Sequence[Row]) -> int:
    rows = chain.from_iterable(zip_longest(bids[:25], asks[:25]))
    number = crc32(":".join(f"{row[0]}:{row[1]}" for row in rows if row is not None).encode())
    return number - (1 << 32) if number >> 31 else number
