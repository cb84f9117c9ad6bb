"""Commands: what somebody wants done to a portfolio. What comes of them is in `market.portfolio_changes`.

Every command begins with the same five fields. `command_id` is the sender's own: sent again, the same command changes nothing
and gets the answer it had. `expected_version` is the portfolio's version the sender has seen; another one is refused, None is
for who does not mind (an execution feed). `actor` is who wants it, `issued_at` when, by the sender's clock (microseconds).

Prices, quantities and multipliers are at scale 12, amounts and costs at scale 24.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from market.errors import DataValidationError
from market.portfolio import Policy
from market.position import Settlement
from market.quality import check_id

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}", re.ASCII)


class CreatePortfolio(NamedTuple):
    """Begin a portfolio, with nothing in it."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    base_currency: str
    policy: Policy


class Deposit(NamedTuple):
    """Bring cash in; the amount is above zero."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    currency: str
    amount: int


class Withdraw(NamedTuple):
    """Take cash out; the amount is above zero, and there unless the policy has an overdraft."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    currency: str
    amount: int


class RegisterPosition(NamedTuple):
    """Bring a position in as it is held elsewhere, with its total cost (which has the quantity's sign); no cash moves."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    position_id: str
    instrument: str
    currency: str
    multiplier: int
    settlement: Settlement
    quantity: int
    cost: int


class UpdatePosition(NamedTuple):
    """Correct a position's quantity and total cost (which has the quantity's sign); no cash moves and nothing is earned."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    position_id: str
    quantity: int
    cost: int


class ApplyFill(NamedTuple):
    """Book an execution: a signed quantity (below zero: sold) at a price, and its fee (below zero: a rebate).

    Without `position_id` it goes to the one position in the instrument (the one that is open, where others are flat), or to a
    new one named as the instrument. `currency` is needed where the position is new; `multiplier` is then 1 and `settlement`
    CASH where not given. Of a position there is, they must be its own where given. The fee is in the position's currency unless
    `fee_currency` says another. `trade_id` and `executed_at` are the venue's.
    """

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    position_id: str | None
    instrument: str
    quantity: int
    price: int
    fee: int
    fee_currency: str | None
    currency: str | None
    multiplier: int | None
    settlement: Settlement | None
    trade_id: str | None
    executed_at: int | None


class ClosePosition(NamedTuple):
    """Book an execution that closes all of a position at a price."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    position_id: str
    price: int
    fee: int
    fee_currency: str | None


class RemovePosition(NamedTuple):
    """Let a flat position go; what it has brought stays in the portfolio's balances."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    position_id: str


class ChargeFee(NamedTuple):
    """Book a fee (below zero: a rebate), of a position where it says so."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    position_id: str | None
    currency: str
    amount: int


class ApplyFunding(NamedTuple):
    """Book the funding of a position, in its currency (below zero: paid)."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    position_id: str
    amount: int


class ApplyDividend(NamedTuple):
    """Book the dividend of a position, in its currency (below zero: paid, by who is short)."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    position_id: str
    amount: int


class ApplySplit(NamedTuple):
    """Split an instrument: `new` units for every `old` ones, in all positions of the portfolio, at unchanged cost."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    instrument: str
    new: int
    old: int


class OverridePrice(NamedTuple):
    """Value an instrument by a price of one's own until a time, in a role and for a reason; without a price: no longer."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    instrument: str
    price: int | None
    role: str
    reason: str
    expires_at: int | None


class NewPrice(NamedTuple):
    """A price for an instrument; None: the market's again."""

    instrument: str
    price: int | None


class OverridePrices(NamedTuple):
    """Value several instruments as `OverridePrice` does one, all of them or, where one cannot be, none; each once."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    prices: tuple[NewPrice, ...]
    role: str
    reason: str
    expires_at: int | None


class SetPolicy(NamedTuple):
    """Keep and value the portfolio by another policy from now on."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int
    policy: Policy


class Revalue(NamedTuple):
    """Value the portfolio now and tell all of it, lines too, whatever was told before; it stays as it is."""

    portfolio_id: str
    command_id: str
    expected_version: int | None
    actor: str
    issued_at: int


Change = (
    CreatePortfolio
    | Deposit
    | Withdraw
    | RegisterPosition
    | UpdatePosition
    | ApplyFill
    | ClosePosition
    | RemovePosition
    | ChargeFee
    | ApplyFunding
    | ApplyDividend
    | ApplySplit
    | OverridePrice
    | OverridePrices
    | SetPolicy
)
"""A command that makes a portfolio's next version."""

Command = Change | Revalue


def kind_of(command: Command) -> str:
    """The command's name: apply_fill."""
    return name_of(type(command))


def name_of(kind: type[Command]) -> str:
    """The name of a class of commands: apply_fill."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def check_name(text: str, *, field: str) -> str:
    """Return the id of a portfolio or position unchanged. Raises DataValidationError (`bad_id`)."""
    if not _ID.fullmatch(text):
        message = f"{field}: {text!r:.80} is not 1 to 100 letters, digits and ._:@- that begin with a letter or digit"
        raise DataValidationError("bad_id", message, field=field)
    return text


def check_command(command: Command) -> Command:
    """Return a command unchanged that can be answered: it names a portfolio and itself. Raises DataValidationError.

    Whatever else is wrong with it is told in the answer.
    """
    check_name(command.portfolio_id, field="portfolio_id")
    check_id(command.command_id, field="command_id")
    return command
