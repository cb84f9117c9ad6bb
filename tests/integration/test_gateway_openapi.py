"""schemathesis against the OpenAPI document: no server error, and no answer that the document does not describe."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from history.reader import Page, Span
from market.book_top import BookTop
from market.feed_status import FeedState, FeedStatus
from market.funding import Funding
from market.open_interest import OpenInterest
from market.portfolio_alert import Alert
from market.price import PriceRecord
from market.price_change import PriceChangedEvent
from schemas.topics import VALUATION_LINES, VALUATIONS
from tapeline.topic_docs.examples import example
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_app import App
from tests.gateway_history import ListedHistory
from tests.gateway_parts import Listener, make_candle, make_quote
from tests.gateway_portfolios import REGISTER, Floor, make_line, make_valuation
from tests.portfolio_parts import PORTFOLIO

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 3


class OneOfEach(ListedHistory):
    """A record of the kind that is asked for."""

    def _page(self, question: str, about: str, span: Span) -> Page[Any]:
        change: Any = example(PriceChangedEvent)
        kinds = {
            "trades": make_trade(1)._replace(origin="backfill"),
            "price_changes": change,
            "candles": make_candle(0),
            "funding": example(Funding),
            "open_interest": example(OpenInterest),
            "valuations": make_valuation(),
            "day_ends": make_valuation(),
            "alerts": example(Alert),
        }
        self._records = (kinds[question],)
        return super()._page(question, about, span)


def make_app() -> App:
    app = App((INSTRUMENT,), history=OneOfEach().as_history(), send_control=lambda command: None)
    price: Any = example(PriceRecord)
    book: Any = example(BookTop)
    app.feed("md.quotes", make_quote(bid=1))
    app.feed("md.prices", price._replace(instrument=INSTRUMENT))
    app.feed("md.books", book._replace(instrument=INSTRUMENT))
    app.feed("md.status", FeedStatus("binance", "trade", INSTRUMENT, FeedState.LIVE, "", START))
    Listener(app.hub).say(action="subscribe", symbol=INSTRUMENT, data_type="TRADE")
    return app


def operations(app: App) -> list[Any]:
    schema = schemathesis.openapi.from_asgi("/openapi.json", app.application)
    found: list[Any] = list(schema.get_all_operations())
    return [operation.ok() for operation in found]


def test_every_answer_is_one_that_the_document_describes() -> None:
    app, asked = make_app(), 0
    for operation in operations(app):

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Case[Any]) -> None:
            nonlocal asked
            asked += 1
            app.health.beat()
            case.call_and_validate(checks=CHECKS)

        ask()
    assert asked > 20


@pytest.mark.parametrize(
    "path",
    [
        "/api/realtime/quote/{symbol}",
        "/api/v1/realtime/depth/{symbol}",
        "/api/v1/realtime/klines/{symbol}",
        "/api/v1/realtime/trades/{symbol}",
        "/api/v1/realtime/price-changes/{symbol}",
        "/api/v1/realtime/funding/{symbol}",
        "/api/v1/realtime/open-interest/{symbol}",
    ],
)
def test_answers_with_data_are_as_described(path: str) -> None:
    app = make_app()
    [operation] = [operation for operation in operations(app) if operation.path == path]
    case = operation.Case(path_parameters={"symbol": INSTRUMENT})
    response = case.call()
    assert response.status_code == 200
    case.validate_response(response, checks=CHECKS)


@pytest.mark.parametrize(
    "path",
    [
        "/api/mtm/portfolio/{portfolio_id}",
        "/api/mtm/portfolio/{portfolio_id}/valuations",
        "/api/mtm/portfolio/{portfolio_id}/day-ends",
        "/api/mtm/portfolio/{portfolio_id}/alerts",
        "/api/mtm/position/{position_id}",
        "/api/mtm/stats",
    ],
)
def test_answers_about_portfolios_are_as_described(path: str) -> None:
    floor = Floor()
    floor.create(PORTFOLIO)
    floor.answer(floor.listener(), **REGISTER)
    floor.feed(VALUATIONS.name, make_valuation())
    floor.feed(VALUATION_LINES.name, make_line())
    [operation] = [
        operation for operation in operations(App(hub=floor.hub, history=OneOfEach().as_history())) if operation.path == path
    ]
    named = {"portfolio_id": PORTFOLIO, "position_id": str(REGISTER["position_id"])}
    case = operation.Case(path_parameters={name: value for name, value in named.items() if f"{{{name}}}" in path})
    response = case.call()
    assert response.status_code == 200
    case.validate_response(response, checks=CHECKS)


def test_answer_that_is_not_described_is_found() -> None:
    app = make_app()
    [operation] = [operation for operation in operations(app) if operation.path == "/api/v1/realtime/summary"]
    case = operation.Case()
    response = case.call()
    response.status_code = 418
    with pytest.raises(FailureGroup, match="1 distinct failure"):
        case.validate_response(response, checks=CHECKS)
