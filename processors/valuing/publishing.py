"""Which valuations and lines are due, and their messages: nothing is told again that did not change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from market.errors import DataValidationError
from market.valuation_record import Stamp, Valuation, ValuationLine, line_of, valuation_of
from processors.outputs import Message, message_of
from processors.valuing.ages import PriceAges
from processors.valuing.valuer import Valuer
from runtime.logs import get_logger
from schemas.codec import Codec
from schemas.partitioning import partition_of
from schemas.topics import VALUATION_LINES, VALUATIONS

log = get_logger(__name__)


class Read(NamedTuple):
    """Next offsets of what valuations reflect: of the prices by partition in their order, of replies by partition."""

    board: tuple[int, ...]
    replies: Mapping[int, int]


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
    """What was told last of a portfolio, and when, and when it was told whole; of a line None where only its key is known."""

    valuation: Valuation | None = None
    at: int = 0
    whole_at: int = 0
    lines: dict[str, ValuationLine | None] = field(default_factory=dict)
    lines_at: int = 0


class Publishing:
    """Makes messages of what changed in a valuer's portfolios; what they say counts as told when `sent` is called."""

    def __init__(self, valuer: Valuer, codec: Codec, partitions: int, pace: Pace) -> None:
        self._valuer = valuer
        self._codec = codec
        self._partitions = partitions
        self._pace = pace
        self._told: dict[str, _Told] = {}
        self._totals_wait: set[str] = set()
        self._lines_wait: set[str] = set()
        self._sent: list[Callable[[], None]] = []
        self._asked: dict[str, list[Asked]] = {}
        self._done: list[Asked] = []
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
                self._tell_whole(portfolio_id, told)

    def touch(self, portfolio_ids: Iterable[str]) -> None:
        """The figures of these may have changed."""
        found = set(portfolio_ids)
        self._totals_wait |= found
        self._lines_wait |= found

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
        told.valuation = None
        told.lines = dict.fromkeys(told.lines)
        self.touch((portfolio_id,))

    def totals(self, stamp: Stamp, read: Read) -> Iterator[Message]:
        """Messages of the totals that are due."""
        for portfolio_id in list(self._totals_wait):
            told = self._told.setdefault(portfolio_id, _Told())
            portfolio = self._valuer.portfolios.get(portfolio_id)
            if portfolio is None:
                self._totals_wait.discard(portfolio_id)
            elif stamp.valued_at - told.at >= portfolio.policy.valuation_period:
                totals = self._valuer.totals(portfolio_id)
                record = self._dated(valuation_of(portfolio, totals, self._valuer.rates, read.board, stamp), read)
                is_new = told.valuation is None or _content(record) != _content(told.valuation)
                if is_new or portfolio_id in self._aged:
                    yield from self._message(record)
                self._sent.append(partial(self._tell, told, record))

    def _dated(self, record: Valuation, read: Read) -> Valuation:
        """The record with what it reflects."""
        portfolio = self._valuer.portfolios[record.portfolio_id]
        as_of = max(self._valuer.latest, portfolio.updated_at)
        return record._replace(
            replies_offset=read.replies.get(partition_of(record.portfolio_id, self._partitions)),
            as_of=as_of,
            day_end_at=portfolio.policy.day_end_after(as_of),
        )

    def lines(self, stamp: Stamp, most: int) -> Iterator[Message]:
        """Messages of the lines that are due, of so many portfolios at most; those removed have no value."""
        waiting = ((portfolio_id, self._told.setdefault(portfolio_id, _Told())) for portfolio_id in list(self._lines_wait))
        due = [(portfolio_id, told) for portfolio_id, told in waiting if stamp.valued_at - told.lines_at >= self._pace.lines]
        for portfolio_id, told in sorted(due, key=lambda one: one[1].lines_at)[:most]:
            portfolio = self._valuer.portfolios.get(portfolio_id)
            if portfolio is None:
                self._lines_wait.discard(portfolio_id)
                continue
            lines = {line.position.position_id: line_of(portfolio, line, stamp) for line in self._valuer.lines(portfolio_id)}
            for position_id, record in lines.items():
                before = told.lines.get(position_id)
                if before is None or _content(record) != _content(before):
                    yield from self._message(record)
            for position_id in told.lines.keys() - lines.keys():
                yield self._removal(portfolio_id, position_id)
            self._sent.append(partial(self._tell_lines, told, lines, stamp, portfolio_id))

    def sent(self) -> list[Asked]:
        """What was made since the last time has arrived; what of it had been asked for."""
        for tell in self._sent:
            tell()
        self._sent.clear()
        done, self._done = self._done, []
        return done

    def lost(self) -> None:
        """What was made since the last time has not arrived, and is still to be told."""
        self._sent.clear()

    def _tell(self, told: _Told, record: Valuation) -> None:
        if told.valuation is None:
            told.whole_at = record.valued_at
        told.valuation, told.at = record, record.valued_at
        self._totals_wait.discard(record.portfolio_id)
        self._aged.discard(record.portfolio_id)
        self._ages.told(record)
        asked = self._asked.pop(record.portfolio_id, [])
        self._done += [one for one in asked if one.version <= record.position_version]
        if later := [one for one in asked if one.version > record.position_version]:
            self._asked[record.portfolio_id] = later

    def _tell_lines(self, told: _Told, lines: dict[str, ValuationLine], stamp: Stamp, portfolio_id: str) -> None:
        told.lines, told.lines_at = dict(lines), stamp.valued_at
        self._lines_wait.discard(portfolio_id)

    def _message(self, record: Valuation | ValuationLine) -> Iterator[Message]:
        """The message of a record; none, and an error in the log, where a figure is beyond what its field holds."""
        topic = VALUATIONS if isinstance(record, Valuation) else VALUATION_LINES
        try:
            yield message_of(topic, record, self._codec, self._partitions)
        except DataValidationError as error:
            log.error("a valuation does not fit its record", portfolio_id=record.portfolio_id, error=str(error))

    def _removal(self, portfolio_id: str, position_id: str) -> Message:
        key = f"{portfolio_id}|{position_id}".encode()
        return Message(VALUATION_LINES.name, partition_of(portfolio_id, self._partitions), key, None)


def _content(record: Valuation | ValuationLine) -> Valuation | ValuationLine:
    """A record without what says only when it was made."""
    if isinstance(record, Valuation):
        return record._replace(board=(), generation=0, sequence=0, valued_at=0, replies_offset=None, as_of=None)
    return record._replace(generation=0, sequence=0, valued_at=0)
