"""Messages about order books to their best levels, at a rate bounded by the records' own time.

The whole book of each instrument is stored. After a crash between the two tables some pages may reflect later messages than
the book's head. Reading again from the head's offset makes them right, since sizes are absolute; meanwhile nothing is told,
since tables are written after all that was told up to their offsets.

A message that is missing, because it expired unread or was refused, puts a book in GAP until its next whole snapshot.
"""

from __future__ import annotations

from market.book_tops import BookTops, TopRules
from market.depth import Depth, Level
from market.errors import DataValidationError
from market.instrument import check_instrument
from processors.batch import Batch, Refusal, SourceRecord
from processors.book_pages import PAGES, PagedSide
from processors.computation import Computation, Effects, Scope
from processors.outputs import message_of
from processors.states.books import (
    decode_book_head,
    decode_levels_page,
    decode_reached,
    encode_book_head,
    encode_levels_page,
    encode_reached,
)
from runtime.settings import ProcessorSettings
from schemas.topics import BOOKS, DEPTH

LEVELS, HEADS = "book-levels", "books"
SIDES = "bids", "asks"


class BooksFold:
    """The books of one partition; all that were met are held in memory."""

    def __init__(self, scope: Scope, rules: TopRules) -> None:
        self._scope = scope
        self._rules = rules
        self._books: dict[str, BookTops[PagedSide]] = {}
        self._changed: set[str] = set()
        self._reached_key = f"{DEPTH.name}|{scope.partition}"
        self._reached = decode_reached(scope.tables[HEADS].get(self._reached_key))
        self._known = self._reached.offset
        self._effects = Effects()

    def known(self, topic: str) -> int:
        """Highest offset that the values read from the tables had taken in."""
        return self._known

    def fold(self, batch: Batch) -> None:
        """Take in a batch. Raises SchemaNotLearnt."""
        in_order = batch.in_order(self._scope.codec, self._scope.max_skew)
        self._reached = self._reached.advanced(batch.first_offset, batch.last_offset)
        for found in in_order:
            if isinstance(found, Refusal):
                self._refuse(batch, found)
            else:
                self._apply(found)

    def take(self) -> Effects:
        """Tops in the order of their messages; the touched pages and the heads of the books that changed are stored."""
        tables = self._scope.tables
        for instrument in self._changed:
            book = self._books[instrument]
            for name, side in zip(SIDES, (book.bids, book.asks), strict=True):
                for number, encoded in side.take_touched():
                    page = encode_levels_page(book.reflected_offset, encoded)
                    tables[LEVELS].put(_page_key(instrument, name, number), page)
            tables[HEADS].put(instrument, encode_book_head(book.head))
        tables[HEADS].put(self._reached_key, encode_reached(self._reached))
        self._changed.clear()
        effects, self._effects = self._effects, Effects()
        return effects

    def _apply(self, source: SourceRecord) -> None:
        depth, raw = source
        if not isinstance(depth, Depth):
            return
        book = self._of(depth.instrument)
        top = book.apply(depth, raw.offset)
        self._changed.add(depth.instrument)
        if top is not None:
            self._effects.outputs.append(message_of(BOOKS, top, self._scope.codec, self._scope.partitions))

    def _refuse(self, batch: Batch, refusal: Refusal) -> None:
        self._effects.refuse(batch, refusal)
        instrument = self._kept_under(refusal.raw.key)
        if instrument is not None:
            self._of(instrument).miss(refusal.raw.offset)
            self._changed.add(instrument)

    def _kept_under(self, key: bytes | None) -> str | None:
        """The instrument that a record's key names, if it has a book here."""
        try:
            instrument = check_instrument((key or b"").decode())
        except (UnicodeDecodeError, DataValidationError):
            return None
        is_kept = instrument in self._books or self._scope.tables[HEADS].get(instrument) is not None
        return instrument if is_kept else None

    def _of(self, instrument: str) -> BookTops[PagedSide]:
        book = self._books.get(instrument)
        if book is None:
            book = self._books[instrument] = self._read(instrument)
            self._known = max(self._known, book.reflected_offset)
        book.miss(self._reached.resumed_at - 1)
        return book

    def _read(self, instrument: str) -> BookTops[PagedSide]:
        """A book as it is stored."""
        tables, settled, sides = self._scope.tables, -1, list[PagedSide]()
        for name in SIDES:
            levels: list[Level] = []
            for number in range(PAGES):
                page = tables[LEVELS].get(_page_key(instrument, name, number))
                if page is not None:
                    reflected, found = decode_levels_page(page)
                    settled = max(settled, reflected)
                    levels += found
            sides.append(PagedSide(is_bid=name == SIDES[0], levels=levels))
        head = decode_book_head(tables[HEADS].get(instrument))
        source = DEPTH.name, self._scope.partition
        return BookTops(instrument, head, *sides, source=source, rules=self._rules, settled=settled)


def _page_key(instrument: str, side: str, number: int) -> str:
    return f"{instrument}|{side}|{number}"


def build(settings: ProcessorSettings) -> Computation:
    """The computation as configured."""
    books = settings.books
    rules = TopRules(books.levels, round(books.seconds * 1e6))
    return Computation((DEPTH,), (BOOKS,), (LEVELS, HEADS), lambda scope: BooksFold(scope, rules))
