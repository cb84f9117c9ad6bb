"""Stands before every endpoint: who asks must be known, so that not even the absence of a path is told to others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.admission import Admission
from gateway.authentication import bearer
from gateway.door import Door
from gateway.identity import ADMIN, Principal
from gateway.metrics import REFUSED
from gateway.refusals import Refusal

PUBLIC = frozenset({"/healthz", "/readyz", "/docs"})
"""Paths that need no token: what an orchestrator asks, which has none, and an empty page that asks for one."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""


class Guard:
    """An ASGI application before another; what it lets through carries its principal. `clock` gives microseconds."""

    def __init__(self, app: ASGIApp, *, door: Door, admission: Admission, clock: Callable[[], int]) -> None:
        self._app = app
        self._door = door
        self._admission = admission
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] == "http":
            try:
                self._check(scope)
            except Refusal as refusal:
                REFUSED.labels(refusal.code.name).inc()
                await refused(refusal)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self._door.check_host(headers.get("host"))
        if scope["method"] not in SAFE_METHODS:  # what a page of another origin may send though it cannot read the answer
            self._door.check_origin(headers.get("origin"), headers.get("host"))
        address, now = (scope.get("client") or ("unknown", 0))[0], self._clock()
        self._admission.knock(address, now)
        if scope["path"] in PUBLIC:
            return
        principal = self._admission.ask(address, bearer(headers.getlist("authorization")), now)
        scope.setdefault("state", {})["principal"] = principal


def refused(refusal: Refusal) -> JSONResponse:
    """The answer that refuses so."""
    return JSONResponse({"error": refusal.body()}, status_code=refusal.status, headers=refusal.headers)


def asking(request: Request) -> Principal:
    """Who asks."""
    principal: Principal = request.state.principal
    return principal


# FastAPI would run these in a thread if they were no coroutines, and a busy event loop leaves threads little time.


async def principal_of(request: Request) -> Principal:
    """Who asks."""
    return asking(request)


async def operator_of(request: Request) -> Principal:
    """Who asks and is an operator. Raises Refusal for others."""
    principal = asking(request)
    principal.check_role(ADMIN)
    return principal


Operator = Annotated[Principal, Depends(operator_of)]
