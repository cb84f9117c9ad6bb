"""Commands to portfolios for tests: short to make, and random ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from market.decimals import ONE
from market.limits import Limit, LimitKind
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
from tests.builders import START

AMOUNT = 10**24
PORTFOLIO = "fund-1"
BTC, PERP, SHARE = "binance:BTC-USDT", "binance:BTC-USDT-PERP", "sse:600519"
CURRENCIES = {BTC: "USDT", PERP: "USDT", SHARE: "CNY"}
TOPIC = "pf.commands"
FIFO = Policy(accounting=Accounting.FIFO)
_DEFAULTS: dict[type[Any], dict[str, Any]] = {
    CreatePortfolio: {"base_currency": "USDT", "policy": Policy()},
    Deposit: {"currency": "USDT", "amount": 1000 * AMOUNT},
    Withdraw: {"currency": "USDT", "amount": AMOUNT},
    RegisterPosition: {
        "position_id": "p1",
        "instrument": BTC,
        "currency": "USDT",
        "multiplier": ONE,
        "settlement": Settlement.CASH,
        "quantity": 2 * ONE,
        "cost": 200 * AMOUNT,
    },
    UpdatePosition: {"position_id": "p1", "quantity": ONE, "cost": 100 * AMOUNT},
    ApplyFill: {
        "position_id": "p1",
        "instrument": BTC,
        "quantity": ONE,
        "price": 100 * ONE,
        "fee": 0,
        "fee_currency": None,
        "currency": "USDT",
        "multiplier": None,
        "settlement": None,
        "trade_id": None,
        "executed_at": None,
    },
    ClosePosition: {"position_id": "p1", "price": 100 * ONE, "fee": 0, "fee_currency": None},
    RemovePosition: {"position_id": "p1"},
    ChargeFee: {"position_id": None, "currency": "USDT", "amount": AMOUNT},
    ApplyFunding: {"position_id": "p1", "amount": AMOUNT},
    ApplyDividend: {"position_id": "p1", "amount": AMOUNT},
    ApplySplit: {"instrument": BTC, "new": 2, "old": 1},
    OverridePrice: {
        "instrument": BTC,
        "price": 90 * ONE,
        "role": "risk",
        "reason": "feed is down",
        "expires_at": START + 10**9,
    },
    OverridePrices: {
        "prices": (NewPrice(BTC, 90 * ONE), NewPrice(PERP, 91 * ONE)),
        "role": "risk",
        "reason": "feed is down",
        "expires_at": START + 10**9,
    },
    SetPolicy: {"policy": FIFO},
    Revalue: {},
}
KINDS = tuple(_DEFAULTS)


def command(
    kind: type[Any],
    number: int | str = 0,
    *,
    version: int | None = None,
    portfolio: str = PORTFOLIO,
    at: int = START,
    **fields: Any,
) -> Any:
    """A command with the id `c-<number>`; every field has a default."""
    head = {"portfolio_id": portfolio, "command_id": f"c-{number}", "expected_version": version}
    return kind(**head, actor="trader", issued_at=at, **(_DEFAULTS[kind] | fields))


def run(*commands: Command, portfolio: Portfolio | None = None) -> tuple[Portfolio | None, list[PortfolioReply]]:
    """Do commands one after the other, a second apart; the portfolio and the replies."""
    replies = []
    for offset, one in enumerate(commands):
        portfolio, reply = apply(portfolio, one, START + offset * 1_000_000, (TOPIC, 0, offset))
        replies.append(reply)
    return portfolio, replies


def done(*commands: Command, portfolio: Portfolio | None = None) -> Portfolio:
    """The portfolio after commands all of which are accepted."""
    after, replies = run(*commands, portfolio=portfolio)
    assert after is not None
    assert [reply.error for reply in replies] == [None] * len(commands)
    return after


def refusal(portfolio: Portfolio, one: Command) -> PortfolioReply:
    """The reply to a command that must be refused and change nothing."""
    after, (reply,) = run(one, portfolio=portfolio)
    assert (reply.accepted, reply.version) == (False, portfolio.version)
    assert after == portfolio
    return reply


_IDS = st.sampled_from(["p1", "p2", "p3"])
_AMOUNTS = st.one_of(st.integers(-9, 9).map(lambda n: n * AMOUNT), st.integers(-(10**30), 10**30))
_VARIED: dict[str, st.SearchStrategy[Any]] = {
    "instrument": st.sampled_from(sorted(CURRENCIES)),
    "currency": st.sampled_from(sorted(set(CURRENCIES.values()))),
    "amount": _AMOUNTS,
    "position_id": _IDS,
    "multiplier": st.sampled_from([ONE, ONE // 10, 7]),
    "settlement": st.sampled_from(Settlement),
    "quantity": st.one_of(st.integers(-9, 9).map(lambda n: n * ONE), st.integers(-(10**15), 10**15)),
    "cost": _AMOUNTS,
    "price": st.integers(1, 10**17),
    "prices": st.lists(
        st.builds(NewPrice, st.sampled_from(sorted(CURRENCIES)), st.none() | st.integers(1, 10**17)), min_size=1, max_size=3
    ).map(tuple),
    "fee": st.one_of(st.just(0), _AMOUNTS),
    "fee_currency": st.sampled_from([None, "BNB", "USDT"]),
    "new": st.integers(1, 5),
    "old": st.integers(1, 5),
    "policy": st.builds(
        Policy,
        accounting=st.sampled_from(Accounting),
        prices=st.just(Policy().prices),
        stale_after=st.just(1),
        valuation_period=st.just(0),
        overdraft=st.booleans(),
        limits=st.sampled_from([(), (Limit(LimitKind.DRAWDOWN, 5 * AMOUNT, AMOUNT), Limit(LimitKind.PRICE_AGE, 7, 0))]),
        day_ends=st.sampled_from([0, 25_200_000_000]),
        day_zone=st.sampled_from(["UTC", "Europe/Berlin"]),
    ),
}
_KINDS = st.sampled_from([*KINDS[1:], *[ApplyFill] * 10, *[RegisterPosition] * 3])
_VERSIONS = st.integers(0, 9)
_SIZES = {size: st.integers(0, size) for size in range(60)}


@st.composite
def _fields(draw: st.DrawFn, kind: type[Any]) -> dict[str, Any]:
    """Fields worth varying; what comes may well be refused."""
    found = {name: draw(_VARIED[name]) for name in _DEFAULTS[kind] if name in _VARIED}
    if kind is ApplyFill:  # of what is there, whatever its settlement and multiplier
        found |= {"multiplier": None, "settlement": None}
    if "position_id" in found and "instrument" in found:  # mostly one instrument to a position, and no mix of currencies
        found["currency"] = CURRENCIES[found["instrument"]]
        by_id = {"p1": BTC, "p2": PERP, "p3": SHARE}
        if found["price" if "price" in found else "cost"] % 8:
            found["instrument"] = by_id[found["position_id"]]
            found["currency"] = CURRENCIES[found["instrument"]]
        elif kind is ApplyFill:
            found["position_id"] = None
    if "cost" in found:
        found["cost"] = abs(found["cost"]) if found["quantity"] > 0 else -abs(found["cost"]) if found["quantity"] else 0
    return found


_FIELDS = {kind: _fields(kind) for kind in KINDS}


@st.composite
def commands(draw: st.DrawFn, *, max_size: int = 20, portfolios: int = 1, ids: int | None = None) -> list[Command]:
    """Commands to some portfolios, each created first; with `ids` so few command ids that some come again."""
    names = [f"fund-{number}" for number in range(1, portfolios + 1)]
    found = [command(CreatePortfolio, f"create-{name}", portfolio=name) for name in names]
    for number in range(draw(_SIZES[max_size])):
        kind, chance = draw(_KINDS), draw(_VERSIONS)
        name = number if ids is None else draw(_SIZES[ids])
        portfolio = names[0] if portfolios == 1 else names[draw(_SIZES[portfolios - 1])]
        version = number + 1 if chance == 9 else None
        found.append(command(kind, name, version=version, portfolio=portfolio, **draw(_FIELDS[kind])))
    return found
