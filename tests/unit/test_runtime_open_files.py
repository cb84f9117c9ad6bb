"""Open files: as many as are wanted, as the system lets us, and never fewer than before."""

import resource

import pytest

from runtime.open_files import allow_files

NONE = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "allowed"),
    [
        (1024, 4096, 2000, 2000),
        (1024, 4096, 9000, 4096),
        (4096, 4096, 2000, 4096),
        (1024, NONE, 9000, 9000),
        (NONE, NONE, 9000, 9000),
    ],
)
def test_limit_is_raised_as_far_as_the_system_lets_us(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, wanted: int, allowed: int
) -> None:
    limits = [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda which: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda which, new: limits.append(new))
    assert allow_files(wanted) == allowed
    assert limits[-1] == (soft if allowed == soft or soft == NONE else allowed, hard)
