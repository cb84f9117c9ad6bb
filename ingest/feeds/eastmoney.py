"""Eastmoney's quotes (push2) of Shanghai, Shenzhen, Beijing and Hong Kong: what efinance and most of akshare fetch.

Lists of quotes (`ulist.np/get` of named instruments, which this feed asks for; `clist/get` of whole markets) are JSON with a
row an instrument: f2 last, f3 change in per cent, f4 change, f5 volume, f6 amount, f12 code, f13 market (1 Shanghai, 0
Shenzhen and Beijing, 116 and 128 Hong Kong), f15 high, f16 low, f18 previous close, f124 unix time in seconds. Volumes are
hands of 100 shares in China, shares in Hong Kong; amounts are yuan or dollars. "-" stands for a figure that is not there: a row
without a last price is suspended. Without f13 a code may mean several instruments, and the row is refused. A server that is
pressed hard answers fewer rows than it was asked for. One quote (`stock/get`) has other names and no time unless asked; daily
candles are `kline/get`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from ingest.decoding import decode
from ingest.feed import Listings, Parsed, Told
from ingest.feeds._cn_snapshots import Row, micros_of, times
from ingest.feeds._cn_source import ChineseSource
from ingest.feeds._cn_symbols import PREFIXES, candidates, instrument_of_number
from ingest.feeds._records import Maker, amount_of
from market.decimals import parse_decimal
from market.errors import DataValidationError
from market.feed_status import FeedState
from market.instrument import check_instrument, code_of, venue_of
from market.quote import Kline

_FIELDS = "f2,f3,f4,f5,f6,f12,f13,f15,f16,f18,f124"
_OF_STOCK = dict(  # stock/get's name of each, by that of the lists
    zip(
        ("f2", "f15", "f16", "f5", "f6", "f12", "f18", "f13", "f3", "f4", "f124"),
        ("f43", "f44", "f45", "f47", "f48", "f57", "f60", "f107", "f170", "f169", "f86"),
        strict=True,
    )
)
_NONE = "-"
_HAND = 100
_DAILY = "101"
_KLINE_FIELDS = 7
_CLOSES = {"hkex": "16:10:00"}


class _Rows(msgspec.Struct):
    diff: list[msgspec.Raw] = []


class _List(msgspec.Struct):
    data: _Rows | None


class _One(msgspec.Struct):
    data: msgspec.Raw


class _Klines(msgspec.Struct):
    code: str
    market: int
    klines: list[str]


class _KlineAnswer(msgspec.Struct):
    data: _Klines | None


_LIST = msgspec.json.Decoder(_List)
_ONE = msgspec.json.Decoder(_One)
_ROW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KLINES = msgspec.json.Decoder(_KlineAnswer)


def parse(frame: bytes) -> Row | Told:
    """What a row of a list says, volumes in shares. Raises DataValidationError."""
    given = decode(_ROW, frame)
    instrument = _instrument(_text(given, "f12"), _text(given, "f13"))
    hand = 1 if venue_of(instrument) == "hkex" else _HAND
    last, volume, time = _text(given, "f2"), _text(given, "f5"), _text(given, "f124")
    return Row(
        instrument,
        _micros(time) if time else None,
        last=last,
        previous_close=_text(given, "f18"),
        high=_text(given, "f15"),
        low=_text(given, "f16"),
        volume=times(volume, hand, "volume") if volume else None,
        amount=_text(given, "f6"),
        change=_text(given, "f4"),
        change_percent=_text(given, "f3"),
        suspended=None if last else "suspended, or not traded yet: the source has no last price",
    )


def parse_stock(answer: bytes, instrument: str) -> Row | Told:
    """What a `stock/get` answer says of the instrument that was asked for: its quote, without a time unless f86 was asked for.

    Raises DataValidationError, also when it is of another code.
    """
    data = decode(_ONE, answer).data
    if bytes(data) == b"null":
        reason = "the source says nothing of it: not known, or delisted"
        return Told(check_instrument(instrument), FeedState.DOWN, reason)
    given = decode(_ROW, bytes(data))
    if _text(given, "f57") != code_of(instrument):
        raise DataValidationError("inconsistent", f"the answer is not of {instrument}", field="f57")
    renamed = {name: given[theirs] for name, theirs in _OF_STOCK.items() if theirs in given}
    renamed["f13"] = msgspec.Raw(b"1" if venue_of(instrument) == "sse" else b"116" if venue_of(instrument) == "hkex" else b"0")
    return parse(msgspec.json.encode(renamed))


def parse_klines(answer: bytes, url: str, received_at: int, max_skew: int) -> list[Kline]:
    """The daily candles of a `kline/get` answer, oldest first; none where it has no data. Raises DataValidationError.

    Rows are date, open, close, high, low, volume (hands), amount and derived figures. A day's candle begins with its first
    session at 09:30. Prices must be as traded: adjusted ones (`fqt`) were never paid, and are refused.
    """
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    if asked.get("klt", _DAILY) != _DAILY:
        raise DataValidationError("wrong_interval", f"klt: {asked['klt']:.20} is not a day ({_DAILY})", field="klt")
    if asked.get("fqt", "0") != "0":
        raise DataValidationError("adjusted", f"fqt: {asked['fqt']:.20} asks for adjusted prices", field="fqt")
    data = decode(_KLINES, answer).data
    if data is None:
        return []
    maker = Maker(_instrument(data.code, str(data.market)), received_at, max_skew)
    return [_kline(maker, row.split(",")) for row in data.klines]


def _kline(maker: Maker, row: Sequence[str]) -> Kline:
    if len(row) < _KLINE_FIELDS:
        raise DataValidationError("too_few_fields", f"{len(row)} fields are no candle")
    date, open_, close, high, low, volume, amount = row[:_KLINE_FIELDS]
    venue = venue_of(maker.instrument)
    given: dict[str, Any] = {
        "volume": parse_decimal(volume, field="volume") * (1 if venue == "hkex" else _HAND),
        "amount": amount_of(amount, "amount"),
    }
    prices = {"open": open_, "high": high, "low": low, "close": close}
    is_closed = maker.received_at >= micros_of(f"{date} {_CLOSES.get(venue, '15:01:00')}", "open_time")
    return maker.kline(
        "1d", micros_of(f"{date} 09:30:00", "open_time"), prices, is_closed=is_closed, exchange_time=None, **given
    )


def _instrument(code: str | None, market: str | None) -> str:
    if code is None:
        raise DataValidationError("missing_field", "f12: the row has no code", field="f12")
    if market is None:
        meant = " or ".join(candidates(code, PREFIXES)) or "nothing"
        raise DataValidationError("ambiguous_symbol", f"f13: without its market {code:.20} may mean {meant}", field="f13")
    return instrument_of_number(code, market, field="f12")


def _text(given: Mapping[str, msgspec.Raw], name: str) -> str | None:
    """A figure as it is written, never as a binary number; None where there is none."""
    if name not in given:
        return None
    text = bytes(given[name]).decode(errors="replace").strip('"')
    return None if text in (_NONE, "null", "") else text


def _micros(seconds: str) -> int:
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) < 12):
        raise DataValidationError("bad_time", f"f124: {seconds!r:.40} is no time in seconds", field="f124")
    return int(seconds) * 1_000_000


def _split(answer: bytes) -> Sequence[bytes]:
    data = decode(_LIST, answer).data
    return [] if data is None else [bytes(row) for row in data.diff]


def _named(frame: bytes) -> str | None:
    try:
        given = decode(_ROW, frame)
        return _instrument(_text(given, "f12"), _text(given, "f13"))
    except DataValidationError:
        return None


def _path(instruments: Sequence[str]) -> str:
    markets = {"sse": "1", "hkex": "116"}
    ids = ",".join(f"{markets.get(venue_of(one), '0')}.{code_of(one)}" for one in instruments)
    return f"/api/qt/ulist.np/get?fltt=2&invt=2&np=1&fields={_FIELDS}&secids={ids}"


class _Eastmoney(ChineseSource):
    """Also reads recorded answers with daily candles; see `ingest.rest_venue.AnsweringVenue`."""

    def answered(self, url: str, answer: bytes, received_at: int, _listings: Listings, max_clock_skew: int) -> Parsed | None:
        """See `ingest.rest_venue.AnsweringVenue.answered`."""
        if self.market_of(url) is None or not urlsplit(url).path.endswith("/kline/get"):
            return None
        return Parsed("kline_1d", parse_klines(answer, url, received_at, max_clock_skew))


VENUE = _Eastmoney(
    name="eastmoney",
    venues=("sse", "szse", "bse", "hkex"),
    channel="quote",
    hosts=("https://push2.eastmoney.com", "https://82.push2.eastmoney.com"),
    domain="eastmoney.com",
    read=parse,
    split=_split,
    named=_named,
    path=_path,
    headers={"Referer": "https://quote.eastmoney.com/"},
)

parse_batch = VENUE.parse_batch
