-- History of the market: trades, candles, price changes and gaps, and how far each sink has stored each partition.
--
-- Prices and sizes are exact at 12 decimal places, amounts at 24. Times are UTC with microseconds. Tables that grow without
-- end are partitioned by month of their event time; the sink makes the partitions. A unique key of such a table must hold the
-- partitioning column, so the column is chosen to be a function of the natural key: the same record always has the same value.

CREATE TABLE sink_offsets (
    sink text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    topic_id text NOT NULL,
    writer text NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sink, topic, partition)
) WITH (fillfactor = 50);

COMMENT ON TABLE sink_offsets IS 'The next record to store of each partition; changed only together with the rows.';
COMMENT ON COLUMN sink_offsets.topic_id IS 'Kafka''s id of the topic, which a topic created anew under the same name does not have.';
COMMENT ON COLUMN sink_offsets.writer IS 'The process that stored last.';

CREATE TABLE trades (
    instrument text COLLATE "C" NOT NULL,
    trade_id text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    sequence bigint NOT NULL,
    price numeric(38, 12) NOT NULL CHECK (price > 0),
    size numeric(38, 12) NOT NULL CHECK (size > 0),
    side text CHECK (side IN ('buy', 'sell')),
    exchange_time timestamptz,
    received_at timestamptz NOT NULL,
    published_at timestamptz,
    first_trade_id text NOT NULL,
    last_trade_id text NOT NULL,
    trade_count integer NOT NULL CHECK (trade_count > 0),
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (instrument, trade_id, event_time)
) PARTITION BY RANGE (event_time);

CREATE INDEX trades_by_time ON trades (instrument, event_time, sequence);

COMMENT ON TABLE trades IS 'One row a trade, as first received; a trade met again changes nothing.';
COMMENT ON COLUMN trades.event_time IS
    'The venue''s time, else the receive time. It is part of the key: venues say the same time of a trade again and again, and '
    'some start their trade ids anew each day. A trade without exchange time that is received twice is two rows.';
COMMENT ON COLUMN trades.side IS 'The taker''s side, null where the venue does not say.';
COMMENT ON COLUMN trades.source_offset IS 'Offset in md.trades of the record that made this row.';

CREATE TABLE candles (
    instrument text COLLATE "C" NOT NULL,
    interval text COLLATE "C" NOT NULL,
    open_time timestamptz NOT NULL,
    close_time timestamptz NOT NULL CHECK (close_time > open_time),
    kind text NOT NULL CHECK (kind IN ('NEW', 'UPDATE', 'CLOSE', 'CORRECTION')),
    revision integer NOT NULL CHECK (revision >= 0),
    open numeric(38, 12) NOT NULL CHECK (open > 0 AND open BETWEEN low AND high),
    high numeric(38, 12) NOT NULL,
    low numeric(38, 12) NOT NULL,
    close numeric(38, 12) NOT NULL CHECK (close > 0 AND close BETWEEN low AND high),
    volume numeric(38, 12) NOT NULL CHECK (volume >= 0),
    amount numeric(50, 24) NOT NULL CHECK (amount >= 0),
    vwap numeric(38, 12) NOT NULL,
    taker_buy_volume numeric(38, 12) CHECK (taker_buy_volume BETWEEN 0 AND volume),
    trade_count bigint NOT NULL CHECK (trade_count >= 0),
    first_trade_id text NOT NULL,
    last_trade_id text NOT NULL,
    is_closed boolean NOT NULL,
    complete boolean NOT NULL,
    gap boolean NOT NULL,
    last_trade_time timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    source_topic text NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (instrument, interval, open_time)
) PARTITION BY RANGE (open_time);

COMMENT ON TABLE candles IS 'The latest version of each candle: the highest (revision, source_offset).';
COMMENT ON COLUMN candles.complete IS 'The whole interval was observed and is closed.';
COMMENT ON COLUMN candles.gap IS 'Trades may be missing inside the interval.';
COMMENT ON COLUMN candles.source_offset IS 'Offset in source_topic of the record whose application made this version.';

CREATE TABLE price_changes (
    instrument text COLLATE "C" NOT NULL,
    event_time timestamptz NOT NULL,
    old_price numeric(38, 12) NOT NULL CHECK (old_price > 0),
    new_price numeric(38, 12) NOT NULL CHECK (new_price > 0),
    change numeric(38, 12) NOT NULL CHECK (change = new_price - old_price),
    change_percent numeric(38, 12) NOT NULL,
    changes integer NOT NULL CHECK (changes > 0),
    is_significant boolean NOT NULL,
    exchange_time timestamptz,
    received_at timestamptz NOT NULL,
    source_topic text COLLATE "C" NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (source_topic, source_partition, source_offset, instrument, event_time)
) PARTITION BY RANGE (event_time);

CREATE INDEX price_changes_by_time ON price_changes (instrument, event_time);

COMMENT ON TABLE price_changes IS 'One row a told change of price, known by the record that triggered it.';
COMMENT ON COLUMN price_changes.event_time IS 'The venue''s time of the trade that made the new price, else received_at.';

CREATE TABLE gaps (
    instrument text COLLATE "C" NOT NULL,
    begin_time timestamptz,
    end_time timestamptz NOT NULL CHECK (end_time >= begin_time),
    healed boolean NOT NULL,
    published_at timestamptz,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (instrument, begin_time, end_time)
);

CREATE INDEX gaps_by_time ON gaps (instrument, end_time);

COMMENT ON TABLE gaps IS 'Stretches of event time in which trades may be missing. A mark met again changes nothing.';
COMMENT ON COLUMN gaps.begin_time IS 'Null: at the last record of the instrument, whatever it was.';
COMMENT ON COLUMN gaps.healed IS 'The missing trades were fetched later; once healed, a gap stays so.';
