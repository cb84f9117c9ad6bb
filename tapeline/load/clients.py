"""One client of the load: a plain socket that asks to be upgraded, subscribes, and reads."""

from __future__ import annotations

import socket
from contextlib import suppress
from enum import Enum, auto

import orjson

from tapeline.load.counting import READ_BYTES, Reader, Tally
from tapeline.load.plan import LoadPlan

MESSAGE_TYPES = {"TRADE": "trade_data", "QUOTE": "market_data", "DEPTH": "depth_data", "PRICE": "price_data"}
"""What can be subscribed to without further settings, and the type of its messages."""

_SAMPLED = 8
"""One of so many reads is looked at for its latency: to look at each took longer than to read it."""

_SLOW_BUFFER = 4096
_PONG = b"\x8a\x80\0\0\0\0"
"""Without a payload, as the ping; with a mask of zeros, which changes nothing."""
_UPGRADED = b" 101 "
_GRANTED = b'"type":"subscribe"'


class State(Enum):
    """How far a client has come."""

    CONNECTING = auto()
    OPEN = auto()
    SUBSCRIBED = auto()
    CLOSED = auto()


class LoadClient:
    """A connection. `why` says how it was refused or ended, None while it was not."""

    __slots__ = ("_data", "_plan", "number", "reader", "slow", "socket", "state", "why")

    def __init__(self, plan: LoadPlan, number: int, *, slow: bool) -> None:
        self._plan = plan
        self._data = b""
        self.number = number
        self.slow = slow
        self.state = State.CONNECTING
        self.why: str | None = None
        self.reader = Reader(MESSAGE_TYPES[plan.data_type], _SAMPLED)
        self.socket = socket.socket(socket.AF_INET6 if ":" in plan.host else socket.AF_INET)
        if slow:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_BUFFER)

    def connect(self) -> None:
        """Open the connection and ask for the upgrade. Raises OSError."""
        self.socket.connect((self._plan.host, self._plan.port))
        self.socket.sendall(self._plan.request_of(self.number))
        self.socket.setblocking(False)

    def subscribe(self) -> None:
        """Ask for the symbols."""
        wanted = self._plan.symbols_of(self.number)
        text = orjson.dumps({"action": "subscribe", "symbols": wanted, "data_type": self._plan.data_type})
        self.socket.setblocking(True)
        self.socket.sendall(masked(text))
        self.socket.setblocking(False)

    def read(self, now: int, tally: Tally, most: int = READ_BYTES) -> None:
        """Read what is there, so many bytes at most; `now` in microseconds."""
        try:
            if self.state is State.SUBSCRIBED:
                size = self.reader.read(self.socket.fileno(), now, tally, most)
                if size > 0 and self.reader.is_pinged:
                    self._answer()
            else:
                chunk = self.socket.recv(most)
                size = len(chunk)
                self._prepare(chunk)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error.strerror or str(error))
            return
        if size == 0:
            code = self.reader.close_code
            self._end("ended" if code is None else f"closed {code}")

    def _answer(self) -> None:
        """Give a sign of life; who gives none is cut."""
        with suppress(OSError):  # a full socket is asked again, a lost one shows when it is read
            self.socket.send(_PONG)

    def _prepare(self, chunk: bytes) -> None:
        """Look for the answers that come before what is counted."""
        self._data += chunk
        head, end, rest = self._data.partition(b"\r\n\r\n")
        if self.state is State.CONNECTING and end:
            if _UPGRADED not in head.partition(b"\r\n")[0]:
                self._end(head.partition(b"\r\n")[0].decode(errors="replace"))
                return
            self.state, self._data = State.OPEN, rest
        if self.state is State.OPEN and _GRANTED in self._data:
            self.state, self._data = State.SUBSCRIBED, b""

    def _end(self, why: str) -> None:
        if self.state is not State.CLOSED:
            self.state, self.why = State.CLOSED, why
            self.socket.close()


def masked(text: bytes) -> bytes:
    """A text frame as clients must send it; with a mask of zeros, which changes nothing."""
    if len(text) < 126:
        size = bytes([0x80 | len(text)])
    elif len(text) < 1 << 16:
        size = b"\xfe" + len(text).to_bytes(2, "big")
    else:
        size = b"\xff" + len(text).to_bytes(8, "big")
    return b"\x81" + size + b"\0\0\0\0" + text
