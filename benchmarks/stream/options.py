"""The benchmark's settings, from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class OptionError(Exception):
    """A variable's value cannot be used; the text names both."""


class Options(NamedTuple):
    """`records` of the longest stretch, rounds, names of contestants, seconds of live trades (0: no latencies), seed."""

    records: int
    rounds: int
    contestants: tuple[str, ...]
    live_seconds: int
    seed: int


def read_options(environment: Mapping[str, str], known: tuple[str, ...]) -> Options:
    """Read BENCH_RECORDS, BENCH_ROUNDS, BENCH_CONTESTANTS, BENCH_LIVE_SECONDS, BENCH_SEED. Raises OptionError."""
    return Options(
        records=number(environment, "BENCH_RECORDS", 5_000_000, least=500_000),
        rounds=number(environment, "BENCH_ROUNDS", 3, least=1),
        contestants=names(environment, "BENCH_CONTESTANTS", known),
        live_seconds=number(environment, "BENCH_LIVE_SECONDS", 30, least=0),
        seed=number(environment, "BENCH_SEED", 1, least=0),
    )


def number(environment: Mapping[str, str], name: str, default: int, *, least: int) -> int:
    """A whole number from a variable. Raises OptionError."""
    text = environment.get(name, str(default))
    if not text.isdecimal() or int(text) < least:
        raise OptionError(f"{name} is {text!r}, not a whole number of {least} or more")
    return int(text)


def names(environment: Mapping[str, str], name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Known names from a variable, all of them where it is not set. Raises OptionError."""
    given = tuple(part.strip() for part in environment.get(name, ",".join(known)).split(",") if part.strip())
    for one in given:
        if one not in known:
            raise OptionError(f"{name} has {one!r}; there are {', '.join(known)}")
    return tuple(one for one in known if one in given)
