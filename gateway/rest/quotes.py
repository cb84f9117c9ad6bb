"""`/api/realtime/quote/{symbol}` and `/api/realtime/quotes?symbols=`: the latest quotes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from gateway.channels.quote import Channel as QuoteChannel
from gateway.identity import Principal
from gateway.quotes import QuoteState, Stamp
from gateway.refusals import ErrorCode, Refusal
from gateway.rest.context import Context
from gateway.rest.guard import principal_of
from gateway.rest.models import Answer, ErrorDetail, QuoteBody, QuoteMetadata, QuotesMetadata, error_responses

MOST_SYMBOLS = 200

Asking = Annotated[Principal, Depends(principal_of)]


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
        responses=error_responses(404, 409, 503),
    )
    async def quote(symbol: str, principal: Asking) -> object:
        """The symbol is an instrument id (binance:BTC-USDT) or an alias of just one (BTC/USDT, BTCUSDT)."""
        context.require_ready()
        principal.check_data_type(quotes.data_type)
        state, stamp = find(symbol, principal)
        return {"data": state.describe(), "metadata": context.metadata() | stamp.source.metadata()}

    @routes.get(
        "/quotes",
        summary="The latest quotes of several instruments",
        response_model=Answer[list[QuoteBody], QuotesMetadata],
        responses=error_responses(422, 503),
    )
    async def many(
        principal: Asking,
        symbols: Annotated[list[str], Query(description="Symbols, separated by commas or repeated.", max_length=MOST_SYMBOLS)],
    ) -> object:
        """Symbols without a quote do not spoil the others: each is named in `metadata.errors`."""
        context.require_ready()
        principal.check_data_type(quotes.data_type)
        found, errors = [], []
        for symbol in _split(symbols):
            try:
                found.append(find(symbol, principal)[0].describe())
            except Refusal as refusal:
                errors.append(ErrorDetail.model_validate(refusal.body()))
        return {"data": found, "metadata": context.metadata() | {"errors": errors}}

    return routes


def _split(given: list[str]) -> list[str]:
    symbols = list(dict.fromkeys(part.strip() for text in given for part in text.split(",") if part.strip()))
    if not symbols:
        raise Refusal(ErrorCode.INVALID_PARAMETER, "symbols: name at least one symbol")
    if len(symbols) > MOST_SYMBOLS:
        raise Refusal(ErrorCode.TOO_MANY_SYMBOLS, f"symbols: {len(symbols)} are named, at most {MOST_SYMBOLS} are answered")
    return symbols
