"""`/api/mtm/…`: portfolios, positions and statistics.

A portfolio that may not be seen is as one that does not exist, in every answer.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from gateway.channels.portfolio import Channel as PortfolioChannel
from gateway.identity import Principal
from gateway.portfolios.desk import Desk
from gateway.portfolios.figures import describe_line, describe_position, not_valued
from gateway.refusals import ErrorCode, Refusal, unknown_position
from gateway.rest.context import Context
from gateway.rest.guard import principal_of
from gateway.rest.models import Answer, Stamp, error_responses
from gateway.rest.portfolio_models import HeldPositionBody, PortfolioBody, StatsBody, ValuedMetadata
from gateway.rest.preconditions import etag
from market.valuation_record import Valuation

Asking = Annotated[Principal, Depends(principal_of)]


def router(context: Context, channel: PortfolioChannel, desk: Desk) -> APIRouter:
    """The endpoints that change nothing."""
    routes = APIRouter(prefix="/api/mtm", tags=["portfolios"])
    book = channel.book

    def metadata(portfolio_id: str) -> dict[str, Any]:
        held = book.find(portfolio_id)
        valuation = held and held.valuation
        return context.stamp() | {"valuation_age_micros": valuation and _age(valuation, context.clock())}

    @routes.get(
        "/portfolio/{portfolio_id}",
        summary="A portfolio: totals, lines, positions, balances",
        response_model=Answer[PortfolioBody, ValuedMetadata],
        responses=error_responses(404, 503),
    )
    async def portfolio(portfolio_id: str, principal: Asking, response: Response) -> object:
        """`ETag` is the version to send as `If-Match` with a command."""
        context.require_ready()
        principal.check_portfolio(portfolio_id)
        described = channel.describe(portfolio_id)
        response.headers.update(etag(described["version"]))
        return {"data": described, "metadata": metadata(portfolio_id)}

    @routes.get(
        "/position/{position_id}",
        summary="One position and what it is worth",
        response_model=Answer[HeldPositionBody, ValuedMetadata],
        responses=error_responses(404, 409, 503),
    )
    async def position(
        position_id: str,
        principal: Asking,
        response: Response,
        portfolio_id: Annotated[str | None, Query(description="Needed where several portfolios have such a position.")] = None,
    ) -> object:
        """Of several portfolios with such a position the answer is 409 with those the asker may see."""
        context.require_ready()
        owners = [name for name in book.owners_of(position_id) if principal.holds(name) and portfolio_id in (None, name)]
        if not owners:
            raise unknown_position()
        if len(owners) > 1:
            message = "several portfolios have such a position; name one as portfolio_id"
            raise Refusal(ErrorCode.AMBIGUOUS_POSITION, message, candidates=owners)
        (owner,) = owners
        found = _position(channel, owner, position_id)
        response.headers.update(etag(found["version"]))
        return {"data": found, "metadata": metadata(owner)}

    @routes.get(
        "/stats",
        summary="How commands and valuations go",
        response_model=Answer[StatsBody, Stamp],
        responses=error_responses(503),
    )
    async def stats(principal: Asking) -> object:
        """Of the portfolios that may be seen alone."""
        context.require_ready()
        data = {
            "commands": desk.stats.describe(principal.holds),
            "revaluations": desk.revaluation_stats.describe(principal.holds),
            "valuations": _valuations(channel, principal, context.clock()),
        }
        return {"data": data, "metadata": context.stamp()}

    return routes


def _position(channel: PortfolioChannel, portfolio_id: str, position_id: str) -> dict[str, Any]:
    held = channel.book.find(portfolio_id)
    if held is None or held.portfolio is None:
        raise unknown_position()
    position, line = held.positions[position_id], held.lines.get(position_id)
    return {
        "portfolio_id": portfolio_id,
        "version": held.portfolio.version,
        "position": describe_position(position),
        "line": not_valued(portfolio_id, position) if line is None else describe_line(line, position),
    }


def _valuations(channel: PortfolioChannel, principal: Principal, now: int) -> dict[str, Any]:
    found = [held for name in channel.book if principal.holds(name) and (held := channel.book.find(name)) is not None]
    valuations = [held.valuation for held in found if held.valuation is not None]
    ages = [_age(valuation, now) for valuation in valuations]
    return {
        "portfolios": len(found),
        "valued": len(valuations),
        "incomplete": sum(1 for valuation in valuations if valuation.valued < valuation.lines),
        "oldest_age_micros": max(ages, default=None),
        "newest_age_micros": min(ages, default=None),
    }


def _age(valuation: Valuation, now: int) -> int:
    return max(0, now - valuation.valued_at)
