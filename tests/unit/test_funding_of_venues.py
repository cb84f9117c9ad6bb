"""Funding and open interest of recorded tickers, against the messages read without any code of ours."""

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from market.decimals import AMOUNT_SCALE, SCALE
from market.funding import Funding
from market.open_interest import OpenInterest
from tests.venue_data import BITGET, NO_WHOLE, WHOLE_BITGET, WHOLE_BYBIT, recorded

Row = tuple[str, int, int, int | None, int | None, int | None, int | None]


def unscaled(text: str, scale: int = SCALE) -> int:
    return int(Decimal(text).scaleb(scale))


def lines(path: Path) -> Iterator[str]:
    return iter(gzip.decompress(path.read_bytes()).decode().splitlines())


def fundings(venue: str, *paths: Path) -> list[Row]:
    records, _ = recorded(venue, *paths)
    return [
        (
            *(one.instrument, one.exchange_time or 0, one.rate, one.next_funding_time, one.interval_seconds),
            *(one.mark_price, one.index_price),
        )
        for one in records
        if isinstance(one, Funding)
    ]


def interests(venue: str, *paths: Path) -> list[tuple[str, int | None, int, int | None]]:
    records, _ = recorded(venue, *paths)
    return [
        (one.instrument, one.exchange_time, one.open_interest, one.notional) for one in records if isinstance(one, OpenInterest)
    ]


def bitget_tickers(*paths: Path) -> list[dict[str, Any]]:
    found = []
    for path in paths:
        for line in lines(path):
            if '"instType":"mc","channel":"ticker"' in line and '"data"' in line:
                found += json.loads(line.partition(" ")[2])["data"]
    return found


def check_bitget(*paths: Path) -> int:
    tickers = bitget_tickers(*paths[1:])
    names = {"DASHUSDT": "bitget:DASH-USDT-PERP", "UNIUSDT": "bitget:UNI-USDT-PERP"}
    assert fundings("bitget", *paths) == [
        (
            *(names[one["instId"]], one["systemTime"] * 1000, unscaled(one["capitalRate"]), one["nextSettleTime"] * 1000, None),
            *(unscaled(one["markPrice"]), unscaled(one["indexPrice"])),
        )
        for one in tickers
    ]
    assert interests("bitget", *paths) == [
        (names[one["instId"]], one["systemTime"] * 1000, unscaled(one["holding"]), None) for one in tickers
    ]
    return len(tickers)


def test_every_ticker_of_bitgets_contracts_is_told_as_it_is() -> None:
    assert check_bitget(*BITGET) > 50


@pytest.mark.skipif(not WHOLE_BITGET[0].exists(), reason=NO_WHOLE)
def test_the_whole_recording_of_bitget_is_told_as_it_is() -> None:
    assert check_bitget(*WHOLE_BITGET) == 217


@pytest.mark.skipif(not WHOLE_BYBIT, reason=NO_WHOLE)
def test_tickers_of_bybit_are_told_where_they_change_funding_or_open_interest() -> None:
    state: dict[str, dict[str, Any]] = {}
    rates: list[Row] = []
    held: list[tuple[str, int | None, int, int | None]] = []
    for line in (line for path in WHOLE_BYBIT for line in lines(path)):
        frame = json.loads(line)
        message = json.loads(frame["data"]) if frame["t"] == "recv" else {}
        if not message.get("topic", "").startswith("tickers."):
            continue
        changed, at = message["data"], message["ts"] * 1000
        symbol = changed["symbol"]
        known = state[symbol] = changed if message["type"] == "snapshot" else state[symbol] | changed
        instrument = f"bybit:{symbol.removesuffix('USDT')}-USDT-PERP"
        if changed.keys() & {"fundingRate", "nextFundingTime", "fundingIntervalHour"}:
            times = int(known["nextFundingTime"]) * 1000, int(known["fundingIntervalHour"]) * 3600
            prices = unscaled(known["markPrice"]), unscaled(known["indexPrice"])
            rates.append((instrument, at, unscaled(known["fundingRate"]), *times, *prices))
        if changed.keys() & {"openInterest", "openInterestValue"}:
            value = unscaled(known["openInterestValue"], AMOUNT_SCALE)
            held.append((instrument, at, unscaled(known["openInterest"]), value))
    assert fundings("bybit", *WHOLE_BYBIT) == rates
    assert interests("bybit", *WHOLE_BYBIT) == held
    assert len(rates) >= 2
    assert len(held) > len(rates)
