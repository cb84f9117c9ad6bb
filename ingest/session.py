"""What the events of a feed's lines mean: the core of ingest, without sockets and clocks.

A *line* is one connection of a feed, live or recorded. Whoever drives a session tells it when a line is opened, what frame
came at what time, when the line is lost and what time it is; each call returns the records to publish, in order. Live feeds,
replays and the simulated feed all go through here, so what is said of one holds for the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from ingest.books import Books, Followed
from ingest.feed import (
    FETCHED_BOOK,
    UNKNOWN_CHANNEL,
    BookParser,
    Counts,
    LoneParser,
    Parsed,
    Parser,
    SequencedParser,
    Subscription,
    UnsubscribingParser,
)
from ingest.marks import Marks, Missing, Stretch, numbered_by_sequence
from ingest.pulses import Pulses
from ingest.refusals import Refusal, RequestedParser
from ingest.rest_venue import Defined
from ingest.steady import Steady
from market.arbitration import Arbiter, Statement
from market.book_rules import BookRules
from market.dead_letter import DeadLetter
from market.depth import BookState, Depth
from market.errors import DataValidationError
from market.feed_status import FeedState, FeedStatus
from market.instrument_definition import InstrumentDefinition
from market.quote import Kline, Quote
from market.trade import GapMark, Trade
from schemas.records import Record

STAGE = "ingest"

LISTS = "instruments"
"""Channel of what the venue's lists say."""

UNSUBSCRIBED = "unsubscribed"
_BOOK_REASON = {BookState.SYNCING: "the book waits for its snapshot", BookState.LIVE: "the book is whole", BookState.GAP: ""}
_BEST_FIRST = (FeedState.LIVE, FeedState.GAP, FeedState.RESYNC, FeedState.STALE, FeedState.CONNECTING, FeedState.DOWN)
_OF_BOOK = {BookState.SYNCING: FeedState.RESYNC, BookState.LIVE: FeedState.LIVE, BookState.GAP: FeedState.GAP}


@dataclass(slots=True)
class _Line:
    name: str
    parser: Parser
    source: str | None
    steady: Steady
    pulses: Pulses
    states: dict[Subscription, FeedState] = field(default_factory=dict)
    refused_together: list[Subscription] = field(default_factory=list)
    traded: set[str] = field(default_factory=set)
    sequenced: frozenset[str] = frozenset()  # trade channels that are numbered by sequences
    is_retold_by_sequence: bool = True

    def read_by(self, parser: Parser) -> None:
        """Take another parser."""
        self.steady.forget()
        self.parser = parser
        self.steady.parse = parser.parse_lone if isinstance(parser, LoneParser) else parser.parse
        self.sequenced = frozenset(parser.sequenced if isinstance(parser, SequencedParser) else ())
        self.is_retold_by_sequence = not isinstance(parser, SequencedParser) or parser.is_retold_by_sequence

    def forgets(self, channel: str) -> bool:
        """Whether the trades of a channel have numbers with holes, or none: which were told is not remembered for long."""
        return channel not in self.sequenced and channel not in self.parser.contiguous

    def gaps_before(self, marks: Marks, channel: str, trade: Trade) -> list[GapMark] | None:
        """See `Marks.before`."""
        if channel in self.sequenced:
            retold_as = None if self.is_retold_by_sequence else trade
            return marks.before(numbered_by_sequence(trade), contiguous=True, retold_as=retold_as)
        return marks.before(trade, contiguous=channel in self.parser.contiguous)


