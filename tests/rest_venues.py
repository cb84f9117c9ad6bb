"""Venues' trades by REST and by stream, as documented: small servers over a tape, apart from what is tested."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from ingest.feed import Request


class Happened(NamedTuple):
    """A trade; `time` in milliseconds, ids rise with it."""

    id: int
    time: int
    price: str
    size: str
    side: str


Server = Callable[[Sequence[Happened], str, Mapping[str, str]], Any]


def _iso(millis: int) -> str:
    return datetime.fromtimestamp(millis / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def _okx_row(one: Happened) -> dict[str, str]:
    return {
        "instId": "BTC-USDT",
        "tradeId": str(one.id),
        "px": one.price,
        "sz": one.size,
        "side": one.side,
        "ts": str(one.time),
    }


def _okx(tape: Sequence[Happened], path: str, query: Mapping[str, str]) -> Any:
    assert path in ("/api/v5/market/trades", "/api/v5/market/history-trades")
    told = list(tape)
    if "after" in query:
        is_id = query["type"] == "1"
        told = [one for one in tape if (one.id if is_id else one.time) < int(query["after"])]
    return {"code": "0", "msg": "", "data": [_okx_row(one) for one in reversed(told[-int(query["limit"]) :])]}


def _coinbase(tape: Sequence[Happened], path: str, query: Mapping[str, str]) -> Any:
    assert path == "/products/BTC-USDT/trades"
    told = [one for one in tape if one.id < int(query.get("after", "9" * 15))]
    makers = {"buy": "sell", "sell": "buy"}
    return [
        {"trade_id": one.id, "side": makers[one.side], "size": one.size, "price": one.price, "time": _iso(one.time)}
        for one in reversed(told[-int(query["limit"]) :])
    ]


def _deribit_row(one: Happened) -> dict[str, Any]:
    return {
        "trade_seq": one.id,
        "trade_id": f"ETH-{7 * one.id}",
        "timestamp": one.time,
        "direction": one.side,
        "instrument_name": "BTC_USDT",
        "price": float(one.price),
        "amount": float(one.size),
        "tick_direction": 0,
    }


def _deribit(tape: Sequence[Happened], path: str, query: Mapping[str, str]) -> Any:
    told = list(tape)
    if path.endswith("_and_time"):
        told = [one for one in told if int(query["start_timestamp"]) <= one.time <= int(query["end_timestamp"])]
    else:
        assert path == "/api/v2/public/get_last_trades_by_instrument"
        told = [one for one in told if int(query.get("start_seq", 0)) <= one.id <= int(query.get("end_seq", 10**15))]
    count = int(query["count"])
    told = told[:count] if query["sorting"] == "asc" else told[::-1][:count]
    return {"jsonrpc": "2.0", "result": {"trades": [_deribit_row(one) for one in told], "has_more": False}}


def _gateio(tape: Sequence[Happened], path: str, query: Mapping[str, str]) -> Any:
    assert (path, query["currency_pair"]) == ("/api/v4/spot/trades", "BTC_USDT")
    first, last = int(query.get("from", 0)), int(query.get("to", 10**12))
    told = [one for one in reversed(tape) if first <= one.time // 1000 <= last]
    limit, page = int(query["limit"]), int(query.get("page", 1))
    return [
        {
            "id": str(one.id),
            "create_time": str(one.time // 1000),
            "create_time_ms": f"{one.time}.000",
            "currency_pair": "BTC_USDT",
            "side": one.side,
            "role": "taker",
            "amount": one.size,
            "price": one.price,
        }
        for one in told[(page - 1) * limit : page * limit]
    ]


def _bitfinex_row(one: Happened) -> list[Any]:
    amount = float(one.size)
    return [one.id, one.time, amount if one.side == "buy" else -amount, float(one.price)]


def _bitfinex(tape: Sequence[Happened], path: str, query: Mapping[str, str]) -> Any:
    assert path == "/v2/trades/tBTCUST/hist"
    told = [one for one in tape if int(query.get("start", 0)) <= one.time <= int(query.get("end", 10**15))]
    told = told if query.get("sort") == "1" else told[::-1]
    return [_bitfinex_row(one) for one in told[: int(query["limit"])]]


def _kraken(tape: Sequence[Happened], path: str, query: Mapping[str, str]) -> Any:
    assert (path, query["pair"]) == ("/0/public/Trades", "XBTUSDT")
    told = [one for one in tape if one.time * 1_000_000 > int(query["since"])][: int(query["count"])]
    rows = [[one.price, one.size, one.time / 1000, one.side[0], "m", "", one.id] for one in told]
    return {"error": [], "result": {"XBTUSDT": rows, "last": "0"}}


def _bybit(tape: Sequence[Happened], path: str, query: Mapping[str, str]) -> Any:
    assert (path, query["category"]) == ("/v5/market/recent-trade", "spot")
    rows = [
        {
            "execId": str(one.id),
            "symbol": "BTCUSDT",
            "price": one.price,
            "size": one.size,
            "time": str(one.time),
            "side": one.side.capitalize(),
            "isBlockTrade": False,
            "isRPITrade": False,
            "seq": str(one.id),
        }
        for one in reversed(tape[-int(query["limit"]) :])
    ]
    return {"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": rows}, "time": 0}


SERVERS: Mapping[str, Server] = {
    "bitfinex": _bitfinex,
    "bybit": _bybit,
    "coinbase": _coinbase,
    "deribit": _deribit,
    "gateio": _gateio,
    "kraken": _kraken,
    "okx": _okx,
}
CHANNELS = {
    "bitfinex": "trades",
    "bybit": "publicTrade",
    "coinbase": "matches",
    "deribit": "trades.100ms",
    "gateio": "spot.trades",
    "kraken": "trade",
    "okx": "trades",
}


class TapeServer:
    """Answers the requests of one venue; stands in for `ingest.rest.RestClient`."""

    def __init__(self, venue: str, tape: Sequence[Happened]) -> None:
        self.tape = tape
        self.asked: list[str] = []
        self._serve = SERVERS[venue]

    async def get(self, request: Request) -> bytes:
        self.asked.append(request.url)
        parts = urlsplit(request.url)
        return json.dumps(self._serve(self.tape, parts.path, dict(parse_qsl(parts.query)))).encode()

    async def close(self) -> None:
        """Nothing is open."""


def greeting(venue: str) -> list[bytes]:
    """What a connection tells before its first trade."""
    if venue != "bitfinex":
        return []
    told = ({"event": "info", "version": 2}, {"event": "subscribed", "channel": "trades", "chanId": 7, "symbol": "tBTCUST"})
    return [json.dumps(each).encode() for each in told]


def frame(venue: str, one: Happened) -> bytes:
    """The trade as the venue's stream tells it."""
    return json.dumps(_FRAMES[venue](one)).encode()


