"""The cases of the Autobahn test suite for WebSocket servers, groups 1 to 7, 9.1 and 9.2, as a table.

Its own runner wants a server that sends back what it gets, and Python 2. The gateway answers requests: where a case wants its
text back, the text travels as the `id` of a `ping`, which its answer repeats; where only the size counts, the request is filled
up with blanks. What is no request is answered by an error and the connection stays open, so it is seen to have been accepted.

`python -m tests.websocket_cases FILE` writes the page of them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import orjson

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NAMES = {CONT: "continuation", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}
OCTETS = 1
"""Sent octet by octet; a larger number: so many octets at a time; 0: in one go."""

_MASK = b"\x37\xfa\x21\x3d"
_SHOWN = 20


class F(NamedTuple):
    """A frame as a client sends it."""

    opcode: int
    payload: bytes = b""
    fin: bool = True
    reserved: int = 0

    def serialize(self) -> bytes:
        """The bytes on the wire, masked."""
        head = bytes([(0x80 if self.fin else 0) | self.reserved << 4 | self.opcode])
        size = len(self.payload)
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 1 << 16:
            head += b"\xfe" + size.to_bytes(2, "big")
        else:
            head += b"\xff" + size.to_bytes(8, "big")
        times = size // 4 + 1
        number = int.from_bytes(self.payload, "big") ^ int.from_bytes((_MASK * times)[:size], "big")
        return head + _MASK + number.to_bytes(size, "big")

    def describe(self) -> str:
        """The frame in words."""
        name = NAMES.get(self.opcode, f"opcode {self.opcode}")
        flags = ("" if self.fin else ", more follows") + (f", reserved bits {self.reserved:03b}" if self.reserved else "")
        payload = self.payload
        shown = payload.hex() if 0 < len(payload) <= _SHOWN and self.opcode != TEXT else f"{len(payload)} octets"
        if self.opcode in (TEXT, CONT) and 0 < len(payload) <= _SHOWN:
            shown = payload.hex()
        return f"{name} ({shown}{flags})"


@dataclass(frozen=True)
class Case:
    """What is sent, and what comes back before and with the end. A client that was not cut ends by a close frame itself."""

    number: str
    frames: tuple[F, ...]
    answers: tuple[str, ...]
    chop: int = 0

    def describe(self) -> str:
        """What is sent, in words."""
        many = 6
        shown = [frame.describe() for frame in self.frames[:many]]
        rest = [f"and {len(self.frames) - many} more"] if len(self.frames) > many else []
        how = {0: "", OCTETS: "; octet by octet"}.get(self.chop, f"; {self.chop} octets at a time")
        return ", ".join(shown + rest) + how


GROUPS = {
    "1": "Framing",
    "2": "Pings and pongs",
    "3": "Reserved bits",
    "4": "Opcodes",
    "5": "Fragments",
    "6": "UTF-8",
    "7": "Closing",
    "9": "Sizes",
}

END = "close 1000"
FAIL = "close 1002"
BAD_TEXT = "close 1007"
TOO_BIG = "close 1009"
NOT_JSON = "error MALFORMED_JSON"
NOT_TEXT = "error BINARY_NOT_SUPPORTED"
TOO_LARGE = "error MESSAGE_TOO_LARGE"
ECHO = "echo"

HELLO = "Hello-µ@ßöäüàá-UTF-8!!".encode()  # the suite's own
KOSME = bytes.fromhex("cebae1bdb9cf83cebcceb5")


def request(text: bytes) -> bytes:
    """A request whose answer has this text."""
    return b'{"action":"ping","id":"%b"}' % text


def filled(size: int) -> bytes:
    """A request of so many octets."""
    return request(b"*").ljust(size)[:size]


def close(code: int | None = None, reason: bytes = b"") -> F:
    """A close frame."""
    return F(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def pong(payload: bytes = b"") -> str:
    """The answer to a ping, in words."""
    return f"pong {payload.hex()}".rstrip()


def answered(text: bytes) -> tuple[bytes, str]:
    """What to send for a valid text, and the answer."""
    return (request(text), ECHO) if text.decode().isprintable() and 0 < len(text.decode()) <= 64 else (text, NOT_JSON)


def pieces(payload: bytes, *cuts: int) -> tuple[F, ...]:
    """A text in fragments, cut at these places."""
    bounds = [0, *cuts, len(payload)]
    parts = [payload[begin:end] for begin, end in pairwise(bounds)]
    last = len(parts) - 1
    return tuple(F(CONT if number else TEXT, part, number == last) for number, part in enumerate(parts))


def in_octets(payload: bytes) -> tuple[F, ...]:
    """A text with a frame for each octet."""
    return pieces(payload, *range(1, len(payload)))


def framing() -> Iterator[Case]:
    """Group 1."""
    for number, size in enumerate((0, 125, 126, 127, 128, 65535, 65536), start=1):
        yield Case(f"1.1.{number}", (F(TEXT, filled(size)),), (ECHO if size else NOT_JSON,))
    yield Case("1.1.8", (F(TEXT, filled(65536)),), (ECHO,), chop=997)
    for number, size in enumerate((0, 125, 126, 127, 128, 65535, 65536), start=1):
        yield Case(f"1.2.{number}", (F(BINARY, b"\xfe" * size),), (NOT_TEXT,))
    yield Case("1.2.8", (F(BINARY, b"\xfe" * 65536),), (NOT_TEXT,), chop=997)


def pings() -> Iterator[Case]:
    """Group 2."""
    odd = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
    long = b"\xfe" * 125
    for number, payload in enumerate((b"", b"Hello, world!", odd, long), start=1):
        yield Case(f"2.{number}", (F(PING, payload),), (pong(payload),))
    yield Case("2.5", (F(PING, b"\xfe" * 126),), (FAIL,))
    yield Case("2.6", (F(PING, long),), (pong(long),), chop=OCTETS)
    yield Case("2.7", (F(PONG),), ())
    yield Case("2.8", (F(PONG, b"unsolicited pong payload"),), ())
    yield Case("2.9", (F(PONG, b"unsolicited"), F(PING, b"ping payload")), (pong(b"ping payload"),))
    ten = [b"payload-%d" % number for number in range(10)]
    answers = tuple(map(pong, ten))
    yield Case("2.10", tuple(F(PING, payload) for payload in ten), answers)
    yield Case("2.11", tuple(F(PING, payload) for payload in ten), answers, chop=OCTETS)


_TEXT = F(TEXT, request(b"Hello, world!"))


def reserved() -> Iterator[Case]:
    """Group 3."""
    text = b"Hello, world!"
    yield Case("3.1", (F(TEXT, text, reserved=1),), (FAIL,))
    for number, bits, chop in ((2, 2, 0), (3, 3, 32), (4, 4, OCTETS)):
        yield Case(f"3.{number}", (_TEXT, F(TEXT, text, reserved=bits), F(PING)), (ECHO, FAIL), chop)
    yield Case("3.5", (F(BINARY, b"\0\xff", reserved=5),), (FAIL,))
    yield Case("3.6", (F(PING, text, reserved=6),), (FAIL,))
    yield Case("3.7", (F(CLOSE, reserved=7),), (FAIL,))


def opcodes() -> Iterator[Case]:
    """Group 4."""
    for group, first in ((1, 3), (2, 11)):
        yield Case(f"4.{group}.1", (F(first),), (FAIL,))
        yield Case(f"4.{group}.2", (F(first + 1, b"reserved opcode payload"),), (FAIL,))
        for number, payload, chop in ((3, b"", 0), (4, b"payload", 0), (5, b"payload", OCTETS)):
            frames = (_TEXT, F(first + number - 1, payload), F(PING))
            yield Case(f"4.{group}.{number}", frames, (ECHO, FAIL), chop)


def fragments() -> Iterator[Case]:
    """Group 5."""
    ways = (0, 32, OCTETS)
    yield Case("5.1", (F(PING, b"frag", fin=False), F(CONT, b"ment")), (FAIL,))
    yield Case("5.2", (F(PONG, b"frag", fin=False), F(CONT, b"ment")), (FAIL,))
    text = request(b"fragment1fragment2")
    first, second = pieces(text, 20)
    for number, chop in enumerate(ways, start=3):
        yield Case(f"5.{number}", (first, second), (ECHO,), chop)
    for number, chop in enumerate(ways, start=6):
        yield Case(f"5.{number}", (first, F(PING, b"ping"), second), (pong(b"ping"), ECHO), chop)
    for number, chop in enumerate(ways, start=9):
        yield Case(f"5.{number}", (F(CONT, b"non-continuation"), _TEXT), (FAIL,), chop)
    for number, chop in enumerate(ways, start=12):
        yield Case(f"5.{number}", (F(CONT, b"non-continuation", fin=False), _TEXT), (FAIL,), chop)
    yield Case("5.15", (first, second, F(CONT, b"fragment3", fin=False), _TEXT), (ECHO, FAIL))
    for number, fin in ((16, False), (17, True)):
        turn = (F(CONT, b"fragment1", fin=fin), F(TEXT, b"fragment2", fin=False), F(CONT, b"fragment3"))
        yield Case(f"5.{number}", turn * 2, (FAIL,))
    yield Case("5.18", (F(TEXT, b"fragment1", fin=False), F(TEXT, b"fragment2")), (FAIL,))
    one, two, three, four, five = pieces(request(b"fragment1fragment2fragment3fragment4fragment5"), 20, 30, 40, 50)
    mixed = (one, two, F(PING, b"pongme 1!"), three, four, F(PING, b"pongme 2!"), five)
    answers = (pong(b"pongme 1!"), pong(b"pongme 2!"), ECHO)
    yield Case("5.19", mixed, answers, chop=32)
    yield Case("5.20", mixed, answers)


def _texts(group: str, good: Iterable[str] = (), bad: Iterable[str] = ()) -> Iterator[Case]:
    """Cases of one frame each: texts in hexadecimal that are UTF-8, then some that are not."""
    number = 0
    for text in good:
        payload, answer = answered(bytes.fromhex(text))
        number += 1
        yield Case(f"{group}.{number}", (F(TEXT, payload),), (answer,))
    for text in bad:
        number += 1
        yield Case(f"{group}.{number}", (F(TEXT, bytes.fromhex(text)),), (BAD_TEXT,))


def utf8() -> Iterator[Case]:
    """Group 6."""
    yield Case("6.1.1", (F(TEXT),), (NOT_JSON,))
    yield Case("6.1.2", pieces(b"", 0, 0), (NOT_JSON,))
    middle = (F(TEXT, b"", fin=False), F(CONT, request(b"middle frame payload"), fin=False), F(CONT))
    yield Case("6.1.3", middle, (ECHO,))
    hello, kosme = request(HELLO), request(KOSME)
    yield Case("6.2.1", (F(TEXT, hello),), (ECHO,))
    yield Case("6.2.2", pieces(hello, hello.index(b"@")), (ECHO,))
    yield Case("6.2.3", in_octets(hello), (ECHO,))
    yield Case("6.2.4", in_octets(kosme), (ECHO,))
    invalid = KOSME + bytes.fromhex("eda080") + b"edited"
    yield Case("6.3.1", (F(TEXT, invalid),), (BAD_TEXT,))
    yield Case("6.3.2", in_octets(invalid), (BAD_TEXT,))
    for number, bad in ((1, "f4908080"), (2, "f490")):  # the connection ends before the third fragment
        open_end = (F(TEXT, KOSME, fin=False), F(CONT, bytes.fromhex(bad), fin=False))
        yield Case(f"6.4.{number}", open_end, (BAD_TEXT,))
    for number, bad in ((3, "f4908080"), (4, "f490")):
        yield Case(f"6.4.{number}", (F(TEXT, KOSME + bytes.fromhex(bad) + b"edited"),), (BAD_TEXT,), chop=OCTETS)
    words = ["24", "c2a2", "e282ac", "f0a4ada2"]
    yield from _texts("6.5", [f"68656c6c6f{sign}776f726c64" for sign in words] + [KOSME.hex()])
    for number in range(1, len(KOSME) + 1):
        prefix = KOSME[:number]
        try:
            payload, answer = answered(prefix)
        except UnicodeDecodeError:
            payload, answer = prefix, BAD_TEXT
        yield Case(f"6.6.{number}", (F(TEXT, payload),), (answer,))
    yield from _texts("6.7", ["00", "c280", "e0a080", "f0908080"])
    yield from _texts("6.8", bad=["f888808080", "fc8480808080"])
    yield from _texts("6.9", ["7f", "dfbf", "efbfbf", "f48fbfbf"])
    yield from _texts("6.10", bad=["f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf"])
    yield from _texts("6.11", ["ed9fbf", "ee8080", "efbfbd", "f48fbfbf"], ["f4908080"])
    continuations = "".join(f"{octet:02x}" for octet in range(0x80, 0xC0))
    some = ["80", "bf", "80bf", "80bf80", "80bf80bf", "80bf80bf80", "80bf80bf80bf"]
    yield from _texts("6.12", bad=[*some, continuations])
    lonely = ((0xC0, 0xE0), (0xE0, 0xF0), (0xF0, 0xF8), (0xF8, 0xFC), (0xFC, 0xFE))
    yield from _texts("6.13", bad=["".join(f"{octet:02x}20" for octet in range(*bounds)) for bounds in lonely])
    cut = ["c0", "e080", "f08080", "f8808080", "fc80808080", "df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf"]
    yield from _texts("6.14", bad=cut)
    yield from _texts("6.15", bad=["".join(cut)])
    yield from _texts("6.16", bad=["fe", "ff", "fefeffff"])
    yield from _texts("6.17", bad=["c0af", "e080af", "f08080af", "f8808080af", "fc80808080af"])
    yield from _texts("6.18", bad=["c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf"])
    yield from _texts("6.19", bad=["c080", "e08080", "f0808080", "f880808080", "fc8080808080"])
    yield from _texts("6.20", bad=["eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf"])
    pairs = [high + low for high in ("eda080", "edadbf", "edae80", "edafbf") for low in ("edb080", "edbfbf")]
    yield from _texts("6.21", bad=pairs)
    last = [chr(plane << 16 | low).encode().hex() for plane in range(17) for low in (0xFFFE, 0xFFFF)]
    yield from _texts("6.22", last)
    yield from _texts("6.23", [chr(code).encode().hex() for code in range(0xFFF9, 0x10000)])


def closing() -> Iterator[Case]:
    """Group 7."""
    normal = close(1000)
    yield Case("7.1.1", (_TEXT, normal), (ECHO, END))
    yield Case("7.1.2", (normal, normal), (END,))
    yield Case("7.1.3", (normal, F(PING, b"ping")), (END,))
    yield Case("7.1.4", (normal, _TEXT), (END,))
    yield Case("7.1.5", (F(TEXT, b"fragment1", fin=False), normal, F(CONT, b"fragment2")), (FAIL,))
    yield Case("7.1.6", (F(TEXT, filled(1 << 18)), _TEXT, normal, F(PING)), (TOO_LARGE, ECHO, END))
    yield Case("7.3.1", (close(),), ("close",))
    yield Case("7.3.2", (F(CLOSE, b"a"),), (FAIL,))
    yield Case("7.3.3", (normal,), (END,))
    yield Case("7.3.4", (close(1000, b"Hello World!"),), (END,))
    yield Case("7.3.5", (close(1000, b"*" * 123),), (END,))
    yield Case("7.3.6", (close(1000, b"*" * 124),), (FAIL,))
    yield Case("7.5.1", (close(1000, KOSME + bytes.fromhex("eda080") + b"edited"),), (BAD_TEXT,))
    valid = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    for number, code in enumerate(valid, start=1):
        yield Case(f"7.7.{number}", (close(code),), (f"close {code}",))
    for number, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), start=1):
        yield Case(f"7.9.{number}", (close(code),), (FAIL,))
    yield Case("7.13.1", (close(5000),), (FAIL,))
    yield Case("7.13.2", (F(CLOSE, (65536).to_bytes(4, "big")),), (FAIL,))


def sizes() -> Iterator[Case]:
    """Groups 9.1 and 9.2."""
    for number, size in enumerate((1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 23, 1 << 24), start=1):
        answer = ECHO if size == 1 << 16 else TOO_LARGE if size == 1 << 18 else TOO_BIG
        yield Case(f"9.1.{number}", (F(TEXT, filled(size)),), (answer,))
        yield Case(f"9.2.{number}", (F(BINARY, b"\xfe" * size),), (NOT_TEXT if size <= 1 << 18 else TOO_BIG,))


def cases() -> list[Case]:
    """All of them, in their order."""
    groups = (framing, pings, reserved, opcodes, fragments, utf8, closing, sizes)
    found = [case for group in groups for case in group()]
    return sorted(found, key=lambda case: [int(part) for part in case.number.split(".")])


def in_words(frames: Iterable[tuple[int, bytes]], case: Case) -> tuple[str, ...]:
    """What came back, as the table says it; `echo` only where the answer has the id of the request."""
    sent = b"".join(frame.payload for frame in case.frames if frame.opcode in (TEXT, CONT))
    said = []
    for opcode, payload in frames:
        if opcode == CLOSE:
            said.append(f"close {int.from_bytes(payload[:2], 'big')}" if payload else "close")
        elif opcode == PONG:
            said.append(pong(payload))
        else:
            message = orjson.loads(payload)
            if message["type"] == "pong":
                said.append(ECHO if request(message["id"].encode()) in sent else "another's text")
            elif message["type"] == "error":
                said.append(f"error {message['data']['name']}")
    return tuple(said)


_HEAD = """\
# WebSocket conformance

