"""Who may open a connection: decided from the request alone, without I/O.

Without keys the gateway serves the own machine only, and without TLS other machines only on purpose (`check_exposure`). Web
pages of other origins are kept out: a browser sends them as willingly as the user's own. Who the visitor is, `admission` finds.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import parse_qsl

from gateway.refusals import ErrorCode, Refusal
from gateway.replay.wish import Wish, read_wish
from runtime.errors import ConfigurationError, Problem

MARKET_PATH = "/api/ws/market"
PORTFOLIO_PATH = "/api/ws/portfolio"
REALTIME_PATH = "/api/v1/realtime/ws"
"""Another name of `MARKET_PATH`."""
_OF_MARKET = ("client_id", "replay", "speed")
PATHS = {MARKET_PATH: _OF_MARKET, REALTIME_PATH: _OF_MARKET, PORTFOLIO_PATH: ("portfolio_id", "client_id")}
"""The WebSockets there are, and the parameters each takes."""

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?", re.ASCII)
_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@lru_cache(maxsize=1000)
def is_loopback(host: str) -> bool:
    """Whether only the own machine can reach this address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_exposure(host: str, *, keys: bool, tls: bool, allow_remote: bool) -> None:
    """Refuse to serve other machines without keys, or where others on the way could read the tokens.

    Raises ConfigurationError; the latter may be asked for.
    """
    if is_loopback(host):
        return
    if not keys:
        raise ConfigurationError(
            Problem(
                "gateway.host",
                "is reachable from other machines, and there are no keys to know clients by",
                repr(host),
                hint="listen on 127.0.0.1, or set gateway.access.key_file or gateway.access.jwt",
            )
        )
    if not tls and not allow_remote:
        raise ConfigurationError(
            Problem(
                "gateway.host",
                "is reachable from other machines, and tokens would cross the network unencrypted",
                repr(host),
                hint="set gateway.tls, or, with a proxy before the gateway that has TLS, gateway.allow_remote: true",
            )
        )


def check_origins(origins: Sequence[str]) -> frozenset[str]:
    """The origins as a set. Raises ConfigurationError naming one that no browser would ever send."""
    for number, origin in enumerate(origins):
        if not _ORIGIN.fullmatch(origin):
            raise ConfigurationError(
                Problem(
                    f"gateway.origins.{number}",
                    "is no web origin",
                    repr(origin),
                    hint="write scheme, host and port in small letters without a path, such as https://app.example.com",
                )
            )
    return frozenset(origins)


class Entrance(NamedTuple):
    """What somebody asks for who is let in: market or portfolios, and under which name.

    `portfolio_id` is the portfolio meant where none is named, `replay` the past that is wanted instead of what is live.
    """

    path: str
    client_id: str
    portfolio_id: str | None = None
    replay: Wish | None = None


@dataclass(frozen=True, slots=True)
class Door:
    """The rules of admission.

    `host` is the address listened on: on loopback, requests addressed to another name come from a web page whose name was
    made to point here. `origins` are web origins (https://app.example.com) allowed besides the gateway's own. Without
    `has_portfolios` there is market data only. `not_ready`
    gives the reason why no client can be served yet, None when they can; `clock` gives microseconds since the epoch.
    """

    host: str = "127.0.0.1"
    origins: frozenset[str] = frozenset()
    max_clients: int = 10_000
    has_portfolios: bool = True
    not_ready: Callable[[], str | None] = lambda: None
    clock: Callable[[], int] = lambda: time.time_ns() // 1000

    def check_host(self, host: str | None) -> None:
        """Check a Host header. Raises Refusal."""
        if host and is_loopback(self.host) and not is_loopback(_host_name(host)):
            raise Refusal(ErrorCode.HOST_NOT_ALLOWED, f"this gateway is not addressed as {host!r:.80}")

    def check_origin(self, origin: str | None, host: str | None) -> None:
        """Check an Origin header; programs send none. Raises Refusal."""
        if origin is None or origin in self.origins:
            return
        if not host or origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
            raise Refusal(ErrorCode.ORIGIN_NOT_ALLOWED, f"pages of {origin!r:.80} may not use this gateway")

    def admit(self, target: str, *, host: str | None, origin: str | None, clients: int) -> Entrance:
        """What a WebSocket request asks for. Raises Refusal."""
        path, _, query = target.partition("?")
        self.check_host(host)
        paths = [name for name in PATHS if self.has_portfolios or name != PORTFOLIO_PATH]
        if path not in paths:
            raise Refusal(ErrorCode.NOT_FOUND, f"there is no WebSocket at {path!r:.80}, only at {', '.join(paths)}")
        self.check_origin(origin, host)
        given = _parameters(path, query)
        client_id = _client_id(given["client_id"])
        portfolio_ids = given.get("portfolio_id", [])
        if len(portfolio_ids) > 1:
            raise Refusal(ErrorCode.INVALID_PARAMETER, "portfolio_id is given more than once")
        replay = read_wish(given.get("replay", []), given.get("speed", []), self.clock())
        if clients >= self.max_clients:
            raise Refusal(ErrorCode.TOO_MANY_CLIENTS, f"{clients} clients are connected, no more are accepted")
        if (reason := self.not_ready()) is not None:
            raise Refusal(ErrorCode.NOT_READY, f"the gateway is not ready: {reason}")
        meant = MARKET_PATH if path == REALTIME_PATH else path
        return Entrance(meant, client_id, portfolio_ids[0] if portfolio_ids else None, replay)


def _host_name(host: str) -> str:
    """The name or address in a Host header, without port and brackets."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _parameters(path: str, query: str) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {name: [] for name in PATHS[path]}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in given:
            raise Refusal(ErrorCode.INVALID_PARAMETER, f"unknown parameter {name!r:.80}; there is {', '.join(given)}")
        given[name].append(value)
    return given


def _client_id(given: list[str]) -> str:
    if not given:
        return f"client-{secrets.token_hex(8)}"
    if len(given) > 1 or not _CLIENT_ID.fullmatch(given[0]):
        raise Refusal(ErrorCode.INVALID_CLIENT_ID, "client_id must be 1 to 64 of the characters A-Z a-z 0-9 _ -")
    return given[0]
