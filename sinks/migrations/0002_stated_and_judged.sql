-- What venues state of themselves (quotes, klines, the state of their streams) and how the records were judged (quality).
--
-- Keys begin with what the tables are asked by, so that each answers "of this instrument, latest first" from the key's own index.
-- Texts of any length are in a key by their digest, since an entry of an index has a limit.

CREATE TABLE quotes (
    instrument text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    period_time timestamptz NOT NULL,
    sequence bigint,
    bid numeric(38, 12) CHECK (bid > 0),
    bid_size numeric(38, 12) CHECK (bid_size > 0),
    ask numeric(38, 12) CHECK (ask > 0),
    ask_size numeric(38, 12) CHECK (ask_size > 0),
    last numeric(38, 12) CHECK (last > 0),
    last_size numeric(38, 12) CHECK (last_size > 0),
    open_24h numeric(38, 12) CHECK (open_24h > 0),
    high_24h numeric(38, 12) CHECK (high_24h > 0),
    low_24h numeric(38, 12) CHECK (low_24h > 0),
    volume_24h numeric(38, 12) CHECK (volume_24h >= 0),
    amount_24h numeric(50, 24) CHECK (amount_24h >= 0),
    change_24h numeric(38, 12),
    change_percent_24h numeric(38, 12),
    exchange_time timestamptz,
    received_at timestamptz NOT NULL CHECK (received_at >= period_time),
    published_at timestamptz,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (instrument, period_time, channel)
) PARTITION BY RANGE (period_time);

COMMENT ON TABLE quotes IS 'The last quote of each channel that was received in a period; of those received at once the first.';
COMMENT ON COLUMN quotes.period_time IS
    'Where the period begins: the receive time, cut down to a multiple of postgres.quote_seconds counted from 1970.';

CREATE TABLE klines (
    instrument text COLLATE "C" NOT NULL,
    interval text COLLATE "C" NOT NULL,
    open_time timestamptz NOT NULL,
    open numeric(38, 12) NOT NULL CHECK (open > 0),
    high numeric(38, 12) NOT NULL CHECK (high >= low),
    low numeric(38, 12) NOT NULL CHECK (low > 0),
    close numeric(38, 12) NOT NULL CHECK (close > 0),
    volume numeric(38, 12) CHECK (volume >= 0),
    amount numeric(50, 24) CHECK (amount >= 0),
    trade_count bigint CHECK (trade_count >= 0),
    taker_buy_volume numeric(38, 12) CHECK (taker_buy_volume >= 0),
    first_trade_id text,
    last_trade_id text,
    is_closed boolean NOT NULL,
    exchange_time timestamptz,
    received_at timestamptz NOT NULL,
    published_at timestamptz,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (instrument, interval, open_time)
) PARTITION BY RANGE (open_time);

COMMENT ON TABLE klines IS 'The venue''s own candles: what it said last of each, a closed one never replaced by an open one.';

CREATE TABLE feed_status (
    venue text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    instrument text COLLATE "C" NOT NULL,
    state text NOT NULL CHECK (state IN ('CONNECTING', 'LIVE', 'STALE', 'GAP', 'RESYNC', 'DOWN')),
    reason text NOT NULL,
    changed_at timestamptz NOT NULL,
    published_at timestamptz,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    reason_digest text COLLATE "C" GENERATED ALWAYS AS (md5(reason)) STORED,
    UNIQUE (instrument, changed_at, venue, channel, state, reason_digest)
) PARTITION BY RANGE (changed_at);

COMMENT ON TABLE feed_status IS 'One row a change of a stream''s state, as far as it was read before md.status was compacted.';
COMMENT ON COLUMN feed_status.source_offset IS 'Offset in md.status; the order of changes at one and the same time.';

CREATE TABLE quality_events (
    instrument text COLLATE "C" NOT NULL,
    rule text COLLATE "C" NOT NULL,
    severity text NOT NULL CHECK (severity IN ('INFO', 'WARNING', 'ERROR')),
    field text COLLATE "C",
    observed numeric(50, 24),
    expected numeric(50, 24),
    occurrences integer NOT NULL CHECK (occurrences > 0),
    detail text NOT NULL,
    event_time timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    interval text COLLATE "C",
    open_time timestamptz,
    source_topic text COLLATE "C" NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    detail_digest text COLLATE "C" GENERATED ALWAYS AS (md5(detail)) STORED,
    UNIQUE NULLS NOT DISTINCT
        (instrument, event_time, source_topic, source_partition, source_offset, rule, field, detail_digest)
) PARTITION BY RANGE (event_time);

COMMENT ON TABLE quality_events IS 'Broken rules of quality (INFO: kept again), each known by the record at fault.';
COMMENT ON COLUMN quality_events.observed IS 'At 24 places whatever it is: a price, an amount, a count, or microseconds.';

CREATE TABLE quality_scores (
    instrument text COLLATE "C" NOT NULL,
    open_time timestamptz NOT NULL,
    records bigint NOT NULL CHECK (records >= 0),
    counts jsonb NOT NULL,
    faulty_seconds integer NOT NULL CHECK (faulty_seconds BETWEEN 0 AND 60),
    score numeric(38, 12) NOT NULL CHECK (score BETWEEN 0 AND 100),
    received_at timestamptz NOT NULL,
    source_topic text COLLATE "C" NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (instrument, open_time, source_topic)
) PARTITION BY RANGE (open_time);

COMMENT ON TABLE quality_scores IS 'How far the records of a topic could be trusted in a minute. An instrument''s score is its lowest.';
COMMENT ON COLUMN quality_scores.counts IS 'How often each rule was broken; rules that were not are absent.';
