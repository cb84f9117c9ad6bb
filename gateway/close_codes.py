"""Why the gateway closes a WebSocket, and whether it is worth coming back.

Codes below 4000 are those of the WebSocket standard, used in its sense; 4000 and above are ours. A mistake in a message is
answered by an `error` message (`refusals`) and closes nothing.
"""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """Close codes the gateway sends."""

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
    SLOW_CONSUMER = 4008
    """The client did not read for too long. Come back, and subscribe to less or read faster."""
    TOO_MANY_ERRORS = 4009
    """The client keeps sending messages that are refused. Do not come back before it is mended."""

    @property
    def reconnect(self) -> bool:
        """Whether a client should connect again by itself."""
        return self in (CloseCode.INTERNAL_ERROR, CloseCode.SERVICE_RESTART, CloseCode.SLOW_CONSUMER)
