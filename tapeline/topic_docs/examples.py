"""A real record of every kind: of recorded traffic, most of it Binance's, or made of it by the code that makes such records.

Offsets in them count the records of the trade stream as they would lie in `md.trades`, from 0 on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from ingest import feeds
from ingest.playback import Playback
from ingest.recorded import Frame
from ingest.recordings import read_recordings
from ingest.rest_venue import DefiningVenue
from market.book import Book
from market.book_rules import BookRules, unnumbered
from market.book_top import BookTop, top_of
from market.candle import CandleEvent, CandleEventKind
from market.candle_series import CandleSeries, SeriesState
from market.control import ControlAction, ControlCommand
from market.dead_letter import DeadLetter, LetterReplay
from market.depth import Depth, DepthKind, Level
from market.errors import MarketDataError
from market.feed_status import FeedState, FeedStatus
from market.funding import Funding
from market.instrument_definition import InstrumentDefinition
from market.interval import parse_interval
from market.latest_price import Statements, latest_price, statement_of
from market.open_interest import OpenInterest
from market.price import PriceRecord
from market.price_change import PriceChangedEvent, PriceChanges, PriceState, Threshold, Throttle
from market.quality import MAX_CLOCK_SKEW
from market.quality_event import QualityEvent, QualityRule
from market.quality_monitor import QualityLimits, QualityMonitor, QualityState
from market.quality_score import QualityScore
from market.quote import Kline, Quote
from market.trade import GapMark, TimeMark, Trade, TradeStreamRecord
from market.watermark import GRACE
from runtime.settings.servers import TopicSettings
from schemas.partitioning import partition_of
from schemas.records import Record
from schemas.topics import DEPTH, QUOTES, TRADES
from tapeline.topic_docs import portfolio_examples, valuation_examples

INSTRUMENT = "binance:BTC-USDT"
PARTITIONS = TopicSettings().partitions
"""Partitions of the topics by instrument where nothing else is configured."""

_Kind = TypeVar("_Kind")
_PARTITION = partition_of(INSTRUMENT, PARTITIONS)
_RECORDING = "btcusdt_20240808.gz"


class NoExample(MarketDataError):
    """A kind of record has no example."""


def example(kind: type[Record]) -> Record:
    """The example of a kind of record. Raises NoExample naming it."""
    make = _EXAMPLES.get(kind)
    if make is None:
        raise NoExample(f"{kind.__name__} has no example: add one to tapeline/topic_docs/examples.py")
    return make()


def _recorded(kind: type[_Kind]) -> _Kind:
    """The first of a kind."""
    return next(record for record in _records() if isinstance(record, kind))


@cache
def _records() -> list[Record]:
    """What is recorded, up to the close of the first minute."""
    return list(_until_close())


def _until_close() -> Iterator[Record]:
    playback = Playback(feeds.load("binance"))
    for item in read_recordings([Path(str(files("tapeline") / "samples")) / _RECORDING]):
        for record in playback.take(item):
            yield record
            if isinstance(record, TimeMark) and record.time % 60_000_000 == GRACE:
                return


def _stream() -> Iterator[tuple[int, TradeStreamRecord]]:
    return enumerate(record for record in _records() if isinstance(record, Trade | TimeMark | GapMark))


@cache
def _candle() -> CandleEvent:
    series = CandleSeries(
        INSTRUMENT, SeriesState(), {}, intervals=[parse_interval("1m")], grace=GRACE, source=(TRADES.name, _PARTITION)
    )
    events = (event for offset, record in _stream() for event in series.apply(record, offset)[1])
    return next(event for event in events if event.kind is CandleEventKind.CLOSE)


def _kline() -> Kline:
    """The venue's own candle of that minute, as it would state it."""
    fields = _candle()._asdict()
    return Kline(**{name: fields[name] for name in Kline._fields if name in fields}, exchange_time=fields["close_time"])


_TICKER = (
    b'{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","lastPrice":"65114.30","markPrice":"65117.44",'
    b'"indexPrice":"65137.76","openInterest":"59891.732","openInterestValue":"3899996265.01","fundingIntervalHour":"8",'
    b'"nextFundingTime":"1786320000000","fundingRate":"0.0001"},"cs":753843900397,"ts":1786310817583}'
)
"""Of a perpetual, with the figures that Bybit told on 2026-08-09."""


def _definition() -> InstrumentDefinition:
    row = (
        b'{"data":[{"ctMult":"1","ctType":"inverse","ctVal":"100","ctValCcy":"USD","expTime":"","instId":"BTC-USD-SWAP",'
        b'"instType":"SWAP","lotSz":"1","minSz":"1","settleCcy":"BTC","state":"live","tickSz":"0.1"}]}'
    )
    venue = feeds.load("okx")
    if not isinstance(venue, DefiningVenue):
        raise NoExample("okx does not define its instruments")
    found = venue.definitions("https://www.okx.com/api/v5/public/instruments?instType=SWAP", row, 1_652_458_996_525_855)
    return next(one for one in found if isinstance(one, InstrumentDefinition))


