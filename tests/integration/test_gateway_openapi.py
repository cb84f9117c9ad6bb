"""schemathesis against the OpenAPI document: no server error, and no answer that the document does not describe."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway.identity import Grants
from gateway.portfolios.producer import Failed
from gateway.rest.guard import PUBLIC
from history.reader import Page, Span
from market.book_top import BookTop
from market.feed_status import FeedState, FeedStatus
from market.funding import Funding
from market.open_interest import OpenInterest
from market.portfolio_alert import Alert
from market.portfolio_commands import Command, RegisterPosition, Revalue
from market.price import PriceRecord
from market.price_change import PriceChangedEvent
from schemas.topics import VALUATION_LINES, VALUATIONS
from tapeline.topic_docs.examples import example
from tests.builders import INSTRUMENT, START, make_trade
from tests.gateway_app import App
from tests.gateway_history import ListedHistory
from tests.gateway_parts import Listener, make_candle, make_quote
from tests.gateway_portfolios import REGISTER, Floor, make_line, make_valuation
from tests.portfolio_parts import PORTFOLIO, command

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = {GenerationMode.POSITIVE: 30, GenerationMode.NEGATIVE: 15}
"""Requests of each operation: as the document has them, and such as it does not allow."""

TRADER = Grants(roles=frozenset({"trader"}), portfolios=frozenset({PORTFOLIO}), symbols=frozenset({INSTRUMENT}))
WHO = {"everyone on this machine": None, "somebody with a key": "trader", "somebody without one": ""}


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


class Valued(Floor):
    """A floor whose portfolios are valued as soon as that is asked for."""

    def __init__(self, grants: Mapping[str, Grants] | None = None) -> None:
        super().__init__(grants)
        self._sent, self.processor.send = self.processor.send, self._send  # type: ignore[method-assign]

    def _send(self, command: Command, failed: Failed) -> None:
        self._sent(command, failed)
        if isinstance(command, Revalue) and self.processor.holds(command.portfolio_id):
            version = self.processor.portfolio(command.portfolio_id).version
            totals = make_valuation(self.offset, portfolio_id=command.portfolio_id, position_version=version)
            self.feed(VALUATIONS.name, totals._replace(replies_offset=self.offset))


def make_app(grants: Mapping[str, Grants] | None = None) -> tuple[App, Valued]:
    """A gateway with a record of every kind and a portfolio."""
    floor = Valued(grants)
    app = App(hub=floor.hub, history=OneOfEach().as_history(), send_control=lambda command: None)
    price: Any = example(PriceRecord)
    book: Any = example(BookTop)
    app.feed("md.quotes", make_quote(bid=1))
    app.feed("md.prices", price._replace(instrument=INSTRUMENT))
    app.feed("md.books", book._replace(instrument=INSTRUMENT))
    app.feed("md.status", FeedStatus("binance", "trade", INSTRUMENT, FeedState.LIVE, "", START))
    floor.create(PORTFOLIO)
    floor.processor.send(command(RegisterPosition, "held", portfolio=PORTFOLIO), print)
    floor.feed(VALUATIONS.name, make_valuation())
    floor.feed(VALUATION_LINES.name, make_line(position_version=2))
    Listener(floor.hub, visitor=floor.hub.arrive("127.0.0.1", floor.tokens.get("trader"))).say(
        action="subscribe", symbol=INSTRUMENT, data_type="TRADE"
    )
    return app, floor


def operations(app: App) -> list[Any]:
    """The operations of the document; it is made without asking for it, since not everybody may."""
    schema = schemathesis.openapi.from_dict(app.application.openapi())
    schema.app = app.application
    found: list[Any] = list(schema.get_all_operations())
    return [operation.ok() for operation in found]


KNOWN = {"portfolio_id": PORTFOLIO, "position_id": "p1", "symbol": INSTRUMENT, "venue": "binance"}
"""What stands in paths in every other request, so that not all of them are about nothing."""


@pytest.mark.parametrize("mode", EXAMPLES)
@pytest.mark.parametrize("who", WHO)
def test_every_answer_is_one_that_the_document_describes(who: str, mode: GenerationMode) -> None:
    name = WHO[who]
    app, floor = make_app(None if name is None else {"trader": TRADER})
    headers = {"Authorization": f"Bearer {floor.tokens[name]}"} if name else {}
    statuses: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for operation in operations(app):

        @settings(
            max_examples=EXAMPLES[mode] if name is None else 5,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode), is_known=st.booleans())
        def ask(case: Case[Any], is_known: bool) -> None:
            app.health.beat()
            if is_known and mode is GenerationMode.POSITIVE:
                case.path_parameters |= {key: value for key, value in KNOWN.items() if key in case.path_parameters}
            response = case.call(headers=headers)
            case.validate_response(response, checks=CHECKS)
            statuses[case.operation.label][response.status_code] += 1

        with suppress(Unsatisfiable):  # nothing can be wrong with what takes nothing
            ask()
    assert len(statuses) > 20
    told = sum(statuses.values(), Counter[int]())
    if name == "":
        assert set(told) <= {200, 401, 503}
        assert all(counts.keys() == {401} for label, counts in statuses.items() if label.split()[1] not in PUBLIC)
    elif mode is GenerationMode.POSITIVE and name is None:
        assert {200, 201, 202, 404, 409, 422, 428} <= set(told)
        commands = statuses["POST /api/mtm/portfolio/{portfolio_id}/commands"]
        assert commands.total() >= EXAMPLES[mode] // 2


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
    app, _ = make_app()
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
    app, _ = make_app()
    [operation] = [operation for operation in operations(app) if operation.path == "/api/v1/realtime/summary"]
    case = operation.Case()
    response = case.call()
    response.status_code = 418
    with pytest.raises(FailureGroup, match="1 distinct failure"):
        case.validate_response(response, checks=CHECKS)
