"""Commands on portfolios: what each does, what is refused and why, and that no money comes from nowhere."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import ONE
from market.errors import DataValidationError
from market.portfolio import Balance, Policy, Portfolio, PriceChoice, PriceOverride
from market.portfolio_checks import LARGEST, check_portfolio, size_of, unaccounted
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
    check_command,
    kind_of,
)
from market.portfolio_reply import Reason
from market.position import Accounting, Lot, Settlement
from schemas.codec import encode_body
from tests.builders import START
from tests.portfolio_parts import AMOUNT, BTC, FIFO, PERP, SHARE, command, commands, done, refusal, run

CREATE = command(CreatePortfolio)
FUNDED = done(CREATE, command(Deposit, 1))
HELD = done(command(ApplyFill, 2), portfolio=FUNDED)


class Books:
    """What a bookkeeper with fractions makes of accepted commands: cash by currency, and quantity by position."""

    def __init__(self) -> None:
        self.cash: dict[str, Fraction] = {}
        self.quantity: dict[str, Fraction] = {}

    def pay(self, currency: str, amount: Fraction) -> None:
        self.cash[currency] = self.cash.get(currency, Fraction(0)) + amount

    def take(self, command: Command, position_id: str | None, before: Portfolio) -> None:
        position = before.positions.get(position_id or "")
        key = position_id or ""
        match command:
            case Deposit():
                self.pay(command.currency, Fraction(command.amount, AMOUNT))
            case Withdraw():
                self.pay(command.currency, -Fraction(command.amount, AMOUNT))
            case RegisterPosition() | UpdatePosition():
                self.quantity[key] = Fraction(command.quantity, ONE)
            case ApplyFill():
                settlement = position.settlement if position else Settlement.CASH
                multiplier = position.multiplier if position else ONE
                self.quantity[key] = self.quantity.get(key, Fraction(0)) + Fraction(command.quantity, ONE)
                amount = Fraction(command.quantity * command.price * multiplier, ONE**3)
                if settlement is Settlement.CASH:
                    self.pay(command.currency or "", -Fraction(round(amount * AMOUNT), AMOUNT))
                self.pay(command.fee_currency or command.currency or "", -Fraction(command.fee, AMOUNT))
            case ClosePosition():
                assert position is not None
                if position.settlement is Settlement.CASH:
                    brought = Fraction(position.quantity * command.price * position.multiplier, ONE**3)
                    self.pay(position.currency, Fraction(round(brought * AMOUNT), AMOUNT))
                self.quantity[key] = Fraction(0)
                self.pay(command.fee_currency or position.currency, -Fraction(command.fee, AMOUNT))
            case RemovePosition():
                del self.quantity[key]
            case ChargeFee():
                self.pay(command.currency, -Fraction(command.amount, AMOUNT))
            case ApplyFunding() | ApplyDividend():
                assert position is not None
                self.pay(position.currency, Fraction(command.amount, AMOUNT))
            case ApplySplit():
                for name, one in before.positions.items():
                    if one.instrument == command.instrument:
                        after = round(self.quantity[name] * ONE * command.new / command.old)
                        self.quantity[name] = Fraction(after, ONE)
            case _:
                pass


@given(commands(max_size=30))
def test_cash_and_quantities_equal_the_books_and_every_amount_is_accounted_for(found: list[Command]) -> None:
    books, portfolio = Books(), None
    margined: dict[str, Fraction] = {}
    for number, one in enumerate(found):
        before = portfolio
        portfolio, (reply,) = run(one, portfolio=portfolio)
        assert portfolio is not None
        if not reply.accepted:
            assert portfolio == before
            continue
        if before is not None:
            books.take(one, reply.position_id, before)
            for currency, amount in realised_on_margin(before, portfolio).items():
                margined[currency] = margined.get(currency, Fraction(0)) + amount
        assert portfolio.version == (before.version if before else 0) + (not isinstance(one, Revalue)), number
        check_portfolio(portfolio)
    assert portfolio is not None
    cash = {currency: Fraction(balance.cash, AMOUNT) for currency, balance in portfolio.balances.items()}
    expected = {currency: books.cash.get(currency, 0) + margined.get(currency, 0) for currency in cash}
    assert cash == expected
    assert {key: Fraction(one.quantity, ONE) for key, one in portfolio.positions.items()} == books.quantity
    assert not any(unaccounted(portfolio).values())


def realised_on_margin(before: Portfolio, after: Portfolio) -> dict[str, Fraction]:
    found: dict[str, Fraction] = {}
    for key, position in after.positions.items():
        earlier = before.positions.get(key)
        if position.settlement is Settlement.MARGIN and earlier is not None:
            realised = Fraction(position.realised_pnl - earlier.realised_pnl, AMOUNT)
            found[position.currency] = found.get(position.currency, Fraction(0)) + realised
    return found


@given(commands())
def test_a_portfolio_never_takes_more_bytes_than_is_reckoned(found: list[Command]) -> None:
    portfolio, _ = run(*found)
    assert portfolio is not None
    assert len(encode_body(portfolio)) <= size_of(portfolio)


@given(commands(), st.sampled_from(Accounting))
def test_way_of_accounting_moves_profit_in_time_and_no_cash(found: list[Command], accounting: Accounting) -> None:
    policy = Policy(accounting=accounting, overdraft=True)
    steady = [one for one in found[1:] if not isinstance(one, SetPolicy | Withdraw) and one.expected_version is None]
    steady = [one for one in steady if not isinstance(one, RegisterPosition) or one.settlement is Settlement.CASH]
    average, _ = run(command(CreatePortfolio, policy=Policy(overdraft=True)), *steady)
    other, _ = run(command(CreatePortfolio, policy=policy), *steady)
    assert average is not None
    assert other is not None
    assert {key: one.cash for key, one in average.balances.items()} == {key: one.cash for key, one in other.balances.items()}


def test_new_portfolio_is_empty_at_version_1() -> None:
    portfolio, (reply,) = run(CREATE)
    assert portfolio is not None
    assert (portfolio.version, portfolio.base_currency, portfolio.positions) == (1, "USDT", {})
    assert (reply.accepted, reply.version, reply.command, reply.reason) == (True, 1, "create_portfolio", None)


def test_cash_comes_and_goes() -> None:
    left = done(command(Withdraw, 2, amount=400 * AMOUNT), portfolio=FUNDED).balances["USDT"]
    assert left == Balance(cash=600 * AMOUNT, deposited=600 * AMOUNT)


def test_withdrawal_of_more_than_there_is_needs_an_overdraft() -> None:
    too_much = command(Withdraw, 2, amount=1001 * AMOUNT)
    assert refusal(FUNDED, too_much).reason is Reason.INSUFFICIENT_CASH
    lent = done(command(SetPolicy, 2, policy=Policy(overdraft=True)), too_much, portfolio=FUNDED)
    assert lent.balances["USDT"].cash == -AMOUNT


def test_fill_moves_cash_and_its_fee() -> None:
    bought = done(command(ApplyFill, 2, fee=AMOUNT, fee_currency="BNB"), portfolio=FUNDED)
    assert bought.balances["USDT"].cash == 900 * AMOUNT
    assert bought.balances["BNB"] == Balance(cash=-AMOUNT, fees=AMOUNT)
    assert bought.positions["p1"].fees == 0, "a fee in another currency is the portfolio's alone"
    sold = done(command(ApplyFill, 3, quantity=-ONE, price=150 * ONE, fee=2 * AMOUNT), portfolio=bought)
    assert sold.balances["USDT"] == Balance(
        cash=1048 * AMOUNT, deposited=1000 * AMOUNT, realised_pnl=50 * AMOUNT, fees=2 * AMOUNT
    )
    assert sold.positions["p1"].fees == 2 * AMOUNT


def test_margined_fill_moves_only_the_profit_it_realises() -> None:
    fields: dict[str, Any] = {"instrument": PERP, "settlement": Settlement.MARGIN}
    opened = done(command(ApplyFill, 2, **fields), portfolio=FUNDED)
    assert opened.balances["USDT"].cash == 1000 * AMOUNT
    closed = done(command(ClosePosition, 3, price=90 * ONE, fee=AMOUNT), portfolio=opened)
    assert closed.balances["USDT"].cash == 989 * AMOUNT
    assert closed.positions["p1"].realised_pnl == -10 * AMOUNT


def test_fill_without_a_position_goes_to_the_only_one_or_to_a_new_one() -> None:
    fill = command(ApplyFill, 2, position_id=None)
    assert set(done(fill, portfolio=FUNDED).positions) == {BTC}
    assert done(fill, portfolio=HELD).positions["p1"].quantity == 2 * ONE
    both = done(command(ApplyFill, 3, position_id="p0"), portfolio=HELD)
    reply = refusal(both, fill)
    assert (reply.reason, reply.field, reply.candidates) == (Reason.AMBIGUOUS_POSITION, "position_id", ("p0", "p1"))


def test_fill_without_a_position_goes_to_the_open_one_before_flat_ones() -> None:
    fill = command(ApplyFill, 4, position_id=None)
    both = done(command(ApplyFill, 2, position_id="p0"), portfolio=HELD)
    one_flat = done(command(ClosePosition, 3, position_id="p0"), portfolio=both)
    filled = done(fill, portfolio=one_flat)
    assert [filled.positions[name].quantity for name in ("p0", "p1")] == [0, 2 * ONE]
    flat = done(command(ClosePosition, 4), portfolio=one_flat)
    assert refusal(flat, fill).candidates == ("p0", "p1")
    three = done(command(ApplyFill, 4, position_id="p2"), portfolio=one_flat)
    assert refusal(three, command(ApplyFill, 5, position_id=None)).candidates == ("p1", "p2")


def test_fill_that_closes_the_only_open_position_beside_a_flat_one_is_answered_with_it() -> None:
    both = done(command(ApplyFill, 2, position_id="p0"), portfolio=HELD)
    one_flat = done(command(ClosePosition, 3, position_id="p0"), portfolio=both)
    closed, (reply,) = run(command(ApplyFill, 4, position_id=None, quantity=-ONE), portfolio=one_flat)
    assert closed is not None
    assert closed.positions["p1"].quantity == 0
    assert (reply.accepted, reply.position_id) == (True, "p1")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"instrument": SHARE}, "instrument"),
        ({"currency": "CNY"}, "currency"),
        ({"multiplier": 2 * ONE}, "multiplier"),
        ({"settlement": Settlement.MARGIN}, "settlement"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": 10**38}, "quantity"),
        ({"price": 0}, "price"),
        ({"price": 10**37, "quantity": 10**37}, "cost"),
        ({"position_id": "new", "currency": None}, "currency"),
        ({"position_id": "new one"}, "position_id"),
        ({"position_id": "new", "multiplier": -1}, "multiplier"),
        ({"fee": AMOUNT, "fee_currency": "bnb"}, "fee_currency"),
        ({"instrument": "BTC"}, "instrument"),
        ({"trade_id": ""}, "trade_id"),
        ({"executed_at": 5}, "executed_at"),
    ],
)
def test_fill_that_cannot_be_is_refused_with_its_field(fields: dict[str, Any], field: str) -> None:
    reply = refusal(HELD, command(ApplyFill, 3, **fields))
    assert (reply.reason, reply.field) == (Reason.INVALID_FIELD, field)
    assert reply.error is not None
    assert field in reply.error


def test_registered_position_brings_its_cost_and_moves_no_cash() -> None:
    held = done(command(RegisterPosition, 2), portfolio=FUNDED)
    assert held.balances["USDT"] == Balance(cash=1000 * AMOUNT, deposited=1000 * AMOUNT, transferred=200 * AMOUNT)
    assert (held.positions["p1"].average_price, held.positions["p1"].version) == (100 * ONE, 3)
    assert refusal(held, command(RegisterPosition, 3)).reason is Reason.POSITION_EXISTS
    wrong = command(RegisterPosition, 3, position_id="p2", quantity=-ONE)
    assert refusal(held, wrong).field == "cost"


def test_corrected_position_earns_nothing() -> None:
    held = done(command(UpdatePosition, 3, quantity=-3 * ONE, cost=-330 * AMOUNT), portfolio=HELD)
    assert (held.positions["p1"].quantity, held.positions["p1"].realised_pnl) == (-3 * ONE, 0)
    assert held.balances["USDT"].transferred == -430 * AMOUNT
    assert refusal(HELD, command(UpdatePosition, 3, quantity=0)).field == "cost"


def test_position_is_closed_and_then_removed() -> None:
    assert refusal(HELD, command(RemovePosition, 3)).reason is Reason.POSITION_OPEN
    closed = done(command(ClosePosition, 3, price=130 * ONE), portfolio=HELD)
    assert refusal(closed, command(ClosePosition, 4)).reason is Reason.POSITION_FLAT
    removed = done(command(RemovePosition, 4), portfolio=closed)
    assert (removed.positions, removed.balances["USDT"].realised_pnl) == ({}, 30 * AMOUNT)


@pytest.mark.parametrize("kind", [UpdatePosition, ClosePosition, RemovePosition, ApplyFunding, ApplyDividend, ChargeFee])
def test_position_that_is_not_there_is_named(kind: type[Any]) -> None:
    reply = refusal(FUNDED, command(kind, 3, position_id="p9"))
    assert (reply.reason, reply.field, reply.error) == (
        Reason.UNKNOWN_POSITION,
        "position_id",
        "there is no position 'p9'",
    )


def test_fees_funding_and_dividends_move_cash_of_the_position_and_the_portfolio() -> None:
    after = done(
        command(ChargeFee, 3, position_id="p1", amount=3 * AMOUNT),
        command(ApplyFunding, 4, amount=-5 * AMOUNT),
        command(ApplyDividend, 5, amount=7 * AMOUNT),
        portfolio=HELD,
    )
    position, balance = after.positions["p1"], after.balances["USDT"]
    assert (position.fees, position.funding, position.dividends) == (3 * AMOUNT, -5 * AMOUNT, 7 * AMOUNT)
    assert (balance.fees, balance.funding, balance.dividends) == (3 * AMOUNT, -5 * AMOUNT, 7 * AMOUNT)
    assert balance.cash == 899 * AMOUNT


def test_split_keeps_the_cost_and_ends_an_overridden_price() -> None:
    before = done(command(OverridePrice, 3), portfolio=HELD)
    after = done(command(ApplySplit, 4, new=3, old=2), portfolio=before)
    assert (after.positions["p1"].quantity, after.positions["p1"].cost) == (15 * ONE // 10, 100 * AMOUNT)
    assert after.overrides == {}
    assert refusal(HELD, command(ApplySplit, 3, instrument=SHARE)).reason is Reason.UNKNOWN_POSITION
    assert refusal(HELD, command(ApplySplit, 3, new=1)).field == "new"


def test_split_that_would_leave_nothing_is_refused() -> None:
    tiny = done(command(ApplyFill, 2, quantity=1), portfolio=FUNDED)
    assert refusal(tiny, command(ApplySplit, 3, new=1, old=3)).field == "new"


def test_overridden_price_lasts_until_its_time() -> None:
    after = done(command(OverridePrice, 3, expires_at=START + 1_500_000), portfolio=HELD)
    expected = PriceOverride(BTC, 90 * ONE, "trader", "risk", "feed is down", START, START + 1_500_000)
    assert after.overrides == {BTC: expected}
    later = done(command(Deposit, 4), command(Deposit, 5), command(Deposit, 6), portfolio=after)
    assert later.overrides == {}


def test_overridden_price_is_taken_back() -> None:
    after = done(command(OverridePrice, 3), command(OverridePrice, 4, price=None, expires_at=None), portfolio=HELD)
    assert after.overrides == {}
    assert refusal(after, command(OverridePrice, 5, price=None)).field == "instrument"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"role": ""}, "role"),
        ({"reason": "x" * 201}, "reason"),
        ({"expires_at": START}, "expires_at"),
        ({"price": -1}, "price"),
    ],
)
def test_price_is_overridden_by_somebody_for_a_reason_and_a_time(fields: dict[str, Any], field: str) -> None:
    assert refusal(HELD, command(OverridePrice, 3, **fields)).field == field


def test_batch_of_prices_makes_one_version_or_changes_nothing() -> None:
    after = done(command(OverridePrices, 3), portfolio=HELD)
    assert (after.version, {name: one.price for name, one in after.overrides.items()}) == (4, {BTC: 90 * ONE, PERP: 91 * ONE})
    assert after.overrides[PERP] == PriceOverride(PERP, 91 * ONE, "trader", "risk", "feed is down", START, START + 10**9)
    taken_back = done(command(OverridePrices, 4, prices=(NewPrice(PERP, None),), expires_at=None), portfolio=after)
    assert list(taken_back.overrides) == [BTC]
    mixed = done(command(OverridePrices, 4, prices=(NewPrice(PERP, None), NewPrice(SHARE, 1))), portfolio=after)
    assert list(mixed.overrides) == [BTC, SHARE]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"role": ""}, "role"),
        ({"expires_at": None}, "expires_at"),
        ({"prices": ()}, "prices"),
        ({"prices": (NewPrice(BTC, 1), NewPrice(BTC, 2))}, "prices"),
        ({"prices": tuple(NewPrice(f"sim:S{number}", 1) for number in range(501))}, "prices"),
        ({"prices": (NewPrice(BTC, 1), NewPrice("BTC", 1))}, "prices.1.instrument"),
        ({"prices": (NewPrice(BTC, 1), NewPrice(PERP, 0))}, "prices.1.price"),
        ({"prices": (NewPrice(BTC, 1), NewPrice(PERP, None))}, "prices.1.instrument"),
    ],
)
def test_batch_of_prices_names_the_first_one_at_fault(fields: dict[str, Any], field: str) -> None:
    assert refusal(HELD, command(OverridePrices, 3, **fields)).field == field


def test_five_hundred_prices_fit_one_command() -> None:
    prices = tuple(NewPrice(f"sim:S{number}", 1) for number in range(500))
    assert len(done(command(OverridePrices, 3, prices=prices), portfolio=HELD).overrides) == 500


def test_change_of_accounting_makes_lots_of_what_is_held() -> None:
    fifo = done(command(SetPolicy, 3), portfolio=HELD)
    assert fifo.positions["p1"].lots == (Lot(ONE, 100 * AMOUNT, START),)
    assert done(command(SetPolicy, 4, policy=Policy()), portfolio=fifo).positions["p1"].lots == ()
    no_price = command(SetPolicy, 3, policy=Policy(prices=()))
    twice = command(SetPolicy, 3, policy=Policy(prices=(PriceChoice.LAST, PriceChoice.LAST)))
    assert refusal(HELD, no_price).field == refusal(HELD, twice).field == "policy.prices"


@pytest.mark.parametrize("kind", [Deposit, Withdraw])
@pytest.mark.parametrize("amount", [0, -1, 10**50])
def test_amount_of_cash_is_above_zero_and_fits(kind: type[Any], amount: int) -> None:
    assert refusal(FUNDED, command(kind, 2, amount=amount)).field == "amount"


def test_cash_beyond_its_digits_is_refused() -> None:
    rich = done(CREATE, command(Deposit, 1, amount=10**50 - 1))
    assert refusal(rich, command(Deposit, 2, amount=1)).field == "cash"


def test_stale_version_is_refused_with_the_current_one() -> None:
    reply = refusal(FUNDED, command(Deposit, 2, version=1))
    assert (reply.reason, reply.field, reply.version) == (Reason.STALE_VERSION, "expected_version", 2)
    assert done(command(Deposit, 2, version=2), portfolio=FUNDED).version == 3


def test_portfolio_is_created_once() -> None:
    assert refusal(FUNDED, command(CreatePortfolio, 2, version=0)).reason is Reason.PORTFOLIO_EXISTS
    _, (unknown,) = run(command(Deposit))
    assert (unknown.reason, unknown.version) == (Reason.UNKNOWN_PORTFOLIO, None)
    nothing, (stale,) = run(command(CreatePortfolio, version=4))
    assert (nothing, stale.reason, stale.version) == (None, Reason.STALE_VERSION, None)
    assert run(command(CreatePortfolio, base_currency="usdt"))[1][0].field == "base_currency"


def test_what_was_paid_for_a_position_fits_a_record_as_its_cost_does() -> None:
    dear = (10**26 - 1) * ONE
    before = [
        command(Deposit, 2, amount=dear * 10**12),
        command(ApplyFill, 3, price=dear),
        command(ApplyFill, 4, quantity=-ONE, price=ONE),
    ]
    held = done(*before, portfolio=done(command(CreatePortfolio, 1)))
    reply = refusal(held, command(ApplyFill, 5, price=dear))  # cost fits, and so does the loss: what was paid is both
    assert (reply.reason, reply.field) == (Reason.INVALID_FIELD, "cost")


def test_portfolio_that_outgrows_its_record_is_refused_until_it_shrinks() -> None:
    lots = tuple(Lot(ONE, AMOUNT, START) for _ in range(LARGEST // 49))
    held = done(command(SetPolicy, 3), portfolio=HELD)
    wide = held.positions["p1"]._replace(quantity=len(lots) * ONE, cost=len(lots) * AMOUNT, lots=lots)
    big = held._replace(positions={"p1": wide})
    assert size_of(big) > LARGEST
    reply = refusal(big, command(ApplyFill, 4))
    assert reply.reason is Reason.TOO_LARGE
    assert reply.error is not None
    assert f"of the {LARGEST}" in reply.error
    assert f"1 positions with {len(lots) + 1} lots" in reply.error
    assert done(command(SetPolicy, 4, policy=Policy()), portfolio=big).positions["p1"].lots == ()


def test_money_from_nowhere_is_found() -> None:
    balance = HELD.balances["USDT"]
    forged = HELD._replace(balances={"USDT": balance._replace(cash=balance.cash + 1)})
    with pytest.raises(DataValidationError, match=r"^balances\.USDT\.cash: 1 more"):
        check_portfolio(forged)
    lots = (Lot(ONE, 99 * AMOUNT, START),)
    with pytest.raises(DataValidationError, match=r"^positions\.p1\.lots"):
        check_portfolio(HELD._replace(positions={"p1": HELD.positions["p1"]._replace(lots=lots)}))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"portfolio_id": "a|b"}, "portfolio_id"),
        ({"portfolio_id": ""}, "portfolio_id"),
        ({"command_id": "x" * 201}, "command_id"),
    ],
)
def test_command_that_names_nobody_cannot_be_answered(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(DataValidationError) as raised:
        check_command(command(Deposit)._replace(**fields))
    assert raised.value.field == field


def test_command_says_who_and_when() -> None:
    assert refusal(FUNDED, command(Deposit, 2)._replace(actor="")).field == "actor"
    assert refusal(FUNDED, command(Deposit, 2)._replace(issued_at=1)).field == "issued_at"


def test_commands_have_the_names_of_the_field() -> None:
    assert [kind_of(command(kind)) for kind in (ApplyFill, SetPolicy, CreatePortfolio)] == [
        "apply_fill",
        "set_policy",
        "create_portfolio",
    ]


def test_fifo_portfolio_relieves_the_oldest_lots() -> None:
    after = done(
        command(CreatePortfolio, policy=FIFO),
        command(ApplyFill, 1, price=10 * ONE),
        command(ApplyFill, 2, price=20 * ONE),
        command(ApplyFill, 3, price=30 * ONE, quantity=-ONE),
    )
    assert (after.positions["p1"].realised_pnl, after.positions["p1"].cost) == (20 * AMOUNT, 20 * AMOUNT)
