"""Chinese instruments and what the sources call them.

The market always stands before the code: `sse:600519` (Shanghai), `szse:000001` (Shenzhen), `bse:430047` (Beijing),
`hkex:00700` (Hong Kong). One code may be listed on several: 000001 is an index in Shanghai and a bank's share in Shenzhen.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping

from ingest.feed import Subscription
from market.errors import DataValidationError, SubscriptionError
from market.instrument import code_of, venue_of

PREFIXES: Mapping[str, str] = {"sse": "sh", "szse": "sz", "bse": "bj", "hkex": "hk"}
"""What the sources write before a code, by venue."""

_VENUES = {prefix: venue for venue, prefix in PREFIXES.items()}
_CODES = {venue: re.compile(r"\d{5}" if venue == "hkex" else r"\d{6}", re.ASCII) for venue in PREFIXES}
_INDEXES = {"sse": "000", "szse": "399", "bse": "899"}
_MARKETS = {"1": "sse", "116": "hkex", "128": "hkex"}
_OF_BEIJING = re.compile(r"[48]|92", re.ASCII)
_ALONE = {  # the codes of shares, funds and indexes that one market alone gives out; bonds are not told apart by their codes
    "sse": re.compile(r"(?:60\d|68[89]|900|5[012368]\d)\d{3}", re.ASCII),
    "szse": re.compile(r"(?:00[123]|200|30[012]|399)\d{3}", re.ASCII),
    "bse": re.compile(r"(?:43|83|87|92)\d{4}", re.ASCII),
}


def check_streams(
    source: str, subscriptions: Iterable[Subscription], venues: Collection[str], channels: Collection[str]
) -> None:
    """Raise SubscriptionError for what a source does not have; a code without its market is told what it may mean."""
    for instrument, channel in subscriptions:
        if channel not in channels:
            raise SubscriptionError(f"{channel!r:.40} is no channel of {source}; there are: {', '.join(channels)}")
        venue, code = venue_of(instrument), code_of(instrument)
        if venue in venues and _CODES[venue].fullmatch(code):
            continue
        meant = candidates(instrument, venues)
        hint = f"; with its market it is {' or '.join(meant)}" if meant else f", such as {_example(venues)}"
        raise SubscriptionError(f"{instrument!r:.80} is no instrument of {source}{hint}")


def candidates(code: str, venues: Collection[str]) -> list[str]:
    """The instruments that a code without its market may mean."""
    return [f"{venue}:{code}" for venue in venues if _CODES[venue].fullmatch(code)]


def symbol_of(instrument: str) -> str:
    """The sources' word for an instrument: sh600519."""
    return PREFIXES[venue_of(instrument)] + code_of(instrument)


def instrument_of(symbol: str) -> str:
    """The instrument of a symbol such as sh600519. Raises DataValidationError (`unknown_symbol`)."""
    venue = _VENUES.get(symbol[:2])
    if venue is None or not _CODES[venue].fullmatch(symbol[2:]):
        raise DataValidationError("unknown_symbol", f"{symbol!r:.40} has no market (sh, sz, bj, hk) and code", field="symbol")
    return f"{venue}:{symbol[2:]}"


def instrument_of_number(code: str, market: str, *, field: str) -> str:
    """The instrument of a code in a market of Eastmoney's numbers: 1 Shanghai, 0 Shenzhen and Beijing, 116 and 128 Hong Kong.

    Raises DataValidationError (`unknown_symbol`).
    """
    venue = ("bse" if _OF_BEIJING.match(code) else "szse") if market == "0" else _MARKETS.get(market)
    if venue is None or not _CODES[venue].fullmatch(code):
        raise DataValidationError("unknown_symbol", f"{code!r:.20} of market {market:.20} is not known", field=field)
    return f"{venue}:{code}"


def instrument_of_code(code: str, *, field: str) -> str:
    """The instrument of a code without its market, where one market alone has such codes: 600519, 300750, 920819.

    Raises DataValidationError (`ambiguous_symbol`): 000001 is an index in Shanghai and a share in Shenzhen.
    """
    for venue, codes in _ALONE.items():
        if codes.fullmatch(code):
            return f"{venue}:{code}"
    meant = " or ".join(candidates(code, _ALONE)) or "nothing"
    raise DataValidationError("ambiguous_symbol", f"without its market {code:.20} may mean {meant}", field=field)


def is_index(instrument: str) -> bool:
    """Whether it is an index, which nobody trades: its volume and amount are those of its members."""
    beginning = _INDEXES.get(venue_of(instrument))
    return beginning is not None and code_of(instrument).startswith(beginning)


def _example(venues: Collection[str]) -> str:
    return "sse:600519" if "sse" in venues else "hkex:00700"
