"""What each command does to a portfolio: portfolio in, portfolio out, or an error that says what is wrong.

Versions, record times and command ids are seen to by `market.portfolio_answers`.
"""

from __future__ import annotations

from market.errors import DataValidationError
from market.portfolio import Portfolio
from market.portfolio_checks import LARGEST, check_amount, check_currency, check_policy, size_of
from market.portfolio_commands import (
    ApplyDividend,
    ApplyFill,
    ApplyFunding,
    ApplySplit,
    Change,
    ChargeFee,
    ClosePosition,
    CreatePortfolio,
    Deposit,
    OverridePrice,
    OverridePrices,
    RegisterPosition,
    RemovePosition,
    SetPolicy,
    UpdatePosition,
    Withdraw,
)
from market.portfolio_overrides import override, override_all
from market.portfolio_reply import CommandRefused, Reason
from market.position import account_by
from market.position_changes import charge, close, distribute, fill, fund, moved, register, remove, split_all, update
from market.traces import lately

Source = tuple[str, int, int]
"""Topic, partition and offset of a command."""


def create(command: CreatePortfolio, at: int, source: Source) -> Portfolio:
    """A portfolio with nothing in it, at version 1. Raises DataValidationError."""
    return Portfolio(
        command.portfolio_id,
        check_currency(command.base_currency, field="base_currency"),
        1,
        check_policy(command.policy),
        {},
        {},
        {},
        at,
        at,
        *source,
    )


def change(portfolio: Portfolio, command: Change, at: int, source: Source) -> Portfolio:
    """The portfolio's next version. Raises CommandRefused, or DataValidationError naming the field at fault."""
    changed = _changed(portfolio, command, at)
    overrides = {name: override for name, override in changed.overrides.items() if override.expires_at > at}
    topic, partition, offset = source
    after = changed._replace(
        version=portfolio.version + 1,
        overrides=overrides,
        traces=lately(changed.traces, at),
        updated_at=at,
        source_topic=topic,
        source_partition=partition,
        source_offset=offset,
    )
    if (size := size_of(after)) > LARGEST and size > size_of(portfolio):
        raise CommandRefused(
            Reason.TOO_LARGE,
            f"the portfolio would take {size} bytes of the {LARGEST} that a record may have: "
            f"{len(after.positions)} positions with {sum(len(one.lots) for one in after.positions.values())} lots",
        )
    return after


def _changed(portfolio: Portfolio, command: Change, at: int) -> Portfolio:
    match command:
        case CreatePortfolio():
            raise CommandRefused(
                Reason.PORTFOLIO_EXISTS, f"there is a portfolio {portfolio.portfolio_id} already", field="portfolio_id"
            )
        case Deposit():
            return _deposit(portfolio, command)
        case Withdraw():
            return _withdraw(portfolio, command)
        case RegisterPosition():
            return register(portfolio, command, at)
        case UpdatePosition():
            return update(portfolio, command, at)
        case ApplyFill():
            return fill(portfolio, command, at)
        case ClosePosition():
            return close(portfolio, command, at)
        case RemovePosition():
            return remove(portfolio, command, at)
        case ChargeFee():
            return charge(portfolio, command)
        case ApplyFunding():
            return fund(portfolio, command)
        case ApplyDividend():
            return distribute(portfolio, command)
        case ApplySplit():
            return split_all(portfolio, command, at)
        case OverridePrice():
            return override(portfolio, command, at)
        case OverridePrices():
            return override_all(portfolio, command, at)
        case SetPolicy():
            return _set_policy(portfolio, command)


def _deposit(portfolio: Portfolio, command: Deposit) -> Portfolio:
    amount = _above_zero(command)
    return moved(portfolio, check_currency(command.currency), cash=amount, deposited=amount)


def _withdraw(portfolio: Portfolio, command: Withdraw) -> Portfolio:
    amount = _above_zero(command)
    left = moved(portfolio, check_currency(command.currency), cash=-amount, deposited=-amount)
    if left.balances[command.currency].cash < 0 and not portfolio.policy.overdraft:
        raise CommandRefused(
            Reason.INSUFFICIENT_CASH, f"there is not so much cash in {command.currency}, nor an overdraft", field="amount"
        )
    return left


def _above_zero(command: Deposit | Withdraw) -> int:
    if command.amount < 0:
        raise DataValidationError("not_positive", "amount: is below zero", field="amount")
    return check_amount(command.amount, field="amount")


def _set_policy(portfolio: Portfolio, command: SetPolicy) -> Portfolio:
    policy = check_policy(command.policy)
    positions = {key: account_by(position, policy.accounting) for key, position in portfolio.positions.items()}
    return portfolio._replace(policy=policy, positions=positions)