def _of_perpetual(kind: type[_Kind]) -> _Kind:
    parsed = feeds.load("bybit").parser("linear", {}, MAX_CLOCK_SKEW).parse(_TICKER, 1_786_310_819_526_357)
    return next(record for record in parsed.records if isinstance(record, kind))


def _price_change() -> PriceChangedEvent:
    source = TRADES.name, _PARTITION
    changes = PriceChanges(INSTRUMENT, PriceState(), source=source, throttle=Throttle(), threshold=Threshold())
    events = (changes.apply(record, offset) for offset, record in _stream() if isinstance(record, Trade | TimeMark))
    return next(event for event in events if event is not None)


def _price() -> PriceRecord:
    """The prices after the first quote, with the first trade before it."""
    quote, trade = _recorded(Quote), _recorded(Trade)
    quotes, trades = Statements(), Statements()
    quotes.take(statement_of(quote, (QUOTES.name, _PARTITION, 0)))
    trades.take(statement_of(trade, (TRADES.name, _PARTITION, 0)))
    return latest_price(INSTRUMENT, quotes, trades)


@cache
def _judged() -> list[QualityEvent | QualityScore]:
    """What the monitor of quality says of the stream when its first trade comes a second time."""
    monitor = QualityMonitor(INSTRUMENT, QualityState(), source=(TRADES.name, _PARTITION), limits=QualityLimits())
    records = [record for _, record in _stream()]
    first = next(number for number, record in enumerate(records) if isinstance(record, Trade))
    records.insert(first + 1, records[first])
    return [told for offset, record in enumerate(records) for told in monitor.apply(record, offset)]


def _quality_event() -> QualityEvent:
    return next(told for told in _judged() if isinstance(told, QualityEvent) and told.rule is QualityRule.DUPLICATE)


def _quality_score() -> QualityScore:
    return next(told for told in _judged() if isinstance(told, QualityScore))


def _book() -> tuple[Book, Depth]:
    """A book of two levels a side around the recorded best prices, and the message that tells it."""
    quote = _recorded(Quote)
    best, tick = quote.bid or 0, 10**10
    bids = [Level(best - tick * number, tick * (5 + number)) for number in range(2)]
    asks = [Level(best + tick * number, tick * (2 + number)) for number in range(1, 3)]
    book = Book(BookRules(unnumbered))
    told = book.apply(
        Depth(INSTRUMENT, DepthKind.SNAPSHOT, bids, asks, None, quote.sequence, None, None, None, quote.received_at)
    )
    if told is None:
        raise NoExample("the book did not take its snapshot")
    return book, told


def _book_top() -> BookTop:
    book, told = _book()
    return top_of(book, instrument=INSTRUMENT, received_at=told.received_at, source=(DEPTH.name, _PARTITION, 0))


def _status() -> FeedStatus:
    return next(record for record in _records() if isinstance(record, FeedStatus) and record.state is FeedState.LIVE)


def _letter() -> DeadLetter:
    """What becomes of a frame that was cut off."""
    frame = Frame(1_723_161_254_087_896, "", b'{"stream":"btcusdt@trade","data":{"e":"tr')
    (letter,) = (found for found in Playback(feeds.load("binance")).take(frame) if isinstance(found, DeadLetter))
    return letter


def _control() -> ControlCommand:
    at = 1_723_161_254_187_896
    return ControlCommand(
        "7d0c", "binance", ControlAction.STOP, (), (), "ann", "the venue is being moved", at, at + 3_600_000_000
    )


def _letter_replay() -> LetterReplay:
    return LetterReplay(TRADES.name, _PARTITION, 41, 7, "host/4711/9f3a", 1200, 1200, None, 1_723_161_254_187_896)


_EXAMPLES: Mapping[type[Record], Callable[[], Record]] = {
    Trade: lambda: _recorded(Trade),
    TimeMark: lambda: _recorded(TimeMark),
    GapMark: lambda: _recorded(GapMark),
    Quote: lambda: _recorded(Quote),
    Kline: _kline,
    Funding: lambda: _of_perpetual(Funding),
    InstrumentDefinition: _definition,
    OpenInterest: lambda: _of_perpetual(OpenInterest),
    Depth: lambda: _book()[1],
    BookTop: _book_top,
    CandleEvent: _candle,
    PriceChangedEvent: _price_change,
    PriceRecord: _price,
    QualityEvent: _quality_event,
    QualityScore: _quality_score,
    FeedStatus: _status,
    **portfolio_examples.BY_KIND,
    **valuation_examples.BY_KIND,
    ControlCommand: _control,
    DeadLetter: _letter,
    LetterReplay: _letter_replay,
}
"""How the example of each kind is had."""
