"""Runs: records of one instrument's trade stream that do nothing but merge into its open candles.

Nearly all of a stream is that: nothing opens, closes or is corrected. Whoever folds batches may sum such records up without
knowing more of candles than `market.candle.merge`, and hand the sum to `market.candle_series`, which says by a `Window` what
belongs to a run and takes the `Run` in as if its records had come one by one.
"""

from __future__ import annotations

from typing import NamedTuple

from market.candle import Candle

NEVER = 2**63 - 1
"""A time that no record reaches."""


class Window(NamedTuple):
    """What the next records of an instrument must be to belong to its run.

    - At or below `applied_offset` a record was taken in before: it is a replay and changes nothing.
    - A time mark belongs when its time is before `closes_at`, the event time (microseconds) that would close a candle.
    - A trade belongs when its event time is at or after `begin` and before both `end` and `closes_at`, and its id is the
      number after `last_id`; every open candle holds that stretch of time. With an id above `floor_id` up to `last_id` it is
      a duplicate, which changes nothing.
    - All else does not belong.

    `latest` is the latest event time so far.
    """

    applied_offset: int
    last_id: int
    floor_id: int
    begin: int
    end: int
    closes_at: int
    latest: int


class Run(NamedTuple):
    """Records of one instrument summed up: all that belonged to the window since the last run was taken.

    `candle` is the merge of its trades, None when there were only marks, duplicates and replays; `source_offset` the offset of
    the last trade in it (-1: none). `applied_offset`, `last_id` and `latest` continue those of the window.
    """

    candle: Candle | None
    source_offset: int
    applied_offset: int
    last_id: int
    latest: int
