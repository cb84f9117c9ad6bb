"""One client's conversation, without I/O: a text in, replies and changes of its subscriptions out.

Every text gets one answer. A snapshot is taken in the same call that grants the subscription; the caller enters the rooms
before it gives way to anything else, so nothing is missed or told twice between snapshot and live.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.admission import Admission, Visitor
from gateway.channel import Channel, Grant
from gateway.close_codes import CloseCode
from gateway.identity import Principal
from gateway.instruments import Instruments
from gateway.messages import Message, Room, encode
from gateway.rates import Rate
from gateway.refusals import ErrorCode, Refusal
from gateway.requests import Request, check_depth, id_of, parse_request
from gateway.views import View, compile_view, wanted_view
from market.instrument import is_venue_name


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one client may do. It may err `errors` times in a row, and once more each `error_pause` microseconds.

    `snapshot_messages` bounds what one request may bring: many symbols times much history.
    """

    message_bytes: int = 1 << 16
    message_depth: int = 16
    subscriptions: int = 1000
    symbols_per_message: int = 500
    venues: int = 50
    snapshot_messages: int = 20_000
    errors: int = 100
    error_pause: int = 100_000

    def describe(self) -> dict[str, int]:
        """The limits a well-behaved client needs to know."""
        return {
            "message_bytes": self.message_bytes,
            "message_depth": self.message_depth,
            "subscriptions": self.subscriptions,
            "symbols_per_message": self.symbols_per_message,
            "snapshot_messages": self.snapshot_messages,
        }


@dataclass(slots=True)
class Outcome:
    """What follows from a client's message, to be carried out in this order; `close` ends the connection after it.

    The rooms `lost` are those the client may no longer be in.
    """

    reply: bytes = b""
    leaves: list[Room] = field(default_factory=list)
    lost: list[Room] = field(default_factory=list)
    joins: list[Room] = field(default_factory=list)
    snapshots: list[Message] = field(default_factory=list)
    close: CloseCode | None = None


