"""What a request names: the channels, the symbols, and the instruments that these mean. Pure.

What cannot be meant is added to `refusals`, so that the rest of a request is still answered.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from gateway.channel import Channel
from gateway.holdings import Holdings, is_portfolio
from gateway.identity import Principal
from gateway.instruments import Instruments
from gateway.messages import Message, Room
from gateway.refusals import ErrorCode, Refusal
from gateway.requests import Request
from gateway.views import View, compile_view
from market.instrument import is_venue_name

Channels = Mapping[str, Channel]
"""By data type."""


def wanted_channels(channels: Channels, request: Request, refusals: list[Refusal]) -> list[Channel]:
    """The channels a request names; that of quotes where it names none."""
    if request.all_data_types():
        return named_channels(channels, request, refusals)
    return [channels.get("QUOTE") or next(iter(channels.values()))]


def named_channels(channels: Channels, request: Request, refusals: list[Refusal]) -> list[Channel]:
    """The channels a request names."""
    found = []
    for name in request.all_data_types():
        if name in channels:
            found.append(channels[name])
        else:
            known = list(channels)
            refusals.append(
                Refusal(
                    ErrorCode.UNKNOWN_DATA_TYPE,
                    f"{name!r} is not a data type; there are {', '.join(known)}",
                    candidates=known,
                )
            )
    return found


def wanted_symbols(request: Request, most: int, refusals: list[Refusal]) -> list[str]:
    """The symbols of a request, without those of venues there cannot be. Raises Refusal for none or more than `most`."""
    symbols = request.all_symbols()
    if not symbols:
        raise Refusal(ErrorCode.INVALID_MESSAGE, f"{request.action} needs `symbol` or `symbols`")
    if len(symbols) > most:
        raise Refusal(ErrorCode.TOO_MANY_SYMBOLS, f"a message may name {most} symbols, not {len(symbols)}", limit=most)
    wanted = []
    for symbol in symbols:
        if is_venue(symbol) and not is_venue_name(symbol[:-2]):
            message = f"{symbol!r:.80} names no venue: all of one are meant by its name and `:*`, as in binance:*"
            refusals.append(Refusal(ErrorCode.UNKNOWN_SYMBOL, message, symbol=symbol[:80]))
        else:
            wanted.append(symbol)
    return wanted


def wanted_instruments(
    known: Instruments, holdings: Holdings, principal: Principal, symbols: Iterable[str], refusals: list[Refusal]
) -> list[tuple[str, str]]:
    """The instruments that symbols mean to a principal, each with its symbol."""
    found: list[tuple[str, str]] = []
    for symbol in symbols:
        if is_venue(symbol):
            found += [(symbol, name) for name in known.of_venue(symbol[:-2]) if principal.sees(name)]
            continue
        try:
            names = holdings.of(symbol, principal) if is_portfolio(symbol) else [known.resolve(symbol, principal)]
            found += [(symbol, name) for name in names]
        except Refusal as refusal:
            refusal.details.setdefault("symbol", symbol[:80])
            refusals.append(refusal)
    return found


def is_venue(symbol: str) -> bool:
    """Whether all instruments of a venue are meant: `binance:*`."""
    return symbol.endswith(":*") and not is_portfolio(symbol)


def is_group(symbol: str) -> bool:
    """Whether instruments are meant that may become others: those of a venue, or of a portfolio."""
    return is_venue(symbol) or is_portfolio(symbol)


def is_of(instrument: str, venue: str) -> bool:
    """Whether an instrument is among those that `venue:*` means."""
    return is_venue(venue) and instrument.startswith(venue[:-1])


def is_meant(room: Room, data_types: Container[str], request: Request) -> bool:
    """Whether a request to leave concerns a room of its symbol."""
    return room.data_type in data_types and request.candle_interval in (None, room.interval)


def shown(messages: list[Message], view: View | None) -> list[Message]:
    """What a view shows of messages, as messages of the room with that view."""
    if view is None:
        return messages
    show = compile_view(view)
    kept = ((message, show(message.payload)) for message in messages)
    return [
        message._replace(room=message.room._replace(view=view), payload=payload)
        for message, payload in kept
        if payload is not None
    ]
