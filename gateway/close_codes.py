"""Why the gateway closes a WebSocket, and whether it is worth coming back.

Codes below 4000 are those of the WebSocket standard, used in its sense; 4000 and above are ours. A mistake in a message is
answered by an `error` message (`refusals`) and closes nothing.
"""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """Close codes the gateway sends."""

    NORMAL = 1000
    """A replay has caught up with what is live. Connect without `replay` to go on."""
    PROTOCOL_ERROR = 1002
    """The bytes are no valid WebSocket frames. Coming back with the same client software will fail again."""
    INVALID_TEXT = 1007
    """A text message is not UTF-8."""
    MESSAGE_TOO_BIG = 1009
    """A message far above the size limit (a message just above it is answered by an error)."""
    INTERNAL_ERROR = 1011
    """A fault of the gateway; come back with a delay."""
    SERVICE_RESTART = 1012
    """The gateway stops; come back at once, with some jitter."""
    UNAUTHENTICATED = 4001
    """No valid token came in time, or the first message held none. Do not come back without one."""
    TOKEN_EXPIRED = 4002
    """The token's time is over and no other one came. Come back with a new one, or send it in time (`authenticate`)."""
    ACCESS_REVOKED = 4003
    """The key that vouched for the client was taken away. Do not come back with it."""
    GRANTS_CHANGED = 4004
    """The client may see less than before while data it may no longer see was waiting for it. Come back."""
    SLOW_CONSUMER = 4008
    """The client did not read for too long. Come back, and subscribe to less or read faster."""
    TOO_MANY_ERRORS = 4009
    """The client keeps sending messages that are refused. Do not come back before it is mended."""

    TOO_MANY_CONNECTIONS = 4010
    """The user, known by the first message only, has all the connections allowed, or opens them too fast. Come back later."""
    MESSAGE_RATE = 4011
    """The user or address sends too many messages, and went on after errors said so. Do not come back before it is mended."""
    BYTE_RATE = 4012
    """The user or address sends too many bytes. Do not come back before it is mended."""
    QUEUE_QUOTA = 4013
    """Too much waits for all slow connections of the user or address together. Come back, and read faster."""
    DISCONNECTED = 4014
    """An operator ended the connection. Do not come back by yourself."""

    @property
    def reconnect(self) -> bool:
        """Whether a client should connect again by itself."""
        return self in _WORTH_RETURNING


_WORTH_RETURNING = frozenset(
    {
        CloseCode.INTERNAL_ERROR,
        CloseCode.SERVICE_RESTART,
        CloseCode.TOKEN_EXPIRED,
        CloseCode.GRANTS_CHANGED,
        CloseCode.SLOW_CONSUMER,
        CloseCode.TOO_MANY_CONNECTIONS,
        CloseCode.QUEUE_QUOTA,
    }
)