class Session:
    """What a client is subscribed to, and how its messages are answered. Times are microseconds.

    Until its visitor has shown a token, only `authenticate` and `ping` are answered.
    """

    def __init__(
        self,
        client_id: str,
        channels: Mapping[str, Channel],
        instruments: Instruments,
        limits: SessionLimits,
        visitor: Visitor,
        admission: Admission,
    ) -> None:
        self.client_id = client_id
        self.rooms: dict[Room, Room] = {}
        """By base room, the room with the view that is wanted of it."""
        self.watches: dict[Room, Request] = {}
        """By room of a whole venue (`binance:*`), how its instruments are wanted, those as well that come later."""
        self.visitor = visitor
        self._channels = channels
        self._instruments = instruments
        self._limits = limits
        self._admission = admission
        self._errors = Rate(1e6 / limits.error_pause, limits.errors)
        self._actions: dict[str, Callable[[Request, int, Outcome], None]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "ping": self._ping,
            "authenticate": self._authenticate,
        }

    def receive(self, text: bytes, now: int) -> Outcome:
        """Answer a message of the client."""
        outcome = Outcome()
        try:
            self.visitor.take_message(now)
            self._check_size(text)
            check_depth(text, self._limits.message_depth)
            request = parse_request(text)
            self._action(request)(request, now, outcome)
        except Refusal as refusal:
            request_id = None if refusal.code in _UNREAD else id_of(text)
            outcome.reply = self._error(refusal, now, request_id)
            outcome.close = self._count_error(now, refusal)
        return outcome

    def lose(self) -> list[Room]:
        """Leave the rooms that the principal may no longer be in, and return them."""
        principal = self.visitor.principal
        return self._drop(room for room in self.rooms if principal is None or not principal.may_enter(room))

    def _drop(self, bases: Iterable[Room]) -> list[Room]:
        """Leave these rooms, and return them as they were entered."""
        dropped = [self.rooms.pop(base) for base in sorted(bases, key=str)]
        self.visitor.subscribed(-len(dropped))
        return dropped

    def refuse(self, refusal: Refusal, now: int) -> Outcome:
        """Answer something that is no text at all."""
        return Outcome(self._error(refusal, now, None), close=self._count_error(now, refusal))

    def _check_size(self, text: bytes) -> None:
        if len(text) > self._limits.message_bytes:
            raise Refusal(
                ErrorCode.MESSAGE_TOO_LARGE,
                f"the message has {len(text)} bytes, more than the {self._limits.message_bytes} that are accepted",
            )

    def _action(self, request: Request) -> Callable[[Request, int, Outcome], None]:
        action = self._actions.get(request.action)
        if action is None:
            known = list(self._actions)
            raise Refusal(
                ErrorCode.UNKNOWN_ACTION,
                f"{request.action!r:.80} is not an action; there are {', '.join(known)}",
                candidates=known,
            )
        return action

    # authenticate

    def _authenticate(self, request: Request, now: int, outcome: Outcome) -> None:
        principal = self._admission.identify(self.visitor, request.token, now)
        outcome.lost = self.lose()
        left = [room.describe() for room in outcome.lost]
        outcome.reply = encode("authenticate", now, principal.describe() | {"unsubscribed": left}, request=request.id)

    def _principal(self) -> Principal:
        """Who is speaking. Raises Refusal when that is not known yet."""
        if self.visitor.principal is None:
            raise Refusal(
                ErrorCode.UNAUTHENTICATED, 'show a token first: {"action": "authenticate", "token": …}, or in the request'
            )
        return self.visitor.principal

    # subscribe

    def _subscribe(self, request: Request, now: int, outcome: Outcome) -> None:
        principal = self._principal()
        refusals: list[Refusal] = []
        channels = self._wanted_channels(request, refusals)
        symbols = self._wanted_symbols(request, refusals)
        full: set[tuple[str, Channel]] = set()
        watching = self._watch(request, symbols, channels, principal, refusals, full)
        granted = []
        for symbol, instrument in self._wanted_instruments(symbols, refusals):
            for channel in channels:
                if (symbol, channel) in full:
                    continue
                try:
                    principal.check_data_type(channel.data_type)
                    view = wanted_view(request, delivery=channel.delivery, fields=channel.fields)
                    granted.append(self._join(symbol, channel, channel.grant(instrument, request), view, now, outcome))
                except Refusal as refusal:
                    refusal.details.setdefault("symbol", symbol)
                    refusals.append(refusal)
                    if _is_venue(symbol):  # one refusal for all the rest of it
                        full.add((symbol, channel))
        data = {"subscriptions": granted, "watching": [room.describe() for room in watching]}
        self._answer(request, data, bool(granted or watching), refusals, now, outcome)

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
        for symbol in filter(_is_venue, symbols):
            for channel in channels:
                try:
                    principal.check_data_type(channel.data_type)
                    room = channel.grant(symbol, request).room
                    wanted_view(request, delivery=channel.delivery, fields=channel.fields)
                    if room not in self.watches and len(self.watches) >= self._limits.venues:
                        raise Refusal(
                            ErrorCode.TOO_MANY_SUBSCRIPTIONS,
                            f"a client may watch {self._limits.venues} kinds of venues",
                            limit=self._limits.venues,
                        )
                except Refusal as refusal:
                    refusal.details.setdefault("symbol", symbol)
                    refusals.append(refusal)
                    full.add((symbol, channel))
                    continue
                self.watches[room] = msgspec.structs.replace(
                    request, id=None, symbol=None, data_type=channel.data_type, data_types=()
                )
                rooms.append(room)
        return rooms

    def extend(self, instrument: str, now: int) -> Iterator[Outcome]:
        """An instrument is new: subscribe to it whoever watches its venue and may see it."""
        principal = self.visitor.principal
        for room, request in list(self.watches.items()):
            if (
                principal is None
                or not _is_of(instrument, room.instrument)
                or not principal.may_enter(room._replace(instrument=instrument))
            ):
                continue
            outcome = Outcome()
            try:
                self._subscribe(msgspec.structs.replace(request, symbols=(instrument,)), now, outcome)
            except Refusal as refusal:
                outcome.reply = self._error(refusal, now, None)
            yield outcome

    def _join(
        self, symbol: str, channel: Channel, grant: Grant, view: View | None, now: int, outcome: Outcome
    ) -> dict[str, Any]:
        """Enter the room of a grant, in place of one with another view. Raises Refusal when a limit is reached."""
        self._check_room(grant.room)
        snapshot = _shown(channel.snapshot(grant, now), view)
        self._check_snapshot(len(outcome.snapshots) + len(snapshot))
        room = grant.room._replace(view=view)
        before = self.rooms.get(grant.room)
        if before is None:
            self.visitor.subscribed(1)
        elif before != room:
            outcome.leaves.append(before)
        self.rooms[grant.room] = room
        outcome.joins.append(room)
        outcome.snapshots += snapshot
        return {
            "symbol": symbol,
            "instrument": grant.room.instrument,
            "data_type": channel.data_type,
            "message_type": channel.message_type,
            "delivery": channel.delivery,
            **grant.settings,
            **({} if view is None else view.describe()),
            "snapshot": len(snapshot),
        }

    def _check_room(self, room: Room) -> None:
        if room not in self.rooms and len(self.rooms) >= self._limits.subscriptions:
            raise Refusal(
                ErrorCode.TOO_MANY_SUBSCRIPTIONS,
                f"a client may have {self._limits.subscriptions} subscriptions at a time",
                limit=self._limits.subscriptions,
            )
        if room not in self.rooms:
            for usage in self.visitor.usages:
                usage.check_subscriptions(1)

    def _check_snapshot(self, messages: int) -> None:
        if messages > self._limits.snapshot_messages:
            raise Refusal(
                ErrorCode.TOO_MUCH_HISTORY,
                f"the snapshots of one request may have {self._limits.snapshot_messages} messages in all; "
                "ask for less history, or for fewer symbols at a time",
                limit=self._limits.snapshot_messages,
            )

    # unsubscribe

    def _unsubscribe(self, request: Request, now: int, outcome: Outcome) -> None:
        self._principal()
        refusals: list[Refusal] = []
        data_types = {channel.data_type for channel in self._named_channels(request, refusals)}
        if not request.all_data_types():
            data_types = set(self._channels)
        symbols = self._wanted_symbols(request, refusals)
        for room in list(self.watches):
            if room.instrument in symbols and _is_meant(room, data_types, request):
                del self.watches[room]
        for _, instrument in self._wanted_instruments(symbols, refusals):
            outcome.leaves += self._drop(
                room for room in self.rooms if room.instrument == instrument and _is_meant(room, data_types, request)
            )
        left = [room.describe() for room in outcome.leaves]
        self._answer(request, {"unsubscribed": left}, bool(left), refusals, now, outcome)

    # ping

    def _ping(self, request: Request, now: int, outcome: Outcome) -> None:
        outcome.reply = encode("pong", now, {}, request=request.id)

    # what a request names

    def _wanted_channels(self, request: Request, refusals: list[Refusal]) -> list[Channel]:
        if request.all_data_types():
            return self._named_channels(request, refusals)
        return [self._channels.get("QUOTE") or next(iter(self._channels.values()))]

    def _named_channels(self, request: Request, refusals: list[Refusal]) -> list[Channel]:
        found = []
        for name in request.all_data_types():
            if name in self._channels:
                found.append(self._channels[name])
            else:
                known = list(self._channels)
                refusals.append(
                    Refusal(
                        ErrorCode.UNKNOWN_DATA_TYPE,
                        f"{name!r} is not a data type; there are {', '.join(known)}",
                        candidates=known,
                    )
                )
        return found

    def _wanted_symbols(self, request: Request, refusals: list[Refusal]) -> list[str]:
        """The symbols of a request, without those of venues there cannot be. Raises Refusal for none or too many."""
        symbols = request.all_symbols()
        if not symbols:
            raise Refusal(ErrorCode.INVALID_MESSAGE, f"{request.action} needs `symbol` or `symbols`")
        if len(symbols) > self._limits.symbols_per_message:
            raise Refusal(
                ErrorCode.TOO_MANY_SYMBOLS,
                f"a message may name {self._limits.symbols_per_message} symbols, not {len(symbols)}",
                limit=self._limits.symbols_per_message,
            )
        wanted = []
        for symbol in symbols:
            if _is_venue(symbol) and not is_venue_name(symbol[:-2]):
                message = f"{symbol!r:.80} names no venue: all of one are meant by its name and `:*`, as in binance:*"
                refusals.append(Refusal(ErrorCode.UNKNOWN_SYMBOL, message, symbol=symbol[:80]))
            else:
                wanted.append(symbol)
        return wanted

    def _wanted_instruments(self, symbols: Iterable[str], refusals: list[Refusal]) -> Iterable[tuple[str, str]]:
        found = []
        for symbol in symbols:
            if _is_venue(symbol):
                found += [(symbol, name) for name in self._instruments.of_venue(symbol[:-2]) if self._principal().sees(name)]
                continue
            try:
                found.append((symbol, self._instruments.resolve(symbol, self._principal())))
            except Refusal as refusal:
                refusals.append(refusal)
        return found

    # answers

    def _answer(
        self, request: Request, data: dict[str, Any], something: bool, refusals: list[Refusal], now: int, outcome: Outcome
    ) -> None:
        """One answer to one request: what was done with what was refused, or an error when nothing was done."""
        if refusals and not something:
            first, *others = refusals
            first.details |= {"others": [refusal.body() for refusal in others]} if others else {}
            raise first
        data["refused"] = [refusal.body() for refusal in refusals]
        outcome.reply = encode(request.action, now, data, request=request.id)
        if refusals:
            outcome.close = self._count_error(now, refusals[0])

    @staticmethod
    def _error(refusal: Refusal, now: int, request_id: Any) -> bytes:
        return encode("error", now, refusal.body(), request=request_id)

    def _count_error(self, now: int, refusal: Refusal) -> CloseCode | None:
        """The code to close with: for one who errs too often, or shows no valid token when that is due."""
        if self.visitor.principal is None and refusal.code in _NOT_LET_IN:
            return _NOT_LET_IN[refusal.code]
        if self._errors.take(now):
            return None
        return CloseCode.MESSAGE_RATE if refusal.code is ErrorCode.MESSAGE_RATE else CloseCode.TOO_MANY_ERRORS


