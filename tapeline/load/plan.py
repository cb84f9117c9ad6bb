"""What load to put on which gateway."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gateway.door import MARKET_PATH


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Clients of one process. `first` is the number of its first client among those of all processes.

    Each client subscribes to `per_client` of the symbols, the next client to those that follow. Tokens are used in turn; none
    where the gateway has no keys. The last `slow` clients read `slow_bytes` a second, too little for what they are sent.
    """

    host: str
    port: int
    symbols: Sequence[str]
    clients: int
    per_client: int = 20
    data_type: str = "TRADE"
    first: int = 0
    slow: int = 0
    slow_bytes: int = 1024
    tokens: Sequence[str] = field(default=(), repr=False)

    def symbols_of(self, number: int) -> list[str]:
        """What a client subscribes to."""
        count = len(self.symbols)
        begin = number * self.per_client
        return [self.symbols[(begin + each) % count] for each in range(min(self.per_client, count))]

    def request_of(self, number: int) -> bytes:
        """The upgrade request of a client."""
        token = f"Authorization: Bearer {self.tokens[number % len(self.tokens)]}\r\n" if self.tokens else ""
        return (
            f"GET {MARKET_PATH} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{token}\r\n"
        ).encode()


def split(plan: LoadPlan, processes: int) -> list[LoadPlan]:
    """The same load by several processes, each with its share of the clients and of those that are slow."""
    bounds = [plan.clients * number // processes for number in range(processes + 1)]
    slow = [plan.slow * bound // plan.clients for bound in bounds]
    return [
        replace(
            plan, first=plan.first + bounds[each], clients=bounds[each + 1] - bounds[each], slow=slow[each + 1] - slow[each]
        )
        for each in range(processes)
        if bounds[each + 1] > bounds[each]
    ]
