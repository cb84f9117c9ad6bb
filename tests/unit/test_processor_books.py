"""The agent of order books over plain dictionaries: any batches, any crash, the same tops; recorded books told as they were."""

import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.book import Book
from market.book_rules import BookRules
from market.book_top import BookTop, top_of
from market.decimals import ONE
from market.depth import BookState, Depth, DepthKind, Level
from processors.agents import books
from processors.agents.books import HEADS, LEVELS, BooksFold
from processors.batch import RawRecord
from processors.book_pages import page_of
from processors.computation import Scope
from processors.tables import TableView, is_newer
from processors.transport.packing import messages_of
from runtime.settings import ProcessorSettings
from schemas.records import Record
from tests.builders import INSTRUMENT, START
from tests.counted import show
from tests.folding import CODEC, MAX_SKEW, Runner, batch_of, raw_of, told
from tests.ingest_parts import SAMPLE, played_files
from tests.venue_data import BITGET, GATEIO, KRAKEN, OKX, recorded

INSTRUMENTS = INSTRUMENT, "binance:ETH-USDT"
TOPIC = "md.depth"
PRICES = [price * ONE for price in (60_000, 60_001, 60_002, 60_500, 61_000, 1)]
POISON = b"no message"


def settings(**books_: float) -> ProcessorSettings:
    return ProcessorSettings.model_validate({"books": books_})


@st.composite
def messages(draw: st.DrawFn) -> list[RawRecord]:
    """The records of a partition: books of two instruments in all states, some refused, receive times that mostly rise."""
    shuffler, at, found = draw(st.randoms(use_true_random=False)), START, list[RawRecord]()
    for offset in range(draw(st.integers(1, 60))):
        at += shuffler.choice([0, 30_000, 30_000, 60_000, 150_000, -40_000])
        state = shuffler.choices([BookState.LIVE, BookState.GAP, BookState.SYNCING], [12, 1, 1])[0]
        kind = shuffler.choices([DepthKind.DELTA, DepthKind.SNAPSHOT], [6, 1])[0]
        bids, asks = (
            tuple(Level(price, shuffler.randint(0, 2) * ONE) for price in shuffler.sample(PRICES, shuffler.randint(0, 4)))
            for _ in range(2)
        )
        instrument = shuffler.choice(INSTRUMENTS)
        depth = Depth(instrument, kind, bids, asks, None, offset, None, None, at - 1, at, state)
        raw = raw_of(depth, offset, topic=TOPIC)
        found.append(raw._replace(value=POISON) if shuffler.random() < 0.03 else raw)
    return found


class Worker:
    """Works on one partition, is killed and begins again with what was stored; every top told is remembered by its offset.

    `on_recovery_newest`: what is stored is a changelog, of which recovery takes the value of the highest offset; else it is the
    store on disk, which has the last one written.
    """

    def __init__(self, *, on_recovery_newest: bool) -> None:
        self.told: dict[int, bytes | None] = {}
        self.stored: dict[str, dict[str, bytes]] = {LEVELS: {}, HEADS: {}}
        self.acknowledged = self.folded = 0
        self._newest = on_recovery_newest
        self.open()

    def open(self) -> None:
        self._views = {name: self._view(self.stored[name]) for name in self.stored}
        fold = books.build(settings()).begin(Scope(3, self._views, CODEC, 4, MAX_SKEW))
        assert isinstance(fold, BooksFold)
        self.fold = fold
        self._published: list[int] = []  # offsets up to which commits reach that are not stored

    def _view(self, stored: Mapping[str, bytes]) -> TableView:
        return TableView(lambda key: stored.get(key.decode()))

    def read(self, raw: Sequence[RawRecord], until: int) -> None:
        if self.folded < until:
            self.fold.fold(batch_of(raw[self.folded : until], topic=TOPIC))
            self.folded = until

    def publish(self) -> None:
        for message in messages_of(self.fold.take().outputs):
            top = CODEC.decode(message.value)
            assert isinstance(top, BookTop)
            assert self.told.setdefault(top.source_offset, message.value) == message.value
        for view in self._views.values():
            view.seal()
        self._published.append(self.folded)

    def store(self, commits: int, shuffler: random.Random | None = None) -> bool:
        """Store the oldest commits; with a shuffler only part of what they write arrives, and nothing is acknowledged."""
        commits = min(commits, len(self._published))
        for name in (LEVELS, HEADS):
            writes = list(self._views[name].sealed(commits).items())
            arrived = writes if shuffler is None else shuffler.sample(writes, shuffler.randint(0, len(writes)))
            for key, value in arrived:
                assert value is not None
                if not self._newest or is_newer(value, self.stored[name].get(key)):
                    self.stored[name][key] = value
            if len(arrived) < len(writes):
                return False
        if commits:
            self.acknowledged = self._published[commits - 1]
            del self._published[:commits]
        for view in self._views.values():
            view.landed(commits)
        return True

    def waiting(self, name: str) -> Mapping[str, bytes | None]:
        """What commits that are published and not stored have for a table."""
        return self._views[name].sealed(len(self._published))

    def crash(self, again: int) -> None:
        """Begin again, with up to so many records that were acknowledged already."""
        self.folded = max(0, self.acknowledged - again)
        self.open()

    def book(self, instrument: str) -> list[list[Level]]:
        """The levels it has of an instrument."""
        book = self.fold._of(instrument)  # no message may be needed for that
        return [list(book.bids), list(book.asks)]

    def all_told(self) -> dict[int, bytes | None]:
        return dict(sorted(self.told.items()))


