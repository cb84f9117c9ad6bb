"""How far backfills have come: a small file, so that one that was ended goes on where it was.

A file holds one place for each stream and beginning, whatever the end: a command without an end means another one each time
it is given. It is written anew and then put in the old one's stead, so that it is
whole at every moment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from ingest.feed import Subscription
from ingest.rest_venue import Place
from market.errors import MarketDataError
from runtime import file_lock


class BookmarkError(MarketDataError):
    """The file cannot be read or written, or is none of ours."""

    exit_code = 2


class _Bookmark(msgspec.Struct):
    """Everything before `place` is done, and before `done_to` as far as the venue had told it by then."""

    instrument: str
    channel: str
    begin: int
    place: tuple[int, int | None] | None = None  # None in files of old, where a range was done
    done_to: int | None = None


_BOOKMARKS = msgspec.json.Decoder(list[_Bookmark])
Range = tuple[Subscription, int, int]
"""A stream, from a time on up to before another (microseconds)."""


class _Progress(NamedTuple):
    place: Place
    done_to: int | None = None


@contextmanager
def own_bookmarks(path: Path) -> Iterator[Bookmarks]:
    """The bookmarks of a file that is nobody else's within the block: each process writes what it knows, all of the file.

    Raises BookmarkError.
    """

    def refuse() -> None:
        raise BookmarkError(f"{path} is in use by another backfill; wait for it, or give this one its own --progress-file")

    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(file_lock.held(path.with_name(f"{path.name}.lock"), refuse))
        except OSError as error:
            raise BookmarkError(f"{path} cannot be written: {error.strerror}") from error
        yield Bookmarks(path)


class Bookmarks:
    """The places in one file."""

    def __init__(self, path: Path) -> None:
        """Raises BookmarkError."""
        self._path = path
        self._progress: dict[tuple[Subscription, int], _Progress] = {}
        try:
            marks = _BOOKMARKS.decode(path.read_bytes()) if path.exists() else []
        except (OSError, msgspec.MsgspecError) as error:
            raise BookmarkError(f"{path} cannot be read as the progress of a backfill: {error}") from error
        for mark in marks:
            if mark.place is not None:
                stream = Subscription(mark.instrument, mark.channel)
                self._progress[stream, mark.begin] = _Progress(Place(*mark.place), mark.done_to)

    def place(self, wanted: Range) -> Place | None:
        """Where to go on; its beginning when nothing is done yet, None when everything is."""
        stream, begin, end = wanted
        known = self._progress.get((stream, begin), _Progress(Place(begin)))
        is_done = known.place.time >= end or (known.done_to is not None and known.done_to >= end)
        return None if is_done else known.place

    def put(self, wanted: Range, place: Place) -> None:
        """Everything before this place is done. Raises BookmarkError."""
        stream, begin, _ = wanted
        known = self._progress.get((stream, begin))
        self._write(stream, begin, _Progress(place, known and known.done_to))

    def finish(self, wanted: Range, place: Place) -> None:
        """All of it is done; a later end goes on at this place. Raises BookmarkError."""
        stream, begin, end = wanted
        self._write(stream, begin, _Progress(place, end))

    def _write(self, stream: Subscription, begin: int, progress: _Progress) -> None:
        self._progress[stream, begin] = progress
        marks = [
            _Bookmark(*stream, since, tuple(reached.place), reached.done_to)  # type: ignore[arg-type]  # a pair
            for (stream, since), reached in self._progress.items()
        ]
        beside = self._path.with_name(f"{self._path.name}.new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(msgspec.json.encode(marks))
            os.replace(beside, self._path)
        except OSError as error:
            raise BookmarkError(f"{self._path} cannot be written: {error.strerror}") from error
