"""Conditions on the data of messages, as clients write them, compiled once for each kind of subscription. Pure.

    {"op": "and", "of": [{"op": "gt", "field": "price", "value": "100.5"}, {"op": "not", "of": {"op": "eq", "field": "side",
    "value": "sell"}}]}

Decimals are text in messages, so a text that is a number is compared as one, exactly, with a field that is one. A field that
is null, or no number where one is needed, fulfils no `gt`, `lt` or `starts_with`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from gateway.refusals import ErrorCode, Refusal

MOST_NODES = 64
MOST_DEPTH = 8
MOST_VALUES = 256

Data = Mapping[str, Any]
Predicate = Callable[[Data], bool]

_DECIMAL = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_Text = Annotated[str, msgspec.Meta(max_length=128)]
_Field = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Int = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]  # what every client's numbers hold exactly; larger ones are texts
Value = _Text | _Int | bool | None


class _Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="op"):
    """A condition or a combination of some."""


class Eq(_Node, frozen=True, tag="eq"):
    """The field is this value."""

    field: _Field
    value: Value


class In(_Node, frozen=True, tag="in"):
    """The field is one of these values."""

    field: _Field
    values: Annotated[tuple[Value, ...], msgspec.Meta(min_length=1, max_length=MOST_VALUES)]


class Gt(_Node, frozen=True, tag="gt"):
    """The field is a number above this one."""

    field: _Field
    value: _Text | _Int


class Lt(_Node, frozen=True, tag="lt"):
    """The field is a number below this one."""

    field: _Field
    value: _Text | _Int


class StartsWith(_Node, frozen=True, tag="starts_with"):
    """The field is a text that begins so."""

    field: _Field
    value: _Text


class And(_Node, frozen=True, tag="and"):
    """All of these hold."""

    of: Annotated[tuple[Filter, ...], msgspec.Meta(min_length=1, max_length=MOST_NODES)]


class Or(_Node, frozen=True, tag="or"):
    """At least one of these holds."""

    of: Annotated[tuple[Filter, ...], msgspec.Meta(min_length=1, max_length=MOST_NODES)]


class Not(_Node, frozen=True, tag="not"):
    """The condition does not hold."""

    of: Filter


Filter = Eq | In | Gt | Lt | StartsWith | And | Or | Not

_JSON = msgspec.json.Encoder()
_FILTER = msgspec.json.Decoder(Filter)


def check_filter(condition: Filter, fields: Sequence[str]) -> None:
    """Raise Refusal for a filter that is too large, or asks for a field that messages do not have, or for no number."""
    for count, (node, depth) in enumerate(_nodes(condition), start=1):
        if count > MOST_NODES or depth > MOST_DEPTH:
            raise Refusal(
                ErrorCode.INVALID_FILTER,
                f"a filter may have {MOST_NODES} conditions, {MOST_DEPTH} inside each other",
                limit=MOST_NODES if count > MOST_NODES else MOST_DEPTH,
            )
        if isinstance(node, And | Or | Not):
            continue
        if node.field not in fields:
            raise Refusal(
                ErrorCode.INVALID_FILTER,
                f"there is no field {node.field!r}; there are {', '.join(fields)}",
                candidates=[*fields],
            )
        if isinstance(node, Gt | Lt) and _number(node.value) is None:
            raise Refusal(ErrorCode.INVALID_FILTER, f"{node.field}: {node.value!r} is no number to compare with")


def compile_filter(condition: Filter) -> Predicate:
    """A function that says of the data of a message whether the filter lets it through."""
    match condition:
        case Eq(field, value):
            return _one_of(field, (value,))
        case In(field, values):
            return _one_of(field, values)
        case Gt(field, value):
            above = _bound(value)
            return lambda data: (number := _number(data.get(field))) is not None and number > above
        case Lt(field, value):
            below = _bound(value)
            return lambda data: (number := _number(data.get(field))) is not None and number < below
        case StartsWith(field, prefix):
            return lambda data: isinstance(text := data.get(field), str) and text.startswith(prefix)
        case And(of):
            every = [compile_filter(each) for each in of]
            return lambda data: all(holds(data) for holds in every)
        case Or(of):
            some = [compile_filter(each) for each in of]
            return lambda data: any(holds(data) for holds in some)
        case Not(of):
            holds = compile_filter(of)
            return lambda data: not holds(data)


def write_filter(condition: Filter) -> bytes:
    """The filter as JSON, the same for the same filter alone: as objects, those that ask for 1 and for true are equal."""
    return _JSON.encode(condition)


def read_filter(text: bytes) -> Filter:
    """The filter that was written."""
    condition: Filter = _FILTER.decode(text)
    return condition


def _nodes(condition: Filter, depth: int = 1) -> Iterator[tuple[Filter, int]]:
    yield condition, depth
    if isinstance(condition, And | Or):
        for each in condition.of:
            yield from _nodes(each, depth + 1)
    elif isinstance(condition, Not):
        yield from _nodes(condition.of, depth + 1)


def _one_of(field: str, values: Sequence[Value]) -> Predicate:
    wanted = {_comparable(value) for value in values}
    return lambda data: _comparable(data.get(field)) in wanted


def _comparable(value: Any) -> Any:
    """What equal values have in common: numbers however they are written, else type and value."""
    number = _number(value)
    if number is not None:
        return number
    return (type(value), value) if isinstance(value, str | bool | None) else (type(value),)


def _number(value: Any) -> Decimal | None:
    """The number that a value is, or a text says as messages write them; None for others."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def _bound(value: str | int) -> Decimal:
    number = _number(value)
    if number is None:
        raise Refusal(ErrorCode.INVALID_FILTER, f"{value!r} is no number to compare with")
    return number
