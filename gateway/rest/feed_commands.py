"""`POST /api/v1/realtime/start`, `stop`, `subscribe`, `unsubscribe`: steer the feeds of a venue, for the role `admin` alone.

A command is written to `ops.control`, which every ingest follows; 202 says that the broker has it. What becomes of it is told
on `md.status`, and so by the data type STATUS and by `/api/v1/realtime/status`.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body

from gateway.refusals import ErrorCode, Refusal
from gateway.rest.context import Context, SendControl
from gateway.rest.feed_command_models import FeedCommandBody, StreamsBody, VenueBody
from gateway.rest.guard import Operator
from gateway.rest.models import Answer, Stamp, error_responses
from gateway.rest.preconditions import IdempotencyKey, new_command_id
from market.control import ControlAction, ControlCommand, check_control
from market.errors import DataPublishError, DataValidationError
from runtime.logs import get_logger

log = get_logger(__name__)

_ANSWERED: dict[str, Any] = {
    "status_code": 202,
    "response_model": Answer[FeedCommandBody, Stamp],
    "responses": error_responses(422, 503),
}


def router(context: Context, send: SendControl) -> APIRouter:
    """The endpoints."""
    routes = APIRouter(prefix="/api/v1/realtime", tags=["feeds"])

    async def given(action: ControlAction, body: VenueBody, operator: Operator, key: str | None) -> dict[str, object]:
        streams = (body.instruments, body.channels) if isinstance(body, StreamsBody) else ((), ())
        now = context.clock()
        if body.expires_at is not None and body.expires_at <= now:
            raise Refusal(ErrorCode.INVALID_COMMAND, "expires_at: this time is over", field="expires_at")
        command = ControlCommand(
            key or new_command_id(), body.venue, action, *streams, operator.subject, body.reason, now, body.expires_at
        )
        try:
            await asyncio.to_thread(send, check_control(command))
        except DataValidationError as error:
            raise Refusal(ErrorCode.INVALID_COMMAND, str(error), field=error.field) from error
        except DataPublishError as error:
            log.warning("a command was not delivered", command_id=command.command_id, error=str(error))
            text = "the broker did not confirm the command; sent again with the same id it is done once at most"
            raise Refusal(ErrorCode.BROKER_UNAVAILABLE, text, command_id=command.command_id) from error
        log.info("command to feeds", venue=body.venue, because=command.because, command_id=command.command_id)
        states = [
            feed for feed in context.hub.feeds.describe() if feed["venue"] == body.venue and operator.sees(feed["instrument"])
        ]
        return {"data": {**command._asdict(), "feeds": states}, "metadata": context.stamp()}

    @routes.post("/start", summary="Start a venue's feeds", **_ANSWERED)
    async def start(body: Annotated[VenueBody, Body()], operator: Operator, idempotency_key: IdempotencyKey = None) -> object:
        """In all ingests that run or will; without `expires_at` until another command says otherwise."""
        return await given(ControlAction.START, body, operator, idempotency_key)

    @routes.post("/stop", summary="Stop a venue's feeds", **_ANSWERED)
    async def stop(body: Annotated[VenueBody, Body()], operator: Operator, idempotency_key: IdempotencyKey = None) -> object:
        """In all ingests that run or will; at `expires_at` what was wanted before holds again."""
        return await given(ControlAction.STOP, body, operator, idempotency_key)

    @routes.post("/subscribe", summary="Listen to further streams of a venue", **_ANSWERED)
    async def subscribe(
        body: Annotated[StreamsBody, Body()], operator: Operator, idempotency_key: IdempotencyKey = None
    ) -> object:
        """Each of the channels of each of the instruments, beside those of the settings."""
        return await given(ControlAction.SUBSCRIBE, body, operator, idempotency_key)

    @routes.post("/unsubscribe", summary="Listen to streams of a venue no longer", **_ANSWERED)
    async def unsubscribe(
        body: Annotated[StreamsBody, Body()], operator: Operator, idempotency_key: IdempotencyKey = None
    ) -> object:
        """Each of the channels of each of the instruments."""
        return await given(ControlAction.UNSUBSCRIBE, body, operator, idempotency_key)

    return routes
