"""What `tapeline parse` prints: the records of a recording, its candles, or its order books, as plain dictionaries.

The same parser, marks and fold as in the pipeline, without a broker. Decimals become text, times stay integers in
microseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ingest.book_replay import BookFold
from ingest.playback import Playback
from ingest.recorded import Item
from market.candle import CandleEvent
from market.candle_series import CandleKey, CandleSeries, ClosedCandle, Outcome, SeriesState
from market.dead_letter import DeadLetter
from market.decimals import AMOUNT_SCALE, format_decimal
from market.depth import Depth
from market.feed_status import FeedStatus
from market.funding import Funding
from market.instrument_definition import InstrumentDefinition
from market.interval import Interval
from market.open_interest import OpenInterest
from market.quote import Kline, Quote
from market.trade import GapMark, TimeMark, Trade, TradeStreamRecord
from market.watermark import GRACE
from schemas.records import Record

KINDS: Mapping[str, type[Record]] = {
    "trade": Trade,
    "quote": Quote,
    "kline": Kline,
    "funding": Funding,
    "open_interest": OpenInterest,
    "instrument_definition": InstrumentDefinition,
    "depth": Depth,
    "time_mark": TimeMark,
    "gap_mark": GapMark,
    "feed_status": FeedStatus,
    "dead_letter": DeadLetter,
}
"""Names of the kinds of records."""

DEFAULT_KINDS = ("trade", "quote", "kline", "funding", "open_interest")

_PRICES = frozenset(
    (
        *("price", "size", "bid", "bid_size", "ask", "ask_size", "last", "last_size", "open", "high", "low", "close", "volume"),
        *("open_24h", "high_24h", "low_24h", "volume_24h", "change_24h", "change_percent_24h", "taker_buy_volume"),
        *("rate", "mark_price", "index_price", "open_interest"),
        *("tick_size", "lot_size", "min_size", "multiplier"),
    )
)
_AMOUNTS = frozenset(("amount", "amount_24h", "notional", "min_notional"))
_SIDES = frozenset(("bids", "asks"))
_SOURCE = ("md.trades", 0)


def as_plain(kind: str, record: Record) -> dict[str, Any]:
    """A record as what JSON can hold; what a message about a book is (SNAPSHOT, DELTA) stands under `message`."""
    fields = {name: _plain(name, value) for name, value in record._asdict().items() if name != "published_at"}
    if "kind" in fields:
        fields["message"] = fields.pop("kind")
    return {"kind": kind} | fields


def _plain(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _PRICES:
        return format_decimal(value)
    if name in _AMOUNTS:
        return format_decimal(value, AMOUNT_SCALE)
    if name in _SIDES:
        return [[format_decimal(level.price), format_decimal(level.size)] for level in value]
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


class CandleFold:
    """The candles of every instrument in a stream of records, each in its last version."""

    def __init__(self, intervals: Sequence[Interval], *, grace: int = GRACE) -> None:
        self.outcomes: Counter[str] = Counter()
        self._intervals = intervals
        self._grace = grace
        self._series: dict[str, CandleSeries] = {}
        self._latest: dict[tuple[str, str, int], CandleEvent] = {}
        self._offset = 0

    def take(self, record: Record) -> None:
        """Fold a record in; what is no part of a trade stream changes nothing."""
        if isinstance(record, Trade | TimeMark | GapMark):
            self._apply(record)

    def candles(self) -> list[CandleEvent]:
        """The candles so far, by instrument, interval and time."""
        for series in self._series.values():
            self._keep(series.updates())
        return [self._latest[key] for key in sorted(self._latest, key=self._order)]

    def _apply(self, record: TradeStreamRecord) -> None:
        series = self._series.get(record.instrument)
        if series is None:
            series = self._series[record.instrument] = self._new_series(record.instrument)
        outcome, events = series.apply(record, self._offset)
        self._offset += 1
        if isinstance(record, Trade) and outcome is not Outcome.APPLIED:
            self.outcomes[outcome.value] += 1
        self._keep(events)

    def _new_series(self, instrument: str) -> CandleSeries:
        closed: dict[CandleKey, ClosedCandle] = {}
        return CandleSeries(instrument, SeriesState(), closed, intervals=self._intervals, grace=self._grace, source=_SOURCE)

    def _keep(self, events: Iterable[CandleEvent]) -> None:
        for event in events:
            key = (event.instrument, event.interval, event.open_time)
            before = self._latest.get(key)
            if before is None or event.version >= before.version:
                self._latest[key] = event

    def _order(self, key: tuple[str, str, int]) -> tuple[str, int, int]:
        lengths = {interval.name: interval.micros for interval in self._intervals}
        return key[0], lengths[key[1]], key[2]


def candle_as_plain(candle: CandleEvent) -> dict[str, Any]:
    """A candle as what JSON can hold."""
    return {
        "instrument": candle.instrument,
        "interval": candle.interval,
        "open_time": candle.open_time,
        "open": format_decimal(candle.open),
        "high": format_decimal(candle.high),
        "low": format_decimal(candle.low),
        "close": format_decimal(candle.close),
        "volume": format_decimal(candle.volume),
        "amount": format_decimal(candle.amount, AMOUNT_SCALE),
        "count": candle.trade_count,
        "taker_buy_volume": None if candle.taker_buy_volume is None else format_decimal(candle.taker_buy_volume),
        "first_trade_id": candle.first_trade_id,
        "last_trade_id": candle.last_trade_id,
        "complete": candle.complete,
    }


def plain_records(playback: Playback, items: Iterable[Item], kinds: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The records of these kinds, one by one."""
    names = {KINDS[kind]: kind for kind in kinds}
    for item in items:
        for record in playback.take(item):
            kind = names.get(type(record))
            if kind is not None:
                yield as_plain(kind, record)


def plain_candles(playback: Playback, items: Iterable[Item], fold: CandleFold) -> Iterator[dict[str, Any]]:
    """The candles of the whole recording."""
    for item in items:
        for record in playback.take(item):
            fold.take(record)
    yield from map(candle_as_plain, fold.candles())


def plain_books(playback: Playback, items: Iterable[Item], fold: BookFold) -> Iterator[dict[str, Any]]:
    """The order books of the whole recording."""
    for item in items:
        for record in playback.take(item):
            fold.take(record)
    yield from fold.books()


def summary(playback: Playback, fold: CandleFold | BookFold | None = None) -> str:
    """One line of counts for the operator."""
    counts = playback.session.counts
    by_kind = Counter({kind: counts.records[cls] for kind, cls in KINDS.items() if counts.records[cls]})
    parts = [
        f"frames {counts.frames}",
        f"records {listed(by_kind)}",
        f"ignored {listed(counts.ignored)}",
        f"rejected {listed(counts.rejected)}",
        *(f"{number} × {name}" for name, number in counts.unknown.most_common()),
    ]
    if playback.skipped:
        parts.append(f"not frames {listed(playback.skipped)}")
    if isinstance(fold, BookFold):
        parts.append(fold.summary())
    elif fold is not None and fold.outcomes:
        parts.append(f"not in candles {listed(fold.outcomes)}")
    return "; ".join(parts)


def listed(counter: Counter[str]) -> str:
    """A total and what it is made of."""
    total = counter.total()
    return f"{total} ({', '.join(f'{name} {number}' for name, number in sorted(counter.items()))})" if total else "0"
