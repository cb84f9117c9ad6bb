"""How the local exchange speaks as one venue does: written from the venue's documentation, apart from what is tested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from tests.exchange.books import LocalBook


class ClientRequest(NamedTuple):
    """What a client asks for, and what it is answered at once."""

    subscribes: bool
    topics: Sequence[str]
    answers: Sequence[str]


class Dialect(Protocol):
    """The language of one venue."""

    greetings: Sequence[str]
    """What a client is told when it connects."""
    chatter: str
    """A frame that is no market data."""

    def topic(self, frame: bytes) -> str | None:
        """Topic of a recorded frame of market data; None for anything else."""

    def request(self, message: str) -> ClientRequest:
        """What a client's message asks for."""

    def pong(self, message: str) -> str | None:
        """The answer to a client's heartbeat, None for other messages."""

    def keep_book(self, books: dict[str, LocalBook], frame: bytes) -> None:
        """Take a frame into the book of its topic."""

    def keep_answer(self, books: dict[str, LocalBook], url: str, body: bytes) -> None:
        """Take a recorded REST answer that is a book as the book of its topic."""

    def snapshots(self, topic: str, book: LocalBook) -> Sequence[str]:
        """What who subscribes to a topic with a book is sent first."""

    def told_again(self, topic: str, happened: Sequence[bytes]) -> Sequence[str]:
        """What who subscribes to a topic is told again of what happened before."""

    def answer(
        self, path: str, query: Mapping[str, str], books: Mapping[str, LocalBook], happened: Sequence[bytes]
    ) -> bytes | None:
        """The answer to a REST request."""
