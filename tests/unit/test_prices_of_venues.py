"""Latest prices of recorded messages equal those found by going through the messages once, in plain arithmetic."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from market.decimals import ONE, divide_half_even, parse_decimal
from market.portfolio import PriceChoice
from market.price import PriceRecord
from market.price_choice import Freshness, choose_price
from market.quote import Quote
from market.trade import Trade
from processors.agents import prices
from runtime.settings import ProcessorSettings
from schemas.records import Record
from schemas.topics import QUOTES, TRADES
from tests.folding import Runner, told
from tests.ingest_parts import FUTURES, FUTURES_LISTING, SPOT, SPOT_LISTING
from tests.price_parts import newest
from tests.venue_data import BITGET, GATEIO, KRAKEN, OKX, recorded


def folded(records: Sequence[Record]) -> dict[str, PriceRecord]:
    """The last record of each instrument, one commit for twenty messages of a topic."""
    runs, effects = Runner(prices.build(ProcessorSettings())), []
    for topic, kind in ((TRADES.name, Trade), (QUOTES.name, Quote)):
        carried = [record for record in records if isinstance(record, kind)]
        effects += [runs.batch(carried[start : start + 20], topic) for start in range(0, len(carried), 20)]
    return newest(told(*effects))


def figures(record: PriceRecord) -> dict[str, int | None]:
    points = {"bid": record.bid, "ask": record.ask, "last": record.last, "mark": record.mark_price, "index": record.index_price}
    return {name: None if point is None else point.price for name, point in points.items()} | {
        "high": record.high_24h,
        "volume": record.volume_24h,
        "amount": record.amount_24h,
        "change": record.change_24h,
        "percent": record.change_percent_24h,
    }


def plainly(records: Sequence[Any]) -> dict[str, int | None]:
    """What the messages of one instrument say in the end: book tops of the book, tickers of all, trades of the last price."""
    book, ticker, trade = None, None, None
    for record in records:
        if isinstance(record, Trade):
            trade = (
                record if trade is None or (record.event_time, record.sequence) > (trade.event_time, trade.sequence) else trade
            )
        elif record.channel == "bookTicker":
            book = record
        else:
            ticker = record
    top = book or ticker
    found = dict.fromkeys(("bid", "ask", "last", "mark", "index", "high", "volume", "amount", "change", "percent"))
    if top is not None:
        found |= {"bid": top.bid, "ask": top.ask}
    if ticker is not None:
        change = None if ticker.open_24h is None else ticker.last - ticker.open_24h
        percent = None if change is None else divide_half_even(change * 100 * ONE, ticker.open_24h)
        stated = ticker.change_percent_24h
        found |= {"high": ticker.high_24h, "volume": ticker.volume_24h, "amount": ticker.amount_24h}
        found |= {"change": change, "percent": percent if stated is None else stated, "last": ticker.last}
        found |= {"mark": ticker.mark_price, "index": ticker.index_price}
    if trade is not None and (ticker is None or trade.event_time >= (ticker.exchange_time or ticker.received_at)):
        found["last"] = trade.price
    return found


@pytest.mark.parametrize(
    ("venue", "paths", "instruments"),
    [
        ("binance", (SPOT_LISTING, SPOT), 3),
        ("binance", (FUTURES_LISTING, FUTURES), 4),
        ("okx", OKX, 3),
        ("gateio", GATEIO, 6),
        ("kraken", KRAKEN, 10),
        ("bitget", BITGET, 3),
    ],
    ids=["binance spot", "binance futures", "okx", "gateio", "kraken", "bitget"],
)
def test_recorded_messages_end_in_the_prices_that_plain_arithmetic_finds(
    venue: str, paths: tuple[Path, ...], instruments: int
) -> None:
    by_instrument: dict[str, list[Record]] = {}
    for record in recorded(venue, *paths)[0]:
        if isinstance(record, Quote | Trade):
            by_instrument.setdefault(record.instrument, []).append(record)
    found = folded([record for records in by_instrument.values() for record in records])
    assert {name: figures(record) for name, record in found.items()} == {
        name: plainly(records) for name, records in by_instrument.items()
    }
    assert len(found) == instruments


def test_positions_are_valued_by_the_mark_price_that_was_recorded_last() -> None:
    """Mark prices of Bitget's perpetuals, read from its recorded tickers without any code of ours."""
    marks: dict[str, str] = {}
    for line in gzip.decompress(BITGET[2].read_bytes()).decode().splitlines():
        if '"instType":"mc","channel":"ticker"' in line and '"data"' in line:
            marks |= {one["instId"]: one["markPrice"] for one in json.loads(line.partition(" ")[2])["data"]}
    found = folded([record for record in recorded("bitget", *BITGET)[0] if isinstance(record, Quote | Trade)])
    assert marks
    for symbol, price in marks.items():
        record = found[f"bitget:{symbol.removesuffix('USDT')}-USDT-PERP"]
        by_mark = choose_price(record, [PriceChoice.MARK, PriceChoice.MID], Freshness(record.received_at, 0), is_long=True)
        assert by_mark is not None
        assert (by_mark.price, by_mark.choice, by_mark.source) == (parse_decimal(price, field="price"), "MARK", "ticker")
    spot = found["bitget:STG-USDT"]
    fallen_back = choose_price(spot, [PriceChoice.MARK, PriceChoice.LAST], Freshness(spot.received_at, 10**12), is_long=True)
    assert fallen_back is not None
    assert fallen_back.choice == "LAST"
