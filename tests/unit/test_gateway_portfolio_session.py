"""A client's conversation about portfolios: what it hears, what becomes of its commands, and what it cannot find out."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.channels.portfolio import Channel as PortfolioChannel
from gateway.identity import Grants
from gateway.refusals import ErrorCode
from market.portfolio_commands import OverridePrice, OverridePrices
from schemas.topics import VALUATION_LINES, VALUATIONS
from tests.gateway_portfolios import PRICE, PRICES, REGISTER, Floor, make_line, make_valuation
from tests.portfolio_parts import BTC, PERP, PORTFOLIO

THEIRS = "their-fund"


def test_subscriber_hears_the_whole_and_then_each_change() -> None:
    floor = Floor()
    floor.create(PORTFOLIO)
    listener = floor.listener()
    answer = floor.answer(listener, action="subscribe")
    assert answer["data"]["message_type"] == "portfolio_update"
    (snapshot,) = listener.of_type("portfolio_snapshot")
    assert (snapshot["data"]["version"], snapshot["data"]["lines"]) == (1, [])
    assert floor.answer(listener, **REGISTER)["data"]["version"] == 2
    floor.feed(VALUATIONS.name, make_valuation())
    floor.feed(VALUATION_LINES.name, make_line())
    floor.loop.settle()
    updates = [message["data"] for message in listener.of_type("portfolio_update")]
    assert [sorted(update.keys() - {"portfolio_id"}) for update in updates] == [
        ["balances", "overrides", "policy", "positions", "removed", "version"],
        ["totals"],
        ["line"],
    ]
    left = floor.answer(listener, action="unsubscribe")
    assert left["data"]["was_subscribed"] is True
    floor.feed(VALUATIONS.name, make_valuation(2))
    floor.loop.settle()
    assert len(listener.of_type("portfolio_update")) == 3


def test_snapshot_is_given_without_subscribing() -> None:
    floor = Floor()
    floor.create(PORTFOLIO)
    listener = floor.listener(portfolio_id=None)
    assert floor.answer(listener, action="get_snapshot", portfolio_id=PORTFOLIO)["data"]["version"] == 1
    assert floor.answer(listener, action="get_snapshot")["data"]["name"] == "INVALID_MESSAGE"
    assert floor.answer(listener, action="ping")["type"] == "pong"
    assert floor.hub.traffic.subscriptions == 0


def test_commands_are_done_in_the_name_of_who_sent_them_and_once() -> None:
    floor = Floor()
    floor.create(PORTFOLIO)
    listener = floor.listener()
    first = floor.answer(listener, **REGISTER, command_id="once")
    assert first["type"] == "register_position"
    assert first["data"] | {"decided_at": 0} == {
        "portfolio_id": PORTFOLIO,
        "command_id": "once",
        "command": "register_position",
        "version": 2,
        "position_id": "p1",
        "decided_at": 0,
        "instruments": [],
    }
    assert first["metadata"]["topic"] == "pf.commands"
    assert floor.answer(listener, **REGISTER, command_id="once")["data"] == first["data"]
    assert floor.processor.portfolio().version == 2
    assert floor.processor.taken[-1].actor == "local"
    assert floor.answer(listener, **(PRICE | {"expected_version": "*"}))["data"]["version"] == 3
    override = floor.processor.taken[-1]
    assert isinstance(override, OverridePrice)
    assert (override.role, override.expected_version) == ("pricing", None)


def test_batch_of_prices_is_one_command_of_which_all_or_nothing_is_done() -> None:
    floor = Floor()
    floor.create(PORTFOLIO)
    listener = floor.listener()
    answer = floor.answer(listener, **PRICES, command_id="batch")
    assert (answer["type"], answer["data"]["version"]) == ("update_price_batch", 2)
    assert answer["data"]["instruments"] == [BTC, PERP]
    assert floor.answer(listener, **PRICES, command_id="batch")["data"] == answer["data"]
    taken = floor.processor.taken[-1]
    assert isinstance(taken, OverridePrices)
    assert (taken.role, len(floor.processor.portfolio().overrides)) == ("pricing", 2)
    for number, (price, field) in enumerate(
        [({"instrument": "BTC", "price": "1"}, "instrument"), ({"instrument": BTC, "price": "x"}, "price")]
    ):
        wrong = PRICES | {"expected_version": 2, "prices": [{"instrument": PERP, "price": None}, price]}
        error = floor.answer(listener, **wrong, command_id=f"wrong-{number}")["data"]
        assert (error["name"], error["field"]) == ("INVALID_COMMAND", f"prices.1.{field}")
    assert floor.processor.portfolio().version == 2


def test_stale_version_gets_the_current_one() -> None:
    floor = Floor()
    floor.create(PORTFOLIO)
    listener = floor.listener()
    floor.answer(listener, **REGISTER)
    error = floor.answer(listener, **(PRICE | {"command_id": "late"}))
    assert error["type"] == "error"
    assert (error["data"]["name"], error["data"]["version"], error["data"]["command_id"]) == ("VERSION_CONFLICT", 2, "late")


@pytest.mark.parametrize(
    ("changes", "name", "field"),
    [
        ({"expected_version": None}, "VERSION_REQUIRED", "expected_version"),
        ({"quantity": "two"}, "INVALID_COMMAND", "quantity"),
        ({"instrument": "BTC"}, "INVALID_COMMAND", "instrument"),
        ({"currency": "usdt"}, "INVALID_COMMAND", "currency"),
        ({"settlement": "LATER"}, "INVALID_COMMAND", "settlement"),
        ({"price": "1"}, "INVALID_COMMAND", "price"),
    ],
)
def test_what_is_wrong_with_a_command_is_named(changes: dict[str, Any], name: str, field: str) -> None:
    floor = Floor()
    floor.create(PORTFOLIO)
    error = floor.answer(floor.listener(), **(REGISTER | changes))["data"]
    assert error["name"] == name
    assert field in (error["field"], error["field"].rpartition(".")[2])


def test_command_that_is_not_answered_is_told_so_with_its_id() -> None:
    floor = Floor()
    floor.create(PORTFOLIO)
    listener = floor.listener()
    floor.processor.is_unreachable = True
    error = floor.answer(listener, **REGISTER, command_id="again")["data"]
    assert (error["code"], error["command_id"]) == (ErrorCode.BROKER_UNAVAILABLE, "again")
    floor.processor.is_unreachable, floor.processor.is_silent = False, True
    listener.say(**REGISTER, command_id="again", id=2)
    floor.loop.settle()
    assert listener.sent[-1]["data"]["name"] == "NO_ANSWER"
    floor.processor.is_silent = False
    assert floor.answer(listener, **REGISTER, command_id="again")["data"]["version"] == 2


def test_id_of_a_command_that_got_no_answer_is_refused_for_another_one() -> None:
    floor = Floor()
    floor.create(PORTFOLIO)
    listener = floor.listener()
    floor.processor.is_silent = True
    listener.say(**REGISTER, command_id="again", id=1)
    floor.loop.settle()
    assert listener.sent[-1]["data"]["name"] == "NO_ANSWER"
    floor.processor.is_silent = False
    error = floor.answer(listener, **(REGISTER | {"quantity": "3"}), command_id="again")["data"]
    assert (error["name"], error["reason"], error["field"]) == ("INVALID_COMMAND", "COMMAND_ID_REUSED", "command_id")
    assert floor.processor.portfolio().version == 2


ALICE = Grants(roles=frozenset({"trader", "pricing"}), portfolios=frozenset({PORTFOLIO, "not-yet"}))
ADMIN = Grants(roles=frozenset({"trader", "pricing"}), portfolios=frozenset({"*"}))
WATCHER = Grants(portfolios=frozenset({PORTFOLIO}))
MESSAGES: list[dict[str, Any]] = [
    {"action": "subscribe"},
    {"action": "unsubscribe"},
    {"action": "get_snapshot"},
    REGISTER,
    PRICE,
    PRICES,
]
OF_SOMETHING = [message for message in MESSAGES if message["action"] != "unsubscribe"]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message["action"])
def test_portfolio_of_another_is_as_one_that_does_not_exist(message: dict[str, Any]) -> None:
    answers = []
    for exists in (False, True):
        floor = Floor({"alice": ALICE})
        floor.create(PORTFOLIO, *([THEIRS] if exists else []))
        alice = floor.listener("alice", THEIRS)
        by_url = floor.answer(alice, **message)
        assert floor.answer(alice, **message, portfolio_id=THEIRS) == by_url
        assert by_url["data"]["name"] == "UNKNOWN_PORTFOLIO"
        assert THEIRS not in str(by_url)
        assert len(floor.processor.taken) == 1 + exists
        answers.append(by_url)
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    "message", [each for each in MESSAGES if each["action"] != "unsubscribe"], ids=lambda each: each["action"]
)
def test_portfolio_of_ones_own_that_does_not_exist_gets_the_same_words(message: dict[str, Any]) -> None:
    floor = Floor({"alice": ALICE})
    alice = floor.listener("alice")
    named = dict(message, command_id="c") if "expected_version" in message else message
    ours, theirs = (floor.answer(alice, **named, portfolio_id=name)["data"] for name in ("not-yet", THEIRS))
    assert ours == theirs | ({"command_id": "c"} if "expected_version" in message else {})


def test_roles_are_needed_and_say_nothing_of_the_portfolio() -> None:
    floor = Floor({"watcher": WATCHER})
    floor.create(PORTFOLIO)
    watcher = floor.listener("watcher")
    for message in (REGISTER, PRICE, PRICES):
        assert floor.answer(watcher, **message)["data"]["name"] == "NOT_ENTITLED"
    assert floor.answer(watcher, action="subscribe")["type"] == "subscribe"
    assert len(floor.processor.taken) == 1


def test_nothing_is_told_to_who_has_shown_no_token() -> None:
    floor = Floor({"alice": ALICE})
    floor.create(PORTFOLIO)
    stranger = floor.listener()
    for message in MESSAGES:
        stranger.say(**message)
        assert stranger.sent[-1]["data"]["name"] == "UNAUTHENTICATED"
    assert len(floor.processor.taken) == 1


def test_who_loses_a_portfolio_hears_no_more_of_it_nor_of_a_command_on_its_way() -> None:
    floor = Floor({"alice": ALICE})
    floor.create(PORTFOLIO)
    alice = floor.listener("alice")
    floor.answer(alice, action="subscribe")
    floor.processor.is_silent = True
    alice.say(**REGISTER, id=7)
    narrower = Grants(portfolios=frozenset({"not-yet"}))
    floor.api_keys.replace([type(floor.entries["alice"])(**_fields(floor.entries["alice"]) | {"grants": narrower})])
    floor.hub.review()
    floor.feed(VALUATIONS.name, make_valuation())
    floor.loop.settle()
    assert alice.of_type("portfolio_update") == []
    assert alice.of_type("unsubscribe")[0]["data"]["unsubscribed"] == [{"data_type": "PORTFOLIO", "instrument": PORTFOLIO}]
    (late,) = [message for message in alice.sent if message.get("id") == 7]
    assert late["data"]["name"] == "UNKNOWN_PORTFOLIO"
    assert "command_id" not in late["data"]


def _fields(entry: Any) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__}


def test_market_data_say_nothing_of_portfolios() -> None:
    floor = Floor()
    floor.create(PORTFOLIO)
    floor.feed(VALUATION_LINES.name, make_line(instrument="hidden:GEM-USDT"))
    market = floor.listener(path="/api/ws/market")
    refused = floor.answer(market, action="subscribe", symbol="hidden:GEM-USDT", data_type="QUOTE")
    assert refused["data"]["name"] == "UNKNOWN_SYMBOL"
    refused = floor.answer(market, action="subscribe", symbol=PORTFOLIO, data_type="PORTFOLIO")
    assert refused["data"]["name"] == "UNKNOWN_DATA_TYPE"
    assert "PORTFOLIO" not in refused["data"]["candidates"]
    assert isinstance(floor.hub.portfolios, PortfolioChannel)
