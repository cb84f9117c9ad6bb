"""All replays: how many there are, of each user and in all, and what they share."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.identity import Principal
from gateway.metrics import QUOTA_EXCEEDED, REPLAYS
from gateway.refusals import ErrorCode, Refusal
from gateway.replay.archive import Archive
from gateway.replay.replay import Replay, ReplayParts
from gateway.replay.share import Share
from gateway.replay.wish import Wish

if TYPE_CHECKING:
    from gateway.clients import Client
    from gateway.hub import Hub


@dataclass(frozen=True, slots=True)
class ReplayLimits:
    """Replays at a time in all and of one user, and the share of the process's time that they take together at most."""

    in_all: int = 8
    of_user: int = 2
    share: float = 0.25


class Replays:
    """Opens replays and keeps count of them. Without an archive there are none."""

    def __init__(self, archive: Archive | None = None, limits: ReplayLimits = ReplayLimits()) -> None:  # immutable
        self._parts = None if archive is None else ReplayParts(archive, Share(limits.share))
        self._limits = limits
        self._of_users: Counter[str] = Counter()

    def check(self, principal: Principal | None) -> None:
        """Raise Refusal unless this client may have a replay now."""
        if principal is None:
            raise Refusal(ErrorCode.UNAUTHENTICATED, "a replay is asked for with the token in the request, not in a message")
        if self._parts is None or self._limits.in_all == 0:
            raise Refusal(ErrorCode.TOO_MANY_REPLAYS, "this gateway serves no replays", limit=0)
        if self._of_users[principal.subject] >= self._limits.of_user:
            self._refuse("user", self._limits.of_user, "you have")
        if self._of_users.total() >= self._limits.in_all:
            self._refuse("gateway", self._limits.in_all, "there are")

    def open(self, wish: Wish, principal: Principal | None, hub: Hub) -> Replay:
        """A replay that was let in. Raises Refusal as `check`."""
        self.check(principal)
        if self._parts is None or principal is None:
            raise AssertionError("checked above")
        self._of_users[principal.subject] += 1
        REPLAYS.inc()
        return Replay(wish, self._parts, hub)

    def close(self, client: Client) -> None:
        """The client of a replay has gone."""
        if client.replay is None or client.session.visitor.principal is None:
            return
        client.replay.close()
        self._of_users[client.session.visitor.principal.subject] -= 1
        self._of_users += Counter()  # forgets those that have none
        REPLAYS.dec()

    def _refuse(self, scope: str, limit: int, who: str) -> None:
        QUOTA_EXCEEDED.labels("replays", scope).inc()
        text = f"{who} {limit} replays at a time, no more are accepted"
        raise Refusal(ErrorCode.TOO_MANY_REPLAYS, text, scope=scope, limit=limit)
