"""Which valuations and lines are due, and their messages: nothing is told again that did not change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

from market.errors import DataValidationError
from market.limits import LimitKind, too_old_at
from market.portfolio import Portfolio
from market.valuation_record import Stamp, ValuationLine, line_of
from processors.outputs import Message, message_of
from processors.valuing.ages import PriceAges
from processors.valuing.valuer import Valuer
from processors.valuing.writing import Read, Writer, Written
from runtime.logs import get_logger
from schemas.codec import Codec
from schemas.partitioning import partition_of
from schemas.topics import VALUATION_LINES

log = get_logger(__name__)

TOTALS_AT_ONCE = 500
"""Totals made between two turns of the event loop."""

_UNFIT = "a valuation does not fit its record"


class Asked(NamedTuple):
    """Somebody wants a portfolio revalued that has at least this version; the record time of the command (microseconds)."""

    version: int
    at: int


class Pace(NamedTuple):
    """Microseconds: from one telling of a portfolio's lines to the next, and after which all is told though nothing changed."""

    lines: int
    snapshot: int


@dataclass(slots=True)
class _Told:
    """What was told last of a portfolio, and when, and when it was told whole; of a line None where only its key is known.

    `content` is None where it is to be told again whatever it says.
    """

    content: bytes | None = None
    at: int = 0
    whole_at: int = 0
    lines: dict[str, ValuationLine | None] = field(default_factory=dict)
    lines_at: int = 0


_Due = tuple[str, _Told, Portfolio]
"""A portfolio whose totals are due: its id, what was told of it last, and itself."""


class _Made(NamedTuple):
    """Totals on their way: whose they are, what they say, and when.

    `too_old_at`: of portfolios with limits, when a price will be too old for one; None where that is no limit of theirs.
    """

    due: Sequence[_Due]
    written: Sequence[Written]
    at: int
    too_old_at: Mapping[str, int | None]


