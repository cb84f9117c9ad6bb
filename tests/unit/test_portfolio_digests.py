"""What tells a command from others of its id: the same wherever it is computed, another for whatever it says else."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given

from market.portfolio import Policy
from market.portfolio_answers import digest_of, is_answer
from market.portfolio_commands import Command, CreatePortfolio, SetPolicy
from market.portfolio_reply import DIGEST_BYTES
from market.position import Accounting
from schemas.topics import COMMANDS
from tests.builders import START
from tests.folding import CODEC
from tests.portfolio_parts import KINDS, command, commands, run


@given(commands())
def test_command_has_one_digest_before_and_after_its_topic(found: list[Command]) -> None:
    for one in found:
        read = CODEC.decode(CODEC.encode(COMMANDS.name, one))
        assert digest_of(read) == digest_of(one)  # type: ignore[arg-type]
        assert digest_of(one._replace(issued_at=START + 1)) == digest_of(one)
        assert len(digest_of(one)) == DIGEST_BYTES


def test_whatever_is_said_else_is_another_command() -> None:
    one = command(CreatePortfolio)
    others = [
        *(command(kind) for kind in KINDS),
        one._replace(expected_version=1),
        one._replace(actor="somebody"),
        one._replace(policy=Policy(accounting=Accounting.FIFO)),
        one._replace(policy=Policy(overdraft=True)),
        command(SetPolicy, policy=Policy()),
    ]
    for first, second in combinations(others, 2):
        assert digest_of(first) != digest_of(second), (first, second)


def test_policy_setting_that_came_later_makes_no_other_command_of_those_before() -> None:
    one = command(SetPolicy)
    assert digest_of(one).hex() == "f93130d39b08b0c5"


@given(commands())
def test_reply_answers_its_command_and_no_other(found: list[Command]) -> None:
    _, replies = run(*found)
    for one, reply in zip(found, replies, strict=True):
        assert is_answer(reply, one)
        assert not is_answer(reply, one._replace(actor="somebody"))
        assert not is_answer(reply, one._replace(portfolio_id="other"))
