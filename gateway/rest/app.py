"""The REST application: endpoints, the one format of errors, and who may ask."""

from __future__ import annotations

from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from gateway.channels.quote import Channel as QuoteChannel
from gateway.door import PATHS
from gateway.refusals import ErrorCode, Refusal
from gateway.rest import (
    admin,
    docs_page,
    feed_commands,
    history,
    latest,
    portfolio_commands,
    portfolio_history,
    portfolios,
    quotes,
    status,
)
from gateway.rest.context import Context
from gateway.rest.guard import Guard, refused
from gateway.rest.guide import guide
from gateway.rest.models import error_responses

_ZIPPED_BYTES = 2_000
_ZIP_LEVEL = 4
"""Most of what there is to gain, at half the time of the usual 9."""


def make_app(context: Context, version: str) -> FastAPI:
    """The application; it opens nothing and starts nothing."""
    app = FastAPI(
        title="Market data gateway",
        version=version,
        description=guide(context.hub.channels.values()),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=error_responses(401, 403, 413, 422, 429, 500),
    )
    quote_channel = cast("QuoteChannel | None", context.hub.channels.get(QuoteChannel.data_type))
    if quote_channel is not None:
        app.include_router(quotes.router(context, quote_channel))
    if context.hub.portfolios is not None and context.hub.desk is not None:
        app.include_router(portfolios.router(context, context.hub.portfolios, context.hub.desk))
        app.include_router(portfolio_commands.router(context, context.hub.desk))
        app.include_router(portfolio_history.router(context, context.hub.portfolios))
    app.include_router(status.router(context, quote_channel))
    app.include_router(latest.router(context))
    app.include_router(history.router(context))
    if context.send_control is not None:
        app.include_router(feed_commands.router(context, context.send_control))
    app.include_router(admin.router(context))
    app.include_router(docs_page.router())
    _add_websocket_hint(app)
    _add_error_format(app)
    app.add_middleware(GZipMiddleware, minimum_size=_ZIPPED_BYTES, compresslevel=_ZIP_LEVEL)
    app.add_middleware(Guard, door=context.door, admission=context.hub.admission, clock=context.clock)
    if context.door.origins:  # before the guard: a browser asks without a token whether it may ask with one
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(context.door.origins),
            allow_methods=["DELETE", "GET", "POST"],
            allow_headers=["Authorization", "Idempotency-Key", "If-Match", "If-None-Match"],
            expose_headers=["ETag", "Retry-After", "WWW-Authenticate"],
        )
    return app


def _add_websocket_hint(app: FastAPI) -> None:
    for path in PATHS:
        app.get(path, include_in_schema=False)(_websocket_hint)


async def _websocket_hint(request: Request) -> None:
    raise Refusal(ErrorCode.UPGRADE_REQUIRED, f"{request.url.path} is a WebSocket; connect to it with a WebSocket client")


def _no_json() -> Refusal:
    return Refusal(ErrorCode.MALFORMED_JSON, "the body is no JSON in UTF-8")


def _add_error_format(app: FastAPI) -> None:
    @app.exception_handler(Refusal)
    async def on_refusal(request: Request, error: Refusal) -> JSONResponse:
        return refused(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        if any(item["type"] == "json_invalid" for item in error.errors()):
            return refused(_no_json())
        problems = {".".join(map(str, item["loc"][1:])): item["msg"] for item in error.errors()}
        message = "; ".join(f"{field}: {fault}" for field, fault in problems.items())
        return refused(Refusal(ErrorCode.INVALID_PARAMETER, message, field=next(iter(problems))))

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:  # a body that is no text
            return refused(_no_json())
        code = ErrorCode.METHOD_NOT_ALLOWED if error.status_code == 405 else ErrorCode.NOT_FOUND
        refusal = Refusal(code, f"{request.method} {request.url.path[:200]}: {error.detail}")
        return JSONResponse({"error": refusal.body()}, status_code=error.status_code, headers=error.headers)

    @app.exception_handler(Exception)  # uvicorn logs it
    async def failed(request: Request, error: Exception) -> JSONResponse:
        return refused(Refusal(ErrorCode.INTERNAL_ERROR, "the gateway failed to answer; see its log"))
