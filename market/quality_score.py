"""How far the records of an instrument could be trusted, minute by minute.

The score is the share of a minute's seconds without fault, after the errored seconds of ITU-T G.826 (12/2002), which count
seconds with at least one error: so one bad record weighs the same in a busy minute as in a calm one, and a burst of bad
records within a second weighs no more than that second.

An instrument has a score for each topic that was judged; its overall score is the lowest of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from market.decimals import ratio
from market.errors import DataValidationError
from market.instrument import check_instrument
from market.interval import parse_interval
from market.quality import check_count, check_not_negative, check_time, check_whole
from market.quality_event import QualityRule, check_source

MINUTE = parse_interval("1m")
SECONDS = 60


class QualityScore(NamedTuple):
    """The minute of event time from `open_time` (microseconds) as one topic's records of an instrument made it.

    `records` counts the records taken in while it was the minute of the latest event time, late ones too; `counts` how often
    each rule was broken (rules not broken are absent). `faulty_seconds` are those in which a rule was broken, a gap lay or the
    stream was stale; `score` is per cent of 60 seconds without, a ratio of scale 12. The source fields name the first
    record after the minute: they are its identity, and `received_at` is that record's.
    """

    instrument: str
    open_time: int
    records: int
    counts: Mapping[str, int]
    faulty_seconds: int
    score: int
    received_at: int
    source_topic: str
    source_partition: int
    source_offset: int


def score_of(faulty_seconds: int) -> int:
    """100 × (60 - faulty seconds) / 60 at scale 12, half-even."""
    return ratio(100 * (SECONDS - faulty_seconds), SECONDS)


def check_quality_score(score: QualityScore) -> QualityScore:
    """Return a score unchanged whose figures agree with each other. Raises DataValidationError."""
    check_instrument(score.instrument)
    check_time(score.open_time, field="open_time")
    if MINUTE.open_time(score.open_time) != score.open_time:
        raise DataValidationError("bad_time", f"open_time: no minute begins at {score.open_time}", field="open_time")
    check_whole(check_not_negative(score.records, field="records"), field="records")
    for rule, count in score.counts.items():
        if rule not in QualityRule.__members__:
            raise DataValidationError("unknown_rule", f"counts: {rule!r:.40} is no rule of quality", field="counts")
        check_count(count, field="counts")
    if not 0 <= score.faulty_seconds <= SECONDS:
        raise DataValidationError("inconsistent", f"faulty_seconds: not from 0 to {SECONDS}", field="faulty_seconds")
    if score.score != score_of(score.faulty_seconds):
        raise DataValidationError("inconsistent", "score: not that of the faulty seconds", field="score")
    check_time(score.received_at, field="received_at")
    check_source(score.source_topic, score.source_partition, score.source_offset)
    return score
