"""Commands to portfolios: each answered once, whatever happens, and the portfolio told whole after each change.

Commands are folded in their order, so two that have seen one version never both succeed and no lock is needed. Who sent one is
waiting, so answers go out as soon as they are there.
"""

from __future__ import annotations

from typing import cast

from market.portfolio_answers import MEMORY, Account, Memory, Remembered, answer
from market.portfolio_commands import Command
from market.portfolio_reply import PortfolioReply
from processors.batch import Batch, Refusal, SourceRecord
from processors.computation import Computation, Effects, Scope, Table
from processors.metrics import PORTFOLIO_COMMANDS, REPLAYED
from processors.outputs import message_of
from processors.states.portfolios import (
    Slot,
    decode_account,
    decode_answers,
    decode_slot,
    encode_account,
    encode_answers,
    encode_slot,
)
from runtime.settings import ProcessorSettings
from schemas.records import Record
from schemas.topics import COMMANDS, POSITIONS, REPLIES, Topic

PORTFOLIOS, ANSWERS = "portfolios", "portfolio-answers"

MOST_PORTFOLIOS = 20_000
"""Portfolios of a partition held in memory; beyond it those in use are read from the table again."""


class Ring:
    """The answers that portfolios remember: found by command id, and the oldest deleted when a new one takes its place.

    After a crash between the tables there are answers to commands that are yet to be taken in again, and for those the earlier
    ones must still be there. So one that is forgotten stays until as many again have come, and one whose id is used anew is
    kept beside the new one. That is enough where less than what is remembered lies between two times of storing.

    Deletions are written last. One that a crash kept from being written is made up for when its place is taken the next time;
    lost then as well, the answer stays and counts for nothing.
    """

    def __init__(self, table: Table, memory: Memory) -> None:
        self._table = table
        self._size = 2 * memory.answers

    def find(self, command: Command) -> list[Remembered]:
        """What is kept under a command's id, the latest first."""
        return decode_answers(self._table.get(_answer_key(command.portfolio_id, command.command_id)))

    def keep(self, remembered: Remembered, before: list[Remembered]) -> None:
        """Keep an answer, `before` having been found under its id, and delete the one whose place it takes."""
        reply = remembered.reply
        offset, portfolio = reply.source_offset, reply.portfolio_id
        earlier = [one for one in before if one.reply.source_offset < offset][:1]
        self._table.put(_answer_key(portfolio, reply.command_id), encode_answers([remembered, *earlier]))
        slot_key = f"{portfolio}|slot|{remembered.number % self._size}"
        slot = decode_slot(self._table.get(slot_key))
        oldest = slot.command_id if slot.offset < offset else slot.previous
        self._table.put(slot_key, encode_slot(Slot(offset, reply.command_id, oldest)))
        for command_id in (oldest, slot.previous):
            if command_id not in ("", reply.command_id):
                self._delete(_answer_key(portfolio, command_id), remembered.number - self._size)

    def _delete(self, key: str, number: int) -> None:
        """Delete what is kept under a key if it is the answer of that number or an earlier one: its id may be in use anew."""
        kept = decode_answers(self._table.get(key))
        if kept and kept[0].number <= number:
            self._table.put(key, None)


def _answer_key(portfolio: str, command_id: str) -> str:
    return f"{portfolio}|answer|{command_id}"


class PortfoliosFold:
    """The portfolios of one partition; between commits those in use are held in memory."""

    def __init__(self, scope: Scope, memory: Memory) -> None:
        self._known = -1
        self._scope = scope
        self._memory = memory
        self._ring = Ring(scope.tables[ANSWERS], memory)
        self._accounts: dict[str, Account] = {}
        self._touched: set[str] = set()
        self._effects = Effects()

    def known(self, topic: str) -> int:
        """Highest offset that the portfolios read from the table had taken in."""
        return self._known

    def fold(self, batch: Batch) -> None:
        """Take in a batch. Raises SchemaNotLearnt."""
        for source in batch.in_order(self._scope.codec, self._scope.max_skew):
            if isinstance(source, Refusal):
                self._effects.refuse(batch, source)
            else:
                self._answer(source)

    def take(self) -> Effects:
        """Answers and portfolios in the order of the commands; every portfolio that took one in is stored."""
        for portfolio_id in sorted(self._touched):
            self._scope.tables[PORTFOLIOS].put(portfolio_id, encode_account(self._accounts[portfolio_id]))
        self._touched.clear()
        if len(self._accounts) > MOST_PORTFOLIOS:
            self._accounts.clear()
        effects, self._effects = self._effects, Effects()
        return effects

    def _answer(self, source: SourceRecord) -> None:
        command, raw = cast("Command", source.record), source.raw
        before = self._accounts.get(command.portfolio_id) or self._open(command.portfolio_id)
        if raw.offset <= before.applied_offset:
            self._effects.tallies[REPLAYED, (COMMANDS.name,)] += 1
            return
        kept = self._ring.find(command)
        place = COMMANDS.name, self._scope.partition, raw.offset
        account, reply, remembered = answer(before, command, raw.timestamp_ms * 1000, place, kept, self._memory)
        if remembered is not None:
            self._ring.keep(remembered, kept)
        self._accounts[command.portfolio_id] = account
        self._tell(REPLIES, reply)
        self._count(reply)
        if account.portfolio is not None:
            self._touched.add(command.portfolio_id)
            if account.portfolio is not before.portfolio:
                self._tell(POSITIONS, account.portfolio)

    def _open(self, portfolio_id: str) -> Account:
        account = decode_account(self._scope.tables[PORTFOLIOS].get(portfolio_id))
        self._known = max(self._known, account.applied_offset)
        return account

    def _tell(self, topic: Topic, record: Record) -> None:
        self._effects.outputs.append(message_of(topic, record, self._scope.codec, self._scope.partitions))

    def _count(self, reply: PortfolioReply) -> None:
        outcome = "accepted" if reply.reason is None else reply.reason.value.lower()
        self._effects.tallies[PORTFOLIO_COMMANDS, (reply.command, outcome)] += 1


def build(settings: ProcessorSettings, memory: Memory = MEMORY) -> Computation:
    """The computation; there is nothing to configure."""
    return Computation(
        (COMMANDS,), (REPLIES, POSITIONS), (ANSWERS, PORTFOLIOS), lambda scope: PortfoliosFold(scope, memory), at_once=True
    )
