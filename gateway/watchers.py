"""Who is to hear of instruments that are new, or that a portfolio holds now, without asking for each."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet

from gateway.clients import Client
from gateway.holdings import symbol_of
from gateway.outcome import Outcome

_NOTHING: AbstractSet[str] = frozenset()


class Watchers:
    """Clients that watch venues or follow portfolios. `follow` carries out what follows for one."""

    def __init__(self, follow: Callable[[Client, Outcome], None]) -> None:
        self._follow = follow
        self._clients: set[Client] = set()
        self._of_portfolios: dict[str, set[Client]] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def note(self, client: Client) -> None:
        """What a client watches may have changed; one that is gone watches nothing. A replay knows no new instruments."""
        subscriptions = client.session.subscriptions
        is_watching = client.is_connected and client.replay is None and subscriptions.watches
        self._clients.add(client) if is_watching else self._clients.discard(client)
        portfolios = subscriptions.portfolios if is_watching else _NOTHING
        for symbol in portfolios - client.followed:
            self._of_portfolios.setdefault(symbol, set()).add(client)
        for symbol in client.followed - portfolios:
            self._of_portfolios[symbol].discard(client)
            if not self._of_portfolios[symbol]:
                del self._of_portfolios[symbol]
        client.followed = portfolios

    def extend(self, instrument: str, now: int) -> None:
        """An instrument is new: those who watch its venue are subscribed to it before anything of it is told."""
        for client in list(self._clients):
            for outcome in client.session.extend(instrument, now):
                self._follow(client, outcome)
                if not client.is_connected:
                    break  # one that is closed must enter no further room: nobody would take it out again

    def hold(self, portfolio_id: str, now: int) -> None:
        """A portfolio has changed: those who follow what it holds hear of that from now on."""
        symbol = symbol_of(portfolio_id)
        for client in list(self._of_portfolios.get(symbol, ())):
            for outcome in client.session.hold(symbol, now):
                self._follow(client, outcome)
                if not client.is_connected:
                    break
