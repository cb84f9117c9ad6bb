"""What OKX's v5 messages say, of streams and in answers: trades, books, tickers, candles, funding and open interest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ingest.feeds._arg_frames import CANDLE, Arg, Message, Reader, check_symbol, read_books, rows
from ingest.feeds._interleaved import text_of
from ingest.feeds._records import Maker, amount_of, figure_or_none, micros_of_millis
from ingest.feeds._sides import side_of
from market.errors import DataValidationError
from market.instrument import check_instrument, code_of
from schemas.records import Record

_SPOT = "SPOT"
_DELIVERY = re.compile(r"\d{6}", re.ASCII)
INTERVALS = {
    **{f"candle{minutes}m": f"{minutes}m" for minutes in (1, 3, 5, 15, 30)},
    **{f"candle{hours}H": f"{hours}h" for hours in (1, 2, 4)},
    "candle6Hutc": "6h",
    "candle12Hutc": "12h",
    "candle1Dutc": "1d",
}


class _Trade(msgspec.Struct, rename="camel"):
    inst_id: str
    trade_id: str
    px: str
    sz: str
    side: str
    ts: str
    count: str = "1"  # trades of one order and price summed up under the id of the last one


class _Ticker(msgspec.Struct, rename="camel"):
    inst_id: str
    inst_type: str
    ts: str
    last: str
    last_sz: str
    ask_px: str
    ask_sz: str
    bid_px: str
    bid_sz: str
    open24h: str
    high24h: str
    low24h: str
    vol24h: str
    vol_ccy_24h: str = msgspec.field(name="volCcy24h")


class _Funding(msgspec.Struct, rename="camel"):
    """`funding_rate` is paid at `funding_time`, the one after it at `next_funding_time`."""

    inst_id: str
    funding_rate: str
    funding_time: str
    next_funding_time: str = ""
    ts: str = ""


class _OpenInterest(msgspec.Struct, rename="camel"):
    """In contracts; newer servers tell it in dollars, too."""

    inst_id: str
    oi: str
    ts: str
    oi_usd: str = ""


class _Index(msgspec.Struct, rename="camel"):
    inst_id: str
    idx_px: str
    ts: str


class _Mark(msgspec.Struct, rename="camel"):
    inst_id: str
    mark_px: str
    ts: str


FUNDING, OPEN_INTEREST, MARK, INDEX = "funding-rate", "open-interest", "mark-price", "index-tickers"

_FUNDINGS = msgspec.json.Decoder(list[_Funding])
_INDICES = msgspec.json.Decoder(list[_Index])
_MARKS = msgspec.json.Decoder(list[_Mark])
_OPEN_INTERESTS = msgspec.json.Decoder(list[_OpenInterest])
_TRADES = msgspec.json.Decoder(list[_Trade])
_TICKERS = msgspec.json.Decoder(list[_Ticker])
_CANDLES = msgspec.json.Decoder(list[list[str]])


def instrument_of_symbol(symbol: str) -> str:
    base, _, rest = symbol.partition("-")
    quote, _, contract = rest.partition("-")
    if not quote or not (contract in ("", "SWAP") or _DELIVERY.fullmatch(contract)):
        raise DataValidationError("unknown_symbol", f"{symbol!r:.80} is no pair, swap or future", field="symbol")
    suffix = {"": "", "SWAP": "-PERP"}.get(contract, f"-{contract}")
    return check_instrument(f"okx:{base}-{quote}{suffix}")


def _trades(message: Message, arg: Arg, maker: Maker) -> Sequence[Record]:
    return [_trade(trade, arg, maker) for trade in rows(_TRADES, message)]


def _trade(trade: _Trade, arg: Arg, maker: Maker) -> Record:
    check_symbol(trade.inst_id, arg)
    last, count = _whole(trade.trade_id, "trade_id"), _whole(trade.count, "trade_count")
    return maker.trade(
        trade_id=trade.trade_id,
        sequence=last,
        price=trade.px,
        size=trade.sz,
        side=side_of(trade.side),
        exchange_time=micros_of_millis(trade.ts, "exchange_time"),
        first_trade_id=str(last - count + 1),
        trade_count=count,
    )


def _books(message: Message, _arg: Arg, maker: Maker) -> Sequence[Record]:
    return read_books(message, maker, text_of)


def _tickers(message: Message, arg: Arg, maker: Maker) -> Sequence[Record]:
    return [_ticker(ticker, arg, maker) for ticker in rows(_TICKERS, message)]


def _ticker(ticker: _Ticker, arg: Arg, maker: Maker) -> Record:
    """`volCcy24h` is the amount of pairs, but the volume in base currency of contracts, which `vol24h` counts."""
    check_symbol(ticker.inst_id, arg)
    is_spot = ticker.inst_type == _SPOT
    return maker.quote(
        arg.channel,
        micros_of_millis(ticker.ts, "exchange_time"),
        bid=ticker.bid_px,
        bid_size=ticker.bid_sz,
        ask=ticker.ask_px,
        ask_size=ticker.ask_sz,
        last=ticker.last,
        last_size=ticker.last_sz,
        open_24h=ticker.open24h,
        high_24h=ticker.high24h,
        low_24h=ticker.low24h,
        volume_24h=ticker.vol24h if is_spot else ticker.vol_ccy_24h,
        amount_24h=ticker.vol_ccy_24h if is_spot else None,
    )


def _candles(message: Message, arg: Arg, maker: Maker) -> Sequence[Record]:
    return [_candle(candle, INTERVALS[arg.channel], maker) for candle in rows(_CANDLES, message)]


def _candle(row: list[str], interval: str, maker: Maker) -> Record:
    """Time, open, high, low, close, volume, volume in currency; since 2022 also amount and whether it is closed ("1")."""
    if len(row) < 7:
        raise DataValidationError("missing_field", "a candle needs seven figures", field="data")
    amount = row[7] if len(row) > 7 else ""
    given: dict[str, Any] = {
        "volume": figure_or_none(row[5], "volume"),
        "amount": amount_of(amount, "amount") if amount else None,
    }
    return maker.kline(
        interval,
        micros_of_millis(row[0], "open_time"),
        {"open": row[1], "high": row[2], "low": row[3], "close": row[4]},
        is_closed=row[8:9] == ["1"],
        exchange_time=None,
        **given,
    )


def _fundings(message: Message, arg: Arg, maker: Maker) -> Sequence[Record]:
    return [_funding(told, arg, maker) for told in rows(_FUNDINGS, message)]


def _funding(told: _Funding, arg: Arg, maker: Maker) -> Record:
    check_symbol(told.inst_id, arg)
    paid = micros_of_millis(told.funding_time or "0", "next_funding_time")
    after = micros_of_millis(told.next_funding_time or "0", "interval_seconds")
    return maker.funding(
        arg.channel,
        micros_of_millis(told.ts, "exchange_time") if told.ts else None,
        rate=told.funding_rate,
        next_funding_time=paid,
        interval_seconds=(after - paid) // 1_000_000 if after > paid > 0 else None,
    )


def _open_interests(message: Message, arg: Arg, maker: Maker) -> Sequence[Record]:
    return [_open_interest(told, arg, maker) for told in rows(_OPEN_INTERESTS, message)]


def _open_interest(told: _OpenInterest, arg: Arg, maker: Maker) -> Record:
    check_symbol(told.inst_id, arg)
    time = micros_of_millis(told.ts, "exchange_time")
    return maker.open_interest(arg.channel, time, open_interest=told.oi, notional=told.oi_usd or None)


def _marks(message: Message, arg: Arg, maker: Maker) -> Sequence[Record]:
    return [_mark(told, arg, maker) for told in rows(_MARKS, message)]


def _mark(told: _Mark, arg: Arg, maker: Maker) -> Record:
    check_symbol(told.inst_id, arg)
    return maker.quote(arg.channel, micros_of_millis(told.ts, "exchange_time"), mark_price=told.mark_px)


def indices(contracts: Callable[[str], Iterable[str]]) -> Reader:
    """A reader of what an index is at: a quote of each of the `contracts` that are of the index of this symbol."""

    def read(message: Message, arg: Arg, maker: Maker) -> Sequence[Record]:
        return [
            maker._replace(instrument=contract).quote(
                arg.channel, micros_of_millis(told.ts, "exchange_time"), index_price=told.idx_px
            )
            for told in rows(_INDICES, message)
            for contract in _checked(told, arg, contracts)
        ]

    return read


def index_of(instrument: str) -> str:
    """Symbol of the index of a contract's underlying: BTC-USDT of okx:BTC-USDT-PERP.

    So it is of each of the 1,350 contracts whose `uly` was recorded.
    """
    return "-".join(code_of(instrument).split("-")[:2])


def perpetual_of(index: str) -> str:
    """The perpetual of an index: okx:BTC-USDT-PERP of BTC-USDT. Raises DataValidationError for what is no index."""
    return instrument_of_symbol(f"{index}-SWAP")


def _checked(told: _Index, arg: Arg, contracts: Callable[[str], Iterable[str]]) -> Iterable[str]:
    check_symbol(told.inst_id, arg)
    return contracts(told.inst_id)


def _whole(text: str, field: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise DataValidationError("wrong_type", f"{field}: {text!r:.40} is no whole number", field=field)
    return int(text)


READERS: Mapping[str, Reader] = {
    "trades": _trades,
    "books": _books,
    "tickers": _tickers,
    FUNDING: _fundings,
    OPEN_INTEREST: _open_interests,
    MARK: _marks,
    CANDLE: _candles,
}
