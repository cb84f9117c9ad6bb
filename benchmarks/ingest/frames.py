"""The load: recorded frames of Binance spot, one behind the other and again with later ids. Pure but for the recording.

Trades were recorded on the stream `trade`, to which cryptofeed does not listen: they are told as `aggTrade` tells a trade by
itself, with ids of their own, to all contestants alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from ingest.recorded import Frame
from ingest.recordings import read_recordings

SAMPLES = Path(__file__).parent.parent.parent / "tapeline" / "samples"
SYMBOL, INSTRUMENT = "BTCUSDT", "binance:BTC-USDT"
LOADS = {"trades": ("aggTrade",), "quotes": ("bookTicker",), "mixed": ("aggTrade", "bookTicker")}
"""Channels of each load; `mixed` has both as they came."""


def recorded(channels: Iterable[str]) -> list[bytes]:
    """The recorded frames of these channels, trades as aggregates numbered from 0."""
    wanted, found, trades = set(channels), [], 0
    for item in read_recordings(sorted(SAMPLES.glob("*.gz"))):
        if not isinstance(item, Frame):
            continue
        if b"@trade" in item.data[:40] and "aggTrade" in wanted:
            found.append(aggregate(orjson.loads(item.data)["data"], trades))
            trades += 1
        elif b"@bookTicker" in item.data[:40] and "bookTicker" in wanted:
            found.append(item.data)
    return found


def aggregate(trade: dict[str, Any], number: int) -> bytes:
    """The frame of the stream `aggTrade` that tells a trade of the stream `trade` by itself."""
    fields = {"e": "aggTrade", "E": trade["E"], "s": trade["s"], "a": number, "p": trade["p"], "q": trade["q"]}
    fields |= {"f": trade["t"], "l": trade["t"], "T": trade["T"], "m": trade["m"], "M": trade["M"]}
    return orjson.dumps({"stream": f"{trade['s'].lower()}@aggTrade", "data": fields})


def repeated(frames: list[bytes]) -> Iterator[bytes]:
    """The frames again and again without end: the aggregates' ids go on where they ended."""
    trades = sum(b"@aggTrade" in frame[:40] for frame in frames)
    yield from frames
    shift = 0
    while True:
        shift += trades
        for frame in frames:
            yield later(frame, shift) if b"@aggTrade" in frame[:40] else frame


def later(frame: bytes, shift: int) -> bytes:
    """The frame of an aggregate whose id is higher."""
    before, found, rest = frame.partition(b'"a":')
    number, comma, rest = rest.partition(b",")
    return before + found + str(int(number) + shift).encode() + comma + rest
