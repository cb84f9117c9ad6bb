"""What a request says so that nothing is changed by mistake or twice: `If-Match` (RFC 9110, 13.1.1) and `Idempotency-Key`."""

from __future__ import annotations

import re
import secrets
from typing import Annotated

from fastapi import Header

from gateway.portfolios.requests import ANY_VERSION, version_required
from gateway.refusals import ErrorCode, Refusal

_VERSION = re.compile(r'"?(\d{1,15})"?', re.ASCII)

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description='The version of the portfolio that was seen, as `ETag` has it: "5"; * for whichever it is.',
    ),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        min_length=1,
        description="The command's own id, such as a UUID, unique in the portfolio: sent again, it is done once and gets the "
        "same answer. Made up where there is none, and told in the answer.",
    ),
]


def seen_version(if_match: str | None) -> int | None:
    """The version that was seen, None for whichever it is. Raises Refusal."""
    if if_match is None:
        raise version_required('the header If-Match: "VERSION" or *')
    if if_match.strip() == ANY_VERSION:
        return None
    found = _VERSION.fullmatch(if_match.strip())
    if found is None:
        raise Refusal(ErrorCode.INVALID_PARAMETER, f'If-Match: {if_match!r:.80} is no version such as "5"', field="If-Match")
    return int(found[1])


def etag(version: int | None) -> dict[str, str]:
    """The header that tells the version of a portfolio, where it is known."""
    return {} if version is None else {"ETag": f'"{version}"'}


def new_command_id() -> str:
    """An id for a command that came without."""
    return secrets.token_hex(16)
