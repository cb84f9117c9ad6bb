"""One-minute candles by Faust as its documentation has it used: an agent, a table, one event at a time.

    python -m benchmarks.stream.programs.faust_candles worker -l warn --without-web

The environment names the broker, group, output topic, partitions, schema id of trades and state folder.
"""

from __future__ import annotations

import io
import os
from typing import Any

import fastavro
import faust

from market.trade import Trade
from schemas.records import reader_schema
from schemas.topics import TRADES

_MINUTE = 60_000_000
_TRADE_HEAD = b"\0" + int(os.environ["BENCHMARK_TRADE_SCHEMA"]).to_bytes(4, "big")
_SCHEMA = reader_schema(Trade)

app = faust.App(
    os.environ["BENCHMARK_GROUP"],
    broker=f"kafka://{os.environ['BENCHMARK_KAFKA']}",
    store="memory://",
    datadir=os.environ["BENCHMARK_STATE"],
    topic_partitions=int(os.environ["BENCHMARK_PARTITIONS"]),
    topic_replication_factor=1,
)
trades = app.topic(TRADES.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
output = app.topic(os.environ["BENCHMARK_OUTPUT"], key_serializer="raw", value_serializer="json")
candles = app.Table("candles", partitions=int(os.environ["BENCHMARK_PARTITIONS"]))


def decode(value: bytes) -> dict[str, Any] | None:
    """A trade's fields; None for a time mark."""
    if not value.startswith(_TRADE_HEAD):
        return None
    trade: dict[str, Any] = fastavro.schemaless_reader(io.BytesIO(value[5:]), _SCHEMA, None)  # type: ignore[assignment]  # a record
    return trade


def fold(candle: dict[str, Any] | None, trade: dict[str, Any]) -> dict[str, Any] | None:
    """The candle with a trade in it; None when the trade is a repetition."""
    number, price, size = int(trade["trade_id"]), trade["price"], trade["size"]
    if candle is None:
        sums = {"volume": str(size), "amount": str(price * size), "trade_count": 1}
        return {"open": price, "high": price, "low": price, "close": price, "last_id": number, **sums}
    if number <= candle["last_id"]:
        return None
    return {
        "open": candle["open"],
        "high": max(candle["high"], price),
        "low": min(candle["low"], price),
        "close": price,
        "last_id": number,
        "volume": str(int(candle["volume"]) + size),
        "amount": str(int(candle["amount"]) + price * size),
        "trade_count": candle["trade_count"] + 1,
    }


@app.agent(trades)  # type: ignore[untyped-decorator]  # Faust's hints are not followed
async def fold_trades(stream: Any) -> None:
    """Fold each trade into its candle and send it on."""
    async for value in stream:
        trade = decode(value)
        if trade is None:
            continue
        open_time = trade["exchange_time"] // _MINUTE * _MINUTE
        key = f"{trade['instrument']}|1m|{open_time}"
        candle = fold(candles.get(key), trade)
        if candle is not None:
            candles[key] = candle
            await output.send(key=key.encode(), value=candle)


if __name__ == "__main__":
    app.main()
