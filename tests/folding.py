"""Computations over plain dictionaries: records in, effects and stored values out, with no broker."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from market.book_top import BookTop
from market.depth import Depth
from market.portfolio import Portfolio
from market.trade import GapMark, TimeMark
from processors.batch import Batch, RawRecord
from processors.computation import Computation, Effects, Scope
from processors.tables import TableView
from processors.transport.packing import messages_of
from schemas.codec import Codec
from schemas.depth_decoding import decode_depth
from schemas.depth_encoding import encode_book_top, encode_depth
from schemas.portfolio_encoding import encode_portfolio
from schemas.records import Record
from schemas.topics import TOPICS, TRADES

CARRIED = [(topic.name, kind) for topic in TOPICS.values() for kind in topic.records]
CODEC = Codec({carried: 100 + number for number, carried in enumerate(CARRIED)}, lambda schema_id: None)
CODEC.encode_with(Depth, encode_depth)
CODEC.encode_with(BookTop, encode_book_top)
CODEC.encode_with(Portfolio, encode_portfolio)
CODEC.decode_with(Depth, decode_depth)
MAX_SKEW = 5_000_000


def raw_of(
    record: Record,
    offset: int = 0,
    *,
    key: bytes | None = None,
    appended_at: int | None = None,
    topic: str = TRADES.name,
) -> RawRecord:
    """A record as it lies in its topic, appended at its own time unless told otherwise (microseconds)."""
    at = time_of(record) if appended_at is None else appended_at
    return RawRecord(offset, at // 1000, place_of(record, topic) if key is None else key, CODEC.encode(topic, record))


def place_of(record: Record, topic: str) -> bytes:
    """The key of a record in a topic."""
    return TOPICS[topic].place(record)[0]


def time_of(record: Record) -> int:
    """When the record was made."""
    if isinstance(record, TimeMark):
        return record.time
    if isinstance(record, GapMark):
        return record.end
    return int(getattr(record, "received_at", 0) or getattr(record, "issued_at", 0))


def batch_of(
    raw: Sequence[RawRecord],
    partition: int = 3,
    *,
    generation: int = 1,
    previous: int | None = None,
    topic: str = TRADES.name,
) -> Batch:
    """A batch of these records."""
    first, last = (raw[0].offset, raw[-1].offset) if raw else (0, -1)
    return Batch(topic, partition, [raw], first, last, generation, previous)


def told(*effects: Effects) -> list[Any]:
    """The records that are to be published, in the order of each topic and partition."""
    return [CODEC.decode(message.value) for one in effects for message in messages_of(one.outputs)]


class Runner:
    """Folds batches of one partition and stores what comes of them, as the loop does at each commit."""

    def __init__(self, computation: Computation, *, compiled: bool = True, partition: int = 3) -> None:
        self.tables: dict[str, dict[str, bytes]] = {name: {} for name in computation.tables}
        self.offsets: Counter[str] = Counter()
        self.computation = computation
        self._compiled = compiled
        self._partition = partition
        self.open()

    def open(self) -> None:
        """Begin (anew) with what is stored, as after a crash."""
        self._views = {name: self._view(name) for name in self.tables}
        self.fold = self.computation.begin(Scope(self._partition, self._views, CODEC, 4, MAX_SKEW, self._compiled))

    def _view(self, name: str) -> TableView:
        return TableView(lambda key: self.tables[name].get(key.decode()))

    def batch(self, records: Sequence[Record], topic: str = TRADES.name) -> Effects:
        """Fold records at the next offsets of their topic and commit."""
        self.take_in(records, topic)
        return self.commit()

    def take_in(self, records: Sequence[Record], topic: str = TRADES.name) -> None:
        """Fold records at the next offsets of their topic."""
        first = self.offsets[topic]
        raw = [raw_of(record, first + number, topic=topic) for number, record in enumerate(records)]
        self.fold.fold(batch_of(raw, self._partition, topic=topic))
        self.offsets[topic] += len(records)

    def commit(self, *tables: str) -> Effects:
        """Take what came of the records since the last commit; store what is to be stored, into `tables` or all of them."""
        effects = self.fold.take()
        for name, view in self._views.items():
            view.seal()
            for key, value in view.sealed(1).items():
                if tables and name not in tables:
                    continue
                if value is None:
                    self.tables[name].pop(key, None)
                else:
                    self.tables[name][key] = value
            view.landed(1)
        return effects

    def crash(self, kept: Callable[[str], bool], *, deleting: bool = True) -> Effects:
        """Die in a commit: all is published, of each table only the kept keys are stored; then begin anew.

        Without `deleting` it dies before anything is deleted.
        """
        effects = self.fold.take()
        for name, view in self._views.items():
            view.seal()
            written = {key: value for key, value in view.sealed(1).items() if kept(key)}
            self.tables[name] |= {key: value for key, value in written.items() if value is not None}
            for key in [key for key, value in written.items() if value is None and deleting]:
                self.tables[name].pop(key, None)
        self.open()
        return effects
