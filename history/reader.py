"""History by instrument or portfolio and time, page by page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

from history import questions
from history.cursors import KeyValue, cursor_of, key_of
from history.database import Database
from history.questions import Question
from history.times import instant
from market.candle import CandleEvent
from market.errors import DataValidationError
from market.feed_status import FeedStatus
from market.funding import Funding
from market.instrument import check_instrument
from market.open_interest import OpenInterest
from market.portfolio_alert import Alert
from market.portfolio_commands import check_name
from market.price_change import PriceChangedEvent
from market.quality import EARLIEST, LATEST, check_id, check_time
from market.quality_event import QualityEvent
from market.quality_score import QualityScore
from market.quote import Kline, Quote
from market.trade import GapMark, Trade
from market.valuation_record import Valuation, ValuationLine

RecordT = TypeVar("RecordT")

MOST = 1_000
"""Records of a page at most."""


class Page(NamedTuple, Generic[RecordT]):
    """Records in the order asked for, and the cursor of those behind them; None where there are none now."""

    records: list[RecordT]
    cursor: str | None


class Span(NamedTuple):
    """Which rows: from `since` on and before `until` (microseconds), the newest first unless told otherwise.

    `limit` is how many a page has; `cursor` is that of the page before, with everything else as it was asked then.
    """

    since: int = EARLIEST
    until: int = LATEST
    limit: int = 100
    newest_first: bool = True
    cursor: str | None = None


EVER = Span()


class History:
    """Answers from the database. All methods raise DataValidationError for a wrong question, and as `Database.rows`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def trades(self, instrument: str, span: Span = EVER) -> Page[Trade]:
        """Trades, by event time and sequence."""
        return await self._page(questions.TRADES, span, instrument)

    async def quotes(self, instrument: str, span: Span = EVER) -> Page[Quote]:
        """The last quote of each channel in each period (`postgres.quote_seconds`), by the period's begin."""
        return await self._page(questions.QUOTES, span, instrument)

    async def candles(self, instrument: str, interval: str, span: Span = EVER) -> Page[CandleEvent]:
        """Candles in their latest version, by open time."""
        return await self._page(questions.CANDLES, span, instrument, interval)

    async def klines(self, instrument: str, interval: str, span: Span = EVER) -> Page[Kline]:
        """The venue's own candles, by open time."""
        return await self._page(questions.KLINES, span, instrument, interval)

    async def funding(self, instrument: str, span: Span = EVER) -> Page[Funding]:
        """The last funding of each channel in each period (`postgres.quote_seconds`), by the period's begin."""
        return await self._page(questions.FUNDING, span, instrument)

    async def open_interest(self, instrument: str, span: Span = EVER) -> Page[OpenInterest]:
        """The last open interest of each channel in each period (`postgres.quote_seconds`), by the period's begin."""
        return await self._page(questions.OPEN_INTEREST, span, instrument)

    async def price_changes(self, instrument: str, span: Span = EVER) -> Page[PriceChangedEvent]:
        """Told changes of price, by event time."""
        return await self._page(questions.PRICE_CHANGES, span, instrument)

    async def gaps(self, instrument: str, span: Span = EVER) -> Page[GapMark]:
        """Stretches in which trades may be missing, by their ends."""
        return await self._page(questions.GAPS, span, instrument)

    async def feed_status(self, instrument: str, span: Span = EVER) -> Page[FeedStatus]:
        """Changes of the state of an instrument's streams, by the time of the change."""
        return await self._page(questions.FEED_STATUS, span, instrument)

    async def quality_events(self, instrument: str, span: Span = EVER) -> Page[QualityEvent]:
        """Broken rules of quality, by event time."""
        return await self._page(questions.QUALITY_EVENTS, span, instrument)

    async def quality_scores(self, instrument: str, span: Span = EVER) -> Page[QualityScore]:
        """Scores by the minute; of one minute there is one for each topic that was judged."""
        return await self._page(questions.QUALITY_SCORES, span, instrument)

    async def valuations(self, portfolio_id: str, span: Span = EVER) -> Page[Valuation]:
        """The last valuation in each period (`postgres.valuation_seconds`), by the period's begin.

        As of all valuations here, limits and offsets of other topics are not in it.
        """
        return await self._page(questions.VALUATIONS, span, portfolio_id)

    async def valuation_lines(self, portfolio_id: str, span: Span = EVER) -> Page[ValuationLine]:
        """The last line of each position in each period in which one was told, by the period's begin and position."""
        return await self._page(questions.VALUATION_LINES, span, portfolio_id)

    async def day_ends(self, portfolio_id: str, span: Span = EVER) -> Page[Valuation]:
        """The last valuation of each of the portfolio's days, by the day's end."""
        return await self._page(questions.DAY_ENDS, span, portfolio_id)

    async def alerts(self, portfolio_id: str, span: Span = EVER) -> Page[Alert]:
        """Limits that were breached or kept again, by the time of the valuation."""
        return await self._page(questions.ALERTS, span, portfolio_id)

    async def _page(self, question: Question[RecordT], span: Span, *by: str) -> Page[RecordT]:
        _check(span, zip(question.by, by, strict=True))
        asked: list[KeyValue] = [question.table, *by, span.since, span.until, int(span.newest_first)]
        behind = None if span.cursor is None else key_of(span.cursor, asked, [column.kind for column in question.order])
        statement = question.statement(newest_first=span.newest_first, behind=behind is not None)
        values = [*by, instant(span.since), instant(span.until), *_key_values(question, behind or []), span.limit + 1]
        rows = await self._database.rows(statement, values)
        shown = rows[: span.limit]
        cursor = cursor_of(asked, question.key_of(shown[-1])) if len(rows) > span.limit else None
        return Page([question.record_of(row) for row in shown], cursor)


def _key_values(question: Question[RecordT], key: list[KeyValue]) -> list[object]:
    """A key as the database takes it."""
    values: list[object] = []
    for column, value in zip(question.order, key, strict=False):
        if column.is_time and isinstance(value, int):
            if not 0 <= value < LATEST:
                raise DataValidationError("bad_cursor", "cursor: is none of ours", field="cursor")
            values.append(instant(value))
        else:
            values.append(value)
    return values


def _check(span: Span, by: Iterable[tuple[str, str]]) -> None:
    for name, value in by:
        if name == "instrument":
            check_instrument(value)
        elif name == "portfolio_id":
            check_name(value, field=name)
        else:
            check_id(value, field=name)
            if "\0" in value:
                raise DataValidationError("bad_id", f"{name}: has a character that no text has", field=name)
    check_time(span.since, field="since")
    if span.until != LATEST:
        check_time(span.until, field="until")
    if span.until < span.since:
        raise DataValidationError("bad_time", f"until: {span.until} is before since, {span.since}", field="until")
    if not 1 <= span.limit <= MOST:
        raise DataValidationError("bad_limit", f"limit: must be 1 to {MOST}", field="limit")