_FRAMES: Mapping[str, Callable[[Happened], Any]] = {
    "bitfinex": lambda one: [7, "te", _bitfinex_row(one)],
    "bybit": lambda one: {
        "topic": "publicTrade.BTCUSDT",
        "type": "snapshot",
        "ts": one.time,
        "data": [
            {
                "T": one.time,
                "s": "BTCUSDT",
                "S": one.side.capitalize(),
                "v": one.size,
                "p": one.price,
                "i": str(one.id),
                "seq": one.id,
                "BT": False,
            }
        ],
    },
    "coinbase": lambda one: {
        "type": "match",
        "product_id": "BTC-USDT",
        "trade_id": one.id,
        "sequence": 5 * one.id,
        "size": one.size,
        "price": one.price,
        "side": {"buy": "sell", "sell": "buy"}[one.side],
        "time": _iso(one.time),
    },
    "deribit": lambda one: {
        "jsonrpc": "2.0",
        "method": "subscription",
        "params": {"channel": "trades.BTC_USDT.100ms", "data": [_deribit_row(one)]},
    },
    "gateio": lambda one: {
        "time": one.time // 1000,
        "channel": "spot.trades",
        "event": "update",
        "result": {
            "id": one.id,
            "create_time_ms": f"{one.time}.000",
            "side": one.side,
            "currency_pair": "BTC_USDT",
            "amount": one.size,
            "price": one.price,
        },
    },
    "okx": lambda one: {"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": [_okx_row(one)]},
}