def whole(raw: Sequence[RawRecord]) -> Worker:
    worker = Worker(on_recovery_newest=False)
    worker.read(raw, len(raw))
    worker.publish()
    worker.store(1)
    return worker


def books_of(worker: Worker) -> dict[str, list[list[Level]]]:
    """The levels that a worker finds who begins with what is stored."""
    worker.open()
    return {instrument: worker.book(instrument) for instrument in INSTRUMENTS}


@given(messages(), st.integers(1, 20))
def test_tops_and_books_do_not_depend_on_batches_nor_on_storing_between_them(raw: list[RawRecord], size: int) -> None:
    expected, parts = whole(raw), Worker(on_recovery_newest=False)
    for until in range(size, len(raw) + size, size):
        parts.read(raw, min(until, len(raw)))
        parts.publish()
        parts.store(1)
    assert parts.all_told() == expected.all_told()
    assert books_of(parts) == books_of(expected)


@given(messages(), st.randoms(use_true_random=False), st.booleans())
def test_worker_killed_while_it_stores_tells_the_same_tops_and_has_the_same_books(
    raw: list[RawRecord], shuffler: random.Random, on_recovery_newest: bool
) -> None:
    """Commits are published ahead of storing; a crash leaves some of the pages, or all of them and some of the heads."""
    expected, worker = whole(raw), Worker(on_recovery_newest=on_recovery_newest)
    for _ in range(shuffler.randint(0, 25)):
        worker.read(raw, min(len(raw), worker.folded + shuffler.randint(0, 8)))
        worker.publish()
        fate = shuffler.random()
        if fate < 0.3:
            worker.store(shuffler.randint(1, 3))
        elif fate < 0.7:
            if fate < 0.6:
                worker.store(shuffler.randint(1, 3), shuffler)
            worker.crash(shuffler.randint(0, 5))
    worker.read(raw, len(raw))
    worker.publish()
    worker.store(100)
    assert worker.all_told() == expected.all_told()
    assert books_of(worker) == books_of(expected)


def test_nothing_is_told_from_pages_that_are_ahead_of_their_head() -> None:
    """The first worker dies between its pages and its head, the second one after storing a part of what it read again."""
    first, second = PRICES[:2]
    assert page_of(first) == page_of(second)
    sizes = [(1, 1), (2, 1), (3, 1), (3, 2)]
    found = [
        Depth(
            INSTRUMENT,
            DepthKind.DELTA if number else DepthKind.SNAPSHOT,
            [Level(first, size * ONE), Level(second, other * ONE)],
            [],
            None,
            number,
            None,
            None,
            None,
            START + number * 100_000,
            BookState.LIVE,
        )
        for number, (size, other) in enumerate(sizes)
    ]
    found[1:3] = [depth._replace(bids=depth.bids[:1]) for depth in found[1:3]]
    raw = [raw_of(depth, offset, topic=TOPIC) for offset, depth in enumerate(found)]
    worker = Worker(on_recovery_newest=False)
    for until in (1, 4):
        worker.read(raw, until)
        worker.publish()
        if until == 1:
            assert worker.store(1)
    assert len(worker.told) == 4
    worker.stored[LEVELS] |= {key: value or b"" for key, value in worker.waiting(LEVELS).items()}
    worker.crash(0)
    worker.read(raw, 2)
    assert worker.fold.known(TOPIC) == 3
    worker.publish()
    assert worker.store(1)
    worker.crash(0)
    worker.read(raw, 3)
    assert worker.fold.known(TOPIC) == 3
    worker.publish()  # would fail if the third message were told with the fourth's level
    worker.read(raw, 4)
    worker.publish()
    worker.store(2)
    assert worker.all_told() == whole(raw).all_told()
    assert books_of(worker) == books_of(whole(raw))


