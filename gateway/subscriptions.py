"""What a client is subscribed to, and how its wishes to hear more or less are granted. Without I/O; times are microseconds.

A snapshot is taken in the same call that grants the subscription; the caller enters the rooms before it gives way to
anything else, so nothing is missed or told twice between snapshot and live. So it is with what a returning subscriber
missed, unless that must be read from the topic first: such a subscription is `recovering` until it has been.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from gateway.admission import Visitor
from gateway.channel import Channel, Grant
from gateway.holdings import Follows, Holdings, is_portfolio, portfolio_of
from gateway.identity import Principal
from gateway.instruments import Instruments
from gateway.messages import Message, Room
from gateway.outcome import Outcome, SessionLimits
from gateway.refusals import ErrorCode, Refusal
from gateway.requests import Request
from gateway.resumption import Missed, Recovering, Recovery, Resumption
from gateway.views import View, wanted_view
from gateway.wanted import (
    is_group,
    is_meant,
    is_of,
    named_channels,
    shown,
    wanted_channels,
    wanted_instruments,
    wanted_symbols,
)
from gateway.wire import PLAIN


class Answer(NamedTuple):
    """What was done with a request: the data of the answer, whether anything was done, and what was refused."""

    data: dict[str, Any]
    something: bool
    refusals: list[Refusal]


class Subscriptions:
    """Those of one client, granted to its principal within its limits."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        instruments: Instruments,
        limits: SessionLimits,
        visitor: Visitor,
        resumption: Resumption,
    ) -> None:
        self.rooms: dict[Room, Room] = {}
        """By base room, the room with the view that is wanted of it."""
        self.watches: dict[Room, Request] = {}
        """By room of a venue (`binance:*`) or portfolio, how its instruments are wanted, those as well that come later."""
        self.recovering: dict[Room, Recovering] = {}
        """By base room, those that wait for their past."""
        self.wire = PLAIN
        """How the client's messages stand on the wire."""
        self._channels = channels
        self._instruments = instruments
        self._limits = limits
        self._visitor = visitor
        self._resumption = resumption
        self.check: Callable[[Channel, str], None] = lambda channel, instrument: None
        """Raises Refusal for what cannot be had of an instrument."""
        self.holdings = Holdings()
        """What `portfolio:ID` means."""
        self._follows = Follows()

    def concerned(self, request: Request, principal: Principal) -> list[tuple[Channel, str]]:
        """The channels and instruments that a request to subscribe is about, whatever becomes of it.

        Raises Refusal for a request that cannot be meant.
        """
        ignored: list[Refusal] = []
        channels = [each for each in wanted_channels(self._channels, request, ignored) if principal.hears(each.data_type)]
        symbols = wanted_symbols(request, self._limits.symbols_per_message, ignored)
        found = wanted_instruments(self._instruments, self.holdings, principal, symbols, ignored)
        return [(channel, instrument) for _, instrument in found for channel in channels][: self._limits.subscriptions]

    def count(self) -> int:
        """How many there are, with those that are recovering."""
        return len(self.rooms) + len(self.recovering)

    def subscribe(self, request: Request, principal: Principal, now: int, outcome: Outcome) -> Answer:
        """Enter what a request asks for. Raises Refusal for a request that cannot be meant."""
        refusals: list[Refusal] = []
        channels = wanted_channels(self._channels, request, refusals)
        symbols = wanted_symbols(request, self._limits.symbols_per_message, refusals)
        _check_seen(request, symbols, channels)
        full: set[tuple[str, Channel]] = set()
        found = wanted_instruments(self._instruments, self.holdings, principal, symbols, refusals)
        watching = self._watch(request, symbols, channels, principal, refusals, full)
        granted = self._grant_all(found, channels, full, request, principal, now, outcome, refusals)
        data = {"subscriptions": granted, "watching": [room.describe() for room in watching]}
        return Answer(data, bool(granted or watching), refusals)

    def _grant_all(
        self,
        found: Iterable[tuple[str, str]],
        channels: Sequence[Channel],
        full: set[tuple[str, Channel]],
        request: Request,
        principal: Principal,
        now: int,
        outcome: Outcome,
        refusals: list[Refusal],
    ) -> list[dict[str, Any]]:
        """Enter rooms of these instruments, each named by a symbol; what was granted."""
        granted = []
        for symbol, instrument in found:
            for channel in channels:
                if (symbol, channel) in full:
                    continue
                try:
                    principal.check_data_type(channel.data_type)
                    granted.append(self._grant(symbol, instrument, channel, request, principal, now, outcome))
                except Refusal as refusal:
                    refusal.details.setdefault("symbol", symbol)
                    refusals.append(refusal)
                    if is_group(symbol):  # one refusal for all the rest of it
                        full.add((symbol, channel))
        return granted

    def extend(self, instrument: str, principal: Principal, now: int) -> Iterator[tuple[Outcome, Answer | Refusal]]:
        """An instrument is new: subscribe to it where its venue is watched, if it may be seen."""
        for room, request in list(self.watches.items()):
            if not is_of(instrument, room.instrument) or not principal.may_enter(room._replace(instrument=instrument)):
                continue
            outcome = Outcome()
            try:
                answer = self.subscribe(msgspec.structs.replace(request, symbols=(instrument,)), principal, now, outcome)
            except Refusal as refusal:
                yield outcome, refusal
            else:
                yield outcome, answer

    def enter(self, room: Room, messages: list[Message], outcome: Outcome) -> None:
        """Enter a room that is granted already, after these messages. Raises Refusal when a limit is reached."""
        self._check_room(room)
        view = None if self.wire == PLAIN else View(wire=self.wire)
        self._enter(room, room._replace(view=view), None, outcome)
        outcome.snapshots += shown(messages, view)

    def leave(self, room: Room) -> list[Room]:
        """Leave a room, and return it as it was entered; nothing when it was not."""
        return self._drop([room]) if room in self.rooms else []

    def unsubscribe(self, request: Request, principal: Principal, outcome: Outcome) -> Answer:
        """Leave what a request names. Raises Refusal for a request that cannot be meant."""
        refusals: list[Refusal] = []
        data_types = {channel.data_type for channel in named_channels(self._channels, request, refusals)}
        if not request.all_data_types():
            data_types = set(self._channels)
        symbols = wanted_symbols(request, self._limits.symbols_per_message, refusals)
        for room in list(self.watches):
            if room.instrument in symbols and is_meant(room, data_types, request):
                del self.watches[room]
                outcome.leaves += self._drop(self._follows.let_go(room))
        found = wanted_instruments(self._instruments, self.holdings, principal, symbols, refusals)
        named = {instrument for symbol, instrument in found if not is_portfolio(symbol)}
        mine = (*self.rooms, *self.recovering)
        outcome.leaves += self._drop(room for room in mine if room.instrument in named and is_meant(room, data_types, request))
        left = [room.describe() for room in outcome.leaves]
        return Answer({"unsubscribed": left}, bool(left), refusals)

    def lose(self, principal: Principal | None) -> list[Room]:
        """Leave the rooms that the principal may no longer be in, and return them."""
        lost: set[Room] = set()
        for watch in list(self.watches):
            if not self._may_follow(watch.instrument, principal):
                del self.watches[watch]
                lost.update(self._follows.let_go(watch))
        mine = (*self.rooms, *self.recovering)
        return self._drop(lost | {room for room in mine if principal is None or not principal.may_enter(room)})

    @property
    def portfolios(self) -> set[str]:
        """The symbols of portfolios whose holdings are followed."""
        return {room.instrument for room in self.watches if is_portfolio(room.instrument)}

    def let_go(self, symbol: str, principal: Principal) -> list[Room]:
        """Leave the rooms of what a portfolio that is followed holds no longer. Raises Refusal where it may not be seen."""
        held = self.holdings.of(symbol, principal)
        return self._drop(base for watch in self._watches_of(symbol) for base in self._follows.let_go(watch, held))

    def take_up(self, symbol: str, principal: Principal, now: int, outcome: Outcome) -> Answer:
        """Enter the rooms of what a portfolio that is followed holds now. Raises Refusal where it may not be seen."""
        held, refusals, granted = self.holdings.of(symbol, principal), list[Refusal](), []
        for watch in self._watches_of(symbol):
            mine = self.rooms.keys() | self.recovering.keys()
            new = [(symbol, name) for name in held if watch._replace(instrument=name) not in mine]
            channels, request = (self._channels[watch.data_type],), self.watches[watch]
            granted += self._grant_all(new, channels, set(), request, principal, now, outcome, refusals)
        return Answer({"subscriptions": granted, "watching": []}, bool(granted), refusals)

    def _watches_of(self, symbol: str) -> list[Room]:
        return [watch for watch in self.watches if watch.instrument == symbol]

    def _may_follow(self, symbol: str, principal: Principal | None) -> bool:
        return not is_portfolio(symbol) or (principal is not None and principal.holds(portfolio_of(symbol)))

    def recover(self, recovering: Recovering) -> Room | None:
        """What was missed was read: the room to enter now, None where it is wanted no more."""
        base = recovering.grant.room
        if self.recovering.get(base) is not recovering:
            return None
        del self.recovering[base]
        self.rooms[base] = recovering.room
        return recovering.room

    def _drop(self, bases: Iterable[Room]) -> list[Room]:
        """Leave these rooms, and return them as they were entered, or would have been."""
        dropped = []
        for base in sorted(set(bases), key=str):
            recovering = self.recovering.pop(base, None)
            room = self.rooms.pop(base, None)
            self._follows.leave(base)
            dropped.append(room or (base if recovering is None else recovering.room))
        self._visitor.subscribed(-len(dropped))
        return dropped

    # granting

    def _watch(
        self,
        request: Request,
        symbols: Iterable[str],
        channels: Iterable[Channel],
        principal: Principal,
        refusals: list[Refusal],
        full: set[tuple[str, Channel]],
    ) -> list[Room]:
        """Take note of whole venues that are wanted; what is refused of them joins `full`."""
        rooms = []
        for symbol in filter(is_group, symbols):
            if is_portfolio(symbol) and not self.holdings.are_there(symbol, principal):
                continue  # it was refused already
            for channel in channels:
                try:
                    principal.check_data_type(channel.data_type)
                    room = channel.grant(symbol, request).room
                    wanted_view(request, delivery=channel.delivery, fields=channel.fields)
                    if room not in self.watches and len(self.watches) >= self._limits.venues:
                        raise Refusal(
                            ErrorCode.TOO_MANY_SUBSCRIPTIONS,
                            f"a client may watch {self._limits.venues} kinds of venues and portfolios",
                            limit=self._limits.venues,
                        )
                except Refusal as refusal:
                    refusal.details.setdefault("symbol", symbol)
                    refusals.append(refusal)
                    full.add((symbol, channel))
                    continue
                self.watches[room] = msgspec.structs.replace(
                    request, id=None, symbol=None, data_type=channel.data_type, data_types=(), resume=None, seen=()
                )
                rooms.append(room)
        return rooms

    def _grant(
        self,
        symbol: str,
        instrument: str,
        channel: Channel,
        request: Request,
        principal: Principal,
        now: int,
        outcome: Outcome,
    ) -> dict[str, Any]:
        """Enter a room, in place of one with another view. Raises Refusal when a limit is reached."""
        grant = channel.grant(instrument, request)
        self.check(channel, instrument)
        view = wanted_view(request, delivery=channel.delivery, fields=channel.fields)
        if self.wire != PLAIN:
            view = (view or View())._replace(wire=self.wire)
        self._check_room(grant.room)
        missed = self._missed(channel, grant, view, request, principal, now)
        messages = shown(channel.snapshot(grant, now) if missed is None else missed.messages, view)
        self._check_snapshot(len(outcome.snapshots) + len(messages))
        reading = None
        if missed is not None and missed.recovery is Recovery.READING:
            reading = Recovering(channel, grant, view, missed.starts)
        room = grant.room if view is None else grant.room._replace(view=view)
        self._follows.enter(grant.room, symbol, is_in=grant.room in self.rooms or grant.room in self.recovering)
        self._enter(grant.room, room, reading, outcome)
        outcome.snapshots += messages
        return {
            "symbol": symbol,
            "instrument": grant.room.instrument,
            "data_type": channel.data_type,
            "message_type": channel.message_type,
            "delivery": channel.delivery,
            **grant.settings,
            **({} if view is None else view.describe()),
            "snapshot": len(messages),
            **({} if missed is None else missed.describe()),
        }

    def _missed(
        self, channel: Channel, grant: Grant, view: View | None, request: Request, principal: Principal, now: int
    ) -> Missed | None:
        """What a subscriber who comes back missed; None for a new one."""
        if request.resume is None:
            return None
        return self._resumption.missed(channel, grant, view, request.resume, request.seen, subject=principal.subject, now=now)

    def _enter(self, base: Room, room: Room, reading: Recovering | None, outcome: Outcome) -> None:
        before = self.rooms.get(base)
        if before is None and base not in self.recovering:
            self._visitor.subscribed(1)
        self.recovering.pop(base, None)
        if reading is not None:
            if before is not None:
                outcome.leaves.append(self.rooms.pop(base))
            self.recovering[base] = reading
            outcome.recovering.append(reading)
            return
        if before is not None and before != room:
            outcome.leaves.append(before)
        self.rooms[base] = room
        outcome.joins.append(room)

    def _check_room(self, base: Room) -> None:
        if base in self.rooms or base in self.recovering:
            return
        if self.count() >= self._limits.subscriptions:
            raise Refusal(
                ErrorCode.TOO_MANY_SUBSCRIPTIONS,
                f"a client may have {self._limits.subscriptions} subscriptions at a time",
                limit=self._limits.subscriptions,
            )
        for usage in self._visitor.usages:
            usage.check_subscriptions(1)

    def _check_snapshot(self, messages: int) -> None:
        if messages > self._limits.snapshot_messages:
            raise Refusal(
                ErrorCode.TOO_MUCH_HISTORY,
                f"the snapshots of one request may have {self._limits.snapshot_messages} messages in all; "
                "ask for less history, or for fewer symbols at a time",
                limit=self._limits.snapshot_messages,
            )


def _check_seen(request: Request, symbols: Sequence[str], channels: Sequence[Channel]) -> None:
    if request.seen and (len(symbols) * len(channels) > 1 or any(map(is_group, symbols))):
        raise Refusal(ErrorCode.INVALID_MESSAGE, "`seen` tells of one subscription; name one symbol and one data type with it")
