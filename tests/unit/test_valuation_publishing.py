"""What is told of valuations: what changed, when it is due, until it has arrived, and nothing else."""

from itertools import chain

from market.decimals import ONE
from market.limits import Limit, LimitKind
from market.portfolio import Portfolio
from market.portfolio_alert import Watched, see
from market.price import PricePoint
from market.valuation import LineState
from market.valuation_record import Stamp, Valuation, ValuationLine
from processors.outputs import Message
from processors.valuing.publishing import Asked, Pace, Publishing
from processors.valuing.rates import RateSources
from processors.valuing.valuer import Valuer
from processors.valuing.writing import Read
from schemas.partitioning import partition_of
from schemas.topics import VALUATION_LINES, VALUATIONS
from tests.builders import START
from tests.folding import CODEC
from tests.price_parts import SOURCE, make_price
from tests.valuing import AMOUNT, make_portfolio, make_position

SECOND = 1_000_000
INSTRUMENT = "x:A-USD"
PERIOD = 100_000
PARTITION = partition_of("ours", 4)


class World:
    """A valuer and what is told of it, with a clock."""

    def __init__(self) -> None:
        self.valuer = Valuer(RateSources({}, (), SECOND), lambda _: None)
        self.publishing = Publishing(self.valuer, CODEC, 4, Pace(SECOND, 60 * SECOND))
        self.now, self.version = START, 0
        self.done: list[Asked] = []
        self.put(self.portfolio())

    def portfolio(self, *names: str) -> Portfolio:
        positions = [
            make_position(name, quantity=ONE, instrument=INSTRUMENT, cost=5 * AMOUNT, opened_at=START)
            for name in names or ("a", "b")
        ]
        return make_portfolio(*positions)

    def put(self, portfolio: Portfolio) -> None:
        self.valuer.put_portfolio(portfolio)

    def price(self, price: int) -> None:
        self.version += 1
        point = PricePoint(price * ONE, None, SOURCE._replace(exchange_time=None, received_at=self.now))
        self.valuer.put_price(
            make_price()._replace(instrument=INSTRUMENT, mark_price=point, quotes_offset=self.version, trades_offset=None)
        )

    def turn(self, seconds: float = 0.1, *, arrives: bool = True) -> list[Message]:
        """What is sent after so much time."""
        self.now += round(seconds * SECOND)
        self.valuer.revalue(self.now)
        self.publishing.touch(self.valuer.take_touched())
        stamp = Stamp(1, self.now, self.now)
        self.publishing.touch_asked()
        self.publishing.touch_aged(self.now)
        totals = self.publishing.totals(stamp, Read((7,), {PARTITION: 9}))
        messages = [*chain.from_iterable(totals), *self.publishing.lines(stamp, 10)]
        if arrives:
            self.done += self.publishing.sent()
        else:
            self.publishing.lost()
        return messages

    def told(self, seconds: float = 0.1, *, arrives: bool = True) -> list[Valuation | ValuationLine | None]:
        messages = self.turn(seconds, arrives=arrives)
        return [message.value and CODEC.decode(message.value) for message in messages]  # type: ignore[misc]


def test_portfolio_is_told_with_its_lines_and_then_only_what_changes() -> None:
    world = World()
    total, *lines = world.told()
    assert isinstance(total, Valuation)
    assert (total.coverage_percent, total.left_out, total.net_exposure) == (0, ("a", "b"), None)
    assert [line.state for line in lines if isinstance(line, ValuationLine)] == [LineState.UNPRICED] * 2
    assert world.turn(2) == []
    world.price(7)
    total, *lines = world.told()
    assert isinstance(total, Valuation)
    assert (total.net_exposure, total.unrealised_pnl, total.board) == (14 * AMOUNT, 4 * AMOUNT, (7,))
    assert [(line.value, line.price_choice) for line in lines if isinstance(line, ValuationLine)] == [(7 * AMOUNT, "MARK")] * 2


def test_totals_wait_for_the_period_of_the_policy_and_lines_for_theirs() -> None:
    world = World()
    world.turn()
    world.price(7)
    assert world.turn(0.05) == []
    assert [message.topic for message in world.turn(0.05)] == [VALUATIONS.name]
    assert [message.topic for message in world.turn(1)] == [VALUATION_LINES.name] * 2


def test_what_did_not_arrive_is_told_again() -> None:
    world = World()
    lost = world.turn(arrives=False)
    assert [message[:3] for message in world.turn()] == [message[:3] for message in lost]
    assert world.turn(2) == []


def test_line_of_a_removed_position_is_deleted_whoever_told_it() -> None:
    world = World()
    world.publishing.know_line("ours", "before", is_there=True)
    deleted = [message.key for message in world.turn() if message.value is None]
    assert deleted == [b"ours|before"]
    world.put(world.portfolio("a")._replace(version=2))
    assert [(message.topic, message.key) for message in world.turn(1) if message.value is None] == [
        (VALUATION_LINES.name, b"ours|b")
    ]


def test_line_that_somebody_else_deleted_is_not_deleted_again() -> None:
    world = World()
    world.publishing.know_line("ours", "before", is_there=True)
    world.publishing.know_line("ours", "before", is_there=False)
    assert [message for message in world.turn() if message.value is None] == []


