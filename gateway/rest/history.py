"""`/api/v1/realtime/klines/{symbol}`, `trades`, `price-changes`, `funding`, `open-interest`: what PostgreSQL keeps, in pages.

Rows are as old as the last commit of the sink that writes them, so nobody can go on from them without a gap.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from gateway.channels.kline import describe as describe_candle
from gateway.channels.trade import describe as describe_trade
from gateway.identity import Principal
from gateway.refusals import ErrorCode, Refusal
from gateway.rest.answers import answer, tagged_responses
from gateway.rest.context import Context
from gateway.rest.guard import principal_of
from gateway.rest.history_models import CandleBody, FundingBody, OpenInterestBody, PageMetadata, PriceChangeBody, TradeBody
from gateway.rest.models import Answer
from history.errors import HistoryTooSlow, HistoryUnavailable, HistoryUnfit
from history.reader import MOST, History, Page, Span
from market.decimals import AMOUNT_SCALE, SCALE, format_decimal
from market.errors import DataValidationError
from market.funding import Funding
from market.open_interest import OpenInterest
from market.price_change import PriceChangedEvent
from market.quality import EARLIEST, LATEST
from runtime.logs import get_logger

log = get_logger(__name__)

RecordT = TypeVar("RecordT")

Asking = Annotated[Principal, Depends(principal_of)]
_Time = Annotated[int, Query(ge=EARLIEST, le=LATEST)]


async def _span(
    since: Annotated[_Time, Query(description="From this time on, microseconds since the epoch.")] = EARLIEST,
    until: Annotated[_Time, Query(description="Before this time.")] = LATEST,
    limit: Annotated[int, Query(ge=1, le=MOST, description="How many a page has at most.")] = 100,
    newest_first: Annotated[bool, Query(description="The latest first, else the earliest.")] = True,
    cursor: Annotated[
        str | None, Query(max_length=2000, description="That of the page before; ask everything else as it was asked then.")
    ] = None,
) -> Span:
    return Span(since, until, limit, newest_first, cursor)


Asked = Annotated[Span, Depends(_span)]


def router(context: Context) -> APIRouter:
    """The endpoints."""
    routes = APIRouter(prefix="/api/v1/realtime", tags=["history"])
    errors = tagged_responses(404, 409, 503, 504)

    async def page(
        request: Request,
        symbol: str,
        principal: Principal,
        data_type: str,
        ask: Callable[[History, str], Awaitable[Page[RecordT]]],
        describe: Callable[[RecordT], dict[str, Any]],
    ) -> Response:
        principal.check_data_type(data_type)
        instrument = context.hub.instruments.resolve(symbol, principal)
        found = await ask_history(context, lambda history: ask(history, instrument))
        more = {"instrument": instrument, "cursor": found.cursor}
        return answer(request, context, [describe(record) for record in found.records], more, is_latest=False)

    @routes.get(
        "/klines/{symbol:path}",
        summary="Past candles, as the platform folded them",
        response_model=Answer[list[CandleBody], PageMetadata],
        responses=errors,
    )
    async def klines(
        request: Request,
        symbol: str,
        principal: Asking,
        span: Asked,
        interval: Annotated[str, Query(min_length=1, max_length=32, description="1m, 5m, 1h, ...")] = "1m",
    ) -> Response:
        """Each candle in its latest version, by its open time."""
        return await page(
            request,
            symbol,
            principal,
            "KLINE",
            lambda history, instrument: history.candles(instrument, interval, span),
            describe_candle,
        )

    @routes.get(
        "/trades/{symbol:path}",
        summary="Past trades",
        response_model=Answer[list[TradeBody], PageMetadata],
        responses=errors,
    )
    async def trades(request: Request, symbol: str, principal: Asking, span: Asked) -> Response:
        """By event time and sequence."""
        ask: Callable[[History, str], Any] = lambda history, instrument: history.trades(instrument, span)  # noqa: E731
        return await page(request, symbol, principal, "TRADE", ask, describe_trade)

    @routes.get(
        "/price-changes/{symbol:path}",
        summary="Past changes of the price",
        response_model=Answer[list[PriceChangeBody], PageMetadata],
        responses=errors,
    )
    async def price_changes(request: Request, symbol: str, principal: Asking, span: Asked) -> Response:
        """By event time; `change_percent` is per cent of the old price."""
        ask: Callable[[History, str], Any] = lambda history, instrument: history.price_changes(instrument, span)  # noqa: E731
        return await page(request, symbol, principal, "PRICE", ask, describe_price_change)

    @routes.get(
        "/funding/{symbol:path}",
        summary="Past funding rates of a perpetual",
        response_model=Answer[list[FundingBody], PageMetadata],
        responses=errors,
    )
    async def funding(request: Request, symbol: str, principal: Asking, span: Asked) -> Response:
        """By receive time: the last that each channel of the venue told in a period (`postgres.quote_seconds`)."""
        ask: Callable[[History, str], Any] = lambda history, instrument: history.funding(instrument, span)  # noqa: E731
        return await page(request, symbol, principal, "PRICE", ask, describe_funding)

    @routes.get(
        "/open-interest/{symbol:path}",
        summary="Past open interest of a derivative",
        response_model=Answer[list[OpenInterestBody], PageMetadata],
        responses=errors,
    )
    async def open_interest(request: Request, symbol: str, principal: Asking, span: Asked) -> Response:
        """By receive time: the last that each channel of the venue told in a period (`postgres.quote_seconds`)."""
        ask: Callable[[History, str], Any] = lambda history, instrument: history.open_interest(instrument, span)  # noqa: E731
        return await page(request, symbol, principal, "PRICE", ask, describe_open_interest)

    return routes


async def ask_history(context: Context, ask: Callable[[History], Awaitable[Page[RecordT]]]) -> Page[RecordT]:
    """A page of the history. Raises Refusal, whose text names no address; the log has it."""
    if context.history is None:
        raise Refusal(ErrorCode.HISTORY_UNAVAILABLE, "this gateway serves no history")
    try:
        return await ask(context.history)
    except DataValidationError as error:
        raise Refusal(ErrorCode.INVALID_PARAMETER, str(error)) from error
    except HistoryTooSlow as error:
        log.warning("history was too slow", error=str(error))
        raise Refusal(
            ErrorCode.HISTORY_TOO_SLOW, "the answer took too long; ask for a shorter time or a lower limit"
        ) from error
    except (HistoryUnavailable, HistoryUnfit) as error:
        log.warning("history cannot be asked", error=str(error))
        raise Refusal(ErrorCode.HISTORY_UNAVAILABLE, "the history cannot be asked now") from error


def describe_funding(told: Funding) -> dict[str, Any]:
    """Funding as answers carry it."""
    return _fields(FundingBody, told) | {
        "rate": format_decimal(told.rate),
        "mark_price": _text_or_none(told.mark_price),
        "index_price": _text_or_none(told.index_price),
    }


def describe_open_interest(told: OpenInterest) -> dict[str, Any]:
    """Open interest as answers carry it."""
    return _fields(OpenInterestBody, told) | {
        "open_interest": format_decimal(told.open_interest),
        "notional": _text_or_none(told.notional, AMOUNT_SCALE),
    }


def _fields(body: type[BaseModel], told: Funding | OpenInterest) -> dict[str, Any]:
    return {name: getattr(told, name) for name in body.model_fields}


def _text_or_none(unscaled: int | None, scale: int = SCALE) -> str | None:
    return None if unscaled is None else format_decimal(unscaled, scale)


def describe_price_change(event: PriceChangedEvent) -> dict[str, Any]:
    """A change of price as answers carry it."""
    prices = {name: format_decimal(getattr(event, name)) for name in ("old_price", "new_price", "change", "change_percent")}
    return event._asdict() | prices