class Session:
    """The lines of one feed and what was made of them.

    Several lines may tell of one stream: what they tell is merged by the trades' numbers, and the stream is in the best of the
    states it has on them.
    """

    def __init__(self, venue: str, heartbeats: Collection[str], *, once: bool = False, arbitrated: bool = False) -> None:
        """`once` leaves out trades that were told before: by a venue after connecting, or by a second line.

        `arbitrated` does so with what else venues state, where every stream has several lines.
        """
        self.venue = venue
        self._once = once
        self._arbiter = Arbiter() if arbitrated else None
        self.counts = Counts()
        self._heartbeats = frozenset(heartbeats)
        self._lines: dict[str, _Line] = {}
        self._told: dict[Subscription, tuple[FeedState, str]] = {}  # with the reason
        self._marks = Marks()
        self._books = Books()
        self._muted: set[Subscription] = set()
        self._defined: dict[str, InstrumentDefinition] = {}  # told last of each instrument
        self._refused_rows: set[bytes] = set()
        self._closed: dict[Subscription, int] = {}  # open time of the last kline that was told closed
        self._trade_channels: dict[str, str] = {}  # one an instrument: a second one would count its trades twice

    def add_line(self, name: str, parser: Parser, source: str | None = None, *, patience: int | None = None) -> None:
        """Make a line known, or give it another parser; its streams keep what is known of them.

        `source` is told with its states (see `market.feed_status.FeedStatus`). With `patience` (microseconds) its streams are
        judged each by itself (see `ingest.pulses` and `silent`).
        """
        known = self._lines.get(name)
        if known is None:
            steady = Steady(parser.parse, self.counts, self._heartbeats)
            known = self._lines[name] = _Line(name, parser, source, steady, Pulses(patience))
        known.read_by(parser)

    def has_line(self, name: str) -> bool:
        """Whether the line was added."""
        return name in self._lines

    def instruments(self) -> frozenset[str]:
        """Instruments with a stream that is not muted."""
        streams = (stream for line in self._lines.values() for stream in line.states)
        return frozenset(stream.instrument for stream in streams if stream not in self._muted)

    def unsubscriptions(self, name: str, subscriptions: Iterable[Subscription]) -> list[str] | None:
        """Frames that end streams of this line by what the venue called them on it, None where it has no such names."""
        parser = self._lines[name].parser
        return parser.unsubscriptions(subscriptions) if isinstance(parser, UnsubscribingParser) else None

    def silence(self, name: str, at: int) -> int:
        """Microseconds since market data last came on this line (since it was restored, if none came yet)."""
        last = self._lines[name].steady.last_data
        return 0 if last is None else at - last

    def heard_at(self, name: str) -> int | None:
        """When market data last came on this line, None if it never did."""
        return self._lines[name].steady.heard_at

    def excuse(self, name: str, at: int) -> None:
        """A line was not read up to now: no stream of it was silent."""
        self._lines[name].pulses.excuse(at)

    def silent(self, name: str, at: int) -> tuple[list[Subscription], list[Record]]:
        """Streams of a line that are silent while its others tell, which are told to be STALE until they are heard again.

        A trade that was missed meanwhile shows with the next one.
        """
        line, found, told = self._lines[name], list[Subscription](), list[Record]()
        if line.steady.last_data is None:
            return [], []
        for stream, duration in line.pulses.look(line.steady.last_data):
            if line.states.get(stream) not in (FeedState.LIVE, FeedState.STALE):
                continue
            found.append(stream)
            reason = f"nothing by {stream.channel} for {duration / 1e6:.0f} s, while other streams of the connection tell"
            told += self._tell(line, [stream], FeedState.STALE, reason, at)
            if self._trade_channels.get(stream.instrument) == stream.channel:
                self._marks.doubt([stream.instrument])
        line.steady.forget()
        return found, told

    def is_stale(self, name: str, stream: Subscription) -> bool:
        """Whether a stream is STALE on this line."""
        return self._lines[name].states.get(stream) is FeedState.STALE

    def is_down(self, stream: Subscription) -> bool:
        """Whether a stream was told to be down last, or nothing yet."""
        return self._told_state(stream) in (None, FeedState.DOWN)

    def unsynced(self) -> list[Followed]:
        """Books that need a snapshot; see `ingest.books.Books.unsynced`."""
        return self._books.unsynced()

    def book_of(self, instrument: str) -> Followed | None:
        """The book of an instrument, None while no stream tells of it."""
        return self._books.of(instrument)

    # events

    def connecting(self, name: str, subscriptions: Iterable[Subscription], at: int, reason: str) -> list[Record]:
        """A line is being opened for these streams."""
        subscriptions = list(subscriptions)
        self.unmute(subscriptions)
        return self._tell(self._lines[name], subscriptions, FeedState.CONNECTING, reason, at)

    def restored(self, name: str, at: int) -> list[Record]:
        """A line is open. Its streams are told to be live with their first message."""
        line = self._lines[name]
        line.refused_together.clear()
        if isinstance(line.parser, RequestedParser):
            line.parser.requested.clear()
        line.steady.last_data = at
        line.pulses.excuse(at)
        marks = self._marks.advance(at)  # before this line counts as up: it was not at the last full second
        self._marks.restored(line.traded & self._trade_channels.keys())
        return [*marks]

    def asked(self, name: str, number: int, streams: Sequence[Subscription]) -> None:
        """These streams, if any, are asked for on an open line, in the request of a number."""
        parser = self._lines[name].parser
        if isinstance(parser, RequestedParser):
            parser.requested.sent(number, streams)

    def refused_together(self, name: str) -> list[Subscription]:
        """Streams that are down because a request for several was refused, since this was last asked for."""
        line = self._lines[name]
        found, line.refused_together = line.refused_together, []
        return [stream for stream in found if line.states.get(stream) is FeedState.DOWN and stream not in self._muted]

    def received(self, name: str, frame: bytes, at: int) -> list[Record]:
        """A frame came on a line at this time."""
        line = self._lines[name]
        marks = self._marks.advance(at) if at >= self._marks.due else None
        try:
            told = line.steady.take(frame, at)
            records: list[Record] = self._read(line, frame, told, at) if isinstance(told, Parsed) else [told]
        except DataValidationError as error:
            channel = line.parser.channel_of(frame)
            self._doubt(line, channel)
            records = [self.refuse(channel, frame, error, at)]
        return [*marks, *records] if marks else records

    def answered(self, parsed: Parsed, at: int) -> list[Record]:
        """A REST request was answered. Order books are taken in, and trades that a gap mark told to be missing.

        Such trades are left out while no line tells of their stream: they would count as life of a line that is down.
        """
        told: list[Record] = []
        for record in parsed.records:
            if isinstance(record, Depth):
                told += self._fetched_book(record, at)
            elif isinstance(record, Trade) and self._is_missing(parsed.name, record):
                line = self._live_line(Subscription(record.instrument, parsed.name))
                if line is not None:
                    told += self._accepted(line, parsed.name, record._replace(origin="backfill"), at)
                    self.counts.backfilled += 1
        return told

    def defined(self, found: Iterable[Defined], at: int) -> list[Record]:
        """A list of the venue's instruments came: what it says otherwise than the one before, and rows that are wrong."""
        told: list[Record] = []
        for one in found:
            if isinstance(one, InstrumentDefinition):
                key, content = one.instrument, one._replace(received_at=0)
                if self._defined.get(key) != content:
                    self._defined[key] = content
                    self.counts.records[InstrumentDefinition] += 1
                    told.append(one)
            elif one.data not in self._refused_rows:
                self._refused_rows.add(one.data)
                told.append(self.refuse(LISTS, one.data, one.error, at))
        return told

    def polled(self, name: str, stream: Subscription, parsed: Parsed, at: int) -> list[Record]:
        """A line that asks instead of listening was answered about a stream; what it was told before is left out.

        So is a kline that was told closed already: the stream tells more of it, which the answer would replace.
        """
        line = self._lines[name]
        line.steady.last_data = line.steady.heard_at = at
        records: list[Record] = [*self._marks.advance(at)]
        if stream not in self._muted:
            records += self._tell(line, [stream], FeedState.LIVE, "the venue answers", at)
        for record in parsed.records:
            if isinstance(record, Kline) and record.open_time <= self._closed.get(stream, -1):
                self.counts.ignored[f"{parsed.name}, told before"] += 1
                continue
            if isinstance(record, Trade) and line.forgets(parsed.name) and self._marks.is_old(record):
                self.counts.ignored[f"{parsed.name}, told before"] += 1
                continue
            told = record._replace(origin="poll") if isinstance(record, Trade) else record
            records += self._accepted(line, parsed.name, told, at)
        return records

    def switched(self, streams: Iterable[Subscription], state: FeedState, reason: str, source: str, at: int) -> list[Record]:
        """These streams are served another way from now on: told whatever their state was.

        A better way is LIVE; a stream that it does not tell of yet has the best state that is known of it.
        """
        told: list[Record] = []
        for stream in streams:
            if stream not in self._muted:
                is_known = any(stream in line.states for line in self._lines.values())
                best = self._best_state(stream) if state is FeedState.LIVE and is_known else state
                told.append(self._status(stream, best, reason, at, source))
        return told

    def tell(self, name: str, stream: Subscription, state: FeedState, reason: str, at: int) -> list[Record]:
        """A stream is in this state on a line, by what the venue says of it."""
        return [] if stream in self._muted else self._tell(self._lines[name], [stream], state, reason, at)

    def missing(self) -> list[tuple[str, Missing]]:
        """Trades that gap marks tell to be missing, with the channel that tells of the instrument's trades; of live streams."""
        found = ((self._trade_channels[missing.instrument], missing) for missing in self._marks.missing())
        return [(channel, missing) for channel, missing in found if self._live_line(Subscription(missing.instrument, channel))]

    def stretches(self) -> list[tuple[str, Stretch]]:
        """Stretches of time of which trades may be missing, as `missing` where trades have no numbers without holes."""
        found = ((self._trade_channels[one.instrument], one) for one in self._marks.stretches())
        return [(channel, one) for channel, one in found if self._live_line(Subscription(one.instrument, channel))]

    def refilled(self, channel: str, stretch: Stretch, records: Iterable[Record]) -> list[Record] | None:
        """Trades of such a stretch were told again: those that had been missed; None while no line tells of their stream."""
        told: list[Record] = []
        if self._live_line(Subscription(stretch.instrument, channel)) is None:
            return None
        for record in records:
            if isinstance(record, Trade) and record.instrument == stretch.instrument and self._marks.refill(stretch, record):
                told.append(record._replace(origin="backfill"))
                self.counts.records[Trade] += 1
                self.counts.backfilled += 1
        return told

    def closed(self, stretch: Stretch, *, healed: bool) -> list[Record]:
        """Nothing more is asked of such a stretch; healed where all of it was told."""
        return [*self._marks.close(stretch, healed=healed)]

    def tick(self, at: int) -> list[Record]:
        """Time passed without a frame."""
        return [*self._marks.advance(at)]

    def lost(self, name: str, at: int, reason: str, *, state: FeedState = FeedState.DOWN) -> list[Record]:
        """A line is down, or cannot be trusted any more (STALE): its instruments get no time marks."""
        line = self._lines[name]
        line.steady.last_data = None
        self._marks.lost(line.traded - self._traded_beside(line))
        self._books.lost(line.states, name)
        if self._arbiter is not None:
            self._arbiter.lost(name)
        return self._tell(line, list(line.states), state, reason, at)

    def stopped(self, name: str, subscriptions: Iterable[Subscription], at: int, reason: str) -> list[Record]:
        """A line for these streams is not opened, on purpose.

        It is told as well of those of which nothing was told yet, and of those that were down for another reason.
        """
        line, streams = self._lines[name], list(subscriptions)
        told: list[Record] = [*self._tell(line, streams, FeedState.DOWN, reason, at)]
        for stream in streams:
            state, because = self._told[stream]
            if state is FeedState.DOWN and because != reason:
                told.append(self._status(stream, state, reason, at, line.source))
        return told

    def ended(self, name: str, at: int, reason: str) -> list[Record]:
        """The recording of a line ends: like `lost`, after a last time mark for its instruments."""
        return [*self._marks.finish(at, self._lines[name].traded), *self.lost(name, at, reason)]

    def unsubscribed(
        self, name: str, subscriptions: Iterable[Subscription], at: int, reason: str = UNSUBSCRIBED
    ) -> list[Record]:
        """Streams are not wanted any longer. Frames of theirs that are still on the way are left out."""
        gone = list(subscriptions)
        self.mute(gone)
        known = [stream for stream in gone if any(stream in line.states for line in self._lines.values())]
        for line in self._lines.values():
            line.pulses.forget(known)
            for stream in known:
                line.states.pop(stream, None)
        self._forget_steady()
        return self._tell(self._lines[name], known, FeedState.DOWN, reason, at)

    def refuse(self, channel: str, data: bytes, error: DataValidationError, at: int) -> DeadLetter:
        """What could not be taken in, as it came."""
        self.counts.refused(error)
        return DeadLetter(
            source=f"{self.venue}:{channel}",
            source_partition=None,
            source_offset=None,
            stage=STAGE,
            reason=error.reason,
            error=str(error),
            field=error.field,
            key=None,
            value=data,
            truncated=False,
            failed_at=at,
        )

    def mute(self, subscriptions: Iterable[Subscription]) -> None:
        """Leave out the records of these streams from now on; instruments whose trades are left out get no time marks."""
        for stream in subscriptions:
            self._muted.add(stream)
            self._forget_steady()
            if self._trade_channels.get(stream.instrument) == stream.channel:
                del self._trade_channels[stream.instrument]
                self._marks.lost([stream.instrument])
            self._books.lost([stream])

    def unmute(self, subscriptions: Iterable[Subscription]) -> None:
        """Take in these streams again."""
        self._muted.difference_update(subscriptions)
        self._forget_steady()

    # records

    def _traded_beside(self, line: _Line) -> set[str]:
        """Instruments whose trades another line tells as well."""
        return {
            instrument
            for other in self._lines.values()
            for instrument in (other.traded if other is not line else ())
            if other.states.get(Subscription(instrument, self._trade_channels.get(instrument, ""))) is FeedState.LIVE
        }

    def _live_line(self, stream: Subscription) -> _Line | None:
        return next((line for line in self._lines.values() if line.states.get(stream) is FeedState.LIVE), None)

    def _is_missing(self, channel: str, trade: Trade) -> bool:
        if self._trade_channels.get(trade.instrument) != channel:
            return False
        line = self._live_line(Subscription(trade.instrument, channel))
        by_sequence = line is not None and channel in line.sequenced
        return self._marks.is_missing(numbered_by_sequence(trade) if by_sequence else trade)

    def _read(self, line: _Line, frame: bytes, parsed: Parsed, at: int) -> list[Record]:
        self.counts.received[parsed.name] += 1
        if parsed.name not in self._heartbeats:
            line.steady.last_data = line.steady.heard_at = at
        if not parsed.records:
            self.counts.ignored[parsed.name] += 1
        records: list[Record] = []
        for fault in parsed.faults:
            if isinstance(fault, Refusal):
                records += self._refused(line, fault, frame, at)
            else:
                records.append(self.refuse(parsed.name, frame, fault, at))
        for instrument, state, reason in parsed.told:
            if state is FeedState.GAP:
                self._marks.doubt([instrument])
            else:
                records += self.tell(line.name, Subscription(instrument, parsed.name), state, reason, at)
        paused = {told.instrument for told in parsed.told if told.state is not FeedState.GAP}
        for record in parsed.records:
            records += self._accepted(line, parsed.name, record, at, paused)
        if len(parsed.records) == 1:
            self._note_steady(line, parsed.name, parsed.records[0])
        return records

    def _refused(self, line: _Line, refusal: Refusal, frame: bytes, at: int) -> list[Record]:
        """A request is a dead letter, and its streams are down; not one that is live: a stream that delivers is not refused.

        So it stays live for an answer to its unsubscription, or to a second subscription; where it ends, silence shows it.
        """
        channels = {stream.channel for stream in refusal.streams}
        channel = channels.pop() if len(channels) == 1 else line.parser.channel_of(frame)
        records: list[Record] = [self.refuse(channel, frame, refusal, at)]
        if len(refusal.streams) > 1:
            line.refused_together += refusal.streams
        for stream in refusal.streams:
            if line.states.get(stream) is not FeedState.LIVE:
                records += self.tell(line.name, stream, FeedState.DOWN, refusal.because, at)
        return records

    def _note_steady(self, line: _Line, channel: str, record: Record) -> None:
        """Remember a stream that is live, so that of its next records nothing needs to be looked up; see `ingest.steady`."""
        stream = Subscription(record.instrument, channel)  # type: ignore[union-attr]  # parsers give no dead letters
        if stream in self._muted or line.states.get(stream) is not FeedState.LIVE:
            return
        if isinstance(record, Quote):
            if self._arbiter is None:
                line.steady.note_quotes(*stream)
            return
        is_told = self._trade_channels.get(stream.instrument) == channel
        if is_told and channel in line.parser.contiguous and channel not in line.sequenced:
            line.steady.note_trades(*stream, self._marks.continuity(stream.instrument))

    def _forget_steady(self) -> None:
        """Something has changed: what is remembered of live streams may hold no longer."""
        for line in self._lines.values():
            line.steady.forget()

    def _accepted(self, line: _Line, channel: str, record: Record, at: int, paused: Collection[str] = ()) -> list[Record]:
        """`paused` are instruments whose streams are not live, whatever comes."""
        stream = Subscription(record.instrument, channel)  # type: ignore[union-attr]  # parsers give no dead letters
        line.pulses.heard(stream, at)
        if stream in self._muted:
            self.counts.ignored[channel] += 1
            return self._tell(line, [stream], FeedState.DOWN, UNSUBSCRIBED, at)
        if isinstance(record, Depth):
            return self._fetched_book(record, at) if channel == FETCHED_BOOK else self._depth(line, stream, record, at)
        if isinstance(record, Trade) and self._trade_channels.setdefault(record.instrument, channel) != channel:
            self.counts.ignored[f"{channel} beside {self._trade_channels[record.instrument]}"] += 1
            return []
        records: list[Record] = []
        if line.states.get(stream) is not FeedState.LIVE and stream.instrument not in paused:
            records += self._tell(line, [stream], FeedState.LIVE, "data is coming in", at)
        if isinstance(record, Trade):
            line.traded.add(record.instrument)
            gaps = line.gaps_before(self._marks, channel, record)
            if gaps is None and self._once:
                self.counts.ignored[f"{channel}, told before"] += 1
                return records
            records += self._gap_told(line, stream, gaps or (), at)
            records += gaps or ()
        elif self._arbiter is not None and isinstance(record, Statement) and not self._arbiter.is_news(line.name, record):
            self.counts.ignored[f"{channel}, told before"] += 1
            return records
        if isinstance(record, Kline) and record.is_closed:
            self._closed[stream] = max(record.open_time, self._closed.get(stream, record.open_time))
        self.counts.records[type(record)] += 1
        records.append(record)
        return records

    def _depth(self, line: _Line, stream: Subscription, depth: Depth, at: int) -> list[Record]:
        """A message about a book, by the first channel that told of it: two would have sequences of their own."""
        followed = self._books.of(depth.instrument)
        early: list[Depth] = []
        if followed is None or followed.line is None:
            early = self._books.attach(stream, line.name, _book_rules(line.parser, stream.channel))
        elif (followed.line, followed.stream) != (line.name, stream):
            self.counts.ignored[f"{stream.channel} beside {followed.stream.channel}"] += 1
            return []
        return self._booked(line, stream, early, at) + self._booked(line, stream, self._taken(stream, depth), at)

    def _taken(self, stream: Subscription, depth: Depth) -> list[Depth]:
        told = self._books.take(depth)
        if not told:
            self.counts.ignored[f"{stream.channel}, old"] += 1
        return told

    def _fetched_book(self, depth: Depth, at: int) -> list[Record]:
        told = self._books.take_fetched(depth)
        followed = self._books.of(depth.instrument)
        if followed is None or followed.line is None:
            return []
        return self._booked(self._lines[followed.line], followed.stream, told, at)

    def _booked(self, line: _Line, stream: Subscription, told: Iterable[Depth], at: int) -> list[Record]:
        """What a book made of a message, after its state where that has changed."""
        followed = self._books.of(stream.instrument)
        records: list[Record] = []
        for depth in told:
            reason = (followed.book.fault if followed else None) or _BOOK_REASON[depth.state]
            records += self._tell(line, [stream], _OF_BOOK[depth.state], reason, at)
            records.append(depth)
            self.counts.records[Depth] += 1
        return records

    def _doubt(self, line: _Line, refused: str) -> None:
        """A refused frame may have been a trade. Ids without holes would show that one is missing; others cannot."""
        channels = ((instrument, self._trade_channels[instrument]) for instrument in line.traded & self._trade_channels.keys())
        self._marks.doubt(
            instrument
            for instrument, channel in channels
            if refused in (channel, UNKNOWN_CHANNEL) and channel not in {*line.parser.contiguous, *line.sequenced}
        )

    def _gap_told(self, line: _Line, stream: Subscription, gaps: Iterable[GapMark], at: int) -> list[Record]:
        records: list[Record] = []
        for gap in gaps:
            if gap.begin is not None and not gap.healed:
                reason = f"trades may be missing between {gap.begin} and {gap.end}"
                records += self._tell(line, [stream], FeedState.GAP, reason, at)
                records += self._tell(line, [stream], FeedState.LIVE, "data is coming in again", at)
        return records

    def _tell(self, line: _Line, streams: Iterable[Subscription], state: FeedState, reason: str, at: int) -> list[Record]:
        told: list[Record] = []
        for stream in streams:
            if line.states.get(stream) is state:
                continue
            line.states[stream] = state
            self._forget_steady()
            best = self._best_state(stream)
            if self._told_state(stream) is not best:
                told.append(self._status(stream, best, reason, at, line.source))
        return told

    def _status(self, stream: Subscription, state: FeedState, reason: str, at: int, source: str | None) -> FeedStatus:
        self._told[stream] = (state, reason)
        return FeedStatus(self.venue, stream.channel, stream.instrument, state, reason, at, source=source)

    def _told_state(self, stream: Subscription) -> FeedState | None:
        return self._told[stream][0] if stream in self._told else None

    def _best_state(self, stream: Subscription) -> FeedState:
        found = {line.states.get(stream) for line in self._lines.values()}
        return next(state for state in _BEST_FIRST if state in found)


def _book_rules(parser: Parser, channel: str) -> BookRules:
    if not isinstance(parser, BookParser):
        raise DataValidationError("unknown_book_rules", f"nothing says how books of {channel} are kept")
    return parser.book_rules(channel)
