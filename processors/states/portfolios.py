"""What is remembered of a portfolio: itself, and the answers to its last commands.

A portfolio is one value: the count of its answers, then its Avro body as `pf.positions` has it, written by the same function.
A test holds that to the schema here; should `portfolio.avsc` change, what is stored needs a new version byte. Values of
version 2, which had no limits and no beginnings of positions, and of 3, which had no traces of removed ones and no time zone,
are read.

Its answers are one value each, since they are many and never change. Beside them, found by command id, there is a ring of their
ids, by which the oldest is found when a new one takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fastavro.types import Schema

from market.day_end import UTC_ZONE
from market.limits import LimitKind
from market.portfolio import Portfolio, PriceChoice
from market.portfolio_answers import Account, Remembered
from market.portfolio_reply import PortfolioReply, Reason
from market.position import Accounting, Settlement
from processors.states.form import AMOUNT, MAYBE_LONG, MAYBE_TEXT, PRICE, array, define, encode, head, read, record
from schemas.portfolio_encoding import encode_portfolio
from schemas.portfolio_values import read_balances, read_overrides, read_policy, read_positions, read_traces
from schemas.primitives import encode_long


def _enum(name: str, symbols: Iterable[str]) -> dict[str, Any]:
    return {"type": "enum", "name": name, "symbols": [str(symbol) for symbol in symbols]}


_POLICY_2: Mapping[str, Any] = {
    "accounting": _enum("Accounting", Accounting),
    "prices": array(_enum("PriceChoice", PriceChoice)),
    "stale_after": "long",
    "valuation_period": "long",
    "overdraft": "boolean",
}
_LIMIT = record("Limit", kind=_enum("LimitKind", LimitKind), threshold=AMOUNT, clears_at=AMOUNT)
_POLICY_3: Mapping[str, Any] = {**_POLICY_2, "limits": array(_LIMIT), "day_ends": "long"}
_POLICY = record("Policy", **_POLICY_3, day_zone="string")
_BALANCE = record(
    "Balance",
    currency="string",
    cash=AMOUNT,
    deposited=AMOUNT,
    transferred=AMOUNT,
    realised_pnl=AMOUNT,
    fees=AMOUNT,
    funding=AMOUNT,
    dividends=AMOUNT,
)
_POSITION_2: Mapping[str, Any] = {
    "position_id": "string",
    "instrument": "string",
    "currency": "string",
    "multiplier": PRICE,
    "settlement": _enum("Settlement", Settlement),
    "quantity": PRICE,
    "cost": AMOUNT,
    "lots": array(record("Lot", quantity=PRICE, cost=AMOUNT, opened_at="long")),
    "realised_pnl": AMOUNT,
    "fees": AMOUNT,
    "funding": AMOUNT,
    "dividends": AMOUNT,
    "opened_at": "long",
    "updated_at": "long",
    "version": "long",
}
_BEGINNING = record("Beginning", at="long", quantity=PRICE, paid=AMOUNT)
_POSITION = record("Position", **_POSITION_2, beginnings=array(_BEGINNING), known_since=MAYBE_LONG)
_OVERRIDE = record(
    "Override",
    instrument="string",
    price=PRICE,
    actor="string",
    role="string",
    reason="string",
    set_at="long",
    expires_at="long",
)


_TRACE = record(
    "Trace",
    instrument="string",
    currency="string",
    multiplier=PRICE,
    settlement="Settlement",
    paid=AMOUNT,
    updated_at="long",
    beginnings=array("Beginning"),
    known_since="long",
)


def _account(policy: Any, position: Any, **later: Any) -> Schema:
    return define(
        "Account",
        answers="long",
        portfolio_id="string",
        base_currency="string",
        version="long",
        policy=policy,
        balances=array(_BALANCE),
        positions=array(position),
        overrides=array(_OVERRIDE),
        created_at="long",
        updated_at="long",
        source_topic="string",
        source_partition="int",
        source_offset="long",
        **later,
    )


_VERSION, _WITH_BEGINNINGS = 4, 3
ACCOUNT = _account(_POLICY, _POSITION, traces=array(_TRACE))
ACCOUNT_3 = _account(record("Policy", **_POLICY_3), _POSITION)
ACCOUNT_2 = _account(record("Policy", **_POLICY_2), record("Position", **_POSITION_2))
ANSWERS = define(
    "Answers",
    answers=array(
        record(
            "Remembered",
            number="long",
            digest="bytes",
            portfolio_id="string",
            command_id="string",
            command="string",
            accepted="boolean",
            reason=MAYBE_TEXT,
            field=MAYBE_TEXT,
            error=MAYBE_TEXT,
            candidates=array("string"),
            version=MAYBE_LONG,
            position_id=MAYBE_TEXT,
            decided_at="long",
            source_topic="string",
            source_partition="int",
            source_offset="long",
        )
    ),
)
SLOT = define("Slot", command_id="string", previous="string")


class Slot(NamedTuple):
    """A place in the ring: whose answer has it since `offset`, and whose had it before ("": nobody's)."""

    offset: int
    command_id: str
    previous: str


def encode_account(account: Account) -> bytes:
    """Bytes of a portfolio and its count of answers. Raises ValueError where there is no portfolio."""
    portfolio = account.portfolio
    if portfolio is None:
        raise ValueError("there is no portfolio to be remembered")
    return head(account.applied_offset, _VERSION) + encode_long(account.answers) + encode_portfolio(portfolio)


def decode_account(data: bytes | None) -> Account:
    """A portfolio and its count of answers; of none, an account without a portfolio."""
    if data is None:
        return Account()
    if data[0] == _VERSION:
        offset, values = read(ACCOUNT, data, _VERSION)
    elif data[0] == _WITH_BEGINNINGS:
        offset, values = read(ACCOUNT_3, data, _WITH_BEGINNINGS)
    else:
        offset, values = read(ACCOUNT_2, data)
        values["policy"] |= {"limits": [], "day_ends": 0}
        for position in values["positions"]:
            position |= {"beginnings": [], "known_since": None}
    if data[0] != _VERSION:
        values |= {"traces": []}
        values["policy"] |= {"day_zone": UTC_ZONE}
    answers = values.pop("answers")
    parts = {
        "policy": read_policy(values["policy"]),
        "balances": read_balances(values["balances"]),
        "positions": read_positions(values["positions"]),
        "overrides": read_overrides(values["overrides"]),
        "traces": read_traces(values["traces"]),
    }
    return Account(offset, answers, Portfolio(**{**values, **parts}))


def encode_answers(found: Sequence[Remembered]) -> bytes:
    """Bytes of the answers under one command id, the latest first."""
    values = [one.reply._asdict() | {"number": one.number} for one in found]
    return head(found[0].reply.source_offset) + encode(ANSWERS, {"answers": values})


def decode_answers(data: bytes | None) -> list[Remembered]:
    """The answers under one command id, the latest first."""
    return [] if data is None else [_remembered(values) for values in read(ANSWERS, data)[1]["answers"]]


def _remembered(values: dict[str, Any]) -> Remembered:
    number, reason = values.pop("number"), values.pop("reason")
    candidates = tuple(values.pop("candidates"))
    reply = PortfolioReply(**values, reason=None if reason is None else Reason(reason), candidates=candidates)
    return Remembered(number, reply)


def encode_slot(slot: Slot) -> bytes:
    """Bytes of a place in the ring."""
    return head(slot.offset) + encode(SLOT, {"command_id": slot.command_id, "previous": slot.previous})


def decode_slot(data: bytes | None) -> Slot:
    """A place in the ring; of none, one that nobody has had."""
    if data is None:
        return Slot(-1, "", "")
    offset, values = read(SLOT, data)
    return Slot(offset, **values)
