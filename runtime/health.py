"""Health of a service and the small HTTP server that shows it: /metrics, /healthz (alive), /readyz (able to work).

Alive means that the service's loop beat a short time ago; an orchestrator restarts one that is not. Ready means that
each named check has passed; one that is not gets no traffic, and the answer says why.
"""

import asyncio
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from runtime.errors import AddressUnavailable
from runtime.logs import get_logger
from runtime.metrics import REGISTRY
from runtime.settings import ObservabilitySettings

__all__ = ["Health", "HealthServer", "keep_beating", "serving"]

log = get_logger(__name__)


class Health:
    """What a service knows of itself; safe to use from any thread."""

    def __init__(
        self, checks: Iterable[str], *, beat_within_seconds: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lock = threading.Lock()
        self._reasons: dict[str, str | None] = dict.fromkeys(checks, "starting")
        self._beat_within_seconds = beat_within_seconds
        self._clock = clock
        self._last_beat = clock()

    def ready(self, check: str) -> None:
        """Note that a check passed."""
        self._set(check, None)

    def not_ready(self, check: str, reason: str) -> None:
        """Note why a check does not pass."""
        self._set(check, reason)

    def beat(self) -> None:
        """Note that the service's loop is turning."""
        self._last_beat = self._clock()

    def reasons(self) -> dict[str, str]:
        """Return the checks that do not pass, each with its reason; empty when the service is ready."""
        with self._lock:
            return {check: reason for check, reason in self._reasons.items() if reason is not None}

    def silence_seconds(self) -> float:
        """Return the time since the last beat."""
        return self._clock() - self._last_beat

    def is_live(self) -> bool:
        """Whether the last beat is young enough."""
        return self.silence_seconds() < self._beat_within_seconds

    def _set(self, check: str, reason: str | None) -> None:
        with self._lock:
            if check not in self._reasons:
                raise KeyError(f"{check!r} is not one of the checks: {', '.join(self._reasons)}")
            self._reasons[check] = reason


async def keep_beating(health: Health, every_seconds: float = 1.0) -> None:
    """Beat as long as the event loop turns; a task of this ends by cancellation."""
    while True:
        health.beat()
        await asyncio.sleep(every_seconds)


def answer(health: Health, path: str) -> tuple[HTTPStatus, dict[str, object]]:
    """Return status and body for a health path."""
    if path == "/healthz":
        live = health.is_live()
        body: dict[str, object] = {"live": live, "seconds_since_beat": round(health.silence_seconds(), 3)}
        return HTTPStatus.OK if live else HTTPStatus.SERVICE_UNAVAILABLE, body
    if path == "/readyz":
        reasons = health.reasons()
        return HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK, {"ready": not reasons, "reasons": reasons}
    return HTTPStatus.NOT_FOUND, {"error": f"no such path; there are /metrics, /healthz and /readyz, not {path}"}


class HealthServer:
    """Serves a service's health and metrics from a daemon thread until closed.

    Raises AddressUnavailable when it cannot listen. Port 0 takes a free one; `port` is the one taken.
    """

    def __init__(self, health: Health, host: str = "127.0.0.1", port: int = 0, registry: CollectorRegistry = REGISTRY) -> None:
        try:
            self._server = _Server((host, port), health, registry)
        except OSError as error:
            raise AddressUnavailable("the metrics server", host, port, error.strerror or str(error)) from error
        self.host = host
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@contextmanager
def serving(health: Health, observability: ObservabilitySettings) -> Iterator[None]:
    """Serve health and metrics as configured while the block runs; the address is logged."""
    if not observability.metrics_enabled:
        yield
        return
    with HealthServer(health, observability.metrics_host, observability.metrics_port) as server:
        log.info("serving metrics and health", address=f"http://{server.host}:{server.port}")
        yield


class _Server(ThreadingHTTPServer):
    allow_reuse_port = False  # two services on one port would answer for each other
    daemon_threads = True

    def __init__(self, address: tuple[str, int], health: Health, registry: CollectorRegistry) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.health = health
        self.registry = registry
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without the parent's look-up of the host's name, which can hang where there is no name server."""
        socketserver.TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), port

    def handle_error(self, request: object, client_address: object) -> None:
        """Log a client that went away before its answer, instead of a traceback on standard error."""
        log.debug("request failed", client=str(client_address), exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5  # seconds a client may take over its request

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            encoder, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._send(HTTPStatus.OK, content_type, encoder(self.server.registry))
        else:
            status, body = answer(self.server.health, path)
            self._send(status, "application/json", json.dumps(body).encode())

    def _send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name for it
        """Say nothing: probes come every few seconds."""
