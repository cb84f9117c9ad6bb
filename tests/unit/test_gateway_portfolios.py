"""What is known of portfolios and told of them, and how commands find their answers."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channel import ChannelOptions
from gateway.channels.portfolio import Channel
from gateway.identity import LOCAL
from gateway.messages import Arrival, Room, Source
from gateway.portfolios.book import PortfolioBook
from gateway.portfolios.desk import Desk
from gateway.portfolios.orders import Head, read_form
from gateway.portfolios.revaluations import Revaluations
from gateway.portfolios.stats import CommandStats
from gateway.portfolios.waiter import ReplyWaiter
from gateway.refusals import ErrorCode, Refusal
from market.decimals import ONE
from market.limits import Limit, LimitKind
from market.portfolio import Policy, Portfolio
from market.portfolio_commands import (
    ApplyFill,
    Command,
    CreatePortfolio,
    Deposit,
    OverridePrice,
    RegisterPosition,
    RemovePosition,
    Revalue,
    SetPolicy,
    kind_of,
)
from market.portfolio_reply import PortfolioReply, Reason
from market.position import Accounting
from market.valuation import LineState
from market.valuation_record import Valuation, ValuationLine
from schemas.topics import POSITIONS, REPLIES, VALUATION_LINES, VALUATIONS
from tests.builders import START
from tests.gateway_parts import HandTurnedLoop
from tests.gateway_portfolios import Processor, floats, make_line, make_valuation
from tests.portfolio_parts import AMOUNT, KINDS, PORTFOLIO, command, done

Answers = list[PortfolioReply | Refusal]

HELD = done(command(CreatePortfolio), command(Deposit, 1), command(RegisterPosition, 2))
FILLED = done(command(ApplyFill, 3), portfolio=HELD)
FLAT = done(command(ApplyFill, 4, quantity=-2 * ONE), portfolio=HELD)
GONE = done(command(RemovePosition, 5), portfolio=FLAT)
TOPIC_OF = {Portfolio: POSITIONS, Valuation: VALUATIONS, ValuationLine: VALUATION_LINES}


def arrival(record: Any, offset: int = 0) -> Arrival:
    return Arrival(Source(TOPIC_OF[type(record)].name, 0, offset), record)


def told(channel: Channel, *records: Any) -> list[dict[str, Any]]:
    """What a channel tells of these records."""
    arrivals = [arrival(record) for record in records]
    return [orjson.loads(channel.render(one, START).payload) for one in arrivals if channel.take(one) is not None]


def snapshot(channel: Channel) -> Any:
    (message,) = channel.snapshot(channel.grant(PORTFOLIO), START)
    return orjson.loads(message.payload)


class TestBook:
    def test_later_of_two_is_kept_by_generation_then_sequence(self) -> None:
        book = PortfolioBook()
        assert book.take_valuation(make_valuation(5, generation=1))
        assert book.take_valuation(make_valuation(1, generation=2))
        for older in (make_valuation(9, generation=1), make_valuation(1, generation=2)):
            assert not book.take_valuation(older)
        assert book.take_line(make_line(sequence=2))
        assert not book.take_line(make_line(sequence=2))
        held = book.find(PORTFOLIO)
        assert held is not None
        assert held.valuation is not None
        assert held.valuation.generation == 2

    def test_line_of_a_removed_position_goes_and_stays_away(self) -> None:
        book = PortfolioBook()
        book.take_portfolio(HELD)
        assert book.take_line(make_line(position_version=HELD.version))
        assert book.owners_of("p1") == [PORTFOLIO]
        change = book.take_portfolio(GONE)
        assert change is not None
        assert change.removed == ("p1",)
        assert not book.take_line(make_line(sequence=9, position_version=HELD.version))
        held = book.find(PORTFOLIO)
        assert held is not None
        assert held.lines == {}
        assert book.owners_of("p1") == []

    def test_line_that_comes_before_its_position_is_kept(self) -> None:
        book = PortfolioBook()
        book.take_portfolio(GONE)
        assert book.take_line(make_line("p2", position_version=GONE.version + 1))

    def test_portfolio_of_which_there_is_only_a_line_is_unknown(self) -> None:
        book = PortfolioBook()
        book.take_line(make_line())
        assert book.find(PORTFOLIO) is None

    @given(st.randoms(use_true_random=False), st.lists(st.integers(0, 8), min_size=1, max_size=8))
    def test_order_in_which_topics_are_read_does_not_matter(self, chance: random.Random, sequences: list[int]) -> None:
        versions = [HELD, FILLED, GONE]
        lines = [make_line(sequence=number, position_version=versions[number % 2].version) for number in sequences]
        by_topic: list[list[Any]] = [versions, [make_valuation(number) for number in sequences], sorted(lines, key=_sequence)]

        def after(interleaved: list[int]) -> Any:
            book, left = PortfolioBook(), [list(records) for records in by_topic]
            for topic in interleaved:
                record = left[topic].pop(0)
                take = (book.take_portfolio, book.take_valuation, book.take_line)[topic]
                take(record)
            return book.find(PORTFOLIO)

        order = [topic for topic, records in enumerate(by_topic) for _ in records]
        shuffled = list(order)
        chance.shuffle(shuffled)
        assert after(order) == after(shuffled)


def _sequence(line: ValuationLine) -> int:
    return line.sequence


class TestChannel:
    def test_snapshot_has_totals_and_lines_and_changes_follow(self) -> None:
        channel = Channel(ChannelOptions())
        told(channel, HELD, make_valuation(), make_line())
        found = snapshot(channel)
        assert (found["type"], found["metadata"]["snapshot"]) == ("portfolio_snapshot", True)
        assert found["data"]["version"] == HELD.version
        assert found["data"]["totals"]["sequence"] == 1
        assert [line["position_id"] for line in found["data"]["lines"]] == ["p1"]
        changed, totals, line = told(channel, FILLED, make_valuation(2), make_line(sequence=2))
        assert {message["type"] for message in (changed, totals, line)} == {"portfolio_update"}
        assert changed["data"]["version"] == FILLED.version
        assert changed["data"]["positions"][0]["quantity"] == "3"
        assert totals["data"]["totals"]["sequence"] == line["data"]["line"]["sequence"] == 2
        (gone,) = told(channel, GONE._replace(version=FILLED.version + 1))
        assert gone["data"]["removed"] == ["p1"]
        assert snapshot(channel)["data"]["lines"] == []

    def test_changes_of_policy_and_overridden_prices_are_told(self) -> None:
        channel = Channel(ChannelOptions())
        told(channel, HELD)
        overridden = done(command(OverridePrice, 3), portfolio=HELD)
        policed = done(command(SetPolicy, 4), portfolio=overridden)
        assert policed.policy != HELD.policy
        for changed, message in zip((overridden, policed), told(channel, overridden, policed), strict=True):
            assert set(message["data"]) <= set(channel.fields)
            known = snapshot(channel)["data"]
            assert message["data"]["version"] == changed.version
            assert len(message["data"]["overrides"]) == 1
            assert message["data"]["overrides"] == known["overrides"]
        assert message["data"]["policy"] == known["policy"]

    def test_what_is_told_has_the_declared_fields_and_no_floats(self) -> None:
        channel = Channel(ChannelOptions())
        messages = told(channel, HELD, make_valuation(), make_line())
        assert {name for message in messages for name in message["data"]} == set(channel.fields)
        assert not [*floats(messages), *floats(snapshot(channel))]

    def test_what_is_not_later_is_not_told(self) -> None:
        channel = Channel(ChannelOptions())
        records = [HELD, make_valuation(), make_line()]
        assert len(told(channel, *records)) == 3
        assert told(channel, *records) == []

    def test_position_that_was_not_valued_is_unpriced_and_not_zero(self) -> None:
        channel = Channel(ChannelOptions())
        told(channel, HELD)
        (line,) = snapshot(channel)["data"]["lines"]
        assert (line["state"], line["reason"]) == ("UNPRICED", "not valued yet")
        assert line["value"] is line["price"] is line["base_value"] is None
        assert (line["quantity"], line["cost"]) == ("2", "200")
        assert snapshot(channel)["data"]["totals"] is None

    @pytest.mark.parametrize("state", [LineState.UNPRICED, LineState.NO_FX, LineState.STALE])
    def test_line_says_what_is_missing(self, state: LineState) -> None:
        channel = Channel(ChannelOptions())
        value = ONE if state is LineState.STALE else None
        (message,) = told(channel, make_line(state=state, reason="because", value=value, base_value=None))
        line = message["data"]["line"]
        assert (line["state"], line["reason"], line["base_value"]) == (state.value, "because", None)
        assert (line["value"] is None) == (state is not LineState.STALE)

    def test_totals_that_are_not_known_are_null(self) -> None:
        channel = Channel(ChannelOptions())
        (message,) = told(channel, make_valuation(equity=None, net_exposure=None, left_out=("p1",)))
        totals = message["data"]["totals"]
        assert totals["equity"] is totals["net_exposure"] is None
        assert totals["left_out"] == ["p1"]

    def test_line_of_an_earlier_version_of_its_position_is_outdated(self) -> None:
        channel = Channel(ChannelOptions())
        told(channel, HELD, make_line(position_version=HELD.version))
        assert [line["is_outdated"] for line in snapshot(channel)["data"]["lines"]] == [False]
        told(channel, FILLED)
        assert [line["is_outdated"] for line in snapshot(channel)["data"]["lines"]] == [True]

    def test_who_is_behind_needs_the_latest_of_each_line_and_every_change(self) -> None:
        channel = Channel(ChannelOptions())
        records = [
            arrival(record) for record in (HELD, make_valuation(), make_line("p1"), make_line("p2", position_version=99))
        ]
        keys = []
        for one in records:
            assert channel.take(one) == Room("PORTFOLIO", PORTFOLIO)
            keys.append(channel.render(one, START).key)
        assert keys[0] is None
        assert len(set(keys)) == 4

    def test_unknown_portfolio_is_refused(self) -> None:
        with pytest.raises(Refusal) as caught:
            Channel(ChannelOptions()).grant("nobody's")
        assert (caught.value.code, caught.value.status) == (ErrorCode.UNKNOWN_PORTFOLIO, 404)


def reply_to(one: Command, **fields: Any) -> PortfolioReply:
    found: list[Any] = []
    Processor(lambda topic, record: found.append(record) if topic == REPLIES.name else None).send(one, found.append)
    reply: PortfolioReply = found[0]._replace(**fields)
    return reply


class TestWaiter:
    def test_answer_finds_who_waits_and_only_once(self) -> None:
        waiter, answers = ReplyWaiter(HandTurnedLoop()), Answers()
        one = command(CreatePortfolio)
        assert waiter.expect(one, answers.append)
        reply = reply_to(one)
        waiter.take(reply._replace(portfolio_id="other"))
        waiter.take(reply)
        waiter.take(reply)
        assert answers == [reply]
        assert len(waiter) == 0

    def test_same_command_on_its_way_is_sent_once_and_both_are_answered(self) -> None:
        waiter, answers = ReplyWaiter(HandTurnedLoop()), Answers()
        one = command(CreatePortfolio)
        assert waiter.expect(one, answers.append)
        assert not waiter.expect(one._replace(issued_at=START + 1), answers.append)
        with pytest.raises(Refusal) as caught:
            waiter.expect(one._replace(base_currency="CNY"), answers.append)
        assert caught.value.details["field"] == "command_id"
        waiter.take(reply_to(one))
        assert len(answers) == 2

    def test_late_answer_to_another_command_of_the_same_id_is_not_taken_for_it(self) -> None:
        loop, answers = HandTurnedLoop(), Answers()
        waiter = ReplyWaiter(loop, seconds=5)
        first, second = command(Deposit, "x", amount=AMOUNT), command(Deposit, "x", amount=2 * AMOUNT)
        waiter.expect(first, answers.append)
        loop.settle()
        assert waiter.expect(second, answers.append)
        waiter.take(reply_to(first))
        assert (len(answers), len(waiter)) == (1, 1)
        waiter.take(reply_to(second))
        assert answers[1:] == [reply_to(second)]

    def test_answer_of_a_worker_that_tells_no_digest_is_known_by_its_kind(self) -> None:
        waiter, answers = ReplyWaiter(HandTurnedLoop()), Answers()
        one = command(Deposit, "x")
        waiter.expect(one, answers.append)
        waiter.take(reply_to(command(CreatePortfolio, "x"), digest=b""))
        waiter.take(reply_to(one, digest=b""))
        assert [answer.command for answer in answers if isinstance(answer, PortfolioReply)] == ["deposit"]

    def test_nobody_waits_for_ever(self) -> None:
        loop, answers = HandTurnedLoop(), Answers()
        waiter = ReplyWaiter(loop, seconds=5)
        waiter.expect(command(CreatePortfolio), answers.append)
        loop.settle()
        (refusal,) = answers
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.status) == (ErrorCode.NO_ANSWER, 504)
        assert len(waiter) == 0

    def test_so_many_wait_and_no_more(self) -> None:
        waiter, answers = ReplyWaiter(HandTurnedLoop(), most=1), Answers()
        waiter.expect(command(Deposit, 1), answers.append)
        with pytest.raises(Refusal):
            waiter.expect(command(Deposit, 2), answers.append)


class TestStats:
    def test_outcomes_are_counted_of_the_portfolios_that_may_be_seen(self) -> None:
        stats = CommandStats(START)
        outcomes = [None, Reason.STALE_VERSION, Reason.STALE_VERSION, Reason.INVALID_FIELD]
        for offset, reason in enumerate(outcomes):
            reply = reply_to(command(CreatePortfolio), reason=reason, accepted=reason is None, source_offset=offset)
            stats.take(reply._replace(decided_at=START), START + 1000 * (offset + 1))
        found = stats.describe(lambda _: True)
        assert (found["accepted"], found["conflicts"], found["measured"]) == (1, 2, 4)
        assert found["refused"] == {"INVALID_FIELD": 1, "STALE_VERSION": 2}
        assert found["latency_micros"] == {"p50": 2000, "p95": 4000, "p99": 4000}
        hidden = stats.describe(lambda _: False)
        assert (hidden["accepted"], hidden["refused"], hidden["measured"]) == (0, {}, 0)
        assert hidden["latency_micros"] == {"p50": None, "p95": None, "p99": None}

    def test_answer_that_comes_again_is_counted_apart(self) -> None:
        stats, reply = CommandStats(START), reply_to(command(CreatePortfolio), decided_at=START)
        stats.take(reply, START)
        stats.take(reply, START + 10**9)
        found = stats.describe(lambda _: True)
        assert (found["accepted"], found["repeated"], found["latency_micros"]["p99"]) == (1, 1, 0)


_FIGURES = {"amount": 24, "cost": 24, "fee": 24, "quantity": 12, "price": 12, "multiplier": 12}


def _text_of(value: int, scale: int) -> str:
    sign, digits = "-" if value < 0 else "", f"{abs(value):0{scale + 1}}"
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"


def form_of(one: Any) -> dict[str, Any]:
    """A command as a client writes it."""
    found: dict[str, Any] = {"command": kind_of(one)}
    for name, value in list(one._asdict().items())[5:]:
        if name in _FIGURES and value is not None:
            found[name] = _text_of(value, _FIGURES[name])
        elif name == "prices":
            found[name] = [{"instrument": each.instrument, "price": _text_of(each.price, 12)} for each in value]
        elif name == "policy":
            found[name] = value._asdict() | {"prices": [str(price) for price in value.prices]}
        elif name != "role":
            found[name] = value
    return orjson.loads(orjson.dumps(found, default=str))  # type: ignore[no-any-return]


HEAD = Head(PORTFOLIO, "c-0", 7, "trader", START, "risk")


class TestOrders:
    @pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not CreatePortfolio])
    def test_every_command_is_made_of_its_form_exactly(self, kind: type[Any]) -> None:
        one = command(kind, version=7)
        assert read_form(form_of(one)).order(HEAD) == one

    def test_policy_that_was_told_can_be_sent_back(self) -> None:
        limits = (Limit(LimitKind.DRAWDOWN, 10**24, 5 * 10**23), Limit(LimitKind.PRICE_AGE, 60 * 10**24, 0))
        policy = Policy(Accounting.FIFO, limits=limits, day_ends=3_600_000_000, day_zone="Asia/Shanghai")
        channel = Channel(ChannelOptions())
        told(channel, HELD._replace(policy=policy))
        described = snapshot(channel)["data"]["policy"]
        assert described["limits"][0] == {"kind": "DRAWDOWN", "threshold": "1", "clears_at": "0.5"}
        order = read_form({"command": "set_policy", "policy": described}).order(HEAD)
        assert isinstance(order, SetPolicy)
        assert order.policy == policy

    @given(st.integers(-(10**50) + 1, 10**50 - 1))
    def test_amounts_are_exact(self, amount: int) -> None:
        one = command(Deposit, version=7, amount=amount)
        assert read_form(form_of(one)).order(HEAD) == one

    @pytest.mark.parametrize(
        ("values", "field"),
        [
            ({"command": "deposit", "currency": "USDT", "amount": "ten"}, "amount"),
            ({"command": "deposit", "currency": "USDT", "amount": 10}, "amount"),
            ({"command": "deposit", "currency": "USDT", "amount": "1e-30"}, "amount"),
            ({"command": "deposit", "amount": "1"}, "currency"),
            ({"command": "deposit", "currency": "USDT", "amount": "1", "more": 1}, "more"),
            ({"command": "set_policy", "policy": {"prices": ["GUESS"]}}, "policy.prices.0"),
            (
                {"command": "set_policy", "policy": {"limits": [{"kind": "DRAWDOWN", "threshold": "1", "clears_at": "much"}]}},
                "policy.limits.0.clears_at",
            ),
            ({"command": "set_policy", "policy": {"day_ends": 86_400_000_000}}, "policy.day_ends"),
            ({"command": "apply_split", "instrument": "x:A", "new": 0, "old": 1}, "new"),
            ({"command": "override_prices", "prices": [{"instrument": "x:A", "price": "1e-30"}]}, "prices.0.price"),
            ({"command": "close_position", "position_id": "p1", "price": "1", "fee": "0.1.2"}, "fee"),
        ],
    )
    def test_field_at_fault_is_named(self, values: dict[str, Any], field: str) -> None:
        with pytest.raises(Refusal) as caught:
            read_form(values).order(HEAD)
        assert (caught.value.code, caught.value.status) == (ErrorCode.INVALID_COMMAND, 422)
        assert caught.value.details["field"] == field

    def test_command_there_is_not_is_refused(self) -> None:
        with pytest.raises(Refusal, match="command"):
            read_form({"command": "sell_everything"})


class TestRevaluations:
    def told(self, *arrived: Any) -> list[Valuation]:
        """What who asked for a revaluation is told while these come, each with its offset."""
        channel, found = Channel(ChannelOptions()), list[Valuation]()
        channel.take(arrival(HELD))
        revaluations, request = Revaluations(channel.book), command(Revalue, "now")
        with revaluations.expecting(request, found.append):
            for record, offset in arrived:
                source = Source(REPLIES.name, 0, offset)
                if isinstance(record, Valuation):
                    channel.take(Arrival(source, record))
                revaluations.take(Arrival(source, record))
        revaluations.take(Arrival(Source(REPLIES.name, 0, 99), make_valuation(99, replies_offset=99)))
        return found

    def test_first_totals_that_go_up_to_the_answer_are_told(self) -> None:
        answered = reply_to(command(Revalue, "now"))
        early, due = make_valuation(1, replies_offset=7), make_valuation(2, replies_offset=8)
        assert self.told((early, 0), (answered, 7), (due, 1))[:1] == [due]
        assert self.told((due, 1), (answered, 7)) == [due]
        assert self.told((answered, 7), (early, 0)) == []
        assert self.told((due, 1), (answered._replace(command_id="other"), 7)) == []
        of_another = reply_to(command(Revalue, "now", version=3))
        assert self.told((due, 1), (of_another, 7)) == []
        assert self.told((make_valuation(3, portfolio_id="other", replies_offset=9), 0), (answered, 7)) == []
        assert self.told((answered, 7), (make_valuation(3, replies_offset=None), 0)) == []

    def test_totals_of_an_older_version_are_not_those_asked_for(self) -> None:
        answered = reply_to(command(Revalue, "now"))._replace(version=6)
        older, due = (make_valuation(number, replies_offset=9, position_version=number + 4) for number in (1, 2))
        assert self.told((older, 0), (answered, 7), (due, 1))[:1] == [due]


def test_desk_answers_at_once_what_it_does_not_send() -> None:
    class Narrow:
        def send(self, one: Command, failed: Any) -> None:
            raise Refusal(ErrorCode.BROKER_UNAVAILABLE, "full")

    answers = Answers()
    desk = Desk(Narrow(), ReplyWaiter(HandTurnedLoop()), lambda: START, PortfolioBook())
    for one in (command(Deposit, amount=AMOUNT), command(Deposit, portfolio="no name"), command(Deposit, "x" * 300)):
        desk.submit(LOCAL, one, answers.append)
    refusals = [answer for answer in answers if isinstance(answer, Refusal)]
    assert [(each.status, each.details.get("field")) for each in refusals] == [
        (503, None),
        (422, "portfolio_id"),
        (422, "command_id"),
    ]
