"""The order book of one instrument, rebuilt from a venue's snapshots and deltas; whether it is the venue's own is always known.

```
SYNCING ──snapshot──▶ LIVE ──a delta was missed, the checksum differs──▶ GAP ──snapshot──▶ LIVE
```

- In SYNCING and GAP deltas change nothing. Where the snapshot is fetched beside the stream they are kept for it, and applied
  after it as far as they are newer; if they do not follow it, the book is in GAP and needs a newer one.
- An old delta (its last sequence is in the book) is refused silently: its sizes would go back in time. So is a fetched
  snapshot older than a LIVE book.
- Nothing is said of levels that a snapshot did not reach. A crossed book is kept as the venue tells it, and can be asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from market.book_rules import BookRules, Step
from market.book_side import BookSide
from market.depth import BookState, Depth, DepthKind, Level
from market.errors import DataValidationError

MOST_KEPT = 1_000
"""Deltas kept for a snapshot that is being fetched: at ten a second a minute and a half. Beyond it the oldest are forgotten."""

_NO_SEQUENCE = -1


class Book:
    """Not safe for several threads. `fault` says why the book is in GAP."""

    def __init__(self, rules: BookRules) -> None:
        self.bids = BookSide(is_bid=True)
        self.asks = BookSide(is_bid=False)
        self.state = BookState.SYNCING
        self.fault: str | None = None
        self.last_sequence: int | None = None
        self.exchange_time: int | None = None
        self.rules = rules
        self._from_snapshot = False
        self._kept: deque[Depth] = deque(maxlen=MOST_KEPT)

    @property
    def is_crossed(self) -> bool:
        """Whether somebody bids as much as somebody asks, or more."""
        bid, ask = self.bids.top, self.asks.top
        return bid is not None and ask is not None and bid.price >= ask.price

    def apply(self, depth: Depth) -> Depth | None:
        """Take a message in; what it is to those who do not know the venue's rules, None where it is old.

        To them a LIVE snapshot is the whole book as it now is, and a LIVE delta what to change in it; in any other state the
        message says only that the book cannot be trusted. Texts of levels are left out.
        Raises DataValidationError when the message lacks what the venue's rule needs; the book is as before then.
        """
        if depth.kind is DepthKind.SNAPSHOT:
            return self._take_snapshot(depth)
        if self.state is not BookState.LIVE:
            if self.rules.fetched:
                self.rules.step(depth, _NO_SEQUENCE, False)  # raises for what could not be applied later
                self._kept.append(depth)
            return self._told(depth, depth.bids, depth.asks)
        return self._take_delta(depth)

    def whole(self, depth: Depth) -> Depth:
        """The whole book as it is after a message was taken in, as a snapshot."""
        return self._told(depth, self.bids, self.asks)._replace(
            kind=DepthKind.SNAPSHOT,
            first_sequence=None,
            last_sequence=self.last_sequence,
            previous_sequence=None,
            exchange_time=self.exchange_time,
        )

    # snapshots

    def _take_snapshot(self, depth: Depth) -> Depth | None:
        if self.rules.is_numbered and depth.last_sequence is None:
            raise DataValidationError(
                "missing_field", "last_sequence: the snapshot does not say where it is", field="last_sequence"
            )
        if self._is_overtaken(depth):
            return None
        self.bids.replace(depth.bids)
        self.asks.replace(depth.asks)
        self._trim()
        self.state, self.fault = BookState.LIVE, None
        self._advance(depth, from_snapshot=True)
        self._check(depth)
        self._apply_kept()
        return self.whole(depth)

    def _is_overtaken(self, depth: Depth) -> bool:
        if not self.rules.fetched or self.state is not BookState.LIVE:
            return False
        return (depth.last_sequence or _NO_SEQUENCE) < (self.last_sequence or _NO_SEQUENCE)

    def _apply_kept(self) -> None:
        kept, self._kept = self._kept, deque(maxlen=MOST_KEPT)
        for number, delta in enumerate(kept):
            self._take_delta(delta)
            if self.state is not BookState.LIVE:
                self._kept.extend(islice(kept, number + 1, None))
                return

    # deltas

    def _take_delta(self, depth: Depth) -> Depth | None:
        step = self.rules.step(depth, _NO_SEQUENCE if self.last_sequence is None else self.last_sequence, self._from_snapshot)
        if step is Step.OLD:
            return None
        if step is Step.MISSED:
            self._lose(f"{_numbers(depth)} does not follow {self.last_sequence}")
            if self.rules.fetched:
                self._kept.append(depth)
            return self._told(depth, depth.bids, depth.asks)
        for level in depth.bids:
            self.bids.put(level)
        for level in depth.asks:
            self.asks.put(level)
        bids, asks = self._trim()
        self._advance(depth, from_snapshot=False)
        self._check(depth)
        return self._told(depth, [*depth.bids, *bids], [*depth.asks, *asks])

    # both

    def _advance(self, depth: Depth, *, from_snapshot: bool) -> None:
        self.last_sequence, self.exchange_time = depth.last_sequence, depth.exchange_time
        self._from_snapshot = from_snapshot

    def _trim(self) -> tuple[list[Level], list[Level]]:
        most = self.rules.max_levels
        return ([], []) if most is None else (self.bids.trim(most), self.asks.trim(most))

    def _check(self, depth: Depth) -> None:
        rules = self.rules
        if rules.checksum is None or depth.checksum is None:
            return
        ours = rules.checksum(self.bids.best(rules.checked_levels), self.asks.best(rules.checked_levels))
        if ours != depth.checksum:
            self._lose(f"the checksum of the book is {ours}, the venue's is {depth.checksum}")

    def _lose(self, fault: str) -> None:
        self.state, self.fault = BookState.GAP, fault
        self._kept.clear()

    def _told(self, depth: Depth, bids: Iterable[Level], asks: Iterable[Level]) -> Depth:
        if self.rules.checksum is not None:
            bids, asks = _without_texts(bids), _without_texts(asks)
        return depth._replace(bids=tuple(bids), asks=tuple(asks), state=self.state)


def _without_texts(levels: Iterable[Level]) -> Iterable[Level]:
    return (Level(level.price, level.size) for level in levels)


def _numbers(depth: Depth) -> str:
    first = "" if depth.first_sequence is None else f"{depth.first_sequence}…"
    previous = "" if depth.previous_sequence is None else f" after {depth.previous_sequence}"
    return f"{first}{depth.last_sequence}{previous}"
