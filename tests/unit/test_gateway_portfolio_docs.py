"""docs/gateway.yaml describes the WebSocket of portfolios as it is, in the same words as the REST answers."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.connections import Connections
from gateway.portfolios.orders import OverrideForm, OverridesForm, RegisterForm, read_form
from gateway.portfolios.requests import parse_portfolio_request
from gateway.refusals import Refusal
from gateway.rest.portfolio_models import CommandBody, PortfolioBody
from schemas.topics import VALUATION_LINES, VALUATIONS
from tests.access_parts import make_token
from tests.gateway_docs import document, faults, sent_kinds, validator
from tests.gateway_portfolios import POSITION, PRICE, PRICES, REGISTER, Floor, make_line, make_valuation
from tests.portfolio_parts import BTC, PORTFOLIO


def bare(schema: Any) -> Any:
    """A schema without what only REST's generator adds."""
    if isinstance(schema, list):
        return [bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = {"title", "default", "required", "additionalProperties"}
    return {name: bare(each) for name, each in schema.items() if name not in dropped or isinstance(each, dict)}


def test_answers_are_those_of_rest() -> None:
    described = document()["components"]["schemas"]
    for model in (PortfolioBody, CommandBody):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, wanted in {**schema.pop("$defs", {}), model.__name__: schema}.items():
            assert bare(described[name]) == bare(wanted), name


def test_everything_that_is_sent_is_as_described() -> None:
    floor = Floor()
    floor.create(PORTFOLIO)
    client = floor.listener()
    for message in (
        {"action": "subscribe"},
        REGISTER,
        REGISTER,
        PRICE | {"expected_version": 2},
        PRICES | {"expected_version": 3},
    ):
        floor.answer(client, **message)
    floor.feed(VALUATIONS.name, make_valuation(equity=None))
    floor.feed(VALUATION_LINES.name, make_line())
    floor.answer(client, action="get_snapshot")
    floor.answer(client, action="subscribe")
    floor.hub.fall_behind(client.client)
    for number in range(1100):
        floor.processor.send(floor.processor.taken[-1]._replace(command_id=f"c{number}", expected_version=None), print)
    floor.hub.catch_up(client.client)
    for action in ("unsubscribe", "ping", "sell"):
        floor.answer(client, action=action)
    floor.answer(client, action="authenticate", token=make_token())
    Connections(floor.hub).announce("maintenance at noon", [client.client])
    floor.loop.settle()
    assert [fault for message in client.sent for fault in faults(message, "portfolio")] == []
    assert {message["type"] for message in client.sent} == set(sent_kinds("portfolio"))


@pytest.mark.parametrize(
    ("name", "request_", "good"),
    [
        ("portfolioSubscribeRequest", {"action": "subscribe"}, True),
        ("portfolioSubscribeRequest", {"action": "subscribe", "portfolio_id": "fund-1", "id": "a"}, True),
        ("portfolioSubscribeRequest", {"action": "subscribe", "symbol": "fund-1"}, False),
        ("portfolioUnsubscribeRequest", {"action": "unsubscribe", "portfolio_id": ""}, False),
        ("portfolioSnapshotRequest", {"action": "get_snapshot", "id": 1}, True),
        ("registerPositionRequest", REGISTER, True),
        ("registerPositionRequest", REGISTER | {"expected_version": "*", "settlement": "MARGIN", "multiplier": "0.01"}, True),
        ("registerPositionRequest", REGISTER | {"quantity": 2}, False),
        ("registerPositionRequest", REGISTER | {"expected_version": -1}, False),
        ("registerPositionRequest", REGISTER | {"expected_version": "latest"}, False),
        ("registerPositionRequest", {"action": "register_position", **POSITION}, False),
        ("updatePriceRequest", PRICE, True),
        ("updatePriceRequest", PRICE | {"price": None}, True),
        ("updatePriceRequest", PRICE | {"price": 90.5}, False),
        ("updatePriceRequest", PRICE | {"command_id": ""}, False),
        ("updatePriceBatchRequest", PRICES, True),
        ("updatePriceBatchRequest", PRICES | {"prices": [{"instrument": BTC, "price": None}]}, True),
        ("updatePriceBatchRequest", PRICES | {"prices": []}, False),
        ("updatePriceBatchRequest", PRICES | {"prices": [{"instrument": BTC, "price": "1"}] * 501}, False),
        ("updatePriceBatchRequest", PRICES | {"prices": [{"instrument": BTC, "price": 90.5}]}, False),
        ("updatePriceBatchRequest", PRICES | {"prices": [{"instrument": BTC}]}, False),
        ("updatePriceBatchRequest", PRICES | {"prices": [{"instrument": BTC, "price": "1", "reason": "x"}]}, False),
    ],
)
def test_requests_are_taken_as_described(name: str, request_: dict[str, Any], good: bool) -> None:
    assert validator(name).is_valid(request_) is good
    try:
        request = parse_portfolio_request(orjson.dumps(request_))
        if name in ("registerPositionRequest", "updatePriceRequest", "updatePriceBatchRequest"):
            request.version()
            assert isinstance(read_form(request.command_fields()), RegisterForm | OverrideForm | OverridesForm)
    except Refusal:
        assert not good
    else:
        assert good
