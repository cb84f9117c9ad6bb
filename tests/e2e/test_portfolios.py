"""A thousand portfolios traded and valued by workers that are killed and joined by others, against integers and fractions."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from market.decimals import ONE
from market.portfolio import Policy, Portfolio
from market.portfolio_checks import check_portfolio
from market.portfolio_commands import ApplyFill, Command, CreatePortfolio, Deposit
from market.portfolio_reply import PortfolioReply, Reason
from market.price import PriceRecord
from market.valuation_record import Valuation
from runtime.settings import load
from schemas.topics import COMMANDS, DEAD_LETTERS, POSITIONS, PRICES, REPLIES, VALUATIONS
from tapeline.commands.topics import apply_topics
from tests.cluster import Cluster, wait_for
from tests.portfolio_parts import AMOUNT, command
from tests.price_parts import both_sides
from tests.processing import FAST, GROUP, Start

PORTFOLIOS = [f"fund-{number}" for number in range(1_000)]
CURRENCIES = {f"x:S{number}-{'USDT' if number % 3 else 'CNY'}": "USDT" if number % 3 else "CNY" for number in range(30)}
RATE = Fraction("7.17")
"""What a USDT is in CNY, the currency of all portfolios."""
STATED = {"base": "USDT", "quote": "CNY", "rate": str(float(RATE)), "as_of": "2026-01-31T12:00:00Z"}
SETTINGS = {
    **FAST,
    "agents": ["portfolios", "valuations"],
    "store": "rocksdict",
    "valuation": {"stated_rates": [STATED], "snapshot_seconds": 3600},
}
POLICY = Policy(stale_after=3_600_000_000)
CENT = ONE // 100


@dataclass
class Fund:
    """What a portfolio must be: cash by currency and units by instrument, and the commands that brought it there."""

    version: int = 0
    cash: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    answers: dict[str, tuple[bool, Reason | None, int]] = field(default_factory=dict)

    def take(self, one: Command) -> None:
        """Do a command that was not done before, unless its sender has seen another version."""
        if one.command_id in self.answers:
            return
        if one.expected_version not in (None, self.version):
            self.answers[one.command_id] = False, Reason.STALE_VERSION, self.version
            return
        self.version += 1
        self.answers[one.command_id] = True, None, self.version
        if isinstance(one, Deposit):
            self.cash[one.currency] += one.amount
        elif isinstance(one, ApplyFill):
            self.cash[CURRENCIES[one.instrument or ""]] -= one.quantity * one.price
            self.units[one.instrument or ""] += one.quantity

    def figures(self, prices: dict[str, int]) -> tuple[int | Fraction, ...]:
        """Version, open lines, cash, net and gross exposure, equity and all profit at these prices."""
        values = [units * prices[name] * rate(CURRENCIES[name]) for name, units in self.units.items()]
        cash = sum(amount * rate(currency) for currency, amount in self.cash.items())
        deposited = 10**6 * AMOUNT * RATE
        lines = sum(units != 0 for units in self.units.values())
        return self.version, lines, cash, sum(values), sum(map(abs, values)), cash + sum(values), cash + sum(values) - deposited


def rate(currency: str) -> Fraction:
    return RATE if currency == "USDT" else Fraction(1)


def figures_of(one: Valuation) -> tuple[int | None, ...]:
    """What the model says of a portfolio, as it was published."""
    assert (one.left_out, one.stale) == ((), 0)
    profit = (one.unrealised_pnl or 0) + (one.realised_pnl or 0)
    return one.position_version, one.lines, one.cash, one.net_exposure, one.gross_exposure, one.equity, profit


class Desk:
    """Sends commands and prices, and keeps what must come of them."""

    def __init__(self, cluster: Cluster) -> None:
        self.funds = {name: Fund() for name in PORTFOLIOS}
        self.prices: dict[str, int] = {}
        self.sent = 0
        self._cluster = cluster
        self._chance = random.Random(11)
        self._version = 0

    def open(self) -> None:
        """Every portfolio with a million USDT."""
        opening = [command(CreatePortfolio, "c", portfolio=name, base_currency="CNY", policy=POLICY) for name in PORTFOLIOS]
        self._send([*opening, *(command(Deposit, "d", portfolio=name, amount=10**6 * AMOUNT) for name in PORTFOLIOS)])

    def trade(self, count: int) -> None:
        """Fills in positions of some portfolios: one in ten sent twice, one in ten beside another of the same version."""
        for name in self._chance.sample(PORTFOLIOS, count):
            luck, version = self._chance.random(), self.funds[name].version
            orders = [self._fill(name, version), self._fill(name, version)] if luck < 0.1 else [self._fill(name)]
            self._send(orders * 2 if luck > 0.9 else orders)

    def move(self) -> None:
        """New prices of all instruments."""
        self._version += 1
        self.prices = {name: self._chance.randint(100, 20_000) * CENT for name in CURRENCIES}
        self._cluster.send(PRICES.name, self._records(time.time_ns() // 1000))

    def _records(self, now: int) -> Iterable[PriceRecord]:
        return [both_sides(name, self._version, price, price, now) for name, price in self.prices.items()]

    def _fill(self, name: str, version: int | None = None) -> Command:
        instrument = self._chance.choice(list(CURRENCIES))
        quantity = self._chance.choice([-3, -2, -1, 1, 2, 3]) * ONE
        held = self.funds[name].units[instrument]
        self.sent += 1
        one: Command = command(
            ApplyFill,
            self.sent,
            version=version,
            portfolio=name,
            instrument=instrument,
            currency=CURRENCIES[instrument],
            quantity=-held if held and self._chance.random() < 0.2 else quantity,
            price=self.prices[instrument],
            position_id=None,
        )
        return one

    def _send(self, commands: list[Command]) -> None:
        for one in commands:
            self.funds[one.portfolio_id].take(one)
        self._cluster.send(COMMANDS.name, commands)


class Readings:
    """The latest valuation of each portfolio, read on where it was left."""

    def __init__(self, cluster: Cluster) -> None:
        self.latest: dict[str, Valuation] = {}
        self._cluster = cluster
        self._next: dict[int, int] = {}

    def are_of(self, desk: Desk) -> bool:
        """Whether every portfolio is valued as the model has it."""
        for stored in self._cluster.read(VALUATIONS.name, self._next):
            self._next[stored.partition] = stored.offset + 1
            one, before = stored.record, self.latest.get(stored.record.portfolio_id)
            if before is None or (one.generation, one.sequence) > (before.generation, before.sequence):
                self.latest[one.portfolio_id] = one
        return {name: figures_of(one) for name, one in self.latest.items()} == expected(desk)


def expected(desk: Desk) -> dict[str, tuple[int | Fraction, ...]]:
    return {name: fund.figures(desk.prices) for name, fund in desk.funds.items()}


def check_answers(desk: Desk, replies: list[PortfolioReply]) -> None:
    """Every command has one answer, however often it was sent and told, and accepted ones make versions without a hole."""
    found = defaultdict[str, dict[str, tuple[bool, Reason | None, int | None]]](dict)
    for one in replies:
        answer = one.accepted, one.reason, one.version
        assert found[one.portfolio_id].setdefault(one.command_id, answer) == answer, "two answers to a command"
    assert found == {name: fund.answers for name, fund in desk.funds.items()}
    for answers in found.values():
        versions = sorted(version or 0 for accepted, _, version in answers.values() if accepted)
        assert versions == list(range(1, len(versions) + 1))


def check_positions(desk: Desk, portfolios: list[Portfolio]) -> None:
    """Each version is told in its order, some twice and then alike, and the last holds what was traded."""
    told = defaultdict[str, dict[int, Portfolio]](dict)
    for one in portfolios:
        versions = told[one.portfolio_id]
        assert versions.setdefault(one.version, one) == one, "one version, two contents"
        assert one.version <= len(versions), "a version is missing"
    for name, fund in desk.funds.items():
        last = check_portfolio(told[name][fund.version])
        held = Counter[str]()
        for position in last.positions.values():
            held[position.instrument] += position.quantity
        assert held == fund.units
        assert {currency: balance.cash for currency, balance in last.balances.items()} == fund.cash


def test_thousand_portfolios_are_valued_as_the_model_has_them_though_workers_die_and_join(
    cluster: Cluster, start: Start
) -> None:
    first = cluster.config("first.yaml", processors={**SETTINGS, "state_dir": str(cluster.folder / "first")})
    second = cluster.config("second.yaml", processors={**SETTINGS, "state_dir": str(cluster.folder / "second")})
    apply_topics(load(first))
    desk, readings = Desk(cluster), Readings(cluster)
    worker = start("process", "-c", first)
    desk.move()
    desk.open()
    desk.trade(1_000)
    cluster.flush()
    _await_answers(cluster)

    start("process", "-c", second)
    for _ in range(10):
        desk.move()
        desk.trade(100)
        time.sleep(0.3)
    worker.kill()  # with commands on their way
    for _ in range(10):
        desk.move()
        desk.trade(100)
        time.sleep(0.3)
    worker.start()
    for _ in range(10):
        desk.move()
        desk.trade(100)
        time.sleep(0.3)
    desk.move()
    cluster.flush()
    wait_for(lambda: cluster.all_committed(GROUP, COMMANDS.name), "all commands to be answered", timeout=60, every=0.3)

    check_answers(desk, [one.record for one in cluster.read(REPLIES.name)])
    check_positions(desk, [one.record for one in cluster.read(POSITIONS.name)])
    try:
        wait_for(lambda: readings.are_of(desk), "valuations as the model has them", timeout=60, every=0.5)
    except AssertionError:
        assert {name: figures_of(one) for name, one in readings.latest.items()} == expected(desk)  # tells the difference
        raise
    generations = {one.record.generation for one in cluster.read(VALUATIONS.name)}
    assert len(generations) > 1, "the partitions were never shared out anew"
    assert cluster.read(DEAD_LETTERS.name) == []


def _await_answers(cluster: Cluster) -> None:
    """Until some commands were answered."""
    wait_for(lambda: sum(cluster.ends(REPLIES.name).values()) > len(PORTFOLIOS), "answers", timeout=60)
