"""The instruments the gateway has seen, found by id or by alias in constant time.

The rules are those of `market.instrument.resolve`; this index applies them without comparing with every instrument.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator

from gateway.identity import LOCAL, Principal
from gateway.refusals import ErrorCode, Refusal
from market.instrument import code_of, squash

_MOST_SUGGESTIONS = 10
_SHOWN = 80


class Instruments:
    """Every instrument of which any record arrived, or that was named at the start."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known: dict[str, str] = {}
        self._by_alias: defaultdict[str, set[str]] = defaultdict(set)
        self._ordered: list[tuple[str, str]] = []
        self._by_venue: dict[str, list[str]] = {}
        for instrument in known:
            self.add(instrument)

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._known))

    def add(self, instrument: str) -> bool:
        """Take note of an instrument; whether it is new. The id is well-formed, as every record that the intake delivers."""
        if instrument in self._known:
            return False
        self._known[instrument] = instrument
        code = squash(code_of(instrument))
        self._by_alias[code].add(instrument)
        self._by_alias[squash(instrument)].add(instrument)
        insort(self._ordered, (code, instrument))
        insort(self._by_venue.setdefault(instrument.partition(":")[0], []), instrument)
        return True

    def of_venue(self, venue: str) -> list[str]:
        """All instruments of a venue, in order."""
        return list(self._by_venue.get(venue, ()))

    def resolve(self, alias: str, principal: Principal = LOCAL) -> str:
        """The one instrument an alias means, of those the principal may see.

        Raises Refusal with the candidates when it means none or several. To a principal that may not see all, an instrument
        it may not see is as one that does not exist.
        """
        known = self._known.get(alias)
        if known is not None and principal.sees(known):
            return known  # the one text that all subscriptions share, not the client's
        wanted = squash(alias)
        found = sorted(filter(principal.sees, self._by_alias.get(wanted, ()))) if wanted else []
        if len(found) == 1:
            return found[0]
        if found:
            raise Refusal(
                ErrorCode.AMBIGUOUS_SYMBOL,
                f"{alias!r:.{_SHOWN}} is ambiguous: it may mean {', '.join(found)}",
                symbol=alias[:_SHOWN],
                candidates=found,
            )
        raise self._unknown(alias, wanted, principal)

    def _unknown(self, alias: str, wanted: str, principal: Principal) -> Refusal:
        candidates = list(filter(principal.sees, self._similar(wanted)))
        hint = f"; similar ones: {', '.join(candidates)}" if candidates else ""
        sees_all = principal.sees_all
        fault = "not a known instrument" if sees_all else "not among the instruments you may see"
        return Refusal(
            ErrorCode.UNKNOWN_SYMBOL if sees_all else ErrorCode.NOT_ENTITLED,
            f"{alias!r:.{_SHOWN}} is {fault}{hint}",
            symbol=alias[:_SHOWN],
            candidates=candidates,
        )

    def _similar(self, wanted: str) -> list[str]:
        """Instruments whose code begins as the wanted one does, by the longest beginning that any has."""
        for length in range(min(len(wanted), 16), 1, -1):
            prefix = wanted[:length]
            start = bisect_left(self._ordered, (prefix, ""))
            near = self._ordered[start : start + _MOST_SUGGESTIONS]
            if similar := [instrument for code, instrument in near if code.startswith(prefix)]:
                return similar
        return []
