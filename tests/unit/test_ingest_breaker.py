"""Who may try while a venue does not answer."""

import asyncio
from collections.abc import Callable

from ingest.breaker import Breaker


def turns(script: Callable[[Breaker, list[str]], None], *lines: str) -> list[list[str]]:
    """Who is admitted, before and after the script, of lines that ask in this order while the breaker is open."""

    async def run() -> list[list[str]]:
        breaker, admitted = Breaker(failures=2), list[str]()
        for _ in range(2):
            breaker.failed()

        async def ask(line: str) -> None:
            await breaker.admit(line)
            admitted.append(line)

        tasks = [asyncio.create_task(ask(line)) for line in lines]
        await asyncio.sleep(0)
        before = list(admitted)
        script(breaker, admitted)
        for _ in range(3):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        return [before, list(admitted)]

    return asyncio.run(run())


def test_everybody_may_try_before_it_opens() -> None:
    async def run() -> None:
        breaker = Breaker(failures=2)
        breaker.failed()
        for line in "abc":
            await breaker.admit(line)
        assert not breaker.is_open

    asyncio.run(run())


def test_one_line_tries_and_all_go_on_once_it_gets_through() -> None:
    assert turns(lambda breaker, _: breaker.succeeded(), "a", "b", "c") == [["a"], ["a", "b", "c"]]


def test_line_that_fails_again_goes_on_trying_alone() -> None:
    assert turns(lambda breaker, _: breaker.failed(), "a", "b", "a") == [["a", "a"], ["a", "a"]]


def test_line_that_leaves_hands_the_turn_to_another() -> None:
    assert turns(lambda breaker, _: breaker.left("a"), "a", "b", "c") == [["a"], ["a", "b"]]


def test_line_that_leaves_without_the_turn_changes_nothing() -> None:
    assert turns(lambda breaker, _: breaker.left("b"), "a", "b") == [["a"], ["a"]]
