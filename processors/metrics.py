"""What only the processors measure; what they share with other stages is in `runtime.metrics`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from runtime.metrics import LATENCY_BUCKETS, REGISTRY

REPLAYED = Counter(
    "tapeline_records_replayed",
    "Records read again after a restart or a rebalance and skipped, since the tables have them already.",
    ["topic"],
    registry=REGISTRY,
)

QUALITY_FINDINGS = Counter(
    "tapeline_quality_findings",
    "How often records broke a rule of data quality (INFO: kept it again), as published in events.",
    ["rule", "severity"],
    registry=REGISTRY,
)

PORTFOLIO_COMMANDS = Counter(
    "tapeline_portfolio_commands",
    "Commands to portfolios, repeated ones again, by what came of them: accepted, or why they were refused.",
    ["command", "outcome"],
    registry=REGISTRY,
)

REVALUATION_SECONDS = Histogram(
    "tapeline_revaluation_seconds",
    "Time from the record of a command that asks for a portfolio to be revalued to the valuation acknowledged. "
    "Commands that were refused are in tapeline_portfolio_commands.",
    buckets=LATENCY_BUCKETS,
    registry=REGISTRY,
)

COMMIT_SECONDS = Histogram(
    "tapeline_commit_seconds",
    "Time of a commit: from the first output sent to the source offsets acknowledged.",
    buckets=(*LATENCY_BUCKETS, 30.0, 60.0),
    registry=REGISTRY,
)

BATCH_RECORDS = Histogram(
    "tapeline_batch_records",
    "Records of one partition that were processed at once.",
    buckets=(1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000),
    registry=REGISTRY,
)

RECOVERY_REMAINING = Gauge(
    "tapeline_recovery_remaining_records",
    "Changelog offsets left to read before a table is complete; compaction leaves fewer records than offsets.",
    ["table"],
    registry=REGISTRY,
)

KLINES_COMPARED = Counter(
    "tapeline_klines_compared",
    "Intervals in which a candle of ours was held against the venue's kline, corrections again, by what came of it.",
    ["venue", "outcome"],
    registry=REGISTRY,
)

KLINE_DIFFERENCES = Counter(
    "tapeline_kline_differences",
    "Figures in which a candle of ours and the venue's kline differ, by the venue's rule.",
    ["venue", "field"],
    registry=REGISTRY,
)
