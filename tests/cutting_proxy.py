"""A line to a database that breaks at the worst moment."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class CuttingProxy:
    """A line to the database; once armed it is cut at a COMMIT, before or after the database has it."""

    def __init__(self, address: tuple[str, int], *, commit_arrives: bool) -> None:
        self.is_armed = False
        self._address = address
        self._commit_arrives = commit_arrives
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets = [self._listener]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._address)
                self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    self._threads.append(threading.Thread(target=self._forward, args=pair))
                    self._threads[-1].start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self.is_armed and b"COMMIT\x00" in data:
                    self.is_armed = False
                    source.shutdown(socket.SHUT_RDWR)
                    if not self._commit_arrives:
                        break
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)
