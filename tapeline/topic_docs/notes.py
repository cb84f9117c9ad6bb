"""What a reader of a topic can rely on and has to do, as far as its declaration and its fields do not say it themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.topics import (
    ALERTS,
    BOOKS,
    CANDLES,
    COMMANDS,
    CONTROL,
    DAY_ENDS,
    DEAD_LETTERS,
    DEPTH,
    FUNDING,
    INSTRUMENTS,
    KLINES,
    OPEN_INTEREST,
    POSITIONS,
    PRICE_CHANGES,
    PRICES,
    QUALITY,
    QUOTES,
    REPLIES,
    STATUS,
    TRADES,
    VALUATION_LINES,
    VALUATIONS,
    Topic,
)

_ONE_OF_A_SOURCE = (
    "Duplicates: (`source_topic`, `source_partition`, `source_offset`) is a record's identity: a source record gives one at "
    "most. Two records of one identity are equal byte for byte; drop the second. After a crash the last ones may come again."
)

NOTES: Mapping[str, tuple[str, ...]] = {
    TRADES.name: (
        "`TimeMark` and `GapMark` stand among the trades. Tell them apart by the schema; who needs trades alone skips them.",
        "Duplicates: a venue's message may be here twice, after a reconnection or from a second feed. Trades of one instrument "
        "with equal `trade_id` are one trade.",
        "Order: as received. The order of the trades themselves is (`exchange_time`, else `received_at`; then `sequence`); a "
        "late trade stands behind younger ones.",
        "A `TimeMark` comes for every live instrument each second, so time passes without trades. A `GapMark` says that trades "
        "may be missing; one with `healed` that they came afterwards.",
    ),
    QUOTES.name: (
        "Each record says what one message said and is no merged quote: a field the message lacks is null.",
        "A message about a contract's mark price alone (`markPrice` of Binance) is a record, too, with neither bid nor ask.",
    ),
    KLINES.name: ("The venue's own candles, for comparison. Ours, which are computed from the trades, are in `md.candles`.",),
    INSTRUMENTS.name: (
        "The latest record of a key is what the venue listed last; earlier ones are compacted away. A record comes when a feed "
        "begins and when something changed. An instrument that the venue no longer lists keeps its last record.",
    ),
    FUNDING.name: (
        "Each record says what one message said of the payment that comes next, whose rate may move until then.",
        "Records of the channels `fundingRate`, `funding/history`, `funding-rate-history`, `history-fund-rate`, "
        "`futures.funding_rate`, `get_funding_rate_history` and `funding_rate_history` come of `tapeline backfill`: each says "
        "what was paid at its `exchange_time`, of Deribit in the hour before it.",
        "Where a venue sends changes only, `mark_price` and `index_price` are those known with the rate, and a change of theirs"
        " alone makes no record here; `md.quotes` has each.",
    ),
    OPEN_INTEREST.name: (
        "`open_interest` counts in the unit of the instrument's trade sizes; `notional` is what the venue itself says it is "
        "worth, and null where it does not. Where a venue sends changes only, what it did not send again is as it was.",
        "Records of the channels `openInterestHist_5m`, `open-interest.5min`, `open-interest-history.5m` and the like come of "
        "`tapeline backfill`: each says what was held at its `exchange_time`.",
    ),
    DEPTH.name: (
        "Begin at a LIVE snapshot, apply LIVE deltas after it in order (size 0 removes a price), and stop trusting the book at "
        "any other state, until the next LIVE snapshot. Every book is told whole once a minute.",
        "Duplicates: deltas carry whole sizes, so applying one again changes nothing.",
    ),
    BOOKS.name: ("Each record is whole; the latest of an instrument is all there is to know.", _ONE_OF_A_SOURCE),
    STATUS.name: ("The latest record of a key is the state of that stream; earlier ones are compacted away.",),
    CONTROL.name: (
        "What is wanted of a venue follows from all of its commands that have not expired; of those that contradict each other "
        "the last one counts. `md.status` tells what became of them.",
    ),
    CANDLES.name: (
        "Each record is a whole candle in one version. Of equal (`instrument`, `interval`, `open_time`), which is the key, "
        "keep the record with the highest (`revision`, `source_offset`) and drop the others: that makes repetitions, restarts "
        "and corrections harmless.",
        "Two records of one version are equal byte for byte. Which versions of an open candle come out is not fixed: updates "
        "are conflated.",
        "`is_closed` comes true at revision 1. A later revision is a correction, up to 24 hours of event time after the close "
        "(by default): an indicator has to compute again from that candle on.",
        "Intervals without trades have no candle; with `processors.empty_intervals: carry` they have one with the close before "
        "it and a `trade_count` of 0. Where a venue has trading sessions, intervals are counted in their time.",
        "`complete` says that the whole interval was watched, `gap` that trades may be missing in it.",
        "Order: versions of one candle come rising, but for repetitions after a crash; candles of one instrument in the order "
        "in which their trades came.",
    ),
    PRICE_CHANGES.name: (
        "Throttled by default: at most one event per instrument in 0.1 s, or per 100 changes. `old_price` is the `new_price` "
        "of the event before it.",
        _ONE_OF_A_SOURCE,
    ),
    PRICES.name: (
        "Each record is whole: the latest of an instrument is all there is to know, earlier ones are compacted away. What no "
        "source gives is null, never zero.",
        "Of two records keep the one that takes in more: drop a record whose `quotes_offset` and `trades_offset` are both not "
        "higher than those you hold (null is lowest). Equal offsets mean equal records.",
        "`bid` and `ask` come of one message; a side that is null beside one that is not was empty. So do the figures of the "
        "last 24 hours.",
    ),
    QUALITY.name: (
        "Two kinds of records: a `QualityEvent` for a broken rule (INFO: it is kept again), and a `QualityScore` for each "
        "minute that had records. A minute without any has no score and nothing is known of it. An instrument has a score for "
        "each topic that is judged; its overall score is the lowest of these.",
        "An event sums up `occurrences` since the one before it, by default at most one in a second for each instrument, "
        "topic, rule and severity. KLINE_DIFFERENCE is told of each figure of each candle.",
        "Duplicates: (`rule`, `field`, `source_topic`, `source_partition`, `source_offset`, `detail`) is an event's identity, "
        "(`instrument`, source) a score's. After a crash the last ones may come again with the same content.",
        "Of KLINE_DIFFERENCE the last record of a candle (`interval`, `open_time`) holds: a correction or a restated kline is "
        "compared again, and told even if all is well then.",
    ),
    COMMANDS.name: (
        "Every command begins with the same five fields, and its kind says what is wanted: tell them apart by the schema.",
        "A portfolio remembers its last 10,000 answers for 7 days: a command sent again within them (equal `command_id`, equal "
        "content but for `issued_at`) changes nothing and gets its answer once more; another command of that id is refused. So "
        "send a command again, unchanged, when no answer comes.",
        "With `expected_version` two commands that have seen the same version do not both succeed.",
        "Commands of one portfolio are done in their order in the topic. One that cannot be read, or names no portfolio or no "
        "id of its own, becomes a dead letter; every other one is answered.",
    ),
    REPLIES.name: (
        "Match an answer by (`portfolio_id`, `command_id`). It may come more than once, after a repetition of the command or a "
        "crash, with the same content.",
        "An id is of one command: another one sent under it is refused (COMMAND_ID_REUSED). The answers to both differ in "
        "`digest`, so that a late answer to the first is not taken for that to the second.",
        "`accepted` false means that nothing was changed; `version` is then the current one.",
    ),
    POSITIONS.name: (
        "Each record is whole: the latest of a portfolio is all there is to know. Keep the one with the highest `version`; two "
        "of one version are equal byte for byte. Versions come without a hole, but earlier ones are compacted away.",
        "A position settled in CASH adds its value to the worth of the portfolio, one settled by MARGIN its unrealised profit.",
    ),
    VALUATIONS.name: (
        "Null is unknown, never zero. Exposures and the unrealised profit are of the positions that have a value, which "
        "`coverage_percent` tells; `equity` and the day's profit are known only when every position has one.",
        "Keep the record with the higher (`generation`, `sequence`): one that a worker sent while its portfolios were given to "
        "another may come late.",
        "It is a function of the portfolio at `position_version`, the prices up to `board`, and the time `valued_at`.",
        "Who sent a `Revalue` has what was asked for with the first one whose `replies_offset` is above the offset of the "
        "answer in `pf.replies` and whose `position_version` is that of the answer or later; all lines come with it.",
    ),
    DAY_ENDS.name: (
        "The same records as in `pf.valuations`, of each day of a portfolio the last one whose records were all before "
        "`day_end_at`. It comes with the first valuation of a later day, and again with the same content after a crash. A day "
        "in which nothing was valued has none.",
    ),
    ALERTS.name: (
        "Duplicates: (`portfolio_id`, `kind`, `source_topic`, `source_partition`, `source_offset`) is an alert's identity. "
        "After a crash the last ones may come again, equal byte for byte.",
        "Of each portfolio and kind a breach and a clearing follow each other in turn. A figure that is not known changes "
        "nothing: a limit that is breached stays so until it is known to be kept.",
    ),
    VALUATION_LINES.name: (
        "A line comes when anything of it but its place in the order changed; without a value where the position was removed.",
    ),
    DEAD_LETTERS.name: (
        "The original key and value lie in `key` and `value`, so that they can be looked at, mended and sent again; a frame "
        "that was refused before it became a record has no key, partition or offset.",
        "Duplicates: letters come at least once, and each stage that refuses a record writes one. Letters of equal `source`, "
        "`source_partition` and `source_offset` have one original.",
        "`tapeline dlq replay` sends originals again and notes it here as `LetterReplay`, so that none is sent twice. A record "
        "sent so has a header `tapeline-letter` with the letter's offset and the run.",
        "Originals of compacted topics are only sent with `--force`: an old state would become the latest of its key.",
        "Notes go with the letters of their time: a later letter of an original whose note has gone counts as never sent.",
    ),
}
"""By topic. Of a topic without an entry the page says only what follows from its declaration and what holds for all."""


def of(topic: Topic) -> Sequence[str]:
    """The notes on a topic."""
    return NOTES.get(topic.name, ())