The cases of the [Autobahn test suite](https://github.com/crossbario/autobahn-testsuite) for servers, groups 1 to 7, 9.1 and
9.2, against the gateway, sent by a plain socket (`tests/integration/test_gateway_conformance.py`; this page is written from its
table by `make docs`).

The suite wants a server that sends back what it gets. The gateway answers requests, so a text travels as the `id` of a `ping`
request, and *echo* means that the answer came back with it; a text that is no request is answered by an error and the
connection stays open. Messages above 64 KiB are answered by an error, those above 256 KiB end the connection (the suite leaves
limits to the server). Where the last answer is no *close*, the client closes by 1000 and is answered so. Payloads up to {shown}
octets are written in hexadecimal.

One case is answered otherwise than the suite wants: 7.1.5, a close in the middle of a message, by 1002 instead of 1000. The
connection is over either way, and the client learns that its message did not count.
"""


def page() -> str:
    """The page of the documentation."""
    lines = [_HEAD.format(shown=_SHOWN)]
    group = ""
    for case in cases():
        if (now := case.number.partition(".")[0]) != group:
            group = now
            lines += [f"\n## {group} {GROUPS[group]}\n", "| case | sent | answered |", "|---|---|---|"]
        lines.append(f"| {case.number} | {case.describe()} | {', '.join(case.answers) or 'nothing'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
