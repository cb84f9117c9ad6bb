"""Binance spot as the local exchange speaks it: combined streams, depth and trades by REST."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tests.exchange.books import LocalBook
from tests.exchange.dialect import ClientRequest

_DEPTH = "@depth@100ms"
_LISTING = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.01000000"}],
}


class BinanceSpot:
    """See `tests.exchange.dialect.Dialect`."""

    greetings: Sequence[str] = ()
    chatter = '{"result":null,"id":7}'

    def topic(self, frame: bytes) -> str | None:
        if not frame.startswith(b'{"stream":"'):
            return None
        return frame[11 : frame.index(b'"', 11)].decode()

    def request(self, message: str) -> ClientRequest:
        request = json.loads(message)
        return ClientRequest(
            request["method"] == "SUBSCRIBE", request["params"], [json.dumps({"result": None, "id": request["id"]})]
        )

    def pong(self, message: str) -> str | None:
        return None

    def keep_book(self, books: dict[str, LocalBook], frame: bytes) -> None:
        topic = self.topic(frame) or ""
        if topic.endswith(_DEPTH) and topic in books:
            data = json.loads(frame)["data"]
            if data["u"] > books[topic].number:
                books[topic].put(data["b"], data["a"])
                books[topic].number = data["u"]

    def keep_answer(self, books: dict[str, LocalBook], url: str, body: bytes) -> None:
        return

    def snapshots(self, topic: str, book: LocalBook) -> Sequence[str]:
        return ()

    def told_again(self, topic: str, happened: Sequence[bytes]) -> Sequence[str]:
        return ()

    def answer(
        self, path: str, query: Mapping[str, str], books: Mapping[str, LocalBook], happened: Sequence[bytes]
    ) -> bytes | None:
        if path == "/api/v3/exchangeInfo":
            return json.dumps({"symbols": [_LISTING]}).encode()
        symbol, limit = query["symbol"].lower(), int(query.get("limit", "1"))
        if path == "/api/v3/depth":
            book = books[f"{symbol}{_DEPTH}"]
            levels = {"bids": book.best_bids(limit), "asks": book.best_asks(limit)}
            return json.dumps({"lastUpdateId": book.number, **levels}).encode()
        if path == "/api/v3/historicalTrades":
            return json.dumps(_trades(happened, f"{symbol}@trade", int(query["fromId"]), limit)).encode()
        if path == "/api/v3/aggTrades":  # each trade by itself
            told = _trades(happened, f"{symbol}@trade", 0, None)
            since = [trade for trade in told if int(str(trade["time"])) >= int(query["startTime"])][:limit]
            return json.dumps([_aggregate(trade) for trade in since]).encode()
        if path == "/api/v3/trades":
            return json.dumps(_trades(happened, f"{symbol}@trade", 0, None)[-limit:]).encode()
        return None


def _trades(happened: Sequence[bytes], topic: str, first: int, limit: int | None) -> list[dict[str, object]]:
    opening = f'{{"stream":"{topic}"'.encode()
    told = [json.loads(frame)["data"] for frame in happened if frame.startswith(opening)]
    return [
        {
            "id": trade["t"],
            "price": trade["p"],
            "qty": trade["q"],
            "quoteQty": "0",
            "time": trade["T"],
            "isBuyerMaker": trade["m"],
            "isBestMatch": True,
        }
        for trade in told
        if trade["t"] >= first
    ][:limit]


def _aggregate(trade: dict[str, object]) -> dict[str, object]:
    number = trade["id"]
    figures = {"p": trade["price"], "q": trade["qty"], "T": trade["time"], "m": trade["isBuyerMaker"], "M": True}
    return {"a": int(str(number)) + 7_000, "f": number, "l": number} | figures