def test_all_is_told_again_after_long_silence() -> None:
    world = World()
    first = world.turn()
    world.publishing.touch_silent(world.now + 59 * SECOND)
    assert world.turn(59) == []
    world.publishing.touch_silent(world.now + SECOND)
    assert [message[:3] for message in world.turn(1)] == [message[:3] for message in first]


def test_portfolio_of_somebody_else_is_forgotten() -> None:
    world = World()
    world.publishing.touch(["ours"])
    world.valuer.drop_portfolio("ours")
    world.publishing.forget("ours")
    assert world.turn() == []


def test_figure_that_no_field_holds_is_not_told_and_stops_nothing_else() -> None:
    world = World()
    huge = make_position("huge", quantity=10**37, instrument=INSTRUMENT, opened_at=START)
    world.put(make_portfolio(huge)._replace(portfolio_id="theirs"))
    world.price(10**20)
    assert {message.key for message in world.turn() if message.topic == VALUATIONS.name} == {b"ours"}


def test_portfolio_that_somebody_asks_for_is_told_whole_at_once_whatever_its_period() -> None:
    world = World()
    world.turn()
    world.turn(2)
    asked = Asked(1, world.now)
    world.publishing.ask("ours", asked)
    total, *lines = world.told(0.001)
    assert isinstance(total, Valuation)
    assert (total.replies_offset, len(lines), world.done) == (9, 2, [asked])
    assert world.turn(2) == []
    world.publishing.ask("ours", asked)
    assert len(world.turn(0.001, arrives=False)) == len(world.turn(0.001)) == 3
    assert world.done == [asked] * 2


def test_request_waits_for_the_version_it_was_accepted_at() -> None:
    world = World()
    world.turn()
    world.publishing.ask("ours", Asked(2, world.now))
    world.publishing.ask("theirs", Asked(1, world.now))
    assert world.turn(0.001) == []
    world.put(world.portfolio()._replace(version=2))
    total, *lines = world.told(0.001)
    assert isinstance(total, Valuation)
    assert (total.position_version, len(lines), world.done) == (2, 2, [Asked(2, START + 100_000)])


def test_request_for_a_portfolio_that_became_somebody_elses_is_theirs_to_serve() -> None:
    world = World()
    world.turn()
    world.publishing.ask("ours", Asked(1, world.now))
    world.valuer.drop_portfolio("ours")
    world.publishing.forget("ours")
    assert world.turn() == []
    world.put(world.portfolio())
    assert len(world.turn()) == 3
    assert world.done == []


def test_totals_are_told_when_a_price_becomes_too_old_for_a_limit_and_only_then() -> None:
    world = World()
    limit = Limit(LimitKind.PRICE_AGE, 5 * AMOUNT, AMOUNT)
    portfolio = world.portfolio()
    world.put(portfolio._replace(version=2, policy=portfolio.policy._replace(limits=(limit,), stale_after=60 * SECOND)))
    world.price(7)
    first = world.told(2)[0]
    assert isinstance(first, Valuation)
    assert first.oldest_price_at is not None
    assert world.turn((first.oldest_price_at + 5 * SECOND - world.now) / SECOND) == []
    assert world.turn(1e-6, arrives=False) != []  # and did not arrive
    (found,) = world.told()
    assert isinstance(found, Valuation)
    assert found.oldest_price_at == first.oldest_price_at
    seen = see(Watched(), found, ("pf.valuations", 0, 0))
    assert [(alert.kind, alert.is_breached) for alert in seen.alerts] == [(LimitKind.PRICE_AGE, True)]
    assert world.turn(20) == []
    world.price(7)
    assert len(world.turn()) == 1 + 2  # totals by a new price, and lines
    assert world.turn(5.5) != []


def test_portfolio_without_such_a_limit_is_left_alone() -> None:
    world = World()
    portfolio = world.portfolio()
    limit = Limit(LimitKind.GROSS_EXPOSURE, 5 * AMOUNT, AMOUNT)
    world.put(portfolio._replace(version=2, policy=portfolio.policy._replace(limits=(limit,), stale_after=60 * SECOND)))
    world.price(7)
    world.turn(2)
    assert world.turn(40) == []


def test_lines_that_are_due_are_known_before_they_are_made() -> None:
    world = World()
    assert not world.publishing.has_lines_due(world.now)
    world.turn()
    assert not world.publishing.has_lines_due(world.now + SECOND)
    world.price(7)
    world.turn()
    assert [world.publishing.has_lines_due(world.now + waited) for waited in (0, SECOND)] == [False, True]
    assert len(world.turn(1)) == 2
    assert not world.publishing.has_lines_due(world.now)


def test_portfolio_whose_price_grew_too_old_for_a_limit_it_has_no_more_is_told_once() -> None:
    world = World()
    limit = Limit(LimitKind.PRICE_AGE, 5 * AMOUNT, AMOUNT)
    policy = world.portfolio().policy._replace(stale_after=60 * SECOND)
    world.put(world.portfolio()._replace(version=2, policy=policy._replace(limits=(limit,))))
    world.price(7)
    world.turn(2)
    assert world.turn(6, arrives=False) != []
    world.put(world.portfolio()._replace(version=3, policy=policy))
    assert [[message.topic for message in world.turn()].count(VALUATIONS.name) for _ in range(2)] == [1, 0]
