"""Portfolios for the gateway's tests: a processor without Kafka, a hub without sockets, and valuations to be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gateway.admission import Admission
from gateway.api_keys import ApiKeys, make_key
from gateway.authentication import Authenticator
from gateway.door import PORTFOLIO_PATH, Entrance
from gateway.hub import Hub
from gateway.identity import Grants
from gateway.portfolios.desk import Desk
from gateway.portfolios.producer import Failed, unavailable
from gateway.portfolios.waiter import ReplyWaiter
from market.portfolio import Portfolio
from market.portfolio_answers import MEMORY, Account, Remembered, answer
from market.portfolio_commands import Command, CreatePortfolio
from market.valuation_record import Valuation, ValuationLine
from schemas.records import Record
from schemas.topics import COMMANDS, POSITIONS, REPLIES
from tapeline.topic_docs.examples import example
from tests.builders import INSTRUMENT, START
from tests.gateway_parts import ALL_CHANNELS, HandTurnedLoop, Listener, arrivals, make_hub
from tests.portfolio_parts import BTC, PERP, PORTFOLIO, command

Feed = Callable[[str, Record], None]
"""Delivers a record of a topic to the gateway."""

POSITION = {"position_id": "p1", "instrument": BTC, "currency": "USDT", "quantity": "2", "cost": "200.5"}
REGISTER = {"action": "register_position", "expected_version": 1, **POSITION}
PRICE = {
    "action": "update_price",
    "expected_version": 1,
    "instrument": BTC,
    "price": "90",
    "reason": "feed is down",
    "expires_at": START + 10**9,
}

PRICES = {
    "action": "update_price_batch",
    "expected_version": 1,
    "prices": [{"instrument": BTC, "price": "90"}, {"instrument": PERP, "price": "91.5"}],
    "reason": "feed is down",
    "expires_at": START + 10**9,
}


class Processor:
    """Answers commands as the worker does, at once; takes the place of the gateway's producer and of the topics."""

    def __init__(self, feed: Feed, clock: Callable[[], int] = lambda: START) -> None:
        self._feed = feed
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        self._remembered: dict[tuple[str, str], list[Remembered]] = {}
        self.taken: list[Command] = []
        self.is_silent = False
        self.is_unreachable = False

    def send(self, command: Command, failed: Failed) -> None:
        """Answer a command, or as the broker and the worker do that are away."""
        if self.is_unreachable:
            failed(unavailable())
            return
        self.taken.append(command)
        key, source = (command.portfolio_id, command.command_id), (COMMANDS.name, 0, len(self.taken))
        before = self._accounts.get(command.portfolio_id, Account())
        kept = self._remembered.setdefault(key, [])
        account, reply, remembered = answer(before, command, self._clock(), source, kept, MEMORY)
        if remembered is not None:
            kept.insert(0, remembered)
        self._accounts[command.portfolio_id] = account
        if self.is_silent:
            return
        if account.portfolio is not None and account.portfolio is not before.portfolio:
            self._feed(POSITIONS.name, account.portfolio)
        self._feed(REPLIES.name, reply)

    def holds(self, portfolio_id: str) -> bool:
        """Whether there is such a portfolio."""
        return self._accounts.get(portfolio_id, Account()).portfolio is not None

    def portfolio(self, portfolio_id: str = PORTFOLIO) -> Portfolio:
        """A portfolio as it stands."""
        portfolio = self._accounts[portfolio_id].portfolio
        assert portfolio is not None
        return portfolio


class Floor:
    """A hub with portfolios, and a processor that answers commands."""

    def __init__(self, grants: Mapping[str, Grants] | None = None, **hub: Any) -> None:
        self.loop = HandTurnedLoop()
        keys = {name: make_key(name, each) for name, each in (grants or {}).items()}
        self.api_keys = ApiKeys(entry for _, entry in keys.values())
        self.entries = {name: entry for name, (_, entry) in keys.items()}
        self.tokens = {name: token for name, (token, _) in keys.items()}
        admission = Admission(Authenticator(api_keys=self.api_keys if grants else None))
        channels = (*ALL_CHANNELS, "portfolio")
        self.hub: Hub = make_hub(self.loop, known=[INSTRUMENT], admission=admission, channels=channels, **hub)
        self.processor = Processor(self.feed)
        assert self.hub.portfolios is not None
        self.hub.desk = Desk(self.processor, ReplyWaiter(self.loop), lambda: START, self.hub.portfolios.book)
        self.offset = 0

    def feed(self, topic: str, record: Any) -> None:
        """Deliver a record as the service does."""
        found = arrivals(topic, [record], self.offset)
        self.offset += 1
        self.hub.take(found)
        assert self.hub.desk is not None
        self.hub.desk.take(found)

    def create(self, *portfolio_ids: str) -> None:
        """Begin portfolios."""
        for portfolio_id in portfolio_ids:
            self.processor.send(command(CreatePortfolio, portfolio_id, portfolio=portfolio_id), print)

    def listener(self, name: str | None = None, portfolio_id: str | None = PORTFOLIO, path: str = PORTFOLIO_PATH) -> Listener:
        """A client who has shown its key."""
        visitor = self.hub.arrive("127.0.0.1", None if name is None else self.tokens[name])
        return Listener(self.hub, name or "client", visitor, Entrance(path, name or "client", portfolio_id))

    def answer(self, listener: Listener, **message: Any) -> Any:
        """The one answer to a message."""
        before = len(listener.sent)
        listener.say(**message, id="q")
        for _ in range(4):  # less than the time that a command may take
            self.loop.now += 0.01
            self.loop.turn()
        (answer,) = [each for each in listener.sent[before:] if each.get("id") == "q"]
        return answer


def make_valuation(sequence: int = 1, *, generation: int = 1, portfolio_id: str = PORTFOLIO, **fields: Any) -> Valuation:
    """Totals of a portfolio."""
    known: Any = example(Valuation)
    record: Valuation = known._replace(portfolio_id=portfolio_id, generation=generation, sequence=sequence, **fields)
    return record


def make_line(
    position_id: str = "p1", sequence: int = 1, *, generation: int = 1, portfolio_id: str = PORTFOLIO, **fields: Any
) -> ValuationLine:
    """A line of a portfolio."""
    known: Any = example(ValuationLine)
    stamp = {"generation": generation, "sequence": sequence, "position_version": 1}
    record: ValuationLine = known._replace(portfolio_id=portfolio_id, position_id=position_id, **(stamp | fields))
    return record


def floats(value: Any) -> Iterator[float]:
    """Every float within a decoded JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from floats(item)
    elif isinstance(value, float):
        yield value
