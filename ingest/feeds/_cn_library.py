"""Quotes of Chinese shares by a Python library that is called again and again, in a thread of its own; see `ingest.libraries`.

A library tells whole markets, which are looked through in that thread as well: of its rows those that were asked for become
frames, JSON with the library's own names, beside the offset from UTC of the machine that called it (`utc_offset`, seconds), as
some write their times in its zone. So a captured frame means the same wherever it is replayed. Nothing is known of what a
library asks for, how often, or how long it waits; so there is one call at a time, and one that does not end is waited for, not
repeated.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta, timezone, tzinfo
from importlib import import_module
from numbers import Integral
from threading import Thread
from time import localtime
from typing import Annotated, Any, Self

import msgspec

from ingest.decoding import decode
from ingest.feed import Answered, Asking, Listings, Parser, Source, Subscription
from ingest.feeds._cn_snapshots import Row
from ingest.feeds._cn_source import SnapshotParser
from ingest.feeds._cn_symbols import check_streams
from ingest.libraries._rows import Given, label, records_of
from ingest.rest import Unanswered
from market.errors import DataValidationError, SubscriptionError
from market.instrument import code_of

_MARKET = "cn"
_CHANNEL = "quote"
_PATIENCE = 60.0  # seconds for which a call is waited for at a time
_LONGEST_OFFSET = 86_399


class LibraryOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the configuration may say under `options` of a feed that calls a library."""

    poll_seconds: Annotated[float, msgspec.Meta(ge=3.0, le=3600)] = 30.0
    """From the end of one call to the next; each fetches whole markets, page by page."""


class _Zoned(msgspec.Struct):
    utc_offset: Annotated[int, msgspec.Meta(ge=-_LONGEST_OFFSET, le=_LONGEST_OFFSET)]


_ZONED = msgspec.json.Decoder(_Zoned)
_ROW = msgspec.json.Decoder(dict[str, Any])


@dataclass(frozen=True)
class LibraryVenue:
    """See `ingest.feed.PolledVenue`.

    `library` is the name of the module and of the extra, `fetch` has it tell the quotes of its markets, `codes` are the names
    that a row's code goes by, `read` gives what a row says that was told in a zone.
    """

    library: str
    venues: tuple[str, ...]
    fetch: Callable[[Any], Any]
    codes: tuple[str, ...]
    read: Callable[[Given, tzinfo], Row]
    options: LibraryOptions = field(default_factory=LibraryOptions)

    markets = (_MARKET,)
    heartbeats = ()
    default_channels = (_CHANNEL,)

    @property
    def name(self) -> str:
        """See `ingest.feed.Venue.name`."""
        return self.library

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`."""
        check_streams(self.name, subscriptions, self.venues, (_CHANNEL,))

    def market_of(self, _url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`: only captures of this feed can be read."""
        return None

    def listed(self, _url: str, _answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`: rows name their market themselves."""
        return {}

    def parser(self, _market: str | None, _listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`; there are no trades: figures went through binary floats."""
        return SnapshotParser(_CHANNEL, self.row_of, max_clock_skew, trades=False)

    def configured(self, options: Mapping[str, object]) -> Self:
        """See `ingest.feed.PolledVenue.configured`."""
        return replace(self, options=msgspec.convert(options, LibraryOptions))

    def source(self, asking: Asking) -> Source:
        """See `ingest.feed.PolledVenue.source`. Raises SubscriptionError, also for an address or proxy, which it cannot use."""
        if asking.base_url is not None or asking.proxy is not None:
            raise SubscriptionError(f"{self.name}: the library asks its own addresses, by the environment's proxy, no other")
        try:
            module = import_module(self.library)
        except ImportError as error:
            raise SubscriptionError(f"{self.name} needs: pip install 'tapeline[{self.library}]' ({error})") from error
        return LibrarySource(self, module, self.options.poll_seconds)

    def instrument_of(self, frame: bytes) -> str | None:
        """See `ingest.feed.PolledVenue.instrument_of`."""
        try:
            return self.row_of(frame).instrument
        except DataValidationError:
            return None

    def traded(self, _subscriptions: Iterable[Subscription]) -> frozenset[str]:
        """See `ingest.feed.PolledVenue.traded`: none."""
        return frozenset()

    def row_of(self, frame: bytes) -> Row:
        """What a frame says. Raises DataValidationError."""
        zone = timezone(timedelta(seconds=decode(_ZONED, frame).utc_offset))
        row: dict[str, Any] = decode(_ROW, frame)
        return self.read(row, zone)

    def frames_of(self, table: Any, streams: Sequence[Subscription], utc_offset: int) -> list[bytes]:
        """The rows of a table with the codes of these streams, as frames. Raises DataValidationError where it is no table."""
        wanted = {code_of(stream.instrument) for stream in streams}
        rows = (row for row in records_of(table) if label(row, *self.codes) in wanted)
        return [_encoded({**row, "utc_offset": utc_offset}) for row in rows]


class LibraryFailed(Exception):
    """A library raised something, which is told with its type."""


class LibrarySource:
    """See `ingest.feed.Source`."""

    def __init__(self, venue: LibraryVenue, module: Any, seconds: float, patience: float = _PATIENCE) -> None:
        self._venue = venue
        self._module = module
        self._patience = patience
        self._call: asyncio.Future[list[bytes]] | None = None
        self.seconds = seconds

    def batches(self, streams: Sequence[Subscription]) -> Sequence[Sequence[Subscription]]:
        """See `ingest.feed.Source.batches`: all together."""
        return [streams] if streams else []

    async def ask(self, streams: Sequence[Subscription]) -> Answered:
        """See `ingest.feed.Source.ask`; what a library raises, whatever it is, is that there was no answer."""
        name = self._venue.name
        if self._call is None:
            self._call = _called(lambda: self._frames(streams))
        done, _ = await asyncio.wait({self._call}, timeout=self._patience)
        if not done:
            raise Unanswered(f"{name} does not come back; it is waited for")
        call, self._call = self._call, None
        try:
            return Answered(call.result(), name)
        except LibraryFailed as error:
            raise Unanswered(f"{name}: {error}") from error

    def _frames(self, streams: Sequence[Subscription]) -> list[bytes]:
        table = self._venue.fetch(self._module)
        return self._venue.frames_of(table, streams, localtime().tm_gmtoff)

    def distrust(self) -> None:
        """See `ingest.feed.Source.distrust`: there is no other address."""

    async def close(self) -> None:
        """See `ingest.feed.Source.close`; a call that goes on ends with the process."""
        if self._call is not None:
            self._call.cancel()


def _called(tell: Callable[[], list[bytes]]) -> asyncio.Future[list[bytes]]:
    """The result of a call in a thread that no exit of the process waits for."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[bytes]] = loop.create_future()

    def settle(frames: list[bytes], error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(frames)
        else:
            future.set_exception(error)

    def work() -> None:
        frames: list[bytes] = []
        failure: Exception | None = None
        try:
            frames = tell()
        except BaseException as error:  # noqa: BLE001  # the thread is the library's: whatever it raises is its answer
            failure = LibraryFailed(f"{type(error).__name__}: {error!s:.200}")
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, frames, failure)

    Thread(target=work, name="library", daemon=True).start()
    return future


def _encoded(row: Mapping[str, Any]) -> bytes:
    told = {str(name): _plain(value) for name, value in row.items()}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    """A value as JSON has it; pandas' NaN is nothing, numpy's numbers are numbers, and what is neither is its text."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, float):
        return float(value) if value - value == 0 else None
    return int(value) if isinstance(value, Integral) else str(value)
