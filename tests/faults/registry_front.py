"""A schema registry that misbehaves on demand: it stands before the real one and passes questions on, or does not."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class Mode(Enum):
    """What it answers with."""

    GOOD = "what the real one answers"
    DOWN = "nothing: the connection is closed"
    SLOW = "what the real one answers, ten seconds later"
    ERROR = "500"
    GARBAGE = "200 and bytes that are no answer"


class RegistryFront:
    """Listens on `url` while the `with` block runs; `mode` may be set at any time, `asked` counts requests."""

    def __init__(self, real: str) -> None:
        self.mode = Mode.GOOD
        self.asked = 0
        front = self
        base, _, self._path = real.partition("/apis")

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                front.asked += 1
                front.answer(self)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
                pass

        self._base = base
        self._closed = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/apis{self._path}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer as the mode of this moment has it."""
        mode = self.mode
        if mode is Mode.DOWN:
            request.close_connection = True
        elif mode is Mode.ERROR:
            _send(request, 500, b'{"error_code": 50001, "message": "out of order"}')
        elif mode is Mode.GARBAGE:
            _send(request, 200, b"\x00\xff no answer at all {")
        else:
            if mode is Mode.SLOW:
                self._closed.wait(10)
            _send(request, *self._ask(request))

    def _ask(self, request: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        headers = {"Content-Type": request.headers.get("Content-Type") or "application/json"}
        asked = urllib.request.Request(self._base + request.path, body or None, headers, method=request.command)
        try:
            with urllib.request.urlopen(asked, timeout=10) as found:
                return found.status, found.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _send(request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    try:
        request.send_response(status)
        request.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)
    except OSError:
        request.close_connection = True  # the asker had no patience
