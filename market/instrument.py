"""Instrument ids and their aliases.

An id is `venue:CODE`: `binance:BTC-USDT` (spot), `binance:BTC-USDT-PERP` (perpetual swap), `sse:600519`. Inside the system
only ids travel; what people type (`BTC/USDT`, `BTCUSDT`, `600519`) is resolved at the edges against the instruments that
exist, and an alias of several is an error that lists them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from market.errors import DataValidationError, SubscriptionError

_VENUE = re.compile(r"[a-z][a-z0-9_]{0,31}", re.ASCII)
_ID = re.compile(rf"{_VENUE.pattern}:[A-Z0-9][A-Z0-9.\-]{{0,63}}", re.ASCII)
_SEPARATORS = str.maketrans("", "", "-/_: .")


def check_instrument(instrument: str) -> str:
    """Return a well-formed instrument id unchanged. Raises DataValidationError (`bad_instrument`)."""
    if not is_instrument(instrument):
        raise DataValidationError(
            "bad_instrument", f"{instrument!r:.80} is not an instrument id such as binance:BTC-USDT", field="instrument"
        )
    return instrument


@lru_cache(maxsize=65_536)
def is_instrument(text: str) -> bool:
    """Whether a text is a well-formed instrument id."""
    return _ID.fullmatch(text) is not None


def is_venue_name(venue: str) -> bool:
    """Whether a text can be the venue part of an instrument id."""
    return _VENUE.fullmatch(venue) is not None


def venue_of(instrument: str) -> str:
    """The venue part of an instrument id."""
    return instrument.partition(":")[0]


def code_of(instrument: str) -> str:
    """The part after the venue: BTC-USDT of binance:BTC-USDT."""
    return instrument.partition(":")[2]


def squash(text: str) -> str:
    """What two spellings of one symbol have in common: BTCUSDT of btc/usdt, BTC-USDT, BTCUSDT."""
    return text.upper().translate(_SEPARATORS)


def resolve(alias: str, instruments: Iterable[str]) -> str:
    """Find the one instrument an alias means.

    An exact id wins; else the alias is compared with ids and codes, letter case and separators aside.
    Raises SubscriptionError when none fits, or when several do (they are listed).
    """
    known = set(instruments)
    if alias in known:
        return alias
    wanted = squash(alias)
    found = sorted(name for name in known if wanted and wanted in (squash(name), squash(code_of(name))))
    if len(found) == 1:
        return found[0]
    if found:
        raise SubscriptionError(f"{alias!r:.80} is ambiguous: it may mean {', '.join(found)}")
    raise SubscriptionError(f"{alias!r:.80} is not a known instrument")
