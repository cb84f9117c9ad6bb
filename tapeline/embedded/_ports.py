"""Ports on loopback: chosen once, kept over restarts while they are free.

They are taken from below the range from which the system gives ports to outgoing connections: a client that keeps trying to
reach a server that is down could otherwise be given the server's own port and connect to itself.
"""

from __future__ import annotations

import contextlib
import errno
import random
import socket
from collections.abc import Collection, Iterable, Mapping

import psutil

from tapeline.embedded._errors import EmbeddedError, PortBusy

HOST = "127.0.0.1"
CHOSEN_FROM = range(20_000, 32_000)


def choose(names: Iterable[str], *, wanted: Mapping[str, int], remembered: Mapping[str, int]) -> dict[str, int]:
    """A free port for each name: the one `wanted`, else the one `remembered` while it is free, else a new one.

    Raises:
        PortBusy: a wanted port is taken.
        EmbeddedError: one port is wanted twice, or the system does not allow it.

    """
    chosen: dict[str, int] = {}
    for name in sorted(names, key=lambda name: name not in wanted):
        port = wanted.get(name) or remembered.get(name)
        if name in wanted:
            _check_wanted(name, wanted[name], chosen)
        chosen[name] = port if port and port not in chosen.values() and is_free(port) else new_port(chosen.values())
    return chosen


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    return _refusal(port) is None


def is_open(port: int) -> bool:
    """Whether something accepts connections on `port`."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def holder(port: int) -> str | None:
    """Which process listens on `port`, as far as the system tells us."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return None


def _check_wanted(name: str, port: int, taken: Mapping[str, int]) -> None:
    for other, its_port in taken.items():
        if port == its_port:
            raise EmbeddedError(f"port {port} is asked for twice, as {other} and as {name}")
    refusal = _refusal(port)
    if refusal and refusal.errno == errno.EADDRINUSE:
        raise PortBusy(name, port, holder(port))
    if refusal:
        raise EmbeddedError(f"port {port}, asked for as {name}, cannot be used: {refusal.strerror}")


def _refusal(port: int) -> OSError | None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the servers do
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError as error:
            return error
    return None


def new_port(taken: Collection[int] = ()) -> int:
    """A free port that is not among `taken`."""
    candidates = random.sample(CHOSEN_FROM, 200)
    for port in candidates:
        if port not in taken and is_free(port):
            return port
    raise EmbeddedError(f"none of 200 ports tried between {CHOSEN_FROM.start} and {CHOSEN_FROM.stop} is free")
