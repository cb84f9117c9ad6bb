"""How venues refuse a subscription, by their documentation: none of it was recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Request = Mapping[str, Any]


def answers(venue: str, message: str) -> list[str]:
    """What a venue says to a client's message if it has nothing that is asked for."""
    return [json.dumps(answer) for answer in _ANSWERS[venue](json.loads(message))]


def _bitfinex(request: Request) -> Iterable[Request]:
    if request["event"] == "conf":
        return [{"event": "conf", "status": "OK"}]
    return [{**request, "event": "error", "msg": "symbol: invalid", "code": 10300}]


def _bitget(request: Request) -> Iterable[Request]:
    msg = "instType:{instType},channel:{channel},instId:{instId} doesn't exist"
    return [{"event": "error", "arg": arg, "code": 30001, "msg": msg.format(**arg)} for arg in request["args"]]


def _bybit(request: Request) -> Iterable[Request]:
    msg = f"error:handler not found,topic:{request['args'][0]}"
    return [{"success": False, "ret_msg": msg, "conn_id": "x", "req_id": request["req_id"], "op": request["op"]}]


def _coinbase_advanced(request: Request) -> Iterable[Request]:
    if request["channel"] == "heartbeats":
        told = [{"subscriptions": {"heartbeats": ["heartbeats"]}}]
        return [{"channel": "subscriptions", "timestamp": "2023-02-09T20:19:35Z", "sequence_num": 0, "events": told}]
    return [{"type": "error", "message": "invalid product_ids"}]


def _gateio(request: Request) -> Iterable[Request]:
    told = {name: request[name] for name in ("time", "id", "channel", "event")}
    return [told | {"error": {"code": 2, "message": "unknown currency pair: C_USDT"}, "result": {"status": "fail"}}]


def _kraken(request: Request) -> Iterable[Request]:
    told = {"errorMessage": "Currency pair not supported", "event": "subscriptionStatus", "status": "error"}
    return [told | {"pair": pair, "subscription": request["subscription"]} for pair in request["pair"]]


def _okx(request: Request) -> Iterable[Request]:
    msg = "Wrong URL or channel:{channel},instId:{instId} doesn't exist. Please use the correct URL."
    return [{"event": "error", "msg": msg.format(**arg), "code": "60018", "connId": "x"} for arg in request["args"]]


_ANSWERS: Mapping[str, Callable[[Request], Iterable[Request]]] = {
    "binance": lambda request: [{"error": {"code": 2, "msg": "Invalid request: no such stream"}, "id": request["id"]}],
    "bitfinex": _bitfinex,
    "bitget": _bitget,
    "bitstamp": lambda _: [
        {"event": "bts:error", "channel": "", "data": {"code": None, "message": "Bad subscription string."}},
    ],
    "bybit": _bybit,
    "coinbase": lambda _: [{"type": "error", "message": "Failed to subscribe", "reason": "C-USDT is not a valid product"}],
    "coinbase_advanced": _coinbase_advanced,
    "deribit": lambda request: [{"jsonrpc": "2.0", "id": request["id"], "result": []}],
    "gateio": _gateio,
    "kraken": _kraken,
    "kraken_futures": lambda _: [{"event": "error", "message": "Invalid product id"}],
    "okx": _okx,
}
VENUES = tuple(_ANSWERS)
WORDS = {
    "binance": "2 Invalid request",
    "bitfinex": "10300 symbol: invalid",
    "bitget": "30001 instType:SP,channel:",
    "bitstamp": "Bad subscription string.",
    "bybit": "error:handler not found",
    "coinbase": "Failed to subscribe C-USDT is not a valid product",
    "coinbase_advanced": "invalid product_ids",
    "deribit": "it is not among the channels that are confirmed",
    "gateio": "2 unknown currency pair",
    "kraken": "Currency pair not supported",
    "kraken_futures": "Invalid product id",
    "okx": "60018 Wrong URL",
}
"""What each of them says of a stream, at its beginning."""
INSTRUMENTS = {venue: f"{venue}:C-USDT{'-PERP' if venue == 'kraken_futures' else ''}" for venue in VENUES}
