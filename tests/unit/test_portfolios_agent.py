"""The agent of portfolios over plain dictionaries: every command answered once, whatever happens between two of them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.portfolio import Portfolio
from market.portfolio_answers import MEMORY, Account, Memory, Remembered, answer, digest_of
from market.portfolio_commands import (
    ApplyFill,
    Command,
    CreatePortfolio,
    Deposit,
    RegisterPosition,
    Revalue,
    SetPolicy,
    Withdraw,
)
from market.portfolio_reply import PortfolioReply, Reason
from processors.agents import portfolios, prices
from processors.app import loop_settings
from processors.batch import RawRecord
from processors.computation import Effects
from processors.states.form import encode, head
from processors.states.portfolios import (
    ACCOUNT_2,
    ACCOUNT_3,
    Slot,
    decode_account,
    decode_answers,
    decode_slot,
    encode_account,
    encode_answers,
    encode_slot,
)
from processors.transport.packing import messages_of
from runtime.settings import ProcessorSettings, Settings
from schemas.portfolio_values import plain_balances, plain_policy, plain_positions
from schemas.topics import COMMANDS, POSITIONS, REPLIES
from tests.builders import START
from tests.folding import CODEC, Runner, batch_of, raw_of, told
from tests.portfolio_parts import AMOUNT, PORTFOLIO, command, commands, run

TOPIC = COMMANDS.name
DAY = 86_400_000_000
SHORT = Memory(answers=4)


def runner(memory: Memory = MEMORY) -> Runner:
    return Runner(portfolios.build(ProcessorSettings(), memory))


def outputs(*effects: Effects) -> list[tuple[str, bytes | None]]:
    return [(message.topic, message.value) for one in effects for message in messages_of(one.outputs)]


def replies(*effects: Effects) -> list[PortfolioReply]:
    return [record for record in told(*effects) if isinstance(record, PortfolioReply)]


def test_each_command_is_answered_and_the_portfolio_told_after_each_change() -> None:
    effects = runner().batch(
        [command(CreatePortfolio), command(Deposit, 1, version=1), command(Withdraw, 2, version=1), command(Withdraw, 3)], TOPIC
    )
    assert [(reply.accepted, reply.version) for reply in replies(effects)] == [(True, 1), (True, 2), (False, 2), (True, 3)]
    assert [record.version for record in told(effects) if isinstance(record, Portfolio)] == [1, 2, 3]
    assert [message.topic for message in messages_of(effects.outputs)] == [
        *[REPLIES.name, POSITIONS.name] * 2,
        REPLIES.name,
        *[REPLIES.name, POSITIONS.name],
    ]
    assert {message.key for message in messages_of(effects.outputs)} == {PORTFOLIO.encode()}
    counted = {labels: number for (_, labels), number in effects.tallies.items()}
    assert counted["withdraw", "stale_version"] == counted["withdraw", "accepted"] == 1


def test_request_to_revalue_is_answered_and_changes_nothing() -> None:
    fold = runner()
    found = [command(CreatePortfolio), command(Revalue, 1, version=1), command(Revalue, 2, version=7), command(Revalue, 1)]
    effects = fold.batch([*found, command(Revalue, 3, portfolio="nobody")], TOPIC)
    assert [(reply.accepted, reply.version, reply.reason) for reply in replies(effects)] == [
        *[(True, 1, None)] * 2,
        (False, 1, Reason.STALE_VERSION),
        (True, 1, None),
        (False, None, Reason.UNKNOWN_PORTFOLIO),
    ]
    assert [record.version for record in told(effects) if isinstance(record, Portfolio)] == [1]
    fold.open()
    assert replies(fold.batch([command(Deposit, 1)], TOPIC))[0].version == 2


def test_of_two_commands_that_have_seen_one_version_one_wins() -> None:
    effects = runner().batch(
        [command(CreatePortfolio), *(command(Deposit, number, version=1) for number in range(1, 9))], TOPIC
    )
    _, winner, *others = replies(effects)
    assert winner.accepted
    assert {(reply.reason, reply.version) for reply in others} == {(Reason.STALE_VERSION, 2)}


def test_command_sent_again_changes_nothing_and_gets_its_answer_again() -> None:
    fold = runner()
    first = fold.batch([command(CreatePortfolio), command(Deposit, 1, version=1)], TOPIC)
    fold.open()
    again = fold.batch([command(Deposit, 1, version=1, at=START + DAY), command(CreatePortfolio)], TOPIC)
    assert replies(again) == list(reversed(replies(first)))
    assert [message.topic for message in messages_of(again.outputs)] == [REPLIES.name] * 2


def test_refused_command_sent_again_is_not_done_later() -> None:
    fold = runner()
    too_much = command(Withdraw, 1)
    first = fold.batch([command(CreatePortfolio), too_much], TOPIC)
    later = fold.batch([command(Deposit, 2), too_much], TOPIC)
    assert replies(first)[1].reason is Reason.INSUFFICIENT_CASH
    assert replies(later)[1] == replies(first)[1]


def test_id_used_for_another_command_is_refused() -> None:
    fold = runner()
    fold.batch([command(CreatePortfolio), command(Deposit, 1)], TOPIC)
    (reply,) = replies(fold.batch([command(Deposit, 1, amount=5 * AMOUNT)], TOPIC))
    assert (reply.reason, reply.field, reply.version) == (Reason.COMMAND_ID_REUSED, "command_id", 2)
    assert replies(fold.batch([command(Deposit, 1)], TOPIC))[0].accepted, "the first answer holds"


def test_ids_are_of_one_portfolio() -> None:
    effects = runner().batch([command(CreatePortfolio), command(CreatePortfolio, portfolio="fund-2")], TOPIC)
    assert [reply.accepted for reply in replies(effects)] == [True, True]


def test_command_to_no_portfolio_is_answered_and_not_remembered() -> None:
    fold = runner()
    (unknown,) = replies(fold.batch([command(Deposit, 1)], TOPIC))
    assert (unknown.reason, unknown.version, fold.tables) == (
        Reason.UNKNOWN_PORTFOLIO,
        None,
        {"portfolio-answers": {}, "portfolios": {}},
    )
    assert replies(fold.batch([command(CreatePortfolio), command(Deposit, 1)], TOPIC))[1].accepted


def test_answers_are_forgotten_after_so_many_others_and_do_not_pile_up() -> None:
    fold = runner(Memory(answers=3))
    fold.batch([command(CreatePortfolio), *(command(Deposit, number) for number in (1, 2, 3))], TOPIC)
    again = replies(fold.batch([command(Deposit, 1)], TOPIC))
    assert again[0].version == 2, "the third last is remembered"
    fold.batch([command(Deposit, 4)], TOPIC)
    assert replies(fold.batch([command(Deposit, 1)], TOPIC))[0].version == 6, "the fourth last is not"
    fold.batch([command(Deposit, number) for number in range(10, 40)], TOPIC)
    assert len(fold.tables["portfolio-answers"]) == 2 * 6


def test_answers_are_forgotten_after_some_days() -> None:
    fold = runner()
    fold.batch([command(CreatePortfolio), command(Deposit, 1)], TOPIC)
    assert replies(fold.batch([command(Deposit, 1, at=START + 7 * DAY)], TOPIC))[0].version == 2
    assert replies(fold.batch([command(Deposit, 1, at=START + 7 * DAY + 1000)], TOPIC))[0].version == 3


def test_ten_thousand_answers_of_seven_days_are_remembered() -> None:
    assert MEMORY == (10_000, 7 * DAY)


def test_unreadable_and_misplaced_commands_become_dead_letters_and_all_others_are_answered() -> None:
    fold = runner()
    good = raw_of(command(CreatePortfolio), 3, topic=TOPIC)
    batch = batch_of(
        [
            RawRecord(0, START // 1000, b"fund-1", b"rubbish"),
            raw_of(command(CreatePortfolio), 1, topic=TOPIC, key=b"fund-2"),
            raw_of(command(CreatePortfolio, portfolio="fund|1"), 2, topic=TOPIC),
            good,
            raw_of(command(Deposit, 1, currency="no money"), 4, topic=TOPIC),
        ],
        topic=TOPIC,
    )
    fold.fold.fold(batch)
    effects = fold.commit()
    assert [refusal.reason for refusal in effects.refusals] == ["undecodable", "wrong_key", "bad_id"]
    assert [(reply.accepted, reply.field) for reply in replies(effects)] == [(True, None), (False, "currency")]


def test_what_gates_replays_is_stored_last() -> None:
    assert portfolios.build(ProcessorSettings()).tables == ("portfolio-answers", "portfolios")


def test_answers_are_published_at_once_whatever_the_others_keep_to() -> None:
    settings = Settings()
    mine, others = (agent.build(settings.processors) for agent in (portfolios, prices))
    assert loop_settings(settings, mine).commit_seconds == 0
    assert loop_settings(settings, others).commit_seconds == settings.processors.commit_interval_seconds > 0


@given(commands(portfolios=2, ids=6), st.lists(st.integers(1, 5), min_size=1, max_size=5), st.booleans())
def test_answers_and_states_do_not_depend_on_batches_nor_restarts(
    found: list[Command], sizes: list[int], restart: bool
) -> None:
    whole, parts = runner(SHORT), runner(SHORT)
    expected = outputs(whole.batch(found, TOPIC))
    effects, begin = [], 0
    while begin < len(found):
        size = sizes[begin % len(sizes)]
        effects.append(parts.batch(found[begin : begin + size], TOPIC))
        begin += size
        if restart:
            parts.open()
    assert outputs(*effects) == expected
    assert parts.tables == whole.tables


@given(
    commands(portfolios=2, ids=6, max_size=30),
    st.lists(
        st.tuples(st.integers(1, SHORT.answers), st.sampled_from(["", "answers", "portfolios"]), st.randoms()), max_size=12
    ),
)
def test_crash_loses_and_doubles_nothing_whatever_was_stored(found: list[Command], steps: list[tuple[int, str, Any]]) -> None:
    whole, crashing = runner(SHORT), runner(SHORT)
    expected = {output: None for command in found for output in outputs(whole.batch([command], TOPIC))}
    effects, committed = [], 0
    for size, died_in, chance in steps:
        crashing.offsets[TOPIC] = committed
        crashing.take_in(found[committed : committed + size], TOPIC)
        if not died_in:
            effects.append(crashing.commit())
            committed = min(committed + size, len(found))
            continue

        def is_stored(key: str, died_in: str = died_in, chance: Any = chance) -> bool:
            if died_in == "portfolios" and "|" in key:
                return True
            return ("|" in key) == (died_in == "answers") and chance.random() < 0.5

        effects.append(crashing.crash(is_stored, deleting=False))
    crashing.offsets[TOPIC] = committed
    effects.append(crashing.batch(found[committed:], TOPIC))
    assert dict.fromkeys(outputs(*effects)).keys() == expected.keys()
    assert in_use(crashing.tables) == whole.tables == in_use(whole.tables)


def in_use(tables: dict[str, dict[str, bytes]]) -> dict[str, dict[str, bytes]]:
    """Tables without the answers that were let go of and whose deletion was not written before a crash."""
    numbers = {key: decode_account(value).answers for key, value in tables["portfolios"].items()}

    def is_in_use(key: str, value: bytes) -> bool:
        portfolio, kind, _ = key.split("|")
        return kind == "slot" or decode_answers(value)[0].number >= numbers[portfolio] - 2 * SHORT.answers

    answers = {key: value for key, value in tables["portfolio-answers"].items() if is_in_use(key, value)}
    return tables | {"portfolio-answers": answers}


def test_deletion_that_a_crash_kept_from_being_written_is_made_up_for_when_its_place_is_taken_again() -> None:
    fold, size = runner(SHORT), 2 * SHORT.answers
    found = [command(CreatePortfolio), *(command(Deposit, number) for number in range(1, 2 * size + 1))]
    fold.batch(found[:size], TOPIC)
    fold.take_in(found[size : size + 1], TOPIC)
    fold.crash(lambda key: True, deleting=False)
    left = f"{PORTFOLIO}|answer|{found[0].command_id}"
    fold.batch(found[size + 1 : 2 * size], TOPIC)
    assert left in fold.tables["portfolio-answers"]
    fold.batch(found[2 * size :], TOPIC)
    assert left not in fold.tables["portfolio-answers"]
    assert len(fold.tables["portfolio-answers"]) == 2 * size


@given(commands(max_size=25), st.integers(0, 2**40), st.integers(0, 2**40))
def test_portfolio_and_answers_survive_being_stored(found: list[Command], offset: int, number: int) -> None:
    portfolio, given_replies = run(*found)
    account = Account(offset, number, portfolio)
    assert decode_account(encode_account(account)) == account
    kept = [Remembered(number, reply) for reply in given_replies]
    assert decode_answers(encode_answers(kept)) == kept
    assert decode_slot(encode_slot(Slot(offset, "a", ""))) == Slot(offset, "a", "")


def test_portfolio_stored_before_there_were_limits_beginnings_or_traces_is_read() -> None:
    portfolio, _ = run(command(CreatePortfolio), command(RegisterPosition))
    assert portfolio is not None
    position = portfolio.positions["p1"]._replace(beginnings=(), known_since=None)
    portfolio = portfolio._replace(positions={"p1": position})
    values = portfolio._asdict() | {
        "answers": 3,
        "policy": plain_policy(portfolio.policy),
        "balances": plain_balances(portfolio.balances),
        "positions": plain_positions(portfolio.positions),
        "overrides": [],
    }
    assert decode_account(head(5) + encode(ACCOUNT_2, values)) == Account(5, 3, portfolio)
    with_beginnings, _ = run(command(CreatePortfolio), command(RegisterPosition))
    assert with_beginnings is not None
    values |= {"positions": plain_positions(with_beginnings.positions)}
    assert with_beginnings.policy.day_zone == "UTC"
    assert decode_account(head(5, 3) + encode(ACCOUNT_3, values)) == Account(5, 3, with_beginnings)


def test_what_was_never_stored_is_empty() -> None:
    assert (decode_account(None), decode_answers(None), decode_slot(None)) == (Account(), [], Slot(-1, "", ""))
    with pytest.raises(ValueError, match="no portfolio"):
        encode_account(Account())


def test_answer_of_a_command_still_to_come_does_not_count() -> None:
    created = answer(Account(), command(CreatePortfolio), START, (TOPIC, 0, 0), [], SHORT)
    deposit = command(Deposit, 1)
    later = answer(created.account, deposit, START, (TOPIC, 0, 9), [], SHORT)
    assert later.remembered is not None
    now = answer(created.account, deposit, START, (TOPIC, 0, 5), [later.remembered], SHORT)
    assert (now.reply.source_offset, now.remembered and now.remembered.number) == (5, 1)


def test_digest_tells_commands_apart_by_all_but_their_issue() -> None:
    one = command(ApplyFill, 1)
    assert digest_of(one) == digest_of(one._replace(issued_at=5))
    others = [
        one._replace(price=5),
        one._replace(expected_version=5),
        command(SetPolicy, 1),
        command(Withdraw, 1),
        command(Deposit, 1),
    ]
    assert len({digest_of(each) for each in (one, *others)}) == 6
    assert CODEC.decode(CODEC.encode(TOPIC, one)) == one
