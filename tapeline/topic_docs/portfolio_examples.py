"""A portfolio's first hour: a command of every kind, the answer to one, and what came of them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from market.decimals import AMOUNT_SCALE, parse_decimal
from market.portfolio import Policy, Portfolio
from market.portfolio_answers import apply
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
    NewPrice,
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
from market.position import Accounting, Settlement
from schemas.partitioning import partition_of
from schemas.records import Record
from schemas.topics import COMMANDS

_BTC, _SHARE = "binance:BTC-USDT", "sse:600519"
_START = 1_723_161_600_000_000
_PARTITION = partition_of("fund-1", 4)


def _amount(text: str) -> int:
    return parse_decimal(text, field="amount", scale=AMOUNT_SCALE)


def _price(text: str) -> int:
    return parse_decimal(text, field="price")


def _fill(position: str, instrument: str, quantity: str, price: str, fee: str, trade_id: str | None) -> dict[str, Any]:
    return {
        "position_id": position,
        "instrument": instrument,
        "quantity": _price(quantity),
        "price": _price(price),
        "fee": _amount(fee),
        "fee_currency": None,
        "currency": "USDT",
        "multiplier": None,
        "settlement": None,
        "trade_id": trade_id,
        "executed_at": None if trade_id is None else _START + 342_000,
    }


@cache
def _commands() -> tuple[Command, ...]:
    """One of each kind, in an order in which all are accepted."""
    holding = {"instrument": _SHARE, "currency": "CNY", "multiplier": _price("1"), "settlement": Settlement.CASH}
    said: tuple[tuple[type[Any], dict[str, Any]], ...] = (
        (CreatePortfolio, {"base_currency": "USDT", "policy": Policy()}),
        (Deposit, {"currency": "USDT", "amount": _amount("100000")}),
        (Withdraw, {"currency": "USDT", "amount": _amount("2500.5")}),
        (RegisterPosition, {"position_id": "moutai", **holding, "quantity": _price("100"), "cost": _amount("142350")}),
        (UpdatePosition, {"position_id": "moutai", "quantity": _price("200"), "cost": _amount("284700")}),
        (ApplySplit, {"instrument": _SHARE, "new": 11, "old": 10}),
        (ApplyDividend, {"position_id": "moutai", "amount": _amount("5175.2")}),
        (ApplyFill, _fill("btc", _BTC, "0.5", "61837.63", "30.918815", "3750834171")),
        (ChargeFee, {"position_id": None, "currency": "USDT", "amount": _amount("12")}),
        (ApplyFunding, {"position_id": "btc", "amount": _amount("-1.25")}),
        (
            OverridePrice,
            {
                "instrument": _SHARE,
                "price": _price("1290"),
                "role": "risk",
                "reason": "suspended today",
                "expires_at": _START + 8 * 3_600_000_000,
            },
        ),
        (
            OverridePrices,
            {
                "prices": (NewPrice(_SHARE, None), NewPrice(_BTC, _price("61850"))),
                "role": "pricing",
                "reason": "prices of the custodian",
                "expires_at": _START + 8 * 3_600_000_000,
            },
        ),
        (SetPolicy, {"policy": Policy(accounting=Accounting.FIFO)}),
        (ClosePosition, {"position_id": "btc", "price": _price("61900.01"), "fee": _amount("30.95"), "fee_currency": None}),
        (RemovePosition, {"position_id": "btc"}),
        (Revalue, {}),
    )
    return tuple(
        make(
            portfolio_id="fund-1",
            command_id=f"7b0d4c1e-{number:02}",
            expected_version=number,
            actor="alice",
            issued_at=_START + number * 60_000_000,
            **fields,
        )
        for number, (make, fields) in enumerate(said)
    )


def _command(kind: type[Any]) -> Command:
    return next(command for command in _commands() if type(command) is kind)


@cache
def _done() -> tuple[tuple[Portfolio, PortfolioReply], ...]:
    """The portfolio after each command, and its reply."""
    found, portfolio = list[tuple[Portfolio, PortfolioReply]](), None
    for offset, command in enumerate(_commands()):
        portfolio, reply = apply(portfolio, command, command.issued_at + 3_000, (COMMANDS.name, _PARTITION, offset))
        if portfolio is not None:
            found.append((portfolio, reply))
    return tuple(found)


def _after(kind: type[Any]) -> tuple[Portfolio, PortfolioReply]:
    return next(done for command, done in zip(_commands(), _done(), strict=True) if isinstance(command, kind))


BY_KIND: Mapping[type[Record], Callable[[], Record]] = {
    **{kind: partial(_command, kind) for kind in COMMANDS.records},
    PortfolioReply: lambda: _after(ApplyFill)[1],
    Portfolio: lambda: _after(SetPolicy)[0],
}
"""How the example of each kind is had."""
