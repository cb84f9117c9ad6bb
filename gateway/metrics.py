"""Metrics only the gateway has; the shared ones stand in `runtime.metrics`."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

from prometheus_client import Counter, Gauge

from runtime import metrics
from runtime.metrics import REGISTRY

SUBSCRIPTIONS = Gauge("tapeline_gateway_subscriptions", "Subscriptions of all clients.", registry=REGISTRY)
CLIENTS_BEHIND = Gauge("tapeline_gateway_clients_behind", "Clients whose socket takes no more for now.", registry=REGISTRY)
REPLAYS = Gauge("tapeline_gateway_replays", "Replays that clients listen to.", registry=REGISTRY)
CONFLATED = Counter(
    "tapeline_gateway_conflated", "Messages replaced by later ones for clients that were behind.", registry=REGISTRY
)
DROPPED = Counter("tapeline_gateway_dropped", "Messages left out with a gap notice for clients behind.", registry=REGISTRY)
BYTES_SENT = Counter("tapeline_gateway_bytes_sent", "Bytes of messages handed to clients' sockets.", registry=REGISTRY)
BYTES_RECEIVED = Counter("tapeline_gateway_bytes_received", "Bytes of clients' messages.", registry=REGISTRY)
CLOSED = Counter("tapeline_gateway_closed", "Connections closed by the gateway, by code.", ["code"], registry=REGISTRY)
REFUSED = Counter("tapeline_gateway_refused", "Handshakes refused, by reason.", ["reason"], registry=REGISTRY)
AUTHENTICATIONS = Counter("tapeline_gateway_authentications", "Tokens checked, by result.", ["result"], registry=REGISTRY)
QUOTA_EXCEEDED = Counter(
    "tapeline_gateway_quota_exceeded",
    "What was refused or cut because a user or an address had its share.",
    ["quota", "scope"],
    registry=REGISTRY,
)
UNDECODABLE = Counter(
    "tapeline_gateway_undecodable",
    "Records passed over because they could not be read, or are not what their topic carries.",
    ["topic", "reason"],
    registry=REGISTRY,
)
TRADES_TOO_OLD = Counter(
    "tapeline_gateway_trades_too_old",
    "Trades not told because their ids are older than those remembered: they may have been told before.",
    registry=REGISTRY,
)


@dataclass(slots=True)
class Traffic:
    """Counts what passes between gateway and clients: totals since the start for the status answer, and the metrics."""

    opened: int = 0
    most_at_once: int = 0
    subscriptions: int = 0
    messages_in: int = 0
    bytes_in: int = 0
    messages_out: int = 0
    bytes_out: int = 0
    conflated: int = 0
    dropped: int = 0
    failed: int = 0
    latency_micros: int = 0
    latency_records: int = 0
    by_instrument: Counts[str] = field(default_factory=Counts)
    _unsettled: Counts[str] = field(default_factory=Counts)
    _unsettled_bytes: int = 0

    def connected(self, clients: int) -> None:
        """A client has connected; `clients` are there now."""
        self.opened += 1
        self.most_at_once = max(self.most_at_once, clients)
        _CONNECTIONS.set(clients)

    def disconnected(self, clients: int) -> None:
        """A client has gone; `clients` are left."""
        _CONNECTIONS.set(clients)

    def subscribed(self, change: int) -> None:
        """So many subscriptions came (or went, if negative)."""
        self.subscriptions += change
        SUBSCRIPTIONS.set(self.subscriptions)

    def totals(self) -> dict[str, int]:
        """What everyone may know."""
        names = ("opened", "most_at_once", "subscriptions", "messages_in", "bytes_in", "messages_out", "bytes_out")
        return {name: getattr(self, name) for name in (*names, "conflated", "dropped")}

    def told(self, instrument: str) -> None:
        """Something of an instrument was rendered for those who listen."""
        self.by_instrument[instrument] += 1

    def late(self, micros: Sequence[int]) -> None:
        """Records were told so long after they were received."""
        self.latency_micros += sum(micros)
        self.latency_records += len(micros)

    def received(self, size: int) -> None:
        """A message of a client came in."""
        self.messages_in += 1
        self.bytes_in += size
        _REQUESTS.inc()
        BYTES_RECEIVED.inc(size)

    def sent(self, kind: str, messages: int, size: int) -> None:
        """A message of this type and size went out to so many clients; the metrics know when this was settled."""
        total = messages * size
        self.messages_out += messages
        self.bytes_out += total
        self._unsettled[kind] += messages
        self._unsettled_bytes += total

    def settle(self) -> None:
        """Take what went out into the metrics, each of which has a lock: too much for every message."""
        for kind, messages in self._unsettled.items():
            _sent(kind).inc(messages)
        BYTES_SENT.inc(self._unsettled_bytes)
        self._unsettled.clear()
        self._unsettled_bytes = 0

    def held_back(self, conflated: int, dropped: int) -> None:
        """A client that was behind caught up without these messages."""
        self.conflated += conflated
        self.dropped += dropped
        CONFLATED.inc(conflated)
        DROPPED.inc(dropped)


_CONNECTIONS = metrics.WEBSOCKET_CONNECTIONS.labels("client")
_REQUESTS = metrics.MESSAGES_RECEIVED.labels("client", "request")
_sent = cache(metrics.MESSAGES_SENT.labels)
