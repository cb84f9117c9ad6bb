"""What the Chinese sources of snapshots have in common: polled over HTTP, one row an instrument, GBK or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import urlsplit

from ingest.asking import HttpSource, PollOptions, poll_options
from ingest.feed import UNKNOWN_CHANNEL, Asking, Listings, Parsed, Parser, Source, Subscription, Told
from ingest.feeds._cn_snapshots import Row, SnapshotReader
from ingest.feeds._cn_symbols import check_streams, is_index
from ingest.quota import Quota
from ingest.rest_venue import Request
from market.errors import DataValidationError

_MARKET = "cn"
_QUOTA = Quota(weight=120, seconds=60.0)
"""What the sources allow is not told, and more is banned by address; this is far below what is known to have been."""

Read = Callable[[bytes], Row | Told]


class SnapshotParser:
    """Reads the rows of answers; see `ingest.feed.Parser`."""

    contiguous = ()

    def __init__(self, channel: str, read: Read, max_clock_skew: int, *, trades: bool) -> None:
        self._channel = channel
        self._read = read
        self._reader = SnapshotReader(channel, max_clock_skew, trades=trades)

    def parse(self, frame: bytes, received_at: int) -> Parsed:
        """See `ingest.feed.Parser.parse`."""
        row = self._read(frame)
        return Parsed(self._channel, (), [row]) if isinstance(row, Told) else self._reader.read(row, received_at)

    def channel_of(self, frame: bytes) -> str:
        """See `ingest.feed.Parser.channel_of`: there is one channel, if it is a row at all."""
        try:
            self._read(frame)
        except DataValidationError as error:
            return UNKNOWN_CHANNEL if error.reason in _NO_ROW else self._channel
        return self._channel


_NO_ROW = ("malformed_row", "malformed_json", "wrong_encoding", "wrong_type", "missing_field")


@dataclass(frozen=True)
class ChineseSource:
    """See `ingest.feed.PolledVenue` and `ingest.asking.SnapshotVenue`.

    `venues` are those of whose instruments it tells; `read` gives what a row says, `split` the rows of an answer, `named` the
    instrument of a row, and `path` what is asked for of these instruments.
    """

    name: str
    venues: tuple[str, ...]
    channel: str
    hosts: Sequence[str]
    domain: str
    read: Read
    split: Callable[[bytes], Sequence[bytes]]
    named: Callable[[bytes], str | None]
    path: Callable[[Sequence[str]], str]
    headers: Mapping[str, str]
    options: PollOptions = field(default_factory=PollOptions)

    markets = (_MARKET,)
    heartbeats = ()

    @property
    def default_channels(self) -> Sequence[str]:
        """See `ingest.feed.Venue.default_channels`."""
        return (self.channel,)

    def check(self, subscriptions: Iterable[Subscription]) -> None:
        """See `ingest.feed.Venue.check`."""
        check_streams(self.name, subscriptions, self.venues, (self.channel,))

    def market_of(self, url: str) -> str | None:
        """See `ingest.feed.Venue.market_of`."""
        return _MARKET if f".{urlsplit(url).hostname}".endswith(f".{self.domain}") else None

    def listed(self, _url: str, _answer: bytes) -> Mapping[str, str]:
        """See `ingest.feed.Venue.listed`: rows name their market themselves."""
        return {}

    def parser(self, _market: str | None, _listings: Listings, max_clock_skew: int) -> Parser:
        """See `ingest.feed.Venue.parser`."""
        return SnapshotParser(self.channel, self.read, max_clock_skew, trades=self.options.trades)

    def configured(self, options: Mapping[str, object]) -> Self:
        """See `ingest.feed.PolledVenue.configured`."""
        return replace(self, options=poll_options(options))

    def source(self, asking: Asking) -> Source:
        """See `ingest.feed.PolledVenue.source`."""
        return HttpSource(self, self.options, asking)

    def instrument_of(self, frame: bytes) -> str | None:
        """See `ingest.feed.PolledVenue.instrument_of`."""
        return self.named(frame)

    def traded(self, subscriptions: Iterable[Subscription]) -> frozenset[str]:
        """See `ingest.feed.PolledVenue.traded`: indexes are not."""
        found = (stream.instrument for stream in subscriptions if self.options.trades)
        return frozenset(instrument for instrument in found if not is_index(instrument))

    def quota(self, _market: str) -> Quota:
        """See `ingest.asking.SnapshotVenue.quota`."""
        return _QUOTA

    def request(self, host: str, streams: Sequence[Subscription]) -> Request:
        """See `ingest.asking.SnapshotVenue.request`."""
        return Request(_MARKET, host + self.path([stream.instrument for stream in streams]), 1, self.headers)

    def frames(self, answer: bytes) -> Sequence[bytes]:
        """See `ingest.asking.SnapshotVenue.frames`."""
        return self.split(answer)

    def parse_batch(self, answer: bytes) -> list[Row | Told | DataValidationError]:
        """What each row of a whole answer says; one that cannot be read is its error, and spoils no other.

        Raises DataValidationError when it is no answer of the source.
        """
        return [_or_error(self.read, frame) for frame in self.split(answer)]


def _or_error(read: Read, frame: bytes) -> Row | Told | DataValidationError:
    try:
        return read(frame)
    except DataValidationError as error:
        return error
