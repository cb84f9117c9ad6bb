"""`/api/mtm/portfolio/{id}/valuations`, `day-ends` and `alerts`: what PostgreSQL keeps of a portfolio, page by page.

As with the market's past, rows are as old as the last commit of the sink. Who may not see a portfolio, or names one that does
not exist, gets the one answer for both, before the database is asked.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Request, Response

from gateway.channels.portfolio import Channel as PortfolioChannel
from gateway.identity import Principal
from gateway.portfolios.figures import describe_alert, describe_past_totals
from gateway.rest.answers import answer, tagged_responses
from gateway.rest.context import Context
from gateway.rest.guard import principal_of
from gateway.rest.history import Asked, ask_history
from gateway.rest.models import Answer
from gateway.rest.portfolio_models import AlertBody, PastTotalsBody, PortfolioPageMetadata
from history.reader import History, Page

RecordT = TypeVar("RecordT")

Asking = Annotated[Principal, Depends(principal_of)]


def router(context: Context, channel: PortfolioChannel) -> APIRouter:
    """The endpoints."""
    routes = APIRouter(prefix="/api/mtm/portfolio/{portfolio_id}", tags=["history"])
    errors = tagged_responses(404, 503, 504)

    async def page(
        request: Request,
        portfolio_id: str,
        principal: Principal,
        ask: Callable[[History], Awaitable[Page[RecordT]]],
        describe: Callable[[RecordT], dict[str, Any]],
    ) -> Response:
        context.require_ready()
        principal.check_portfolio(portfolio_id)
        channel.grant(portfolio_id)
        found = await ask_history(context, ask)
        more = {"portfolio_id": portfolio_id, "cursor": found.cursor}
        return answer(request, context, [describe(record) for record in found.records], more, is_latest=False)

    @routes.get(
        "/valuations",
        summary="What a portfolio was worth",
        response_model=Answer[list[PastTotalsBody], PortfolioPageMetadata],
        responses=errors,
    )
    async def valuations(request: Request, portfolio_id: str, principal: Asking, span: Asked) -> Response:
        """The last valuation in each period that the sink keeps one of, by the period's begin."""
        return await page(
            request, portfolio_id, principal, lambda history: history.valuations(portfolio_id, span), describe_past_totals
        )

    @routes.get(
        "/day-ends",
        summary="What a portfolio was worth at the end of each of its days",
        response_model=Answer[list[PastTotalsBody], PortfolioPageMetadata],
        responses=errors,
    )
    async def day_ends(request: Request, portfolio_id: str, principal: Asking, span: Asked) -> Response:
        """By the end of the day (`day_end_at`), which `since` and `until` are of."""
        return await page(
            request, portfolio_id, principal, lambda history: history.day_ends(portfolio_id, span), describe_past_totals
        )

    @routes.get(
        "/alerts",
        summary="Limits of a portfolio that were breached, or kept again",
        response_model=Answer[list[AlertBody], PortfolioPageMetadata],
        responses=errors,
    )
    async def alerts(request: Request, portfolio_id: str, principal: Asking, span: Asked) -> Response:
        """By the time of the valuation that crossed the limit."""
        return await page(request, portfolio_id, principal, lambda history: history.alerts(portfolio_id, span), describe_alert)

    return routes
