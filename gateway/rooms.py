"""Who is in which room, with those that are behind apart, so that publishing to the others is one append each."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.messages import Room
from gateway.outbox import Outbox


class Members:
    """The outboxes in a room: of clients that keep up, and of those that are behind."""

    __slots__ = ("behind", "current")

    def __init__(self) -> None:
        self.current: set[Outbox] = set()
        self.behind: set[Outbox] = set()

    def side(self, outbox: Outbox) -> set[Outbox]:
        """The set an outbox belongs to."""
        return self.behind if outbox.behind else self.current


class Rooms:
    """All rooms that have members. An outbox's `behind` may change only through this class."""

    def __init__(self) -> None:
        self._rooms: dict[Room, Members] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    def members(self, room: Room) -> Members | None:
        """Who is in a room, None when nobody is."""
        return self._rooms.get(room)

    def join(self, room: Room, outbox: Outbox) -> None:
        """Enter a room; entering twice changes nothing."""
        self._rooms.setdefault(room, Members()).side(outbox).add(outbox)

    def leave(self, room: Room, outbox: Outbox) -> None:
        """Leave a room, if it was entered."""
        members = self._rooms.get(room)
        if members is not None:
            members.side(outbox).discard(outbox)
            if not members.current and not members.behind:
                del self._rooms[room]

    def set_behind(self, outbox: Outbox, rooms: Iterable[Room], *, behind: bool) -> None:
        """Move an outbox to the other side of the rooms it is in."""
        rooms = list(rooms)
        for room in rooms:
            self._rooms[room].side(outbox).discard(outbox)
        outbox.behind = behind
        for room in rooms:
            self._rooms[room].side(outbox).add(outbox)
