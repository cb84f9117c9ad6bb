"""What could not be taken in, kept as it came.

A letter must fit one message of its topic, so an original too large for that is cut, and the letter says so.
"""

from __future__ import annotations

from typing import NamedTuple

LARGEST_ORIGINAL = 3 << 20
"""Bytes of key and value that a letter keeps; below what the dead-letter topic takes by more than all the rest needs."""

LONGEST_ERROR = 8_000
"""Characters of an error message that a letter keeps."""


class DeadLetter(NamedTuple):
    """A record or frame that was refused.

    `source` is a topic (with partition and offset) or `venue:channel` for a frame; `stage` the part that refused it; `reason`
    a short stable word for counting, `error` the whole message, `field` the field at fault. `key` and `value` are the original
    bytes; `truncated` when only the beginning of them was kept.
    """

    source: str
    source_partition: int | None
    source_offset: int | None
    stage: str
    reason: str
    error: str
    field: str | None
    key: bytes | None
    value: bytes | None
    truncated: bool
    failed_at: int


class LetterReplay(NamedTuple):
    """The original of the letter at `letter_offset`, which was met at the source fields, is sent to its topic again.

    A run notes it before it sends (`offset` and `error` are None), then where it lies (`offset`) or why it could not be sent
    (`error`). It lies at `sent_after`, the end its partition had before, or behind.
    """

    source: str
    source_partition: int
    source_offset: int
    letter_offset: int
    run: str
    sent_after: int
    offset: int | None
    error: str | None
    noted_at: int


def fit(letter: DeadLetter, most: int = LARGEST_ORIGINAL) -> DeadLetter:
    """The letter with so much of its original that key and value together have at most `most` bytes, and a bounded error."""
    letter = letter._replace(error=letter.error[:LONGEST_ERROR].encode(errors="replace").decode())
    key, value = letter.key or b"", letter.value or b""
    if len(key) + len(value) <= most:
        return letter
    key = key[: most // 2]
    return letter._replace(
        key=None if letter.key is None else key,
        value=None if letter.value is None else value[: most - len(key)],
        truncated=True,
    )