class Publishing:
    """Makes messages of what changed in a valuer's portfolios; what they say counts as told when `sent` is called."""

    def __init__(self, valuer: Valuer, codec: Codec, partitions: int, pace: Pace, *, compiled: bool = True) -> None:
        self._valuer = valuer
        self._codec = codec
        self._partitions = partitions
        self._pace = pace
        self._writer = Writer(valuer, codec, partitions, compiled=compiled)
        self._told: dict[str, _Told] = {}
        self._totals_wait: set[str] = set()
        self._lines_wait: set[str] = set()
        self._lines_due: list[tuple[int, str]] = []  # a heap: when lines that wait may be told
        self._sent_totals: list[_Made] = []
        self._sent_lines: list[tuple[str, _Told, dict[str, ValuationLine], int]] = []
        self._asked: dict[str, list[Asked]] = {}
        self._ages = PriceAges()
        self._aged: set[str] = set()

    def know_line(self, portfolio_id: str, position_id: str, *, is_there: bool) -> None:
        """A line stands in its topic, or was removed from it, whoever told it."""
        told = self._told.setdefault(portfolio_id, _Told())
        if not is_there:
            told.lines.pop(position_id, None)
        else:
            told.lines.setdefault(position_id, None)

    def forget(self, portfolio_id: str) -> None:
        """Let go of a portfolio that is somebody else's now."""
        self._told.pop(portfolio_id, None)
        self._writer.forget(portfolio_id)
        self._totals_wait.discard(portfolio_id)
        self._lines_wait.discard(portfolio_id)
        self._asked.pop(portfolio_id, None)
        self._aged.discard(portfolio_id)
        self._ages.forget(portfolio_id)

    def ask(self, portfolio_id: str, asked: Asked) -> None:
        """Somebody wants all of a portfolio told, whenever and whatever was told before."""
        self._asked.setdefault(portfolio_id, []).append(asked)

    def touch_asked(self) -> None:
        """What was asked for is to be told whole and without waiting, of portfolios that are there in the version asked for."""
        for portfolio_id, asked in self._asked.items():
            portfolio = self._valuer.portfolios.get(portfolio_id)
            if portfolio is not None and portfolio.version >= min(one.version for one in asked):
                told = self._told.setdefault(portfolio_id, _Told())
                told.at = told.lines_at = 0
                self._lines_wait.discard(portfolio_id)  # to be due anew
                self._tell_whole(portfolio_id, told)

    def touch(self, portfolio_ids: Iterable[str]) -> None:
        """The figures of these may have changed."""
        found = set(portfolio_ids)
        self._totals_wait |= found
        for portfolio_id in found - self._lines_wait:
            self._lines_wait.add(portfolio_id)
            self._put_due(portfolio_id)

    def _put_due(self, portfolio_id: str) -> None:
        told = self._told.setdefault(portfolio_id, _Told())
        heappush(self._lines_due, (told.lines_at + self._pace.lines, portfolio_id))

    def touch_aged(self, now: int) -> None:
        """The totals of those are to be told of which a price has become too old for a limit meanwhile."""
        self._aged.update(self._ages.take_due(now))
        self._totals_wait |= self._aged

    def touch_silent(self, now: int) -> None:
        """Those of which nothing was told for long are to be told whole."""
        for portfolio_id in self._valuer.portfolios:
            told = self._told.setdefault(portfolio_id, _Told())
            if now - told.whole_at >= self._pace.snapshot:
                self._tell_whole(portfolio_id, told)

    def _tell_whole(self, portfolio_id: str, told: _Told) -> None:
        told.content = None
        told.lines = dict.fromkeys(told.lines)
        self.touch((portfolio_id,))

    def totals(self, stamp: Stamp, read: Read) -> Iterator[list[Message]]:
        """Messages of the totals that are due, so many at once as take a moment."""
        due = list[_Due]()
        portfolios = self._valuer.portfolios
        self._totals_wait = self._totals_wait & portfolios.keys()
        for portfolio_id in self._totals_wait:
            told, portfolio = self._told.get(portfolio_id), portfolios[portfolio_id]
            if told is None:
                told = self._told[portfolio_id] = _Told()
            if stamp.valued_at - told.at >= portfolio.policy.valuation_period:
                due.append((portfolio_id, told, portfolio))
        for first in range(0, len(due), TOTALS_AT_ONCE):
            some = due[first : first + TOTALS_AT_ONCE]
            written = self._writer.write([portfolio_id for portfolio_id, _, _ in some], stamp, read)
            yield self._changed(some, written, stamp.valued_at)

    def _changed(self, due: Sequence[_Due], written: Sequence[Written], valued_at: int) -> list[Message]:
        """Messages of those of which something else was told last, and all of them noted as told once it has arrived."""
        messages, aged = list[Message](), self._aged
        for (portfolio_id, told, _), (content, message) in zip(due, written, strict=True):
            if content != told.content or portfolio_id in aged:
                if message is None:
                    log.error(_UNFIT, portfolio_id=portfolio_id, error=content.decode())
                else:
                    messages.append(message)
        limited = [portfolio for _, _, portfolio in due if portfolio.policy.limits]
        too_old = {portfolio.portfolio_id: self._too_old_at(portfolio) for portfolio in limited}
        self._sent_totals.append(_Made(due, written, valued_at, too_old))
        return messages

    def _too_old_at(self, portfolio: Portfolio) -> int | None:
        limits = portfolio.policy.limits
        if all(limit.kind is not LimitKind.PRICE_AGE for limit in limits):
            return None  # totals are made a second time only for who needs them
        return too_old_at(limits, self._valuer.totals(portfolio.portfolio_id).oldest)

    def has_lines_due(self, now: int) -> bool:
        """Whether there may be lines to be told by now."""
        return bool(self._lines_due) and self._lines_due[0][0] <= now

    def lines(self, stamp: Stamp, most: int) -> Iterator[Message]:
        """Messages of the lines that are due, whole portfolios until so many were looked at; those removed have no value."""
        made = set[str]()
        while most > 0 and self._lines_due and self._lines_due[0][0] <= stamp.valued_at:
            _, portfolio_id = heappop(self._lines_due)
            portfolio, told = self._valuer.portfolios.get(portfolio_id), self._told.get(portfolio_id)
            if portfolio is None or told is None:
                self._lines_wait.discard(portfolio_id)
                continue
            is_due = stamp.valued_at - told.lines_at >= self._pace.lines
            if portfolio_id not in self._lines_wait or portfolio_id in made or not is_due:
                continue
            made.add(portfolio_id)
            most -= len(portfolio.positions)
            lines = {line.position.position_id: line_of(portfolio, line, stamp) for line in self._valuer.lines(portfolio_id)}
            for position_id, record in lines.items():
                before = told.lines.get(position_id)
                if before is None or _content(record) != _content(before):
                    yield from self._message(record)
            for position_id in told.lines.keys() - lines.keys():
                yield self._removal(portfolio_id, position_id)
            self._sent_lines.append((portfolio_id, told, lines, stamp.valued_at))

    def sent(self) -> list[Asked]:
        """What was made since the last time has arrived; what of it had been asked for."""
        done: list[Asked] = []
        for due, written, at, too_old in self._sent_totals:
            for (portfolio_id, told, portfolio), (content, _) in zip(due, written, strict=True):
                if told.content is None:
                    told.whole_at = at
                told.content, told.at = content, at
                self._totals_wait.discard(portfolio_id)
                self._ages.told(portfolio_id, too_old.get(portfolio_id), at)
                if portfolio_id in self._asked:
                    done += self._answered(portfolio_id, portfolio.version)
            if self._aged:
                self._aged.difference_update(portfolio_id for portfolio_id, _, _ in due)
        for portfolio_id, told, lines, at in self._sent_lines:
            told.lines, told.lines_at = dict(lines), at
            self._lines_wait.discard(portfolio_id)
        self._sent_totals.clear()
        self._sent_lines.clear()
        return done

    def lost(self) -> None:
        """What was made since the last time has not arrived, and is still to be told."""
        for portfolio_id, *_ in self._sent_lines:
            self._put_due(portfolio_id)
        self._sent_totals.clear()
        self._sent_lines.clear()

    def _answered(self, portfolio_id: str, version: int) -> list[Asked]:
        """Who had asked for no later version than this."""
        asked = self._asked.pop(portfolio_id)
        if later := [one for one in asked if one.version > version]:
            self._asked[portfolio_id] = later
        return [one for one in asked if one.version <= version]

    def _message(self, record: ValuationLine) -> Iterator[Message]:
        """The message of a line; none, and an error in the log, where a figure is beyond what its field holds."""
        try:
            yield message_of(VALUATION_LINES, record, self._codec, self._partitions)
        except DataValidationError as error:
            log.error(_UNFIT, portfolio_id=record.portfolio_id, error=str(error))

    def _removal(self, portfolio_id: str, position_id: str) -> Message:
        key = f"{portfolio_id}|{position_id}".encode()
        return Message(VALUATION_LINES.name, partition_of(portfolio_id, self._partitions), key, None)


def _content(record: ValuationLine) -> ValuationLine:
    """A line without what says only when it was made."""
    return record._replace(generation=0, sequence=0, valued_at=0)
