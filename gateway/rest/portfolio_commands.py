"""`POST` and `DELETE` below `/api/mtm`: commands to portfolios, answered when what came of them is known.

Each says which version it was made for (`If-Match`), so that of two that have seen the same one wins, and has an id
(`Idempotency-Key`) by which it is done once however often it is sent: after 503 or 504 it may be sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Depends, Response

from gateway.identity import TRADER, Principal
from gateway.portfolios.desk import Desk, check_may_command, outcome_of
from gateway.portfolios.figures import describe_totals
from gateway.portfolios.orders import CreateForm, Form, Head, RemoveForm, RevalueForm
from gateway.refusals import ErrorCode, Refusal, unknown_portfolio
from gateway.rest.context import Context
from gateway.rest.guard import principal_of
from gateway.rest.models import Answer, Stamp, error_responses
from gateway.rest.portfolio_models import CommandBody, CreateBody, RevalueBody, RevaluedMetadata, TotalsBody
from gateway.rest.preconditions import IdempotencyKey, IfMatch, etag, new_command_id, seen_version
from market.portfolio_commands import Command
from market.portfolio_reply import PortfolioReply
from market.valuation_record import Valuation

Asking = Annotated[Principal, Depends(principal_of)]
Accepted = Answer[CommandBody, Stamp]

T = TypeVar("T")

_ERRORS = error_responses(404, 409, 422, 428, 503, 504)


def router(context: Context, desk: Desk) -> APIRouter:
    """The endpoints."""
    routes = APIRouter(prefix="/api/mtm", tags=["portfolios"])

    async def done(
        form: Any, portfolio_id: str, principal: Principal, expected: int | None, key: str | None, response: Response
    ) -> object:
        command = ordered(form, portfolio_id, principal, expected, key)
        data = await sent(command, principal)
        response.headers.update(etag(data["version"]))
        return {"data": data, "metadata": context.stamp()}

    def ordered(form: Any, portfolio_id: str, principal: Principal, expected: int | None, key: str | None) -> Command:
        context.require_ready()
        role = check_may_command(principal, form.makes, portfolio_id)
        head = Head(portfolio_id, key or new_command_id(), expected, principal.subject, context.clock(), role)
        command: Command = form.order(head)
        return command

    async def sent(command: Command, principal: Principal) -> dict[str, Any]:
        answer: asyncio.Future[PortfolioReply | Refusal] = asyncio.get_running_loop().create_future()
        desk.submit(principal, command, _into(answer))
        found = await answer
        still = context.hub.admission.authenticator.current(principal)  # what it may see may have changed meanwhile
        if still is None or not still.holds(command.portfolio_id):
            raise unknown_portfolio()
        return outcome_of(command, found)

    @routes.post(
        "/portfolio",
        summary="Begin a portfolio",
        status_code=201,
        response_model=Accepted,
        responses=error_responses(404, 409, 422, 503, 504),
    )
    async def create(body: CreateBody, principal: Asking, response: Response, idempotency_key: IdempotencyKey = None) -> object:
        """With nothing in it, at version 1; 409 where it is there already."""
        form = CreateForm(base_currency=body.base_currency, policy=body.policy)
        return await done(form, body.portfolio_id, principal, 0, idempotency_key, response)

    @routes.post("/portfolio/{portfolio_id}/commands", summary="Change a portfolio", response_model=Accepted, responses=_ERRORS)
    async def command(
        portfolio_id: str,
        body: Annotated[Form, Body()],
        principal: Asking,
        response: Response,
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKey = None,
    ) -> object:
        """The role `trader` is needed, for `override_price` and `override_prices` `pricing`. 409 has the current version."""
        return await done(body, portfolio_id, principal, seen_version(if_match), idempotency_key, response)

    @routes.delete(
        "/portfolio/{portfolio_id}/position/{position_id}",
        summary="Let a flat position go",
        response_model=Accepted,
        responses=_ERRORS,
    )
    async def remove(
        portfolio_id: str,
        position_id: str,
        principal: Asking,
        response: Response,
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKey = None,
    ) -> object:
        """What it has brought stays in the portfolio's balances; 409 while it is open."""
        form = RemoveForm(command="remove_position", position_id=position_id)
        return await done(form, portfolio_id, principal, seen_version(if_match), idempotency_key, response)

    @routes.post(
        "/portfolio/{portfolio_id}/revalue",
        summary="Have a portfolio valued anew",
        response_model=Answer[TotalsBody, Stamp],
        responses=error_responses(404, 422, 503, 504),
    )
    async def revalue(portfolio_id: str, principal: Asking, idempotency_key: IdempotencyKey = None) -> object:
        """Answered by the totals, once they are there; the lines are told at the same time. The role `trader` is needed."""
        context.require_ready()
        return {"data": await revalued(portfolio_id, principal, idempotency_key), "metadata": context.stamp()}

    @routes.post(
        "/revalue",
        summary="Have several portfolios valued anew",
        response_model=Answer[list[TotalsBody], RevaluedMetadata],
        responses=error_responses(422, 503),
    )
    async def revalue_many(body: RevalueBody, principal: Asking, idempotency_key: IdempotencyKey = None) -> object:
        """At once, each by its own command. What is wrong with one stands in `metadata.errors` and does not spoil the others.

        The role `trader` is needed.
        """
        context.require_ready()
        principal.check_role(TRADER)
        began, named = context.clock(), list(dict.fromkeys(body.portfolio_ids))
        key = idempotency_key or new_command_id()
        found = await asyncio.gather(*(valued_or_refused(portfolio_id, principal, key) for portfolio_id in named))
        totals = [each for each in found if not isinstance(each, Refusal)]
        refusals = [(name, each) for name, each in zip(named, found, strict=True) if isinstance(each, Refusal)]
        more = {
            "errors": [each.body() | {"portfolio_id": name} for name, each in refusals],
            "valued": len(totals),
            "conflicts": sum(each.code is ErrorCode.VERSION_CONFLICT for _, each in refusals),
            "elapsed_micros": context.clock() - began,
        }
        return {"data": totals, "metadata": context.stamp() | more}

    async def valued_or_refused(portfolio_id: str, principal: Principal, key: str) -> dict[str, Any] | Refusal:
        try:
            return await revalued(portfolio_id, principal, key)
        except Refusal as refusal:
            return refusal

    async def revalued(portfolio_id: str, principal: Principal, key: str | None) -> dict[str, Any]:
        """Totals that were made after the request. Raises Refusal."""
        command = ordered(RevalueForm(command="revalue"), portfolio_id, principal, None, key)
        began, stats, known = context.clock(), desk.revaluation_stats, context.hub.portfolios
        counts = known is not None and known.book.find(portfolio_id) is not None  # there is no end of other names
        valued: asyncio.Future[Valuation] = asyncio.get_running_loop().create_future()
        try:
            with desk.revaluations.expecting(command, _into(valued)):
                await sent(command, principal)
                valuation = await asyncio.wait_for(valued, desk.seconds)
        except TimeoutError as error:
            if counts:
                stats.failed(portfolio_id)
            raise Refusal(ErrorCode.NO_ANSWER, "it was not valued in time", command_id=command.command_id) from error
        except Refusal:
            if counts:
                stats.failed(portfolio_id)
            raise
        stats.valued(portfolio_id, context.clock() - began)
        return describe_totals(valuation)

    return routes


def _into(answer: asyncio.Future[T]) -> Callable[[T], None]:
    """Keep an answer for who awaits it, unless he is gone or has one."""

    def answered(found: T) -> None:
        if not answer.done():
            answer.set_result(found)

    return answered
