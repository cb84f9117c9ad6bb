"""What the gateway refuses: numbered codes with a stable name, the same over WebSocket and REST.

1xxx: the message or request itself; 2xxx: what it asks for; 3xxx: the connection; 9xxx: the gateway's own state.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from market.errors import SubscriptionError


class ErrorCode(IntEnum):
    """Number of each refusal; its name is sent along."""

    MALFORMED_JSON = 1001
    INVALID_MESSAGE = 1002
    UNKNOWN_ACTION = 1003
    MESSAGE_TOO_LARGE = 1004
    BINARY_NOT_SUPPORTED = 1005
    INVALID_PARAMETER = 1006
    NOT_FOUND = 1007
    METHOD_NOT_ALLOWED = 1008
    UPGRADE_REQUIRED = 1009
    TOO_DEEP = 1010

    UNKNOWN_SYMBOL = 2001
    AMBIGUOUS_SYMBOL = 2002
    UNKNOWN_DATA_TYPE = 2003
    UNKNOWN_INTERVAL = 2004
    TOO_MANY_SUBSCRIPTIONS = 2005
    TOO_MANY_SYMBOLS = 2006
    NO_DATA = 2007
    TOO_MUCH_HISTORY = 2008
    INVALID_FILTER = 2009
    INVALID_SETTING = 2010

    INVALID_CLIENT_ID = 3001
    ORIGIN_NOT_ALLOWED = 3002
    HOST_NOT_ALLOWED = 3003
    TOO_MANY_CLIENTS = 3004
    UNAUTHENTICATED = 3005
    NOT_ENTITLED = 3006
    SUBJECT_CHANGED = 3007
    TOO_MANY_CONNECTIONS = 3008
    CONNECTION_RATE = 3009
    MESSAGE_RATE = 3010
    AUTHENTICATION_RATE = 3011

    NOT_READY = 9001
    INTERNAL_ERROR = 9002


_STATUS = {
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.UPGRADE_REQUIRED: 426,
    ErrorCode.UNKNOWN_SYMBOL: 404,
    ErrorCode.AMBIGUOUS_SYMBOL: 409,
    ErrorCode.NO_DATA: 404,
    ErrorCode.INVALID_PARAMETER: 422,
    ErrorCode.TOO_MANY_SYMBOLS: 422,
    ErrorCode.ORIGIN_NOT_ALLOWED: 403,
    ErrorCode.HOST_NOT_ALLOWED: 403,
    ErrorCode.TOO_MANY_CLIENTS: 503,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.NOT_ENTITLED: 403,
    ErrorCode.TOO_MANY_CONNECTIONS: 429,
    ErrorCode.CONNECTION_RATE: 429,
    ErrorCode.MESSAGE_RATE: 429,
    ErrorCode.AUTHENTICATION_RATE: 429,
    ErrorCode.NOT_READY: 503,
    ErrorCode.INTERNAL_ERROR: 500,
}

_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 426: {"Upgrade": "websocket"}, 503: {"Retry-After": "1"}}


class Refusal(SubscriptionError):
    """A request that is answered by an error; `details` are further fields of that answer, such as `candidates`."""

    def __init__(self, code: ErrorCode, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    @property
    def status(self) -> int:
        """The HTTP status of an answer that refuses so."""
        return _STATUS.get(self.code, 400)

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP headers of an answer that refuses so."""
        if self.status == 429:
            return {"Retry-After": str(max(1, -(-self.details.get("retry_after_ms", 1000) // 1000)))}
        return _HEADERS.get(self.status, {})

    def body(self) -> dict[str, Any]:
        """The error as both protocols send it."""
        return {"code": int(self.code), "name": self.code.name, "message": self.message, **self.details}
