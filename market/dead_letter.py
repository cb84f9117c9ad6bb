"""What could not be taken in, kept as it came."""

from __future__ import annotations

from typing import NamedTuple


class DeadLetter(NamedTuple):
    """A record or frame that was refused.

    `source` is a topic (with partition and offset) or `venue:channel` for a frame; `stage` the part that refused it; `reason`
    a short stable word for counting, `error` the whole message, `field` the field at fault. `key` and `value` are the original
    bytes; `truncated` when only the beginning of the value was kept.
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
