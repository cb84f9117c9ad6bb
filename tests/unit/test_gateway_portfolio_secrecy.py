"""What is told of portfolios is told to nobody else: not by what is told of the market, nor to operators."""

from __future__ import annotations

from typing import Any

from gateway.identity import Grants
from gateway.intake import Origin
from gateway.messages import Source
from gateway.positions import Positions
from schemas.topics import REPLIES, VALUATION_LINES, VALUATIONS
from tests.builders import INSTRUMENT, make_trade
from tests.gateway_app import App
from tests.gateway_parts import Listener
from tests.gateway_portfolios import REGISTER, Floor, make_line, make_valuation
from tests.portfolio_parts import PORTFOLIO

MARKET = {"symbols": frozenset({"*"}), "data_types": frozenset({"*"})}
GRANTS = {
    "owner": Grants(roles=frozenset({"trader", "admin"}), portfolios=frozenset({PORTFOLIO}), **MARKET),
    "operator": Grants(roles=frozenset({"admin"}), **MARKET),
}


def busy_floor() -> tuple[Floor, Listener]:
    """Market data, and a portfolio that its owner follows and changes."""
    floor = Floor(GRANTS)
    floor.create(PORTFOLIO)
    owner = floor.listener("owner")
    floor.answer(owner, action="subscribe")
    floor.answer(owner, **REGISTER)
    floor.feed("md.trades", make_trade(1))
    floor.feed(VALUATIONS.name, make_valuation())
    floor.feed(VALUATION_LINES.name, make_line())
    floor.loop.settle()
    return floor, owner


def ask(floor: Floor, name: str, path: str) -> Any:
    status, answer = App(hub=floor.hub).get(path, Authorization=f"Bearer {floor.tokens[name]}")
    assert status == 200, answer
    return answer["data"]


def test_operator_learns_of_no_portfolio_and_its_owner_of_that_one() -> None:
    floor, owner = busy_floor()
    path = f"/api/v1/admin/connections/{owner.client.stats.number}"
    assert ask(floor, "operator", path)["rooms"] == []
    assert [room["instrument"] for room in ask(floor, "owner", path)["rooms"]] == [PORTFOLIO]
    assert ask(floor, "operator", path)["subscriptions"] == 1


def test_statistics_and_instruments_are_those_of_the_market() -> None:
    floor, _ = busy_floor()
    assert ask(floor, "operator", "/api/v1/admin/statistics")["by_instrument"] == {}
    assert list(floor.hub.instruments) == [INSTRUMENT]
    assert "PORTFOLIO" not in ask(floor, "owner", "/api/v1/realtime/summary")["data_types"]


def test_tokens_to_go_on_with_say_nothing_of_portfolios() -> None:
    def origin() -> Origin:
        return Origin({("md.trades", 0): 0, (VALUATIONS.name, 0): 5}, {"md.trades": "a", VALUATIONS.name: "b"})

    positions = Positions(origin)
    for topic in ("md.trades", VALUATIONS.name, REPLIES.name):
        positions.take(Source(topic, 0, 7))
    assert positions.place() == ({"md.trades": "a"}, {("md.trades", 0): 8})
    floor, owner = busy_floor()
    assert floor.answer(owner, action="ping")["metadata"] == {}
