"""How a client's messages stand on the wire: in which notation, and whether compressed. Their content is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Wire(NamedTuple):
    """`packed`: MessagePack instead of JSON text. `deflated`: compressed where that makes a message shorter."""

    packed: bool = False
    deflated: bool = False


PLAIN = Wire()

Frame = Callable[[bytes, Wire], bytes]
"""Makes the bytes of a message as they stand on the wire; the same for every client of that wire."""
