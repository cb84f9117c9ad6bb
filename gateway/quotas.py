"""What one user and one address may use, over all their connections. Pure; times are microseconds.

A connection is charged to its address at once, and to its user when that is known. Nothing here closes anything: what goes
beyond a quota is refused with the quota's own code, and whoever asked decides what follows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from gateway.metrics import QUOTA_EXCEEDED
from gateway.rates import Rate
from gateway.refusals import ErrorCode, Refusal

BURST_SECONDS = 10
"""How many seconds' worth may come at once after a rest."""

FAILURES_PER_SECOND = 1.0
"""Tokens that are not valid, of one address; more are refused unseen, so that none can be found by trying."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits of one user or one address."""

    connections: int
    connections_per_second: float
    subscriptions: int
    messages_per_second: float
    bytes_per_second: float
    queue_bytes: int


USER = Quota(100, 20, 20_000, 200, 1 << 20, 16 << 20)
ADDRESS = Quota(2_000, 200, 200_000, 2_000, 8 << 20, 64 << 20)


class Usage:
    """What one user or address uses now; `scope` says which of the two it is."""

    __slots__ = ("_opened", "bytes", "connections", "failures", "messages", "queued_bytes", "quota", "scope", "subscriptions")

    def __init__(self, scope: str, quota: Quota) -> None:
        self.scope = scope
        self.quota = quota
        self.connections = 0
        self.subscriptions = 0
        self.queued_bytes = 0
        self.messages = _rate(quota.messages_per_second)
        self.bytes = _rate(quota.bytes_per_second)
        self.failures = _rate(FAILURES_PER_SECOND)
        self._opened = _rate(quota.connections_per_second)

    def open(self, now: int) -> None:
        """Count a new connection. Raises Refusal when there are too many, or too many at once."""
        if self.connections >= self.quota.connections:
            raise self._refusal(
                ErrorCode.TOO_MANY_CONNECTIONS, "connections", f"has {self.connections} connections, no more are accepted"
            )
        self._take(self._opened, now, ErrorCode.CONNECTION_RATE, "connections_per_second", "opens connections too fast")
        self.connections += 1

    def take_message(self, now: int) -> None:
        """Count a message or request. Raises Refusal when there were too many."""
        self._take(self.messages, now, ErrorCode.MESSAGE_RATE, "messages_per_second", "sends too many messages")

    def take_bytes(self, amount: int, now: int) -> bool:
        """Count bytes that came in; False when there were too many."""
        fits = self.bytes.take(now, amount)
        if not fits:
            QUOTA_EXCEEDED.labels("bytes_per_second", self.scope).inc()
        return fits

    def check_failures(self, now: int) -> None:
        """Raise Refusal when too many tokens from here were not valid."""
        if wait := self.failures.wait(now):
            raise self._refusal(
                ErrorCode.AUTHENTICATION_RATE, "failures", "has sent too many invalid tokens", retry_after_ms=-(-wait // 1000)
            )

    def check_subscriptions(self, more: int) -> None:
        """Raise Refusal when so many more subscriptions would be too many."""
        if self.subscriptions + more > self.quota.subscriptions:
            raise self._refusal(
                ErrorCode.TOO_MANY_SUBSCRIPTIONS,
                "subscriptions",
                f"may have {self.quota.subscriptions} subscriptions at a time, over all connections",
                limit=self.quota.subscriptions,
            )

    def check_queue(self) -> bool:
        """Whether what waits for slow connections is within the quota."""
        fits = self.queued_bytes <= self.quota.queue_bytes
        if not fits:
            QUOTA_EXCEEDED.labels("queue_bytes", self.scope).inc()
        return fits

    def is_idle(self, now: int) -> bool:
        """Whether nothing is worth remembering."""
        rates = (self.messages, self.bytes, self.failures, self._opened)
        return self.connections == 0 and all(rate.is_rested(now) for rate in rates)

    def _take(self, rate: Rate, now: int, code: ErrorCode, quota: str, said: str) -> None:
        if not rate.take(now):
            raise self._refusal(code, quota, said, retry_after_ms=-(-rate.wait(now) // 1000))

    def _refusal(self, code: ErrorCode, quota: str, said: str, **details: Any) -> Refusal:
        QUOTA_EXCEEDED.labels(quota, self.scope).inc()
        return Refusal(code, f"this {self.scope} {said}", scope=self.scope, **details)


class Usages:
    """What every user and address uses; those that use nothing are forgotten by `sweep`."""

    def __init__(self, user: Quota = USER, address: Quota = ADDRESS) -> None:
        self._quotas = {"user": user, "address": address}
        self._usages: dict[tuple[str, str], Usage] = {}

    def __len__(self) -> int:
        return len(self._usages)

    def of_user(self, subject: str) -> Usage:
        """The usage of a user."""
        return self._of("user", subject)

    def of_address(self, address: str) -> Usage:
        """The usage of an address; a whole IPv6 /64 counts as one, since one customer is given so many."""
        return self._of("address", _network(address))

    def sweep(self, now: int) -> None:
        """Forget who uses nothing."""
        self._usages = {key: usage for key, usage in self._usages.items() if not usage.is_idle(now)}

    def _of(self, scope: str, name: str) -> Usage:
        usage = self._usages.get((scope, name))
        if usage is None:
            usage = self._usages[scope, name] = Usage(scope, self._quotas[scope])
        return usage


def _rate(per_second: float) -> Rate:
    return Rate(per_second, per_second * BURST_SECONDS)


@lru_cache(maxsize=10_000)
def _network(address: str) -> str:
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.version == 4:
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return f"{ip.exploded[:19]}::/64"
