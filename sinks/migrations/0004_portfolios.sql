-- Portfolios as they are, what they were worth over time, and the limits they broke.
--
-- Figures are null where they are not known, never zero: a position without a price or a rate has no value, and says why.
-- Valuations are conflated: of each period the last one is kept. The last one of each day is kept whatever the period.

CREATE TABLE portfolios (
    portfolio_id text COLLATE "C" NOT NULL PRIMARY KEY,
    base_currency text NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    policy jsonb NOT NULL,
    balances jsonb NOT NULL,
    positions jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL
);

CREATE TABLE valuations (
    portfolio_id text COLLATE "C" NOT NULL,
    period_time timestamptz NOT NULL,
    base_currency text NOT NULL,
    position_version bigint NOT NULL,
    net_exposure numeric(50, 24),
    gross_exposure numeric(50, 24) CHECK (gross_exposure >= 0),
    unrealised_pnl numeric(50, 24),
    realised_pnl numeric(50, 24),
    income numeric(50, 24),
    cash numeric(50, 24),
    equity numeric(50, 24),
    day_pnl numeric(50, 24),
    day_price_effect numeric(50, 24),
    day_fx_effect numeric(50, 24),
    lines integer NOT NULL CHECK (lines >= 0),
    valued integer NOT NULL CHECK (valued BETWEEN 0 AND lines),
    stale integer NOT NULL CHECK (stale BETWEEN 0 AND valued),
    coverage_percent numeric(38, 12) NOT NULL CHECK (coverage_percent BETWEEN 0 AND 100),
    oldest_price_at timestamptz,
    left_out jsonb NOT NULL,
    without_rate jsonb NOT NULL,
    rates jsonb NOT NULL,
    as_of timestamptz,
    day_end_at timestamptz,
    generation bigint NOT NULL,
    sequence bigint NOT NULL,
    valued_at timestamptz NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (portfolio_id, period_time)
) PARTITION BY RANGE (period_time);

COMMENT ON TABLE valuations IS 'The last valuation of a portfolio in each period; figures are null where they are not known.';
COMMENT ON COLUMN valuations.period_time IS
    'Where the period begins: valued_at, cut down to a multiple of postgres.valuation_seconds counted from 1970.';
COMMENT ON COLUMN valuations.left_out IS 'Positions without a value, for lack of a price or a rate.';
COMMENT ON COLUMN valuations.rates IS 'What one unit of each other currency was in the base currency, as of when and by whom.';

CREATE TABLE day_ends (
    portfolio_id text COLLATE "C" NOT NULL,
    base_currency text NOT NULL,
    position_version bigint NOT NULL,
    net_exposure numeric(50, 24),
    gross_exposure numeric(50, 24) CHECK (gross_exposure >= 0),
    unrealised_pnl numeric(50, 24),
    realised_pnl numeric(50, 24),
    income numeric(50, 24),
    cash numeric(50, 24),
    equity numeric(50, 24),
    day_pnl numeric(50, 24),
    day_price_effect numeric(50, 24),
    day_fx_effect numeric(50, 24),
    lines integer NOT NULL CHECK (lines >= 0),
    valued integer NOT NULL CHECK (valued BETWEEN 0 AND lines),
    stale integer NOT NULL CHECK (stale BETWEEN 0 AND valued),
    coverage_percent numeric(38, 12) NOT NULL CHECK (coverage_percent BETWEEN 0 AND 100),
    oldest_price_at timestamptz,
    left_out jsonb NOT NULL,
    without_rate jsonb NOT NULL,
    rates jsonb NOT NULL,
    as_of timestamptz,
    day_end_at timestamptz NOT NULL,
    generation bigint NOT NULL,
    sequence bigint NOT NULL,
    valued_at timestamptz NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (portfolio_id, day_end_at)
) PARTITION BY RANGE (day_end_at);

COMMENT ON TABLE day_ends IS 'The last valuation of each day of a portfolio: of records before day_end_at alone.';

CREATE TABLE valuation_lines (
    portfolio_id text COLLATE "C" NOT NULL,
    period_time timestamptz NOT NULL,
    position_id text COLLATE "C" NOT NULL,
    position_version bigint NOT NULL,
    instrument text COLLATE "C" NOT NULL,
    currency text NOT NULL,
    quantity numeric(38, 12) NOT NULL,
    multiplier numeric(38, 12) NOT NULL CHECK (multiplier > 0),
    cost numeric(50, 24) NOT NULL,
    state text NOT NULL CHECK (state IN ('PRICED', 'STALE', 'UNPRICED', 'NO_FX')),
    reason text NOT NULL,
    price numeric(38, 12) CHECK (price > 0),
    price_choice text,
    price_source text,
    price_at timestamptz,
    reference_price numeric(38, 12) CHECK (reference_price > 0),
    reference_kind text,
    rate numeric(50, 24) CHECK (rate >= 0),
    rate_as_of timestamptz,
    rate_sources jsonb,
    rate_is_stale boolean,
    value numeric(50, 24) CHECK ((value IS NULL) = (state IN ('UNPRICED', 'NO_FX'))),
    unrealised_pnl numeric(50, 24),
    base_value numeric(50, 24),
    base_unrealised_pnl numeric(50, 24),
    generation bigint NOT NULL,
    sequence bigint NOT NULL,
    valued_at timestamptz NOT NULL,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (portfolio_id, period_time, position_id)
) PARTITION BY RANGE (period_time);

COMMENT ON TABLE valuation_lines IS 'The last line of each position in each period. A line that did not change is told seldom.';
COMMENT ON COLUMN valuation_lines.reference_price IS 'What the day''s change is counted from: the previous close, or the price 24 hours ago.';
COMMENT ON COLUMN valuation_lines.rate IS 'What one unit of the currency was in the base currency of the portfolio.';
COMMENT ON COLUMN valuation_lines.state IS 'UNPRICED and NO_FX have no value, STALE has one by a price or a rate that is too old.';

CREATE TABLE alerts (
    portfolio_id text COLLATE "C" NOT NULL,
    valued_at timestamptz NOT NULL,
    kind text NOT NULL
        CHECK (kind IN ('GROSS_EXPOSURE', 'NET_EXPOSURE', 'DRAWDOWN', 'DAY_DRAWDOWN', 'PRICE_AGE')),
    is_breached boolean NOT NULL,
    value numeric(50, 24),
    threshold numeric(50, 24) NOT NULL,
    clears_at numeric(50, 24) NOT NULL CHECK (clears_at BETWEEN 0 AND threshold),
    base_currency text NOT NULL,
    position_version bigint NOT NULL,
    oldest_price_at timestamptz,
    as_of timestamptz,
    source_partition integer NOT NULL,
    source_offset bigint NOT NULL,
    PRIMARY KEY (portfolio_id, valued_at, kind, source_partition, source_offset)
) PARTITION BY RANGE (valued_at);

COMMENT ON TABLE alerts IS 'Limits of portfolios that were breached or are kept again; the source is the valuation.';
COMMENT ON COLUMN alerts.value IS 'Null where a limit was taken away while it was breached. Ages are in seconds.';
