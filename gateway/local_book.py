"""Order books on the client's side, kept from `book_data` messages, and asked for again when one was missed.

books = LocalBooks(client)
await books.follow("BTC/USDT")
async for message in client:
    if (book := await books.take(message)) is not None and book.is_live:
        print(book.bids.top, book.asks.top)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.client import GatewayClient
from market.book_side import BookSide
from market.decimals import parse_decimal
from market.depth import Level

Message = dict[str, Any]


class LocalBook:
    """The book of one instrument; prices and sizes are unscaled at scale 12."""

    def __init__(self) -> None:
        self.bids = BookSide(is_bid=True)
        self.asks = BookSide(is_bid=False)
        self.is_live = False
        """Whether it is the venue's book."""
        self.sequence: int | None = None
        self._offset: int | None = None
        self._lost = False

    def take(self, message: Message) -> bool:
        """Take a message in; False when it shows that one was missed, so that only a snapshot helps, which is said once."""
        data, offset = message["data"], message["metadata"]["offset"]
        if data["kind"] == "SNAPSHOT":
            self.bids.replace(_levels(data["bids"]))
            self.asks.replace(_levels(data["asks"]))
            self._lost = False
        elif self._lost:
            return True
        elif self._offset is not None and offset <= self._offset:
            return True  # it is in the book already
        elif data["previous_offset"] != self._offset and data["state"] == "LIVE":
            self.miss()
            return False
        else:
            for side, levels in ((self.bids, data["bids"]), (self.asks, data["asks"])):
                for level in _levels(levels):
                    side.put(level)
        self._offset, self.sequence = offset, data["sequence"]
        self.is_live = data["state"] == "LIVE"
        return True

    def miss(self) -> None:
        """Messages were left out: it is not the venue's book until the next snapshot."""
        self.is_live = False
        self._lost = True


class LocalBooks:
    """The books that a client follows, by instrument."""

    def __init__(self, client: GatewayClient) -> None:
        self._client = client
        self.books: dict[str, LocalBook] = {}
        self.resyncs = 0

    async def follow(self, symbol: str) -> None:
        """Follow the book of a symbol. Raises as the client's `subscribe`."""
        await self._client.subscribe(symbol, ["BOOK"])

    async def take(self, message: Message) -> LocalBook | None:
        """Take a message of the client in; the book it changed. One that missed something is asked for again."""
        data = message["data"]
        if message["type"] == "gap" and data["data_type"] == "BOOK":
            book = self.books.setdefault(data["instrument"], LocalBook())
            book.miss()
            await self._resync(data["instrument"])
            return book
        if message["type"] != "book_data":
            return None
        book = self.books.setdefault(data["instrument"], LocalBook())
        if not book.take(message):
            await self._resync(data["instrument"])
        return book

    async def _resync(self, instrument: str) -> None:
        self.resyncs += 1
        await self._client.subscribe(instrument, ["BOOK"])


def _levels(texts: Iterable[tuple[str, str]]) -> list[Level]:
    return [Level(parse_decimal(price, field="price"), parse_decimal(size, field="size")) for price, size in texts]
