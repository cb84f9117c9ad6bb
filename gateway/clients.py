"""The connected clients, and when the time of each one's token is over."""

from __future__ import annotations

import heapq
import itertools
import weakref
from collections.abc import Callable, Collection, Iterator
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from gateway.close_codes import CloseCode
from gateway.connections import ConnectionStats
from gateway.outbox import Outbox
from gateway.session import Session

if TYPE_CHECKING:
    from gateway.publisher import Publisher
    from gateway.replay.replay import Replay

_ENDS_KEPT = 100


class Client:
    """A connected client: its conversation, its outbox, and how to close it."""

    __slots__ = (
        *("__weakref__", "close", "counted", "followed", "is_connected", "outbox", "publisher", "replay", "session"),
        "stats",
    )

    def __init__(
        self,
        session: Session,
        outbox: Outbox,
        close: Callable[[CloseCode], None],
        stats: ConnectionStats,
        publisher: Publisher,
        replay: Replay | None = None,
    ) -> None:
        self.session = session
        self.outbox = outbox
        self.close = close
        self.stats = stats
        self.publisher = publisher
        """Whose rooms it enters: the hub's, or that of its own replay."""
        self.replay = replay
        self.is_connected = True
        self.followed: AbstractSet[str] = frozenset()
        """Symbols of portfolios whose changes it is to hear of."""
        self.counted = 0
        """Subscriptions that were counted in the totals."""


class TokenEnds:
    """When the tokens of clients end; those of clients that are gone, or have newer tokens, are dropped by and by.

    The clients themselves are not kept, or one that is gone would hold what it had for as long as its token was good.
    """

    def __init__(self) -> None:
        self._ends: list[tuple[int, int, weakref.ref[Client]]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._ends)

    def watch(self, client: Client, connected: Collection[Client]) -> None:
        """Note when the token of a client ends, if it does."""
        principal = client.session.visitor.principal
        if principal is None or principal.expires_at is None:
            return
        heapq.heappush(self._ends, (principal.expires_at, next(self._numbers), weakref.ref(client)))
        if len(self._ends) > 2 * len(connected) + _ENDS_KEPT:
            self._ends = []
            for each in connected:
                self.watch(each, connected)

    def due(self, now: int) -> Iterator[Client]:
        """Take out the clients for which a noted time is over."""
        while self._ends and self._ends[0][0] <= now:
            if (client := heapq.heappop(self._ends)[2]()) is not None:
                yield client
