"""`/api/realtime/quote/{symbol}` and `/api/realtime/quotes?symbols=`: the latest quotes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from gateway.channels.quote import Channel as QuoteChannel
from gateway.identity import Principal
from gateway.quotes import QuoteState, Stamp
from gateway.refusals import ErrorCode, Refusal
from gateway.rest.answers import answer, tagged_responses
from gateway.rest.context import Context
from gateway.rest.guard import principal_of
from gateway.rest.models import Answer, QuoteBody, QuoteMetadata, QuotesMetadata

MOST_SYMBOLS = 200

Asking = Annotated[Principal, Depends(principal_of)]
Symbols = Annotated[list[str], Query(description="Symbols, separated by commas or repeated.", max_length=MOST_SYMBOLS)]


def router(context: Context, quotes: QuoteChannel) -> APIRouter:
    """The endpoints."""
    routes = APIRouter(prefix="/api/realtime", tags=["quotes"])

    def find(symbol: str, principal: Principal) -> tuple[QuoteState, Stamp]:
        instrument = context.hub.instruments.resolve(symbol, principal)
        state = quotes.store.look_up(instrument)
        if state is None or state.updated is None:
            raise Refusal(ErrorCode.NO_DATA, f"{instrument} is known, but no quote of it has arrived", symbol=symbol[:80])
        return state, state.updated

    @routes.get(
        "/quote/{symbol:path}",
        summary="The latest quote of one instrument",
        response_model=Answer[QuoteBody, QuoteMetadata],
        responses=tagged_responses(404, 409, 503),
    )
    async def quote(request: Request, symbol: str, principal: Asking) -> Response:
        """The symbol is an instrument id (binance:BTC-USDT) or an alias of just one (BTC/USDT, BTCUSDT)."""
        context.require_ready()
        principal.check_data_type(quotes.data_type)
        state, stamp = find(symbol, principal)
        return answer(request, context, state.describe(), stamp.source.metadata())

    @routes.get(
        "/quotes",
        summary="The latest quotes of several instruments",
        response_model=Answer[list[QuoteBody], QuotesMetadata],
        responses=tagged_responses(503),
    )
    async def many(
        request: Request,
        principal: Asking,
        symbols: Symbols,
    ) -> Response:
        """Symbols without a quote do not spoil the others: each is named in `metadata.errors`."""
        context.require_ready()
        principal.check_data_type(quotes.data_type)
        found, errors = each_of(symbols, lambda symbol: find(symbol, principal)[0].describe())
        return answer(request, context, found, {"errors": errors})

    return routes


def split_symbols(given: list[str]) -> list[str]:
    """The symbols of a list whose entries may hold several. Raises Refusal for none and too many."""
    symbols = list(dict.fromkeys(part.strip() for text in given for part in text.split(",") if part.strip()))
    if not symbols:
        raise Refusal(ErrorCode.INVALID_PARAMETER, "symbols: name at least one symbol")
    if len(symbols) > MOST_SYMBOLS:
        raise Refusal(ErrorCode.TOO_MANY_SYMBOLS, f"symbols: {len(symbols)} are named, at most {MOST_SYMBOLS} are answered")
    return symbols


def each_of(given: list[str], describe: Callable[[str], Any]) -> tuple[list[Any], list[dict[str, Any]]]:
    """What is described of each symbol, and the bodies of refusals where it cannot be. Raises as `split_symbols`."""
    found, errors = [], []
    for symbol in split_symbols(given):
        try:
            found.append(describe(symbol))
        except Refusal as refusal:
            errors.append(refusal.body())
    return found, errors
