"""Frames of the form that OKX and Bitget share: `{"arg": {"channel", "instId"}, "action", "data": [...]}`.

A venue gives its readers by kind of channel; the klines' channels are one kind, `candle`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

import msgspec

from ingest.decoding import decode
from ingest.feed import UNKNOWN_CHANNEL, Parsed, StreamRequest
from ingest.feeds._levels import levels_of
from ingest.feeds._records import Maker, micros_of_millis
from ingest.feeds._refusals import refused, streams_named
from ingest.feeds._subscriptions import in_parts, stream_request
from market.depth import Depth, DepthKind
from market.errors import DataValidationError
from schemas.records import Record

_T = TypeVar("_T")

_ABSENT = msgspec.Raw(b"")
_KINDS_OF_BOOK = {"snapshot": DepthKind.SNAPSHOT, "update": DepthKind.DELTA}
CANDLE = "candle"


class Arg(msgspec.Struct, rename="camel"):
    """Which stream a frame is of."""

    channel: str
    inst_id: str = ""
    inst_type: str = ""


class Message(msgspec.Struct):
    """Any frame: of a stream, or an answer to a request of ours (`event`)."""

    arg: Arg | None = None
    event: str | None = None
    action: str | None = None
    data: msgspec.Raw = _ABSENT
    code: str | int | None = None
    msg: str | None = None


class BookMessage(msgspec.Struct, rename="camel"):
    """A message about a book, with the checksum of the book after it, or its number and that of the message before it.

    Servers that number their messages write a checksum of zero, which is none.
    """

    bids: list[list[str]]
    asks: list[list[str]]
    ts: str
    checksum: int | None = None
    seq_id: int | None = None
    prev_seq_id: int | None = None


_MESSAGE = msgspec.json.Decoder(Message)
_BOOKS = msgspec.json.Decoder(list[BookMessage])

Reader = Callable[[Message, Arg, Maker], Sequence[Record]]


class ArgParser:
    """Reads such frames; see `ingest.feed.Parser`."""

    def __init__(
        self,
        max_clock_skew: int,
        readers: Mapping[str, Reader],
        instrument_of: Callable[[Arg], str],
        *,
        candle_channels: Collection[str],
        not_carried: re.Pattern[str],
        contiguous: Collection[str] = (),
        refused_arg: Callable[[str], Arg | None] = lambda _said: None,
    ) -> None:
        """`refused_arg` tells which stream a refusal without an `arg` names by its words, if any."""
        self.contiguous = contiguous
        self._max_skew = max_clock_skew
        self._readers = readers
        self._instrument_of = instrument_of
        self._candle_channels = candle_channels
        self._not_carried = not_carried
        self._refused_arg = refused_arg
        self._instruments: dict[tuple[str, str], str] = {}

    def parse(self, frame: bytes, received_at: int) -> Parsed:
        """See `ingest.feed.Parser.parse`."""
        if frame == b"pong":
            return Parsed("pong", ())
        message = decode(_MESSAGE, frame)
        if message.event is not None:
            return self._answer(message)
        if message.arg is None:
            raise DataValidationError("missing_field", "arg: the frame does not have it", field="arg")
        arg = message.arg
        reader = self._readers.get(self._kind(arg.channel))
        if reader is not None:
            if not bytes(message.data):
                raise DataValidationError("missing_field", "data: the frame does not have it", field="data")
            return Parsed(arg.channel, reader(message, arg, Maker(self._instrument(arg), received_at, self._max_skew)))
        if self._not_carried.fullmatch(arg.channel):
            return Parsed(arg.channel, ())
        raise DataValidationError("unknown_stream", f"channel: {arg.channel!r:.80} is not known", field="channel")

    def channel_of(self, frame: bytes) -> str:
        """See `ingest.feed.Parser.channel_of`."""
        try:
            arg = decode(_MESSAGE, frame).arg
        except DataValidationError:
            return UNKNOWN_CHANNEL
        channel = "" if arg is None else arg.channel
        known = self._kind(channel) in self._readers or self._not_carried.fullmatch(channel)
        return channel if known else UNKNOWN_CHANNEL

    def _answer(self, message: Message) -> Parsed:
        if message.event != "error":
            return Parsed("reply", ())
        said, arg = (message.code, message.msg), message.arg or self._refused_arg(message.msg or "")
        if arg is None or self._kind(arg.channel) not in self._readers:
            return refused(said)
        return refused(said, streams_named(arg.channel, self._instrument, arg))

    def _kind(self, channel: str) -> str:
        return CANDLE if channel in self._candle_channels else channel

    def _instrument(self, arg: Arg) -> str:
        key = (arg.inst_type, arg.inst_id)
        known = self._instruments.get(key)
        if known is None:
            known = self._instruments[key] = self._instrument_of(arg)
        return known


def op_requests(args: Sequence[object], most: int, *, subscribe: bool) -> list[StreamRequest]:
    """What subscribes or unsubscribes, with at most so many streams each."""
    op = "subscribe" if subscribe else "unsubscribe"
    return [stream_request({"op": op, "args": part}) for part in in_parts(args, most)]


def rows(decoder: msgspec.json.Decoder[_T], message: Message) -> _T:
    """The data of a frame."""
    return decode(decoder, message.data)


def check_symbol(symbol: str, arg: Arg) -> None:
    """Raise DataValidationError for data of another symbol than the frame's."""
    if symbol != arg.inst_id:
        raise DataValidationError(
            "symbol_mismatch", f"instId: {symbol!r:.40} in the stream of {arg.inst_id:.40}", field="instId"
        )


def read_books(message: Message, maker: Maker, text_of: Callable[[str, str], str]) -> list[Depth]:
    """The messages about books of a frame; `text_of` as in `ingest.feeds._levels`."""
    kind = _KINDS_OF_BOOK.get(message.action or "")
    if kind is None:
        raise DataValidationError(
            "unknown_action", f"action: {message.action!r:.40} is no snapshot and no update", field="action"
        )
    return [_book(book, kind, maker, text_of) for book in rows(_BOOKS, message)]


def _book(book: BookMessage, kind: DepthKind, maker: Maker, text_of: Callable[[str, str], str]) -> Depth:
    is_numbered = book.seq_id is not None
    if not is_numbered and book.checksum is None:
        raise DataValidationError("missing_field", "checksum: nothing shows whether a message was missed", field="checksum")
    return maker.depth(
        kind,
        levels_of(book.bids, "bids", text_of),
        levels_of(book.asks, "asks", text_of),
        micros_of_millis(book.ts, "exchange_time"),
        last=book.seq_id,
        previous=book.prev_seq_id if kind is DepthKind.DELTA else None,
        checksum=(book.checksum or None) if is_numbered else book.checksum,
    )
