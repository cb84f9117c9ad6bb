"""What is counted of each connection, and what an operator can do."""

from typing import Any

from gateway.close_codes import CloseCode
from gateway.connections import Connections, describe
from gateway.identity import Grants
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_app import App
from tests.gateway_parts import HandTurnedLoop, Listener, arrivals, make_hub
from tests.gateway_portfolios import Floor


def test_counts_are_those_of_the_connection() -> None:
    hub = make_hub(HandTurnedLoop(), known=[INSTRUMENT])
    first, second = Listener(hub, "one"), Listener(hub, "two")
    first.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    first.say(action="buy")
    found = describe(first.client)
    assert (found["number"], found["client_id"], found["subject"], found["opened_at"]) == (1, "one", "local", START)
    assert (found["messages_in"], found["errors"], found["subscriptions"], found["heard_at"]) == (2, 1, 1, START)
    assert (describe(second.client)["messages_in"], describe(second.client)["heard_at"]) == (0, None)


def test_what_waits_for_a_client_that_is_behind_is_counted() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop, known=[INSTRUMENT])
    app = App(hub=hub)
    listener = Listener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_types=["QUOTE", "TRADE"])
    loop.settle()
    hub.fall_behind(listener.client)
    hub.take(arrivals("md.trades", [make_trade(1), make_trade(2)]))
    listener.say(action="ping")
    assert describe(listener.client)["waiting_messages"] == 4  # an answer, the latest quote, two trades
    assert app.get("/api/v1/admin/statistics")[1]["data"]["waiting_messages"] == 4
    hub.catch_up(listener.client)
    assert describe(listener.client)["waiting_messages"] == 0


def test_operator_learns_of_no_instrument_it_may_not_see() -> None:
    everything, roles = frozenset({"*"}), frozenset({"admin"})
    floor = Floor(
        {
            "all": Grants(roles=roles, symbols=everything, data_types=everything),
            "some": Grants(roles=roles, symbols=frozenset({"okx:*"})),
        }
    )
    other = "okx:ETH-USDT"
    listener = Listener(floor.hub, visitor=floor.hub.arrive("127.0.0.1", floor.tokens["all"]))
    floor.hub.instruments.add(other)
    listener.say(action="subscribe", symbols=[INSTRUMENT, other], data_type="TRADE")
    floor.hub.take(arrivals("md.trades", [make_trade(1), make_trade(2, instrument=other)]))

    def seen_by(name: str) -> tuple[list[str], list[str]]:
        def ask(path: str) -> Any:
            return App(hub=floor.hub).get(f"/api/v1/admin/{path}", Authorization=f"Bearer {floor.tokens[name]}")[1]["data"]

        rooms = ask(f"connections/{listener.client.stats.number}")["rooms"]
        return [room["instrument"] for room in rooms], sorted(ask("statistics")["by_instrument"])

    assert seen_by("all") == ([INSTRUMENT, other], [INSTRUMENT, other])
    assert seen_by("some") == ([other], [other])


def test_pages_follow_the_numbers_though_connections_go() -> None:
    hub = make_hub(HandTurnedLoop())
    listeners = [Listener(hub, f"c{number}") for number in range(5)]
    connections = Connections(hub)
    page, after = connections.page(0, 2)
    assert ([each["number"] for each in page], after) == ([1, 2], 2)
    hub.disconnect(listeners[1].client)
    page, after = connections.page(after or 0, 3)
    assert ([each["number"] for each in page], after) == ([3, 4, 5], None)
    assert connections.find(2) is None


def test_notice_reaches_those_it_is_for() -> None:
    loop = HandTurnedLoop()
    hub = make_hub(loop)
    one, other = Listener(hub, "one"), Listener(hub, "other")
    assert Connections(hub).announce("maintenance at noon", [one.client]) == 1
    loop.settle()
    assert [message["data"] for message in one.of_type("notice")] == [{"text": "maintenance at noon"}]
    assert other.of_type("notice") == []


def test_disconnected_client_gets_what_was_pending_and_its_code() -> None:
    hub = make_hub(HandTurnedLoop(), known=[INSTRUMENT])
    listener = Listener(hub)
    listener.say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    hub.take(arrivals("md.trades", [make_trade(1)]))
    connections = Connections(hub)
    connections.disconnect(listener.client)
    assert listener.closed is CloseCode.DISCONNECTED
    assert len(listener.of_type("trade_data")) == 1
    assert hub.clients == 0
    assert hub.traffic.by_instrument == {INSTRUMENT: 1}
