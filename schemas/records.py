"""Which record class each `.avsc` file describes, and the schemas as the codec uses them.

A record class is a NamedTuple whose fields have the schema's names. Decimals stay unscaled integers and times stay
microseconds: the codec's schemas carry a logical type of our own in place of `decimal`, and none for times.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import fastavro
import fastavro.read
import fastavro.write
from fastavro.types import Schema

from market.book_top import BookTop
from market.candle import CandleEvent, CandleEventKind
from market.control import ControlAction, ControlCommand
from market.dead_letter import DeadLetter, LetterReplay
from market.decimals import fits
from market.depth import BookState, Depth, DepthKind, Level
from market.errors import DataValidationError
from market.feed_status import FeedState, FeedStatus
from market.funding import Funding
from market.instrument_definition import InstrumentDefinition, InstrumentType
from market.open_interest import OpenInterest
from market.portfolio import Portfolio
from market.portfolio_alert import Alert
from market.portfolio_commands import (
    ApplyDividend,
    ApplyFill,
    ApplyFunding,
    ApplySplit,
    ChargeFee,
    ClosePosition,
    Command,
    CreatePortfolio,
    Deposit,
    OverridePrice,
    OverridePrices,
    RegisterPosition,
    RemovePosition,
    Revalue,
    SetPolicy,
    UpdatePosition,
    Withdraw,
)
from market.portfolio_reply import PortfolioReply
from market.price import POINTS, PricePoint, PriceRecord, PriceSource
from market.price_change import PriceChangedEvent
from market.quality_event import QualityEvent, QualityRule, Severity
from market.quality_score import QualityScore
from market.quote import Kline, Quote
from market.trade import GapMark, TimeMark, Trade
from market.valuation_record import Valuation, ValuationLine
from schemas import portfolio_values, valuation_values

Record = (
    Trade
    | TimeMark
    | GapMark
    | Quote
    | Kline
    | Funding
    | OpenInterest
    | InstrumentDefinition
    | Depth
    | BookTop
    | CandleEvent
    | PriceChangedEvent
    | PriceRecord
    | QualityEvent
    | QualityScore
    | FeedStatus
    | Command
    | PortfolioReply
    | Portfolio
    | Valuation
    | ValuationLine
    | ControlCommand
    | Alert
    | DeadLetter
    | LetterReplay
)

RECORD_FILES: Mapping[type[Record], str] = {
    Trade: "trade",
    TimeMark: "time_mark",
    GapMark: "gap_mark",
    Quote: "quote",
    Kline: "kline",
    Funding: "funding",
    OpenInterest: "open_interest",
    InstrumentDefinition: "instrument_definition",
    Depth: "depth",
    BookTop: "book_top",
    CandleEvent: "candle",
    PriceChangedEvent: "price_changed",
    PriceRecord: "price",
    QualityEvent: "quality_event",
    QualityScore: "quality_score",
    FeedStatus: "feed_status",
    CreatePortfolio: "create_portfolio",
    Deposit: "deposit",
    Withdraw: "withdraw",
    RegisterPosition: "register_position",
    UpdatePosition: "update_position",
    ApplyFill: "apply_fill",
    ClosePosition: "close_position",
    RemovePosition: "remove_position",
    ChargeFee: "charge_fee",
    ApplyFunding: "apply_funding",
    ApplyDividend: "apply_dividend",
    ApplySplit: "apply_split",
    OverridePrice: "override_price",
    OverridePrices: "override_prices",
    SetPolicy: "set_policy",
    Revalue: "revalue",
    PortfolioReply: "portfolio_reply",
    Portfolio: "portfolio",
    Valuation: "valuation",
    ValuationLine: "valuation_line",
    ControlCommand: "control_command",
    Alert: "alert",
    DeadLetter: "dead_letter",
    LetterReplay: "letter_replay",
}


def _levels(values: Iterable[Mapping[str, int]]) -> tuple[Level, ...]:
    return tuple(Level(value["price"], value["size"]) for value in values)


def _plain_levels(levels: Iterable[Level]) -> list[dict[str, int]]:
    return [{"price": level.price, "size": level.size} for level in levels]


def _source(values: Mapping[str, Any] | None) -> PriceSource | None:
    return None if values is None else PriceSource(**values)


def _point(values: Mapping[str, Any] | None) -> PricePoint | None:
    return None if values is None else PricePoint(values["price"], values["size"], PriceSource(**values["source"]))


# The branch of a union is named where it is written: else the writer tries which one fits, which takes as long again.


def _plain_source(source: PriceSource | None) -> tuple[str, dict[str, Any]] | None:
    return None if source is None else ("tapeline.PriceSource", source._asdict())


def _plain_point(point: PricePoint | None) -> tuple[str, dict[str, Any]] | None:
    return None if point is None else ("tapeline.PricePoint", point._asdict() | {"source": point.source._asdict()})


READ_AS: Mapping[type[Record], Mapping[str, Callable[[Any], Any]]] = {
    Depth: {"kind": DepthKind, "bids": _levels, "asks": _levels, "state": BookState},
    BookTop: {"state": BookState, "bids": _levels, "asks": _levels},
    CandleEvent: {"kind": CandleEventKind},
    PriceRecord: {**dict.fromkeys(POINTS, _point), "source_24h": _source},
    QualityEvent: {"rule": QualityRule, "severity": Severity},
    InstrumentDefinition: {"instrument_type": InstrumentType},
    FeedStatus: {"state": FeedState},
    ControlCommand: {"action": ControlAction, "instruments": tuple, "channels": tuple},
    **portfolio_values.READ,
    **valuation_values.READ,
}
"""Fields that are more than what Avro reads, and how they are made of it."""

WRITTEN_AS: Mapping[type[Record], Mapping[str, Callable[[Any], Any]]] = {
    Depth: {"bids": _plain_levels, "asks": _plain_levels},
    BookTop: {"bids": _plain_levels, "asks": _plain_levels},
    PriceRecord: {**dict.fromkeys(POINTS, _plain_point), "source_24h": _plain_source},
    **portfolio_values.WRITTEN,
    **valuation_values.WRITTEN,
}
"""Fields that Avro does not write as they are, and what it writes of them."""

_UNSCALED = "tapeline-unscaled"


def _read_unscaled(data: bytes, writer_schema: Schema | None, reader_schema: Schema | None) -> int:
    return int.from_bytes(data, "big", signed=True)


def _write_unscaled(value: int, schema: Mapping[str, Any]) -> bytes:
    if not fits(value, schema["precision"]):
        raise DataValidationError("too_large", f"{value} has more than {schema['precision']} digits")
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


fastavro.read.LOGICAL_READERS[f"bytes-{_UNSCALED}"] = _read_unscaled
fastavro.write.LOGICAL_WRITERS[f"bytes-{_UNSCALED}"] = _write_unscaled


def schema_text(record_type: type[Record]) -> str:
    """The `.avsc` file of a record class, as it is registered."""
    return _text(RECORD_FILES[record_type])


def schema_name(record_type: type[Record]) -> str:
    """Full Avro name of a record class: tapeline.Trade."""
    return _name(RECORD_FILES[record_type])


def reader_schema(record_type: type[Record]) -> Schema:
    """The parsed schema the codec reads into and writes from."""
    return _schema(RECORD_FILES[record_type])


@cache
def _text(file: str) -> str:
    return (files("schemas") / f"{file}.avsc").read_text(encoding="utf-8")


@cache
def _name(file: str) -> str:
    schema = json.loads(_text(file))
    return f"{schema['namespace']}.{schema['name']}"


@cache
def _schema(file: str) -> Schema:
    return parse(_text(file))


def record_type_of(name: str) -> type[Record] | None:
    """The class of a full Avro name, None when it is not ours."""
    return next((cls for cls in RECORD_FILES if schema_name(cls) == name), None)


def parse(text: str) -> Schema:
    """Parse an Avro schema so that decimals are unscaled integers and times plain microseconds."""
    return fastavro.parse_schema(_physical(json.loads(text)))


def _physical(node: Any) -> Any:
    if isinstance(node, list):
        return [_physical(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _physical(value) for key, value in node.items()}
    if node.get("logicalType") == "decimal":
        node["logicalType"] = _UNSCALED
    elif node.get("logicalType") == "timestamp-micros":
        del node["logicalType"]
    return node
