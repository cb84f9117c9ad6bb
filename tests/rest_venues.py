"""Venues' trades by REST and by stream, as documented: small servers over a tape, apart from what is tested."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from ingest.feed import Subscription
from ingest.rest_venue import Request


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


def _coinbase_advanced_row(one: Happened) -> dict[str, str]:
    row = {"trade_id": str(one.id), "product_id": "BTC-USDT", "side": one.side.upper(), "size": one.size, "price": one.price}
    return row | {"time": _iso(one.time)}


def _coinbase_advanced(tape: Sequence[Happened], path: str, query: Mapping[str, str]) -> Any:
    assert path == "/api/v3/brokerage/market/products/BTC-USDT/ticker"
    rows = [_coinbase_advanced_row(one) for one in reversed(tape[-int(query["limit"]) :])]
    return {"trades": rows, "best_bid": "1", "best_ask": "2"}


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


def _gateio_futures(tape: Sequence[Happened], path: str, query: Mapping[str, str]) -> Any:
    assert (path, query["contract"]) == ("/api/v4/futures/usdt/trades", "BTC_USDT")
    told = [one for one in reversed(tape) if int(query["from"]) <= one.time // 1000 <= int(query["to"])]
    offset = int(query["offset"])
    return [
        {
            "id": one.id,
            "create_time": one.time // 1000,
            "create_time_ms": one.time / 1000,
            "contract": "BTC_USDT",
            "size": _contracts(one),
            "price": one.price,
        }
        for one in told[offset : offset + int(query["limit"])]
    ]


def _contracts(one: Happened) -> int:
    return 25 if one.side == "buy" else -25


def _bitget(tape: Sequence[Happened], path: str, query: Mapping[str, str]) -> Any:
    is_contract = path == "/api/v2/mix/market/fills-history"
    assert is_contract or path == "/api/v2/spot/market/fills-history"
    assert (query["symbol"], query.get("productType")) == ("BTCUSDT", "USDT-FUTURES" if is_contract else None)
    begin, end, below = int(query["startTime"]), int(query["endTime"]), int(query.get("idLessThan", 10**18))
    told = [one for one in reversed(tape) if begin <= one.time <= end and one.id < below]
    rows = [
        {
            "symbol": "BTCUSDT",
            "tradeId": str(one.id),
            "side": one.side.capitalize(),
            "price": f"{one.price}00",
            "size": one.size,
            "ts": str(one.time),
        }
        for one in told[: int(query["limit"])]
    ]
    return {"code": "00000", "msg": "success", "requestTime": 0, "data": rows}


def _bitstamp(tape: Sequence[Happened], path: str, query: Mapping[str, str]) -> Any:
    assert path == "/api/v2/transactions/btcusdt/"
    begin = tape[-1].time - {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}[query["time"]]
    return [
        {
            "date": str(one.time // 1000),
            "tid": str(one.id),
            "amount": one.size,
            "price": one.price,
            "type": "0" if one.side == "buy" else "1",
        }
        for one in reversed(tape)
        if one.time >= begin
    ]


def _kraken_futures(tape: Sequence[Happened], path: str, query: Mapping[str, str]) -> Any:
    assert (path, query["symbol"]) == ("/derivatives/api/v3/history", "PI_XBTUSD")
    told = [one for one in tape if _iso(one.time)[:-4] < query["lastTime"].removesuffix("Z")][-100:]
    rows = [
        {
            "time": f"{_iso(one.time)[:-4]}Z",
            "trade_id": number,
            "price": float(one.price),
            "size": 25.0,
            "side": one.side,
            "type": "fill",
            "uid": f"uid-{one.id}",
        }
        for number, one in enumerate(told, start=1)
    ]
    return {"result": "success", "history": rows[::-1], "serverTime": "2026-02-23T21:45:00.000Z"}


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
    "bitget": _bitget,
    "bitget_futures": _bitget,
    "bitstamp": _bitstamp,
    "bybit": _bybit,
    "coinbase": _coinbase,
    "coinbase_advanced": _coinbase_advanced,
    "deribit": _deribit,
    "gateio": _gateio,
    "gateio_futures": _gateio_futures,
    "kraken": _kraken,
    "kraken_futures": _kraken_futures,
    "okx": _okx,
}
CHANNELS = {
    "bitfinex": "trades",
    "bitget": "trade",
    "bitget_futures": "trade",
    "bitstamp": "live_trades",
    "bybit": "publicTrade",
    "coinbase": "matches",
    "coinbase_advanced": "market_trades",
    "deribit": "trades.100ms",
    "gateio": "spot.trades",
    "gateio_futures": "futures.trades",
    "kraken": "trade",
    "kraken_futures": "trade",
    "okx": "trades",
}
_INSTRUMENTS = {
    "bitget_futures": "bitget:BTC-USDT-PERP",
    "gateio_futures": "gateio:BTC-USDT-PERP",
    "kraken_futures": "kraken_futures:BTC-USD-PERP",
}


def stream(market: str) -> Subscription:
    """The trades of the instrument that the tape is of, of a venue or of its market of this name."""
    return Subscription(_INSTRUMENTS.get(market, f"{market}:BTC-USDT"), CHANNELS[market])


def venue_of(market: str) -> str:
    """The venue of a market."""
    return stream(market).instrument.partition(":")[0]


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


def _bitget_frame(market: str, one: Happened) -> Any:
    arg = {"instType": market, "channel": "trade", "instId": "BTCUSDT"}
    return {"action": "update", "arg": arg, "data": [[str(one.time), one.price, one.size, one.side]]}


_FRAMES: Mapping[str, Callable[[Happened], Any]] = {
    "bitget": lambda one: _bitget_frame("sp", one),
    "bitget_futures": lambda one: _bitget_frame("mc", one),
    "bitstamp": lambda one: {
        "event": "trade",
        "channel": "live_trades_btcusdt",
        "data": {
            "id": one.id,
            "amount_str": one.size,
            "price_str": one.price,
            "type": 0 if one.side == "buy" else 1,
            "microtimestamp": str(one.time * 1000),
        },
    },
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
    "coinbase_advanced": lambda one: {
        "channel": "market_trades",
        "timestamp": _iso(one.time),
        "events": [{"type": "update", "trades": [_coinbase_advanced_row(one)]}],
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
    "gateio_futures": lambda one: {
        "time": one.time // 1000,
        "channel": "futures.trades",
        "event": "update",
        "result": [
            {
                "id": one.id,
                "create_time": one.time // 1000,
                "create_time_ms": one.time,
                "contract": "BTC_USDT",
                "size": _contracts(one),
                "price": one.price,
            }
        ],
    },
    "kraken": lambda one: [
        337,
        [[one.price, one.size, f"{one.time // 1000}.{one.time % 1000:03}000", one.side[0], "m", ""]],
        "trade",
        "XBT/USDT",
    ],
    "kraken_futures": lambda one: {
        "feed": "trade",
        "product_id": "PI_XBTUSD",
        "uid": f"uid-{one.id}",
        "side": one.side,
        "type": "fill",
        "seq": one.id,
        "time": one.time,
        "qty": 25.0,
        "price": float(one.price),
    },
    "okx": lambda one: {"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": [_okx_row(one)]},
}
