-- Funding and open interest as venues state them, and how trades and changes of state came about.

CREATE TABLE funding (
    instrument text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    period_time timestamptz NOT NULL,
    rate numeric(38, 12) NOT NULL,
    next_funding_time timestamptz,
    interval_seconds integer CHECK (interval_seconds > 0),
    mark_price numeric(38, 12) CHECK (mark_price > 0),
    index_price numeric(38, 12) CHECK (index_price > 0),
    exchange_time timestamptz,
    received_at timestamptz NOT NULL CHECK (received_at >= period_time),
    published_at timestamptz,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (instrument, period_time, channel)
) PARTITION BY RANGE (period_time);

COMMENT ON TABLE funding IS 'What venues said last of a perpetual''s funding in a period; of what was received at once the first.';
COMMENT ON COLUMN funding.period_time IS
    'Where the period begins: the receive time, cut down to a multiple of postgres.quote_seconds counted from 1970.';
COMMENT ON COLUMN funding.rate IS
    'What long positions pay short ones at next_funding_time, as a fraction of the position''s value. Until then it may move.';

CREATE TABLE open_interest (
    instrument text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    period_time timestamptz NOT NULL,
    open_interest numeric(38, 12) NOT NULL CHECK (open_interest >= 0),
    notional numeric(50, 24) CHECK (notional >= 0),
    exchange_time timestamptz,
    received_at timestamptz NOT NULL CHECK (received_at >= period_time),
    published_at timestamptz,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (instrument, period_time, channel)
) PARTITION BY RANGE (period_time);

COMMENT ON TABLE open_interest IS 'What venues said last of a contract''s open interest in a period; of what was received at once the first.';
COMMENT ON COLUMN open_interest.period_time IS
    'Where the period begins: the receive time, cut down to a multiple of postgres.quote_seconds counted from 1970.';
COMMENT ON COLUMN open_interest.open_interest IS 'In the unit of the instrument''s trade sizes: base currency, or contracts.';
COMMENT ON COLUMN open_interest.notional IS 'The same in money; null where the venue does not give it.';

ALTER TABLE trades ADD COLUMN origin text;
-- Not valid: rows that are there have no origin, and looking at all of them would hold the table up for hours.
ALTER TABLE trades ADD CONSTRAINT trades_origin_check CHECK (origin IN ('backfill', 'poll')) NOT VALID;

COMMENT ON COLUMN trades.origin IS
    'How the trade came where no stream told it: backfill (fetched) or poll (asked for in the stream''s stead). Null for what a '
    'stream told, and for rows from before this column.';

ALTER TABLE feed_status ADD COLUMN source text;

COMMENT ON COLUMN feed_status.source IS
    'By which way the stream is served since a switch: websocket, rest, or the feed that stands in. Null where there was none, '
    'and for rows from before this column.';
