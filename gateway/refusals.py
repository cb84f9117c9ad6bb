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
    TIME_NOT_RETAINED = 2011

    UNKNOWN_PORTFOLIO = 2101
    UNKNOWN_POSITION = 2102
    AMBIGUOUS_POSITION = 2103
    VERSION_CONFLICT = 2104
    VERSION_REQUIRED = 2105
    INVALID_COMMAND = 2106
    COMMAND_REFUSED = 2107

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
    TOO_MANY_REPLAYS = 3012

    NOT_READY = 9001
    INTERNAL_ERROR = 9002
    BROKER_UNAVAILABLE = 9101
    NO_ANSWER = 9102
    HISTORY_UNAVAILABLE = 9201
    HISTORY_TOO_SLOW = 9202


_STATUS = {
    ErrorCode.MALFORMED_JSON: 422,
    ErrorCode.MESSAGE_TOO_LARGE: 413,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.METHOD_NOT_ALLOWED: 405,
    ErrorCode.UPGRADE_REQUIRED: 426,
    ErrorCode.UNKNOWN_SYMBOL: 404,
    ErrorCode.AMBIGUOUS_SYMBOL: 409,
    ErrorCode.NO_DATA: 404,
    ErrorCode.INVALID_PARAMETER: 422,
    ErrorCode.TOO_MANY_SYMBOLS: 422,
    ErrorCode.UNKNOWN_PORTFOLIO: 404,
    ErrorCode.UNKNOWN_POSITION: 404,
    ErrorCode.AMBIGUOUS_POSITION: 409,
    ErrorCode.VERSION_CONFLICT: 409,
    ErrorCode.VERSION_REQUIRED: 428,
    ErrorCode.INVALID_COMMAND: 422,
    ErrorCode.COMMAND_REFUSED: 409,
    ErrorCode.ORIGIN_NOT_ALLOWED: 403,
    ErrorCode.HOST_NOT_ALLOWED: 403,
    ErrorCode.TOO_MANY_CLIENTS: 503,
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.NOT_ENTITLED: 403,
    ErrorCode.TOO_MANY_CONNECTIONS: 429,
    ErrorCode.CONNECTION_RATE: 429,
    ErrorCode.MESSAGE_RATE: 429,
    ErrorCode.AUTHENTICATION_RATE: 429,
    ErrorCode.TOO_MANY_REPLAYS: 429,
    ErrorCode.NOT_READY: 503,
    ErrorCode.INTERNAL_ERROR: 500,
    ErrorCode.BROKER_UNAVAILABLE: 503,
    ErrorCode.NO_ANSWER: 504,
    ErrorCode.HISTORY_UNAVAILABLE: 503,
    ErrorCode.HISTORY_TOO_SLOW: 504,
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


def unknown_portfolio() -> Refusal:
    """The one answer for a portfolio that does not exist and for one that may not be seen."""
    return Refusal(ErrorCode.UNKNOWN_PORTFOLIO, "there is no such portfolio among those you may see")


def unknown_position() -> Refusal:
    """The one answer for a position that does not exist and for one of a portfolio that may not be seen."""
    return Refusal(ErrorCode.UNKNOWN_POSITION, "there is no such position in the portfolios you may see")
