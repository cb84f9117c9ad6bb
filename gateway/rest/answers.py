"""How an answer is made: one envelope, rendered once, with a tag by which whoever has it already need not get it again."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import orjson
from fastapi import Request, Response

from gateway.rest.context import Context
from gateway.rest.guard import asking
from gateway.rest.models import error_responses

_TAG_BYTES = 12

NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "The data are those of the tag in `If-None-Match`."}}


def tagged_responses(*errors: int) -> dict[int | str, dict[str, Any]]:
    """What an endpoint may answer besides its data: these errors, and 304."""
    return error_responses(*errors) | NOT_MODIFIED


def answer(
    request: Request, context: Context, data: object, more: Mapping[str, Any] | None = None, *, is_latest: bool = True
) -> Response:
    """The data with `Context.metadata` and more of it. Its tag is of the data alone: times in the metadata change always.

    Data that may lack what the gateway has told already (`is_latest` false) come without a token to go on from.
    """
    body = orjson.dumps(data)
    tag = f'W/"{blake2b(body, digest_size=_TAG_BYTES).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if _has(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    stamp = context.metadata(asking(request)) if is_latest else context.stamp()
    metadata = orjson.dumps({**stamp, **(more or {})})
    return Response(b'{"data":%b,"metadata":%b}' % (body, metadata), media_type="application/json", headers=headers)


def _has(wanted: str, tag: str) -> bool:
    """Whether a tag is among those of an If-None-Match header, weak or strong."""
    tags = [each.strip().removeprefix("W/") for each in wanted.split(",")]
    return "*" in tags or tag.removeprefix("W/") in tags
