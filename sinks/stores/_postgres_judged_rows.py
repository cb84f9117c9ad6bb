"""Rows of how records were judged: events and scores of quality. Pure."""

from __future__ import annotations

import json

from market.decimals import AMOUNT_SCALE, format_decimal
from market.quality_event import QualityEvent
from market.quality_score import QualityScore
from sinks.store import KafkaRecord
from sinks.stores._postgres_copy import (
    Row,
    escape,
    figure_or_null,
    line,
    month_of,
    text_or_null,
    time_or_null,
    time_text,
)


def quality_event_row(event: QualityEvent, _source: KafkaRecord) -> Row:
    """The row of an event, which is known by its rule and field, the record at fault and the detail."""
    text = line(
        *(event.instrument, event.rule.value, event.severity.value, text_or_null(event.field)),
        *(figure_or_null(event.observed, AMOUNT_SCALE), figure_or_null(event.expected, AMOUNT_SCALE)),
        *(str(event.occurrences), escape(event.detail), time_text(event.event_time), time_text(event.received_at)),
        *(text_or_null(event.interval), time_or_null(event.open_time)),
        *(escape(event.source_topic), str(event.source_partition), str(event.source_offset)),
    )
    source = event.source_topic, event.source_partition, event.source_offset
    key = event.instrument, event.event_time, *source, event.rule.value, event.field, event.detail
    return Row("quality_events", key, (), month_of(event.event_time), text)


def quality_score_row(score: QualityScore, _source: KafkaRecord) -> Row:
    """The row of a score: one for each instrument, minute and topic that was judged."""
    counts = json.dumps(dict(score.counts), sort_keys=True, separators=(",", ":"))
    text = line(
        *(score.instrument, time_text(score.open_time), str(score.records), escape(counts), str(score.faulty_seconds)),
        *(format_decimal(score.score), time_text(score.received_at)),
        *(escape(score.source_topic), str(score.source_partition), str(score.source_offset)),
    )
    key = score.instrument, score.open_time, score.source_topic
    return Row("quality_scores", key, (score.received_at, score.source_offset), month_of(score.open_time), text)