def test_expired_records_put_the_books_in_gap_until_their_snapshots() -> None:
    runner = Runner(books.build(settings()))
    snapshot = Depth(INSTRUMENT, DepthKind.SNAPSHOT, [Level(ONE, ONE)], [], None, 0, None, None, None, START, BookState.LIVE)
    delta = snapshot._replace(kind=DepthKind.DELTA, received_at=START + 100_000)
    other = [record._replace(instrument=INSTRUMENTS[1]) for record in (snapshot, delta)]
    runner.batch([snapshot, other[0]], TOPIC)
    runner.offsets[TOPIC] += 5
    assert [(top.instrument, top.state.value) for top in told(runner.batch([delta], TOPIC))] == [(INSTRUMENT, "GAP")]
    runner.open()
    after = [other[1], *[each._replace(received_at=START + 200_000) for each in (snapshot, delta, other[0])]]
    assert [(top.instrument, top.state.value) for top in told(runner.batch(after, TOPIC))] == [
        (INSTRUMENTS[1], "GAP"),
        (INSTRUMENT, "LIVE"),
        (INSTRUMENTS[1], "LIVE"),
    ]


@pytest.mark.parametrize("key", [b"", b"\xff", b"md.depth|3", b"binance:NOT-MET", INSTRUMENT.encode()])
def test_refused_record_goes_to_the_dead_letters_and_the_book_under_its_key_is_in_gap(key: bytes) -> None:
    runner = Runner(books.build(settings()))
    snapshot = Depth(INSTRUMENT, DepthKind.SNAPSHOT, [Level(ONE, ONE)], [], None, 0, None, None, None, START, BookState.LIVE)
    delta = raw_of(snapshot._replace(kind=DepthKind.DELTA, received_at=START + 100_000), 2, topic=TOPIC)
    raw = [raw_of(snapshot, 0, topic=TOPIC), RawRecord(1, START // 1000, key, POISON), delta]
    runner.fold.fold(batch_of(raw, topic=TOPIC))
    effects = runner.commit()
    assert [(refusal.raw.offset, refusal.topic) for refusal in effects.refusals] == [(1, TOPIC)]
    is_hit = key == INSTRUMENT.encode()
    assert [top.state.value for top in told(effects)] == ["LIVE", "GAP" if is_hit else "LIVE"]
    assert set(runner.tables[HEADS]) == {INSTRUMENT, "md.depth|3"}


def test_levels_and_period_come_from_the_settings() -> None:
    levels = [Level(price * ONE, ONE) for price in range(1, 30)]
    first = Depth(INSTRUMENT, DepthKind.SNAPSHOT, levels, [], None, 0, None, None, None, START, BookState.LIVE)
    later = [first._replace(received_at=START + number * 400_000) for number in range(5)]
    tops = told(Runner(books.build(settings(levels=3, seconds=1))).batch(later, TOPIC))
    assert [(len(top.bids), top.received_at - START) for top in tops] == [(3, 0), (3, 1_200_000)]


def rebuilt(depths: Sequence[Depth], partition: int) -> dict[int, BookTop]:
    """The top after each message, of books that `market.book` rebuilds from the same messages, by offset."""
    found, rebuilt_ = dict[int, BookTop](), dict[str, Book]()
    for offset, depth in enumerate(depths):
        book = rebuilt_.setdefault(depth.instrument, Book(BookRules()))
        if depth.state is BookState.LIVE:
            book.apply(depth)
        source = TOPIC, partition, offset
        found[offset] = top_of(book, instrument=depth.instrument, received_at=depth.received_at, source=source)
    return found


@pytest.mark.parametrize(
    ("records", "messages", "tops"),
    [
        pytest.param(lambda: played_files(*SAMPLE[:1]), 3_457, 3_450, id="binance"),
        pytest.param(lambda: recorded("okx", *OKX)[0], 290, 290, id="okx"),
        pytest.param(lambda: recorded("kraken", *KRAKEN)[0], 506, 506, id="kraken"),
        pytest.param(lambda: recorded("bitget", *BITGET)[0], 112, 112, id="bitget"),
        pytest.param(lambda: recorded("gateio", *GATEIO)[0], 178, 178, id="gateio"),
    ],
)
def test_tops_of_recorded_books_are_those_of_the_books_rebuilt_at_the_same_messages(
    capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest, records: object, messages: int, tops: int
) -> None:
    assert callable(records)
    found: list[Record] = records()
    depths = [record for record in found if isinstance(record, Depth)]
    runner, told_ = Runner(books.build(settings(seconds=0.000001))), list[BookTop]()
    for begin in range(0, len(depths), 293):
        told_ += told(runner.batch(depths[begin : begin + 293], TOPIC))
        runner.open()  # what follows begins with what is stored
    expected = rebuilt(depths, 3)
    assert told_ == [expected[top.source_offset] for top in told_]
    full = sum(len(top.bids) == len(top.asks) == 20 for top in told_)
    venue = request.node.callspec.id
    show(capsys, f"{venue}: {len(told_)} tops of {len(depths)} messages are those of the rebuilt books, {full} with 20 levels")
    assert (len(depths), len(told_)) == (messages, tops)
