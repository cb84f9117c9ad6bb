"""Writes frames as they are received, for replay; `ingest.formats.tapeline` says how and reads them back.

A file whose name ends in .gz is compressed. An existing capture is continued; an archive that a crash left unfinished cannot
be, since nothing after its damage could be read: it is put aside under another name. A fault while writing ends the capture
and is logged, the feed goes on: records matter more than their recording.
"""

from __future__ import annotations

import gzip
from base64 import b64encode
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO, cast

import msgspec

from ingest.formats.tapeline import Entry, Header, recognises
from ingest.recorded import RecordingError
from ingest.recordings import first_line, is_whole
from runtime.logs import get_logger

log = get_logger(__name__)


class Capture:
    """A capture file that is open for writing."""

    def __init__(self, path: Path, venue: str) -> None:
        """Open the file. Raises RecordingError when it cannot be written or holds something else."""
        self._path = path
        self._encoder = msgspec.json.Encoder()
        try:
            continued = path.exists() and path.stat().st_size > 0
            if continued and not recognises(first_line(path)):
                raise RecordingError(f"{path} exists and is no capture: it is not overwritten")
            if continued and path.suffix == ".gz" and not is_whole(path):
                continued = False
                _put_aside(path)
            self._file: IO[bytes] | None = _open(path)
        except OSError as error:
            raise RecordingError(f"{path} cannot be written: {error.strerror or error}") from error
        self._write(Header(venue), after=b"\n" if continued else b"")  # the last line may have been torn by a crash

    def opened(self, at: int, line: str, url: str, market: str) -> None:
        """Note that a connection was opened."""
        self._write(Entry(at, line, opened=url, market=market))

    def frame(self, at: int, line: str, data: bytes) -> None:
        """Note a frame."""
        try:
            entry = Entry(at, line, frame=data.decode())
        except UnicodeDecodeError:
            entry = Entry(at, line, base64=b64encode(data).decode())
        self._write(entry)

    def closed(self, at: int, line: str, reason: str) -> None:
        """Note that a connection was lost, and put everything so far on the disk's way."""
        self._write(Entry(at, line, closed=reason))
        self.flush()

    def answered(self, at: int, url: str, body: bytes) -> None:
        """Note the answer to a REST request."""
        self._write(Entry(at, "", answered=url, frame=body.decode(errors="replace")))

    def flush(self) -> None:
        """Hand what is buffered to the system."""
        if self._file is not None:
            try:
                self._file.flush()
            except OSError as error:
                self._give_up(error)

    def close(self) -> None:
        """End the capture."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self._give_up(error)
            self._file = None

    def _write(self, entry: Header | Entry, *, after: bytes = b"") -> None:
        if self._file is not None:
            try:
                self._file.write(after + self._encoder.encode(entry) + b"\n")
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.error("capture ended", file=str(self._path), error=error.strerror or str(error))
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                file.close()


def _put_aside(path: Path) -> None:
    names = (path.with_name(f"{path.stem}.unfinished-{number}.gz") for number in count(1))
    aside = next(name for name in names if not name.exists())
    path.rename(aside)
    log.warning("unfinished capture put aside", file=str(path), now=str(aside))


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "ab") if path.suffix == ".gz" else path.open("ab"))
