"""Who a client is and what it may see. Pure.

Nothing is granted that is not named: a principal without symbols hears of no instrument, one without portfolios of none.
Roles say what may be done (`admin`), the other grants what may be seen; no role implies a grant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import msgspec

from gateway.messages import Room
from gateway.refusals import ErrorCode, Refusal, unknown_portfolio

EVERYTHING = "*"
ADMIN = "admin"
"""The role of those who may look after other clients."""
TRADER = "trader"
"""The role of those who may change the portfolios they may see."""
PRICING = "pricing"
"""The role of those who may value the portfolios they may see by prices of their own."""

PORTFOLIO = "PORTFOLIO"
"""The data type of portfolios: its rooms are theirs, not those of instruments."""
_PORTFOLIO_TOPICS = "pf."

_SYMBOL_GRANT = re.compile(r"\*|[a-z0-9_-]+:(\*|[^\s:*]+)", re.ASCII)
_Names = frozenset[Annotated[str, msgspec.Meta(min_length=1, max_length=128)]]


def is_of_portfolios(topic: str) -> bool:
    """Whether a topic is about portfolios: how much stands in it tells that somebody's was changed."""
    return topic.startswith(_PORTFOLIO_TOPICS)


class Grants(msgspec.Struct, frozen=True):
    """What a token or key grants. `symbols` holds instrument ids, `venue:*` or `*`; the others names or `*`."""

    roles: _Names = frozenset()
    portfolios: _Names = frozenset()
    symbols: _Names = frozenset()
    data_types: _Names = frozenset()

    def __post_init__(self) -> None:
        for symbol in self.symbols:
            if not _SYMBOL_GRANT.fullmatch(symbol):
                raise ValueError(f"symbols: {symbol!r:.80} is no instrument id, `venue:*` or `*`")


def read_grants(given: Mapping[str, Any]) -> Grants:
    """The grants among other claims. Raises ValueError saying which is not as it must be."""
    return _shared(msgspec.convert({name: given[name] for name in Grants.__struct_fields__ if name in given}, Grants))


@lru_cache(maxsize=1000)
def _shared(grants: Grants) -> Grants:
    """One object for equal grants: most users of a gateway have the same."""
    return grants


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone known. `credential` names the key that vouched, `expires_at` is in microseconds, None for never."""

    subject: str
    credential: str
    grants: Grants
    expires_at: int | None = None

    @property
    def sees_all(self) -> bool:
        """Whether every instrument may be seen, so that there is nothing to hide."""
        return EVERYTHING in self.grants.symbols

    def sees(self, instrument: str) -> bool:
        """Whether this instrument may be seen."""
        symbols = self.grants.symbols
        return EVERYTHING in symbols or instrument in symbols or f"{instrument.partition(':')[0]}:*" in symbols

    def hears(self, data_type: str) -> bool:
        """Whether this data type may be read."""
        return bool(self.grants.data_types & {data_type, EVERYTHING})

    def may_enter(self, room: Room) -> bool:
        """Whether what is told in this room may be heard."""
        if room.data_type == PORTFOLIO:
            return self.holds(room.instrument)
        return self.hears(room.data_type) and self.sees(room.instrument)

    def check_data_type(self, data_type: str) -> None:
        """Raise Refusal unless this data type may be read."""
        if not self.hears(data_type):
            raise Refusal(ErrorCode.NOT_ENTITLED, f"{self.subject!r} is not entitled to {data_type}", data_type=data_type)

    @property
    def holds_all(self) -> bool:
        """Whether every portfolio may be seen, so that there is nothing to hide."""
        return EVERYTHING in self.grants.portfolios

    def holds(self, portfolio: str) -> bool:
        """Whether this portfolio may be seen."""
        return bool(self.grants.portfolios & {portfolio, EVERYTHING})

    def check_portfolio(self, portfolio: str) -> None:
        """Raise Refusal unless this portfolio may be seen: the one that a portfolio gets which does not exist."""
        if not self.holds(portfolio):
            raise unknown_portfolio()

    def check_role(self, role: str) -> None:
        """Raise Refusal unless the principal has this role."""
        if role not in self.grants.roles:
            raise Refusal(ErrorCode.NOT_ENTITLED, f"this needs the role {role!r}")

    def describe(self) -> dict[str, Any]:
        """What a client is told of itself."""
        grants = {name: sorted(getattr(self.grants, name)) for name in Grants.__struct_fields__}
        return {"subject": self.subject, "expires_at": self.expires_at, **grants}


_ALL = frozenset({EVERYTHING})

LOCAL = Principal("local", "none", Grants(frozenset({ADMIN, TRADER, PRICING}), _ALL, _ALL, _ALL))
"""Everyone, where no keys are configured: the gateway then serves the own machine only."""
