"""Commands answered by a worker on the real broker, which is killed meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

from market.decimals import ONE
from market.portfolio import Portfolio
from market.portfolio_checks import check_portfolio
from market.portfolio_commands import ApplyFill, Command, CreatePortfolio, Deposit, Withdraw
from market.portfolio_reply import PortfolioReply, Reason
from processors.agents import portfolios
from runtime.settings import ProcessorSettings, load
from schemas.partitioning import partition_of
from schemas.topics import COMMANDS, POSITIONS, REPLIES
from tapeline.commands.topics import apply_topics
from tests.cluster import Cluster, Service, Stored, wait_for
from tests.folding import Runner, told
from tests.portfolio_parts import AMOUNT, command
from tests.processing import FAST, GROUP, Start

ALONE = {**FAST, "agents": ["portfolios"], "store": "rocksdict"}
FUNDS = [f"fund-{number}" for number in range(12)]


def start_worker(cluster: Cluster, start: Start) -> Service:
    config = cluster.config(processors=ALONE)
    apply_topics(load(config))
    return start("process", "-c", config)


def trading(seed: int, count: int) -> list[Command]:
    """Fills, deposits and withdrawals in several portfolios; some twice, some with a version that may be stale."""
    chance = random.Random(seed)
    found: list[Command] = [command(CreatePortfolio, "create", portfolio=name) for name in FUNDS]
    for number in range(count):
        name = chance.choice(FUNDS)
        version = chance.choice([None, None, None, number // len(FUNDS)])
        kind, fields = chance.choice(
            [
                (ApplyFill, {"quantity": chance.randint(-9, 9) * ONE, "price": chance.randint(90, 110) * ONE, "fee": AMOUNT}),
                (Deposit, {"amount": chance.randint(0, 9) * AMOUNT}),
                (Withdraw, {"amount": chance.randint(1, 99) * AMOUNT}),
            ]
        )
        one = command(kind, number, version=version, portfolio=name, **fields)
        found += [one] * (2 if chance.random() < 0.1 else 1)
    return found


def answered(cluster: Cluster) -> bool:
    return cluster.all_committed(GROUP, COMMANDS.name)


def by_portfolio(records: Iterable[PortfolioReply]) -> dict[str, list[tuple[str, bool, Reason | None, int | None]]]:
    """The answers in order, each once; where a command lay does not count."""
    found: dict[str, dict[int, PortfolioReply]] = {}
    for record in records:
        found.setdefault(record.portfolio_id, {})[record.source_offset] = record
    return {
        name: [(one.command_id, one.accepted, one.reason, one.version) for _, one in sorted(replies.items())]
        for name, replies in found.items()
    }


def in_order_of(commands: Sequence[Command], partitions: int) -> list[object]:
    """What a computation that is never disturbed says to each partition's commands."""
    runners = [Runner(portfolios.build(ProcessorSettings()), partition=number) for number in range(partitions)]
    found: list[object] = []
    for one in commands:
        found += told(runners[partition_of(one.portfolio_id, partitions)].batch([one], COMMANDS.name))
    return found


def without_times(portfolio: Portfolio) -> Portfolio:
    """A portfolio but for when its commands were appended and where, on which depends what it knows of its days."""
    times: dict[str, Any] = {"opened_at": 0, "updated_at": 0, "beginnings": (), "known_since": 0}
    positions = {key: one._replace(**times) for key, one in portfolio.positions.items()}
    return portfolio._replace(positions=positions, created_at=0, updated_at=0, source_partition=0, source_offset=0)


def equal_where_equal_in_version(stored: Sequence[Stored]) -> bool:
    """Whether two records of one portfolio and version are equal byte for byte."""
    by_version: dict[tuple[str, int], bytes | None] = {}
    return all(by_version.setdefault((one.record.portfolio_id, one.record.version), one.value) == one.value for one in stored)


def test_worker_killed_again_and_again_answers_each_command_once(cluster: Cluster, start: Start) -> None:
    commands = trading(5, 900)
    worker = start_worker(cluster, start)
    for begin in range(0, len(commands), 350):
        cluster.publish(COMMANDS.name, commands[begin : begin + 350])
        seen = sum(cluster.ends(REPLIES.name).values())
        wait_for(lambda seen=seen: sum(cluster.ends(REPLIES.name).values()) > seen, "the worker to answer", timeout=60)  # type: ignore[misc]
        worker.kill()
        worker.start()
    wait_for(lambda: answered(cluster), "all commands to be answered", timeout=100, every=0.5)
    worker.kill()

    expected = in_order_of(commands, cluster.settings.topics.partitions)
    replies = cluster.read(REPLIES.name)
    assert all(one.key == one.record.portfolio_id.encode() for one in replies)
    found = by_portfolio(one.record for one in replies)
    assert found == by_portfolio(record for record in expected if isinstance(record, PortfolioReply))
    for answers in found.values():
        versions = [version for _, accepted, _, version in answers if accepted]
        assert versions == list(range(1, len(versions) + 1)), "a hole, or a command done twice"
    stored = cluster.read(POSITIONS.name)
    assert equal_where_equal_in_version(stored)
    last = {one.record.portfolio_id: check_portfolio(one.record) for one in stored}
    wanted = {record.portfolio_id: record for record in expected if isinstance(record, Portfolio)}
    assert {name: without_times(one) for name, one in last.items()} == {
        name: without_times(one) for name, one in wanted.items()
    }


def test_two_commands_of_one_version_and_one_sent_again(cluster: Cluster, start: Start) -> None:
    worker = start_worker(cluster, start)
    pair = [command(Deposit, number, version=1) for number in (1, 2)]
    cluster.publish(COMMANDS.name, [command(CreatePortfolio), *pair])
    partition = partition_of("fund-1", cluster.settings.topics.partitions)
    cluster.publish_bytes(COMMANDS.name, b"fund-1", b"no command", partition)
    wait_for(lambda: answered(cluster), "the commands to be answered", timeout=60)
    assert worker.terminate() == 0
    worker.start()
    cluster.publish(COMMANDS.name, pair)
    wait_for(lambda: answered(cluster), "the commands to be answered again", timeout=60)

    created, winner, loser, *again = [one.record for one in cluster.read(REPLIES.name)]
    assert (created.version, winner.version, loser.version) == (1, 2, 2)
    assert (winner.accepted, loser.accepted, loser.reason) == (True, False, Reason.STALE_VERSION)
    assert again == [winner, loser]
    assert [one.record.version for one in cluster.read(POSITIONS.name)] == [1, 2]
    (letter,) = [one.record for one in cluster.read("dlq")]
    assert (letter.source, letter.reason, letter.value) == (COMMANDS.name, "undecodable", b"no command")
