"""Trades of Binance by REST: `trades` and `historicalTrades` (those of the stream `trade`), and `aggTrades`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from ingest.decoding import decode
from ingest.feeds._records import Maker
from market.trade import Trade

PATHS = {"trades": "trade", "historicalTrades": "trade", "aggTrades": "aggTrade"}
"""The channel whose trades a path tells."""

MOST = 1_000

_Id = Annotated[int, msgspec.Meta(ge=0)]


class _Trade(msgspec.Struct, rename="camel"):
    id: _Id
    price: str
    qty: str
    time: int
    is_buyer_maker: bool


class _AggTrade(msgspec.Struct):
    a: _Id
    f: _Id
    l: _Id  # noqa: E741  # the venue's name
    p: str
    q: str
    T: int
    m: bool


_TRADES = msgspec.json.Decoder(list[_Trade])
_AGG_TRADES = msgspec.json.Decoder(list[_AggTrade])


def trades_of(path: str, answer: bytes, maker: Maker) -> Sequence[Trade]:
    """The trades of an answer, oldest first; the same as the stream tells them. Raises DataValidationError."""
    if PATHS[path] == "trade":
        return [
            maker.trade(
                trade_id=str(trade.id),
                sequence=trade.id,
                price=trade.price,
                size=trade.qty,
                side="sell" if trade.is_buyer_maker else "buy",
                exchange_time=trade.time * 1000,
            )
            for trade in decode(_TRADES, answer)
        ]
    return [_aggregate(trade, maker) for trade in decode(_AGG_TRADES, answer)]


def _aggregate(trade: _AggTrade, maker: Maker) -> Trade:
    return maker.trade(
        trade_id=str(trade.a),
        sequence=trade.a,
        price=trade.p,
        size=trade.q,
        side="sell" if trade.m else "buy",
        exchange_time=trade.T * 1000,
        first_trade_id=str(trade.f),
        last_trade_id=str(trade.l),
        trade_count=trade.l - trade.f + 1,
    )
