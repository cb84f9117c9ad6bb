"""What a client of the gateway has of each of its subscriptions, so that it can go on from there after a loss. Without I/O.

A subscription stands where its token says once its first messages (a snapshot, or what was missed) have all come; what came
since is remembered by partition. One that was cut before begins anew.
"""

from __future__ import annotations

from typing import Any

Message = dict[str, Any]
Key = tuple[str, str, str]
"""Data type, instrument, interval."""

_ASKED_AGAIN = ("data_type", "interval", "history", "fields", "filter", "levels", "max_rate")


def key_of(room: Message) -> Key:
    """Key of a grant, or of a room as answers name it."""
    return room["data_type"], room["instrument"], room.get("interval", "")


class Subscription:
    """One subscription; `token` is None until it can be gone on with."""

    def __init__(self, grant: Message, token: str | None) -> None:
        self.grant = grant
        self.token: str | None = None
        self._seen: dict[tuple[str, int], int] = {}
        self._awaited = 0
        self._next_token: str | None = None
        self._reading = False
        self.take_grant(grant, token)

    def take_grant(self, grant: Message, token: str | None) -> None:
        """It was granted, at first or again after a loss."""
        self.grant = grant
        self._reading = grant.get("recovery") == "reading"
        self._awaited, self._next_token = 0, None
        if not self._reading:
            self._expect(grant, token)

    def take_recovery(self, data: Message, token: str | None) -> None:
        """What was missed was read."""
        self._reading = False
        self._expect(data, token)

    def take(self, metadata: Message) -> None:
        """A message of it came."""
        if "offset" in metadata:
            partition = metadata["topic"], metadata["partition"]
            self._seen[partition] = max(metadata["offset"], self._seen.get(partition, -1))
        if self._awaited:
            self._awaited -= 1
            self._settle()

    def take_token(self, token: str) -> None:
        """Everything up to this token has come, unless it is still in the making."""
        if not self._reading and not self._awaited and self.token is not None:
            self.token = token
            self._seen.clear()

    def request(self) -> Message:
        """The request that goes on with it, or begins it anew."""
        wanted = {name: self.grant[name] for name in _ASKED_AGAIN if name in self.grant}
        again = {"action": "subscribe", "symbol": self.grant["instrument"], **wanted}
        if self.token is None:
            return again
        seen = [{"topic": topic, "partition": number, "offset": at} for (topic, number), at in self._seen.items()]
        return again | {"resume": self.token} | ({"seen": seen} if seen else {})

    def _expect(self, told: Message, token: str | None) -> None:
        if told.get("recovery") != "resumed":
            self.token = None
            self._seen.clear()
        self._awaited = told["snapshot"]
        self._next_token = token
        self._settle()

    def _settle(self) -> None:
        if not self._awaited and self._next_token is not None:
            self.token, self._next_token = self._next_token, None
            self._seen.clear()


class Subscribed:
    """All subscriptions of a client, told of everything that comes, in its order."""

    def __init__(self) -> None:
        self._by_key: dict[Key, Subscription] = {}
        self._of_type: dict[str, str] = {}

    def __iter__(self) -> Any:
        return iter(list(self._by_key.values()))

    def take(self, message: Message) -> None:
        """A message came: an answer, or data."""
        kind, data, metadata = message["type"], message["data"], message["metadata"]
        token = metadata.get("resume")
        if kind == "subscribe":
            for grant in data["subscriptions"]:
                self._grant(grant, token)
        elif kind == "unsubscribe":
            for room in data["unsubscribed"]:
                self._by_key.pop(key_of(room), None)
        elif kind == "recovery":
            if (found := self._by_key.get(key_of(data))) is not None:
                found.take_recovery(data, token)
        elif kind == "pong" and token is not None:
            for each in self._by_key.values():
                each.take_token(token)
        elif kind in self._of_type and (found := self.of(message)) is not None:
            found.take(metadata)

    def of(self, message: Message) -> Subscription | None:
        """The subscription that a data message belongs to."""
        data_type = self._of_type.get(message["type"])
        data = message["data"]
        return None if data_type is None else self._by_key.get((data_type, data["instrument"], self._interval(data_type, data)))

    def _grant(self, grant: Message, token: str | None) -> None:
        self._of_type[grant["message_type"]] = grant["data_type"]
        key = key_of(grant)
        if (found := self._by_key.get(key)) is None:
            self._by_key[key] = Subscription(grant, token)
        else:
            found.take_grant(grant, token)

    def _interval(self, data_type: str, data: Message) -> str:
        """Candles are told apart by their interval; with a choice of fields without it, there can be one series only."""
        if data_type != "KLINE":
            return ""
        if "interval" in data:
            return str(data["interval"])
        mine = [key[2] for key in self._by_key if key[:2] == (data_type, data["instrument"])]
        return mine[0] if len(mine) == 1 else ""
