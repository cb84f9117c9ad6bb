"""Lets visitors in: who they are, what they use, and when their time is over. No I/O; times are microseconds."""

from __future__ import annotations

from gateway.authentication import Authenticator
from gateway.identity import Principal
from gateway.quotas import Usage, Usages
from gateway.refusals import ErrorCode, Refusal


class Visitor:
    """One connection: its principal, None until it has shown a token, and whom its use is charged to."""

    __slots__ = ("_queued_bytes", "principal", "usages")

    def __init__(self, of_address: Usage) -> None:
        self.principal: Principal | None = None
        self.usages: tuple[Usage, ...] = (of_address,)
        self._queued_bytes = 0

    def is_over(self, now: int) -> bool:
        """Whether the token's time is over."""
        principal = self.principal
        return principal is not None and principal.expires_at is not None and principal.expires_at <= now

    def take_message(self, now: int) -> None:
        """Count a message. Raises Refusal when there were too many."""
        for usage in self.usages:
            usage.take_message(now)

    def take_bytes(self, amount: int, now: int) -> bool:
        """Count bytes that came in; False when there were too many."""
        taken = [usage.take_bytes(amount, now) for usage in self.usages]
        return all(taken)

    def subscribed(self, change: int) -> None:
        """So many subscriptions came (or went, if negative)."""
        for usage in self.usages:
            usage.subscriptions += change

    def queue(self, change: int) -> bool:
        """So many bytes more (less, if negative) wait for the connection; False when too much waits for all together."""
        self._queued_bytes += change
        for usage in self.usages:
            usage.queued_bytes += change
        return change < 0 or all(usage.check_queue() for usage in self.usages)

    def charge(self, usage: Usage) -> None:
        """Charge a user, now known, as well: for what waits already, and for all that comes."""
        usage.queued_bytes += self._queued_bytes
        self.usages += (usage,)


class Admission:
    """The rules for everyone. Without configured keys everyone is one local user, of whom no account is kept."""

    def __init__(self, authenticator: Authenticator | None = None, usages: Usages | None = None) -> None:
        self.authenticator = Authenticator() if authenticator is None else authenticator
        self.usages = Usages() if usages is None else usages

    def arrive(self, address: str, token: str | None, now: int) -> Visitor:
        """A connection is opened, with a token or to show one later. Raises Refusal; then nothing stays charged."""
        of_address = self.usages.of_address(address)
        of_address.open(now)
        visitor = Visitor(of_address)
        try:
            if token is not None or not self.authenticator.required:
                self.identify(visitor, token, now)
        except Refusal:
            self.leave(visitor)
            raise
        return visitor

    def identify(self, visitor: Visitor, token: str | None, now: int) -> Principal:
        """A connection shows a token: its first, or a newer one of the same user. Raises Refusal; then all is as before."""
        principal = self._authenticate(visitor.usages[0], token, now)
        if visitor.principal is not None:
            if principal.subject != visitor.principal.subject:
                raise Refusal(ErrorCode.SUBJECT_CHANGED, "the token is another user's; open a connection of its own")
        elif self.authenticator.required:
            of_user = self.usages.of_user(principal.subject)
            of_user.open(now)
            visitor.charge(of_user)
        visitor.principal = principal
        return principal

    def leave(self, visitor: Visitor) -> None:
        """A connection is gone, its subscriptions and what waited for it before."""
        for usage in visitor.usages:
            usage.connections -= 1
        visitor.usages = ()

    def knock(self, address: str, now: int) -> None:
        """A request comes that has no connection of its own (REST). Raises Refusal when too many did."""
        self.usages.of_address(address).take_message(now)

    def ask(self, address: str, token: str | None, now: int) -> Principal:
        """Who makes such a request. Raises Refusal."""
        of_address = self.usages.of_address(address)
        principal = self._authenticate(of_address, token, now)
        if self.authenticator.required:
            self.usages.of_user(principal.subject).take_message(now)
        return principal

    def _authenticate(self, of_address: Usage, token: str | None, now: int) -> Principal:
        if token is None or self.authenticator.known(token, now) is not None:  # whoever else guesses from the same address
            return self.authenticator.authenticate(token, now)
        of_address.check_failures(now)
        try:
            return self.authenticator.authenticate(token, now)
        except Refusal:
            of_address.failures.take(now)
            raise
