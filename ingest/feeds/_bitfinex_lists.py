"""What Bitfinex's lists say of pairs and perpetuals, read as documented ("Configs", `pub:info:pair`); none was recorded.

They tell the smallest size of an order, and nothing else that a definition has. There is no step of prices to tell: prices have
five significant digits, whatever they are (docs: "Price Precision"). Neither is there a word for the state of a pair.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feeds._bitfinex_frames import MARKET, instrument_of
from ingest.feeds._bitfinex_rest import REST
from ingest.feeds._definitions import define, read_definitions
from ingest.rest_venue import Defined, Request
from market.errors import DataValidationError
from market.instrument_definition import InstrumentDefinition

_LISTS = "pub:info:pair"
_MIN_SIZE = 3

_Row = tuple[str, list[msgspec.Raw]]

_ANSWER: msgspec.json.Decoder[list[list[msgspec.Raw]]] = msgspec.json.Decoder(list[list[msgspec.Raw]])
_ROW: msgspec.json.Decoder[_Row] = msgspec.json.Decoder(_Row)
_TEXT: msgspec.json.Decoder[str | None] = msgspec.json.Decoder(str | None)


def is_of(url: str) -> bool:
    """Whether this is the address of such lists."""
    return f"/conf/{_LISTS}" in urlsplit(url).path


def request() -> Request:
    """The request for both lists, of pairs and of perpetuals."""
    return Request(MARKET, f"{REST}/conf/{_LISTS},{_LISTS}:futures", 1)


def definitions(answer: bytes, received_at: int) -> Iterable[Defined]:
    """What the lists say of each pair; names that no instrument has are left out."""
    rows = (row for rows in decode(_ANSWER, answer) for row in rows)
    return read_definitions(rows, _ROW, received_at, lambda row: instrument_of(f"t{row[0]}"), _define)


def _define(instrument: str, row: _Row, received_at: int) -> InstrumentDefinition:
    pair, figures = row
    if len(figures) <= _MIN_SIZE:
        raise DataValidationError("missing_field", f"min_size: {pair:.40} has {len(figures)} figures", field="min_size")
    return define(instrument, f"t{pair}", received_at, min_size=decode(_TEXT, figures[_MIN_SIZE]))