def _is_venue(symbol: str) -> bool:
    """Whether all instruments of a venue are meant: `binance:*`."""
    return symbol.endswith(":*")


def _is_of(instrument: str, venue: str) -> bool:
    """Whether an instrument is among those that `venue:*` means."""
    return instrument.startswith(venue[:-1])


def _is_meant(room: Room, data_types: Container[str], request: Request) -> bool:
    """Whether a request to leave concerns a room of its symbol."""
    return room.data_type in data_types and request.candle_interval in (None, room.interval)


def _shown(messages: list[Message], view: View | None) -> list[Message]:
    """What a view shows of a snapshot."""
    if view is None:
        return messages
    show = compile_view(view)
    shown = ((message, show(message.payload)) for message in messages)
    return [message._replace(payload=payload) for message, payload in shown if payload is not None]


_UNREAD = (ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.MESSAGE_RATE, ErrorCode.TOO_DEEP)
"""Refusals of messages that are not worth reading for their id."""

_NOT_LET_IN = {
    ErrorCode.UNAUTHENTICATED: CloseCode.UNAUTHENTICATED,
    ErrorCode.AUTHENTICATION_RATE: CloseCode.UNAUTHENTICATED,
    ErrorCode.TOO_MANY_CONNECTIONS: CloseCode.TOO_MANY_CONNECTIONS,
    ErrorCode.CONNECTION_RATE: CloseCode.TOO_MANY_CONNECTIONS,
}
