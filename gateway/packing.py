"""Messages in MessagePack instead of JSON text, for clients that ask for it by the subprotocol. The content is the same."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from gateway.refusals import ErrorCode, Refusal

PACKED_SUBPROTOCOL = "tapeline.msgpack"
"""The subprotocol of clients that want, and may send, binary messages of MessagePack."""


def encode_packed(message: Any) -> bytes:
    """A message in MessagePack."""
    return msgspec.msgpack.encode(message)


def pack(text: bytes) -> bytes:
    """A JSON text in MessagePack."""
    return encode_packed(orjson.loads(text))


def unpack(packed: bytes) -> bytes:
    """The JSON text of a message in MessagePack. Raises Refusal for what is none, or has what JSON has not."""
    try:
        return orjson.dumps(msgspec.msgpack.decode(packed))
    except (msgspec.DecodeError, TypeError, ValueError, RecursionError) as error:
        raise Refusal(ErrorCode.MALFORMED_JSON, f"the message is no MessagePack that JSON can say: {error}") from error
