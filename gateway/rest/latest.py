"""`/api/v1/realtime/prices`, `all`, `depth/{symbol}`, `summary` and `market-status`: the latest state, from memory."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.channels._latest_record import LatestRecordChannel
from gateway.channels.depth import Channel as DepthChannel
from gateway.channels.price import Channel as PriceChannel
from gateway.channels.quote import Channel as QuoteChannel
from gateway.identity import Principal
from gateway.messages import Arrival
from gateway.refusals import ErrorCode, Refusal
from gateway.rest.answers import answer, tagged_responses
from gateway.rest.context import Context
from gateway.rest.guard import principal_of
from gateway.rest.latest_models import (
    AllMetadata,
    BookBody,
    MarketBody,
    PriceBody,
    SummaryBody,
)
from gateway.rest.models import Answer, Metadata, QuoteBody, QuoteMetadata, QuotesMetadata
from gateway.rest.quotes import Symbols, each_of
from market.instrument import venue_of

MOST_QUOTES = 1_000
MOST_LEVELS = 1_000

Asking = Annotated[Principal, Depends(principal_of)]


def router(context: Context) -> APIRouter:
    """The endpoints of the channels that are served."""
    routes = APIRouter(prefix="/api/v1/realtime", tags=["latest"])
    channels = context.hub.channels
    if (prices := channels.get(PriceChannel.data_type)) is not None:
        _add_prices(routes, context, cast("PriceChannel", prices))
    if (quotes := channels.get(QuoteChannel.data_type)) is not None:
        _add_all(routes, context, cast("QuoteChannel", quotes))
    if (books := channels.get(DepthChannel.data_type)) is not None:
        _add_depth(routes, context, cast("DepthChannel", books))
    _add_summary(routes, context)
    _add_market_status(routes, context)
    return routes


def _add_prices(routes: APIRouter, context: Context, prices: PriceChannel) -> None:
    @routes.get(
        "/prices",
        summary="The latest prices of several instruments, each with its source",
        response_model=Answer[list[PriceBody], QuotesMetadata],
        responses=tagged_responses(503),
    )
    async def latest_prices(
        request: Request,
        principal: Asking,
        symbols: Symbols,
    ) -> Response:
        """Symbols without prices do not spoil the others: each is named in `metadata.errors`."""
        context.require_ready()
        principal.check_data_type(prices.data_type)
        found, errors = each_of(symbols, lambda symbol: prices.describe(_find(context, prices, symbol, principal).record))
        return answer(request, context, found, {"errors": errors})


def _add_all(routes: APIRouter, context: Context, quotes: QuoteChannel) -> None:
    @routes.get(
        "/all",
        summary="The latest quotes of all instruments",
        response_model=Answer[list[QuoteBody], AllMetadata],
        responses=tagged_responses(503),
    )
    async def all_quotes(
        request: Request,
        principal: Asking,
        limit: Annotated[int, Query(ge=1, le=MOST_QUOTES, description="How many at most.")] = 100,
        cursor: Annotated[str | None, Query(max_length=128, description="That of the page before.")] = None,
    ) -> Response:
        """In the order of their ids; those without a quote are left out."""
        context.require_ready()
        principal.check_data_type(quotes.data_type)
        found: list[dict[str, Any]] = []
        for instrument in context.hub.instruments:
            if (cursor is not None and instrument <= cursor) or not principal.sees(instrument):
                continue
            state = quotes.store.look_up(instrument)
            if state is None or state.updated is None:
                continue
            if len(found) == limit:
                return answer(request, context, found, {"cursor": found[-1]["instrument"]})
            found.append(state.describe())
        return answer(request, context, found, {"cursor": None})


def _add_depth(routes: APIRouter, context: Context, books: DepthChannel) -> None:
    @routes.get(
        "/depth/{symbol:path}",
        summary="The best levels of a book",
        response_model=Answer[BookBody, QuoteMetadata],
        responses=tagged_responses(404, 409, 503),
    )
    async def depth(
        request: Request,
        symbol: str,
        principal: Asking,
        levels: Annotated[int, Query(ge=1, le=MOST_LEVELS, description="Of each side, so many at most.")] = MOST_LEVELS,
    ) -> Response:
        """Spread, imbalance and microprice are those of all levels that the platform keeps."""
        context.require_ready()
        principal.check_data_type(books.data_type)
        arrival = _find(context, books, symbol, principal)
        book = books.describe(arrival.record)
        shown = book | {side: book[side][:levels] for side in ("bids", "asks")}
        return answer(request, context, shown, arrival.source.metadata())


def _find(context: Context, channel: LatestRecordChannel, symbol: str, principal: Principal) -> Arrival:
    instrument = context.hub.instruments.resolve(symbol, principal)
    arrival = channel.look_up(instrument)
    if arrival is None:
        text = f"{instrument} is known, but nothing of {channel.data_type} has arrived"
        raise Refusal(ErrorCode.NO_DATA, text, symbol=symbol[:80])
    return arrival


def _add_summary(routes: APIRouter, context: Context) -> None:
    @routes.get(
        "/summary",
        summary="What there is, by venue",
        response_model=Answer[SummaryBody, Metadata],
        responses=tagged_responses(),
    )
    async def summary(request: Request, principal: Asking) -> Response:
        """Instruments of each venue, and how many of its streams are in which state."""
        venues, streams = _venues(context, principal)
        data = {
            "instruments": sum(venues.values()),
            "venues": [
                {"venue": venue, "instruments": venues[venue], "streams": streams[venue]}
                for venue in sorted({*venues, *streams})
            ],
            "clients": context.hub.clients,
            "data_types": [name for name in context.hub.channels if principal.hears(name)],
        }
        return answer(request, context, data)


def _add_market_status(routes: APIRouter, context: Context) -> None:
    @routes.get(
        "/market-status",
        summary="Whether the venues trade now",
        response_model=Answer[list[MarketBody], Metadata],
        responses=tagged_responses(),
    )
    async def market_status(request: Request, principal: Asking) -> Response:
        """By each venue's trading calendar, breaks included; a venue without one never closes."""
        venues, streams = _venues(context, principal)
        now = context.clock()
        data = []
        for venue in sorted({*venues, *streams}):
            calendar = await asyncio.to_thread(context.calendar_of, f"{venue}:*")  # the first time it is read, which takes long
            session = None if calendar is None else calendar.session_at(now)
            is_open = calendar is None or session is not None
            data.append(
                {
                    "venue": venue,
                    "status": "OPEN" if is_open else "CLOSED",
                    "calendar": None if calendar is None else calendar.name,
                    "zone": None if calendar is None else calendar.zone,
                    "closes_at": None if session is None else session.close,
                    "opens_at": None if calendar is None or is_open else calendar.next_open(now),
                    "streams": streams[venue],
                }
            )
        return answer(request, context, data)


def _venues(context: Context, principal: Principal) -> tuple[Counter[str], defaultdict[str, dict[str, int]]]:
    """By venue, how many instruments may be seen, and how many of their streams are in which state."""
    instruments = Counter(venue_of(instrument) for instrument in context.hub.instruments if principal.sees(instrument))
    streams: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for feed in context.hub.feeds.describe():
        if principal.sees(feed["instrument"]):
            states = streams[feed["venue"]]
            states[feed["state"]] = states.get(feed["state"], 0) + 1
    return instruments, streams
