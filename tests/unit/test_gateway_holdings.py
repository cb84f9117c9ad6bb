"""Subscribing to what a portfolio holds: for those who may see it, and as its holdings change."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.door import MARKET_PATH
from gateway.identity import Grants
from gateway.outcome import SessionLimits
from tests.builders import INSTRUMENT, make_trade
from tests.gateway_docs import faults
from tests.gateway_parts import Listener
from tests.gateway_portfolios import REGISTER, Floor
from tests.portfolio_parts import PORTFOLIO

ETH = "binance:ETH-USDT"
SYMBOL = f"portfolio:{PORTFOLIO}"
ALL = frozenset({"*"})
TRADER = frozenset({"trader"})
GRANTS = {
    "owner": Grants(TRADER, frozenset({PORTFOLIO}), ALL, ALL),
    "stranger": Grants(TRADER, frozenset({"other"}), ALL, ALL),
    "narrow": Grants(frozenset(), frozenset({PORTFOLIO}), frozenset({ETH}), ALL),
}


class Desk(Floor):
    """A floor with one portfolio, which holds what it is told to."""

    def __init__(self) -> None:
        super().__init__(GRANTS)
        self.create(PORTFOLIO)
        self._owner = self.listener("owner")
        self._trades = 0

    def hold(self, instrument: str, position_id: str, quantity: str = "2") -> None:
        """Register a position."""
        version = self.processor.portfolio().version
        wanted = {**REGISTER, "position_id": position_id, "instrument": instrument, "quantity": quantity}
        answer = self.answer(self._owner, **{**wanted, "expected_version": version})
        assert answer["type"] == "register_position", answer

    def change(self, **quantities: int) -> None:
        """Have positions at these quantities (unscaled), as fills would."""
        before = self.processor.portfolio()
        positions = {
            name: position._replace(quantity=quantities.get(name, position.quantity))
            for name, position in before.positions.items()
        }
        account = self.processor._accounts[PORTFOLIO]
        after = before._replace(version=before.version + 1, positions=positions)
        self.processor._accounts[PORTFOLIO] = account._replace(portfolio=after)
        self.feed("pf.positions", after)

    def market(self, name: str = "owner") -> Listener:
        """A client of market data."""
        return self.listener(name, None, MARKET_PATH)

    def told(self, listener: Listener, instrument: str) -> bool:
        """Whether a trade of an instrument is told to a client."""
        self._trades += 1
        before = len(listener.of_type("trade_data"))
        self.feed("md.trades", make_trade(self._trades, instrument=instrument))
        self.settle()
        return len(listener.of_type("trade_data")) > before

    def settle(self) -> None:
        """Have what is pending written."""
        self.loop.now += 0.1
        self.loop.turn()


def of_answer(answer: Any) -> list[tuple[str, str]]:
    return [(grant["symbol"], grant["instrument"]) for grant in answer["data"]["subscriptions"]]


def test_what_a_portfolio_holds_is_subscribed_to() -> None:
    desk = Desk()
    desk.hold(INSTRUMENT, "p1")
    desk.hold(ETH, "p2")
    client = desk.market()
    answer = desk.answer(client, action="subscribe", symbols=[SYMBOL], data_types=["TRADE", "QUOTE"])
    assert of_answer(answer) == [(SYMBOL, INSTRUMENT), (SYMBOL, INSTRUMENT), (SYMBOL, ETH), (SYMBOL, ETH)]
    assert [room["instrument"] for room in answer["data"]["watching"]] == [SYMBOL, SYMBOL]
    assert desk.told(client, INSTRUMENT)
    assert desk.told(client, ETH)
    assert [fault for message in client.sent for fault in faults(message)] == []


def test_subscriptions_follow_what_it_holds() -> None:
    desk = Desk()
    desk.hold(INSTRUMENT, "p1")
    client = desk.market()
    desk.answer(client, action="subscribe", symbol=SYMBOL, data_type="TRADE")
    assert not desk.told(client, ETH)
    desk.hold(ETH, "p2")
    assert desk.told(client, ETH)
    (came,) = [message for message in client.of_type("subscribe") if "id" not in message]
    assert of_answer(came) == [(SYMBOL, ETH)]
    desk.change(p1=0)
    assert not desk.told(client, INSTRUMENT)
    assert desk.told(client, ETH)
    (left,) = client.of_type("unsubscribe")
    assert left["data"]["unsubscribed"] == [{"data_type": "TRADE", "instrument": INSTRUMENT}]
    desk.change(p1=5)
    assert desk.told(client, INSTRUMENT)
    assert [fault for message in client.sent for fault in faults(message)] == []


def test_change_that_holds_the_same_tells_nothing() -> None:
    desk = Desk()
    desk.hold(INSTRUMENT, "p1")
    client = desk.market()
    desk.answer(client, action="subscribe", symbol=SYMBOL, data_type="TRADE")
    before = len(client.sent)
    desk.change(p1=7)
    desk.settle()
    assert len(client.sent) == before


@pytest.mark.parametrize("first", [True, False])
def test_what_is_subscribed_for_itself_stays(first: bool) -> None:
    desk = Desk()
    desk.hold(INSTRUMENT, "p1")
    client = desk.market()
    symbols = [INSTRUMENT, SYMBOL] if first else [SYMBOL, INSTRUMENT]
    for symbol in symbols:
        desk.answer(client, action="subscribe", symbol=symbol, data_type="TRADE")
    desk.change(p1=0)
    assert desk.told(client, INSTRUMENT)
    desk.answer(client, action="unsubscribe", symbol=SYMBOL)
    assert desk.told(client, INSTRUMENT)


def test_unsubscribing_ends_it_and_the_following() -> None:
    desk = Desk()
    desk.hold(INSTRUMENT, "p1")
    client = desk.market()
    desk.answer(client, action="subscribe", symbol=SYMBOL, data_types=["TRADE", "QUOTE"])
    answer = desk.answer(client, action="unsubscribe", symbol=SYMBOL, data_type="TRADE")
    assert answer["data"]["unsubscribed"] == [{"data_type": "TRADE", "instrument": INSTRUMENT}]
    assert not desk.told(client, INSTRUMENT)
    assert client.of_type("market_data")
    desk.answer(client, action="unsubscribe", symbol=SYMBOL)
    desk.hold(ETH, "p2")
    assert not desk.told(client, ETH)
    assert desk.answer(client, action="subscriptions")["data"] == {"subscriptions": [], "recovering": [], "watching": []}


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
def test_stranger_is_answered_as_if_it_did_not_exist(action: str) -> None:
    desk = Desk()
    desk.hold(INSTRUMENT, "p1")
    stranger, owner = desk.market("stranger"), desk.market()
    hidden = desk.answer(stranger, action=action, symbol=SYMBOL, data_type="TRADE")
    none = desk.answer(owner, action=action, symbol="portfolio:none", data_type="TRADE")
    star = desk.answer(owner, action=action, symbol="portfolio:*", data_type="TRADE")
    assert [each["data"].pop("symbol") for each in (hidden, none, star)] == [SYMBOL, "portfolio:none", "portfolio:*"]
    assert hidden["data"] == none["data"] == star["data"]
    assert (hidden["type"], hidden["data"]["name"]) == ("error", "UNKNOWN_PORTFOLIO")
    assert not desk.told(stranger, INSTRUMENT)
    assert stranger.client.session.subscriptions.watches == {}


def test_instruments_that_may_not_be_seen_are_left_out() -> None:
    desk = Desk()
    desk.hold(INSTRUMENT, "p1")
    desk.hold(ETH, "p2")
    client = desk.market("narrow")
    answer = desk.answer(client, action="subscribe", symbol=SYMBOL, data_type="TRADE")
    assert of_answer(answer) == [(SYMBOL, ETH)]
    desk.hold("okx:BTC-USDT", "p3")
    assert not desk.told(client, "okx:BTC-USDT")


def test_who_may_see_the_portfolio_no_longer_hears_no_more_of_what_it_holds() -> None:
    desk = Desk()
    desk.hold(INSTRUMENT, "p1")
    client = desk.market()
    desk.answer(client, action="subscribe", symbol=SYMBOL, data_type="TRADE")
    entry = desk.entries["owner"]
    desk.api_keys.replace([msgspec.structs.replace(entry, grants=Grants(TRADER, frozenset(), ALL, ALL))])
    desk.hub.review()
    assert not desk.told(client, INSTRUMENT)
    desk.change(p1=0)
    desk.change(p1=1)
    assert not desk.told(client, INSTRUMENT)
    assert len(desk.hub._watchers) == 0


def test_client_that_has_gone_is_followed_no_more() -> None:
    desk = Desk()
    desk.hold(INSTRUMENT, "p1")
    client = desk.market()
    desk.answer(client, action="subscribe", symbol=SYMBOL, data_type="TRADE")
    assert len(desk.hub._watchers) == 1
    desk.hub.disconnect(client.client)
    assert len(desk.hub._watchers) == 0


def test_whoever_is_at_its_limit_is_told_so_when_more_is_held() -> None:
    desk = Desk()
    desk.hold(INSTRUMENT, "p1")
    client = desk.market()
    client.client.session.subscriptions._limits = SessionLimits(subscriptions=1)
    desk.answer(client, action="subscribe", symbol=SYMBOL, data_type="TRADE")
    desk.hold(ETH, "p2")
    desk.settle()
    assert [error["data"]["name"] for error in client.of_type("error")] == ["TOO_MANY_SUBSCRIPTIONS"]
