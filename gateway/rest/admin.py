"""`/api/v1/admin`: connections and statistics, for the role `admin` alone."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Request, Response

from gateway.clients import Client
from gateway.connections import Connections, describe
from gateway.identity import PORTFOLIO, Principal
from gateway.refusals import ErrorCode, Refusal
from gateway.rest.admin_models import (
    ConnectionBody,
    ConnectionsMetadata,
    InspectedBody,
    NoticeBody,
    StatisticsBody,
    ToldBody,
)
from gateway.rest.answers import answer, tagged_responses
from gateway.rest.context import Context
from gateway.rest.guard import Operator
from gateway.rest.models import Answer, Metadata
from runtime.logs import get_logger

log = get_logger(__name__)

_LARGEST = (1 << 53) - 1
_Number = Annotated[int, Path(ge=1, le=_LARGEST, description="The connection's number.")]


def router(context: Context) -> APIRouter:
    """The endpoints. Pages of other origins are kept out: without keys every local user is an operator."""

    async def check_origin(request: Request) -> None:
        context.door.check_origin(request.headers.get("origin"), request.headers.get("host"))

    routes = APIRouter(prefix="/api/v1/admin", tags=["admin"], dependencies=[Depends(check_origin)])
    connections = Connections(context.hub)

    def find(number: int) -> Client:
        client = connections.find(number)
        if client is None:
            raise Refusal(ErrorCode.NO_DATA, f"there is no connection {number}")
        return client

    @routes.get(
        "/connections",
        summary="WebSocket connections with their statistics",
        response_model=Answer[list[ConnectionBody], ConnectionsMetadata],
        responses=tagged_responses(),
    )
    async def listed(
        request: Request,
        principal: Operator,
        after: Annotated[int, Query(ge=0, le=_LARGEST, description="The `next` of the page before.")] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """By their numbers, which rise as connections are opened."""
        found, following = connections.page(after, limit)
        return answer(request, context, found, {"next": following})

    @routes.get(
        "/connections/{number}",
        summary="One connection with its subscriptions",
        response_model=Answer[InspectedBody, Metadata],
        responses=tagged_responses(404),
    )
    async def inspected(request: Request, principal: Operator, number: _Number) -> Response:
        """What it is subscribed to, and how; of instruments and portfolios those that the operator may see."""
        client = find(number)
        rooms = [
            room.describe()
            for room in sorted(client.session.subscriptions.rooms, key=str)
            if (principal.holds if room.data_type == PORTFOLIO else principal.sees)(room.instrument)
        ]
        return answer(request, context, describe(client) | {"rooms": rooms})

    @routes.delete(
        "/connections/{number}",
        summary="End a connection",
        response_model=Answer[ConnectionBody, Metadata],
        responses=tagged_responses(404),
    )
    async def disconnected(request: Request, principal: Operator, number: _Number) -> Response:
        """It is closed by 4014; its user may come back. Take the key away to keep someone out."""
        client = find(number)
        data = describe(client)
        log.info("connection ended by an operator", operator=principal.subject, client=data["client_id"], number=number)
        connections.disconnect(client)
        return answer(request, context, data)

    @routes.post(
        "/broadcast",
        summary="Tell clients something",
        response_model=Answer[ToldBody, Metadata],
        responses=tagged_responses(),
    )
    async def broadcast(request: Request, principal: Operator, notice: Annotated[NoticeBody, Body()]) -> Response:
        """As a `notice` message to all connections, or to those of the subjects named."""
        wanted = set(notice.subjects)
        clients = [client for client in context.hub.everyone() if not wanted or _subject(client) in wanted]
        told = connections.announce(notice.text, clients)
        log.info("notice sent", operator=principal.subject, clients=told)
        return answer(request, context, {"told": told})

    @routes.get(
        "/statistics",
        summary="What passed through the gateway since its start",
        response_model=Answer[StatisticsBody, Metadata],
        responses=tagged_responses(),
    )
    async def statistics(request: Request, principal: Operator) -> Response:
        """In total, and how many messages were told of each instrument that the operator may see."""
        return answer(request, context, _statistics(context, principal))

    return routes


def _subject(client: Client) -> str | None:
    principal = client.session.visitor.principal
    return None if principal is None else principal.subject


def _statistics(context: Context, principal: Principal) -> dict[str, Any]:
    hub = context.hub
    clients = hub.everyone()
    traffic = {each.name: getattr(hub.traffic, each.name) for each in fields(hub.traffic)}  # `asdict` cannot copy a Counter
    told = {instrument: count for instrument, count in hub.traffic.by_instrument.items() if principal.sees(instrument)}
    latency, measured = traffic.pop("latency_micros"), traffic.pop("latency_records")
    return {
        **traffic,
        "by_instrument": told,
        "clients": len(clients),
        "clients_behind": sum(client.outbox.behind for client in clients),
        "waiting_messages": sum(client.outbox.waiting for client in clients),
        "errors": sum(client.stats.errors for client in clients),
        "average_latency_ms": latency / measured / 1000 if measured else None,
    }
