"""`tapeline parse`: the normalised records of recorded frames, their candles or order books, as JSON lines; no broker."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ingest import feeds
from ingest.book_replay import BookFold
from ingest.feed import Venue
from ingest.parsing import DEFAULT_KINDS, KINDS, CandleFold, plain_books, plain_candles, plain_records, summary
from ingest.playback import Playback
from ingest.recordings import read_recordings
from market.errors import MarketDataError
from market.interval import Interval, parse_interval
from runtime.errors import ConfigurationError, Problem, RuntimeFault

VenueArgument = Annotated[str, typer.Argument(metavar="VENUE", help=f"Whose frames these are: {', '.join(feeds.names())}.")]
FilesArgument = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings, plain or gzip, of any known format.")]
KindOption = Annotated[str, typer.Option("--kind", metavar="KIND,...", help=f"Records to print: {', '.join(KINDS)}.")]
CandlesOption = Annotated[
    str | None,
    typer.Option("--candles", metavar="INTERVAL,...", help="Print the candles folded from the trades instead, such as 1m,5m."),
]
BooksOption = Annotated[
    bool,
    typer.Option(
        "--books", help="Print what became of each order book instead, and the venue's checksums compared and matched."
    ),
]
MarketOption = Annotated[
    str | None,
    typer.Option("--market", metavar="MARKET", help="The venue's market, where the recording does not show it."),
]


_DEFAULT_KINDS = ",".join(DEFAULT_KINDS)
_READER_GONE = 141  # as a shell shows the end by SIGPIPE


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(parse)


def parse(
    venue: VenueArgument,
    files: FilesArgument,
    kind: KindOption = _DEFAULT_KINDS,
    candles: CandlesOption = None,
    books: BooksOption = False,
    market: MarketOption = None,
) -> None:
    """Print the records of recorded frames as JSON lines, times in microseconds; counts go to standard error.

    Several files are read in the order of their times. The parser and the fold are those of the pipeline.
    """
    speaker = venue_named(venue)
    playback = Playback(speaker, market=market_named(speaker, market))
    intervals = [] if candles is None else _intervals(candles)
    kinds = _kinds(kind)
    if books and intervals:
        raise wrong("--books", "candles and order books cannot be printed together")
    fold = BookFold() if books else CandleFold(intervals) if intervals else None
    items = read_recordings(files)
    try:
        if isinstance(fold, BookFold):
            _print(plain_books(playback, items, fold))
        else:
            _print(plain_records(playback, items, kinds) if fold is None else plain_candles(playback, items, fold))
    finally:
        typer.echo(summary(playback, fold), err=True)


def venue_named(name: str, option: str = "VENUE") -> Venue:
    """The venue of a name. Raises ConfigurationError listing them."""
    try:
        return feeds.load(name)
    except MarketDataError as error:
        raise wrong(option, str(error)) from error


def market_named(venue: Venue, market: str | None) -> str | None:
    """A market of the venue. Raises ConfigurationError listing them."""
    if market is not None and market not in venue.markets:
        raise wrong("--market", f"{market!r:.40} is none of {', '.join(venue.markets)}")
    return market


def wrong(option: str, text: str) -> ConfigurationError:
    """The error of an option's value, as one line."""
    return ConfigurationError(Problem(option, text))


def _kinds(text: str) -> list[str]:
    kinds = [kind.strip() for kind in text.split(",") if kind.strip()]
    for kind in kinds:
        if kind not in KINDS:
            raise wrong("--kind", f"{kind!r:.40} is none of {', '.join(KINDS)}")
    if not kinds:
        raise wrong("--kind", f"names no kind; there are {', '.join(KINDS)}")
    return kinds


def _intervals(text: str) -> list[Interval]:
    try:
        intervals = [parse_interval(name.strip()) for name in text.split(",") if name.strip()]
    except MarketDataError as error:
        raise wrong("--candles", str(error)) from error
    if not intervals:
        raise wrong("--candles", "names no interval")
    return intervals


def _print(lines: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines; a reader that has seen enough (`| head`) ends the command without a word."""
    encode, out = msgspec.json.Encoder().encode, sys.stdout.buffer
    try:
        for line in lines:
            out.write(encode(line) + b"\n")
        out.flush()
    except OSError as error:
        # What is still buffered must not be tried again when the interpreter closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise typer.Exit(_READER_GONE) from None
        raise RuntimeFault(f"standard output cannot be written: {error.strerror or error}") from error
