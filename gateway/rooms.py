"""Who is in which room, with those that are behind apart, so that publishing to the others is one append each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gateway.messages import Room
from gateway.outbox import Outbox
from gateway.pacing import Pace
from gateway.views import View, compile_view


class Members:
    """The outboxes in a room: of clients that keep up, and of those that are behind; each with what was `told` when it came."""

    __slots__ = ("behind", "current", "told")

    def __init__(self) -> None:
        self.current: dict[Outbox, int] = {}
        self.behind: dict[Outbox, int] = {}
        self.told = 0
        """Messages told in this room."""

    def side(self, outbox: Outbox) -> dict[Outbox, int]:
        """Those an outbox belongs to."""
        return self.behind if outbox.behind else self.current


class Counts(NamedTuple):
    """Messages of one subscription: given to the socket, replaced by later ones, left out, waiting for a slow client."""

    delivered: int
    conflated: int
    dropped: int
    waiting: int


class Showing:
    """A room with a view: what it shows of a message of its base room, and when."""

    __slots__ = ("members", "pace", "room", "show", "waiting")

    def __init__(self, room: Room, view: View, members: Members) -> None:
        self.room = room
        self.members = members
        self.show = compile_view(view)
        self.pace = None if view.max_rate is None else Pace(view.max_rate)
        self.waiting = False


class Rooms:
    """All rooms that have members. An outbox's `behind` may change only through this class."""

    def __init__(self) -> None:
        self._rooms: dict[Room, Members] = {}
        self._showings: dict[Room, dict[Room, Showing]] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    def members(self, room: Room) -> Members | None:
        """Who is in a room, None when nobody is."""
        return self._rooms.get(room)

    def showings(self, base: Room) -> list[Showing]:
        """The rooms with a view of this one."""
        found = self._showings.get(base) if self._showings else None
        return [*found.values()] if found else []

    def join(self, room: Room, outbox: Outbox) -> None:
        """Enter a room; entering twice changes nothing."""
        members = self._rooms.get(room)
        if members is None:
            members = self._rooms[room] = Members()
            if room.view is not None:
                self._showings.setdefault(room.base, {})[room] = Showing(room, room.view, members)
        members.side(outbox).setdefault(outbox, members.told)

    def counts(self, room: Room, outbox: Outbox) -> Counts:
        """What became of the messages told in a room since an outbox came to it."""
        members = self._rooms[room]
        lost = outbox.lost(room)
        told = members.told - members.side(outbox)[outbox]
        return Counts(told - sum(lost), *lost)

    def leave(self, room: Room, outbox: Outbox) -> None:
        """Leave a room, if it was entered."""
        members = self._rooms.get(room)
        if members is None:
            return
        members.side(outbox).pop(outbox, None)
        outbox.forget(room)
        if not members.current and not members.behind:
            del self._rooms[room]
            if room.view is not None:
                showings = self._showings[room.base]
                del showings[room]
                if not showings:
                    del self._showings[room.base]

    def set_behind(self, outbox: Outbox, rooms: Iterable[Room], *, behind: bool) -> None:
        """Move an outbox to the other side of the rooms it is in."""
        rooms = list(rooms)
        since = [self._rooms[room].side(outbox).pop(outbox) for room in rooms]
        outbox.behind = behind
        for room, told in zip(rooms, since, strict=True):
            self._rooms[room].side(outbox)[outbox] = told
