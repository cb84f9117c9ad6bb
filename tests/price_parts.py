"""Latest prices: a record in which every field is given, and what channels may say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from market.decimals import ONE
from market.latest_price import Statement, statement_of
from market.price import PricePoint, PriceRecord, PriceSource
from market.quote import Quote
from market.trade import Trade
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_parts import make_quote

SOURCE = PriceSource("ticker", START - 1_000, START, "md.quotes", 2, 70)


def make_price() -> PriceRecord:
    """Prices around 100, all of one message."""
    bid, ask, other = (PricePoint(price * ONE, ONE, SOURCE) for price in (99, 101, 100))
    return PriceRecord(
        INSTRUMENT,
        *(bid, ask, other, other, other, other, other),
        *(90 * ONE, 110 * ONE, 80 * ONE, 7 * ONE, 700 * ONE * ONE, 10 * ONE, 11_111_111_111_111),
        *(SOURCE, START, 70, 71),
    )


def both_sides(instrument: str, version: int, bid: int, ask: int, now: int) -> PriceRecord:
    """Bid and ask (scale 12) and nothing else but what measures the day, told now."""
    source = SOURCE._replace(exchange_time=None, received_at=now, offset=version)
    return make_price()._replace(
        instrument=instrument,
        bid=PricePoint(bid, ONE, source),
        ask=PricePoint(ask, ONE, source),
        last=None,
        mark_price=None,
        index_price=None,
        close=None,
        previous_close=None,
        source_24h=source,
        received_at=now,
        quotes_offset=version,
        trades_offset=None,
    )


@st.composite
def quotes(draw: st.DrawFn, *, instruments: tuple[str, ...] = (INSTRUMENT,)) -> Quote:
    """A message of a few channels at one of a few times, so that many come at once; any field may be missing."""
    figures = st.none() | st.integers(1, 9).map(lambda figure: figure * ONE)
    names = ("bid", "bid_size", "ask", "ask_size", "last", "open_24h", "volume_24h", "change_24h", "mark_price", "index_price")
    fields: dict[str, Any] = {name: draw(figures) for name in names if draw(st.booleans())}
    return make_quote(
        channel=draw(st.sampled_from(["bookTicker", "ticker", "miniTicker"])),
        at=START + draw(st.integers(0, 4)),
        instrument=draw(st.sampled_from(instruments)),
        sequence=draw(st.none() | st.integers(0, 3)),
        exchange_time=draw(st.none() | st.integers(START - 2, START + 6)),
        **fields,
    )


@st.composite
def some_trades(draw: st.DrawFn, *, instruments: tuple[str, ...] = (INSTRUMENT,)) -> Trade:
    """A trade among a few, at one of a few times, received sooner or later."""
    return make_trade(
        draw(st.integers(1, 4)),
        at=START + draw(st.integers(0, 4)),
        price=draw(st.integers(1, 9)),
        received_at=START + draw(st.integers(0, 4)),
        instrument=draw(st.sampled_from(instruments)),
    )


@st.composite
def statements(draw: st.DrawFn, most: int) -> list[Statement]:
    """What records of either topic say, at offsets in any order."""
    found = []
    for offset in draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=most, unique=True)):
        record = draw(quotes() | some_trades())
        topic = "md.quotes" if isinstance(record, Quote) else "md.trades"
        found.append(statement_of(record, (topic, 0, offset)))
    return found


def newest(records: Iterable[PriceRecord]) -> dict[str, PriceRecord]:
    """What a reader has in the end who lets go of what is not newer."""
    found: dict[str, PriceRecord] = {}
    for record in records:
        if record.instrument not in found or record.is_newer_than(found[record.instrument]):
            found[record.instrument] = record
    return found
