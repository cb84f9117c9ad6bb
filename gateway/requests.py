"""What a client may say: the JSON text of a message parsed and checked, or refused with the place of the mistake."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec

from gateway.filters import Filter
from gateway.refusals import ErrorCode, Refusal

_MOST = 2**53  # what every client's numbers hold exactly
RequestId = Annotated[int, msgspec.Meta(ge=-_MOST, le=_MOST)] | Annotated[str, msgspec.Meta(max_length=64)] | None
_Symbol = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
_NESTING = re.compile(rb'"(?:[^"\\\\]|\\\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""A whole string, or a bracket outside of strings."""

_Word = Annotated[str, msgspec.Meta(min_length=1, max_length=32)]

_Offset = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]

_Field = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class Seen(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The last record that a subscriber had of a partition, as the metadata of messages name it."""

    topic: _Symbol
    partition: _Offset
    offset: _Offset


class Request(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A client's message. `id` comes back in the answer. `symbol` and `symbols` add up, so do the data types.

    `interval` (or `frequency`, as charts often call it) and `history` (how many past candles first) only concern data types
    that have them, and `token` the action `authenticate`. `fields`, `filter`, `levels` and `max_rate` say how a subscription is
    wanted (`views`). `resume` is a token of an earlier subscription, and `seen` what came of it since (`resumption`).
    """

    action: str
    id: RequestId = None
    symbol: _Symbol | None = None
    symbols: tuple[_Symbol, ...] = ()
    data_type: _Word | None = None
    data_types: tuple[_Word, ...] = ()
    interval: _Word | None = None
    frequency: _Word | None = None
    history: Annotated[int, msgspec.Meta(ge=0, le=100_000)] | None = None
    fields: tuple[_Field, ...] | None = None
    filter: Filter | None = None
    levels: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    max_rate: Annotated[float, msgspec.Meta(ge=0.01, le=1000)] | None = None
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=8192)] | None = None
    resume: Annotated[str, msgspec.Meta(min_length=1, max_length=32_768)] | None = None
    seen: Annotated[tuple[Seen, ...], msgspec.Meta(max_length=64)] = ()

    def __repr__(self) -> str:
        return f"Request({self.action!r})"  # a token must not get into a log by the way

    def __post_init__(self) -> None:
        if self.interval and self.frequency and self.interval != self.frequency:
            raise ValueError(f"interval {self.interval!r} and frequency {self.frequency!r} say different things")

    @property
    def candle_interval(self) -> str | None:
        """The interval asked for, by either name; None when none is."""
        return self.interval or self.frequency

    def all_symbols(self) -> list[str]:
        """The symbols named, each once, in their order."""
        return list(dict.fromkeys(((self.symbol,) if self.symbol else ()) + self.symbols))

    def all_data_types(self) -> list[str]:
        """The data types named, in capitals, each once; empty when none is."""
        named = ((self.data_type,) if self.data_type else ()) + self.data_types
        return list(dict.fromkeys(name.upper() for name in named))


class _OnlyId(msgspec.Struct):
    id: RequestId = None


_REQUEST = msgspec.json.Decoder(Request)
Form = TypeVar("Form")
_ONLY_ID = msgspec.json.Decoder(_OnlyId)


def check_depth(text: bytes, most: int) -> None:
    """Raise Refusal for JSON in which more than `most` objects and lists stand inside each other."""
    if text.count(b"{") + text.count(b"[") <= most:
        return
    depth = 0
    for match in _NESTING.finditer(text):
        sign = match[0]
        depth += 1 if sign in (b"{", b"[") else -1 if sign in (b"}", b"]") else 0
        if depth > most:
            raise Refusal(
                ErrorCode.TOO_DEEP, f"the message has more than {most} objects and lists inside each other", limit=most
            )


def parse_request(text: bytes) -> Request:
    """Read a client's message. Raises Refusal as `read`."""
    return read(text, _REQUEST)


def read(text: bytes, form: msgspec.json.Decoder[Form]) -> Form:
    """Read a message of a form. Raises Refusal: no JSON, or not of that form."""
    try:
        return form.decode(text)
    except msgspec.ValidationError as error:
        raise Refusal(ErrorCode.INVALID_MESSAGE, f"the message is not understood: {error}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refusal(ErrorCode.MALFORMED_JSON, f"the message is no JSON: {error}") from error


def id_of(text: bytes) -> Any:
    """The id of a message that was refused, so that its answer can carry it; None when there is none to be found."""
    try:
        return _ONLY_ID.decode(text).id
    except (msgspec.DecodeError, RecursionError):
        return None
