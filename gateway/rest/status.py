"""`/api/v1/realtime/status`, `/healthz` and `/readyz`: how the gateway and the feeds are."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from gateway.channels.quote import Channel as QuoteChannel
from gateway.identity import Principal, is_of_portfolios
from gateway.rest.context import Context
from gateway.rest.guard import principal_of
from gateway.rest.models import Answer, Metadata, StatusBody
from runtime.health import answer


def router(context: Context, quotes: QuoteChannel | None) -> APIRouter:
    """The endpoints."""
    routes = APIRouter(tags=["status"])

    @routes.get(
        "/api/v1/realtime/status",
        summary="Feeds, connections and positions",
        response_model=Answer[StatusBody, Metadata],
    )
    async def status(principal: Annotated[Principal, Depends(principal_of)]) -> object:
        """State of every stream by venue, channel and instrument; clients; how far the topics were read."""
        hub, reasons = context.hub, context.health.reasons()
        data = {
            "ready": not reasons,
            "reasons": reasons,
            "instruments": sum(map(principal.sees, hub.instruments)),
            "feeds": [feed for feed in hub.feeds.describe() if principal.sees(feed["instrument"])],
            "connections": {"clients": hub.clients, **hub.traffic.totals()},
            "cache": _cache(quotes),
            "partitions": [
                partition._asdict() for partition in context.intake.progress() if _may_know(principal, partition.topic)
            ],
        }
        return {"data": data, "metadata": context.metadata(principal)}

    @routes.get("/healthz", summary="Whether the process is alive", responses={503: {"description": "It hangs."}})
    async def healthz() -> JSONResponse:
        """For an orchestrator: restart what is not alive."""
        return _health("/healthz")

    @routes.get("/readyz", summary="Whether clients can be served", responses={503: {"description": "Not now; see reasons."}})
    async def readyz() -> JSONResponse:
        """For a load balancer: send no traffic to what is not ready."""
        return _health("/readyz")

    def _health(path: str) -> JSONResponse:
        code, body = answer(context.health, path)
        return JSONResponse(body, status_code=code)

    return routes


def _may_know(principal: Principal, topic: str) -> bool:
    """Whether a principal may know how much stands in a topic."""
    return principal.holds_all or not is_of_portfolios(topic)


def _cache(quotes: QuoteChannel | None) -> dict[str, object]:
    hits, misses = (quotes.store.hits, quotes.store.misses) if quotes else (0, 0)
    return {
        "entries": len(quotes.store) if quotes else 0,
        "hits": hits,
        "misses": misses,
        "hit_rate": hits / (hits + misses) if hits + misses else None,
    }
