"""Drives a session with the items of a recording: no clock, no waiting, the times are those recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from ingest.feed import Venue
from ingest.recorded import Answer, Closed, Ended, Frame, Item, Opened, Skipped
from ingest.rest_venue import AnsweringVenue, DefiningVenue
from ingest.session import Session
from market.errors import DataValidationError
from market.quality import MAX_CLOCK_SKEW
from schemas.records import Record

_SOURCE = "recording"
_ENDED, _STOPPED = "the recording ends", "stopped"


class Playback:
    """One recording of one venue. `session` has the counts of frames; `skipped` counts what was no frame, by name."""

    def __init__(self, venue: Venue, *, market: str | None = None, max_clock_skew: int = MAX_CLOCK_SKEW) -> None:
        """`market` is that of connections of which the recording does not tell."""
        self.session = Session(venue.name, venue.heartbeats)
        self.skipped: Counter[str] = Counter()
        self._venue = venue
        self._market = market
        self._max_clock_skew = max_clock_skew
        self._listings: dict[str, dict[str, str]] = {}
        self._open: set[str] = set()

    def take(self, item: Item) -> list[Record]:
        """The records that an item gives, in order."""
        if isinstance(item, Frame):
            return self._frame(item)
        if isinstance(item, Opened):
            return self._opened(item)
        if isinstance(item, Closed):
            return self._lost(item.line, item.at, item.reason)
        if isinstance(item, Ended):
            self._open.discard(item.line)
            return self.session.ended(item.line, item.at, _ENDED) if self.session.has_line(item.line) else []
        if isinstance(item, Answer):
            return self._answer(item)
        if isinstance(item, Skipped):
            self.skipped[item.name] += 1
            return []
        return [self.session.refuse(_SOURCE, item.data, item.error, item.at)]

    def stopped(self, at: int) -> list[Record]:
        """What is to be told when the rest is not played: the lines that were open are down."""
        return [record for line in sorted(self._open) for record in self._lost(line, at, _STOPPED)]

    def _lost(self, line: str, at: int, reason: str) -> list[Record]:
        self._open.discard(line)
        return self.session.lost(line, at, reason) if self.session.has_line(line) else []

    def _frame(self, frame: Frame) -> list[Record]:
        records: list[Record] = []
        if frame.line not in self._open:
            if not self.session.has_line(frame.line):
                self._add_line(frame.line, self._market)
            records += self._restored(frame.line, frame.at)
        records += self.session.received(frame.line, frame.data, frame.at)
        return records

    def _opened(self, opened: Opened) -> list[Record]:
        records = self._lost(opened.line, opened.at, "connected again") if opened.line in self._open else []
        self._add_line(opened.line, opened.market or self._venue.market_of(opened.url) or self._market)
        records += self._restored(opened.line, opened.at)
        self.skipped["connection"] += 1
        return records

    def _answer(self, answer: Answer) -> list[Record]:
        self.skipped[f"REST {_last_part(answer.url)}"] += 1
        market = self._venue.market_of(answer.url)
        if market is None:
            return []
        try:
            self._listings.setdefault(market, {}).update(self._venue.listed(answer.url, answer.body))
            told = self._defined(answer)
            if not isinstance(self._venue, AnsweringVenue):
                return told
            parsed = self._venue.answered(answer.url, answer.body, answer.at, self._listings, self._max_clock_skew)
            return told if parsed is None else told + self.session.answered(parsed, answer.at)
        except DataValidationError as error:
            return [self.session.refuse(_SOURCE, answer.body, error, answer.at)]

    def _defined(self, answer: Answer) -> list[Record]:
        if not isinstance(self._venue, DefiningVenue):
            return []
        return self.session.defined(self._venue.definitions(answer.url, answer.body, answer.at), answer.at)

    def _add_line(self, name: str, market: str | None) -> None:
        self.session.add_line(name, self._venue.parser(market, self._listings, self._max_clock_skew))

    def _restored(self, name: str, at: int) -> list[Record]:
        self._open.add(name)
        return self.session.restored(name, at)


def skip(items: Iterable[Item], micros: int) -> Iterator[Item]:
    """The items without the frames of the first `micros` microseconds. The rest stays: it says what symbols mean."""
    start: int | None = None
    for item in items:
        if isinstance(item, Frame):
            start = item.at + micros if start is None else start
            if item.at < start:
                continue
        yield item


def _last_part(url: str) -> str:
    try:
        return urlsplit(url).path.rpartition("/")[2] or url
    except ValueError:
        return url
