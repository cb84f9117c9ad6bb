-- Mark and index prices of contracts, as venues state them beside their quotes; funding that was paid before it was told.

ALTER TABLE quotes ADD COLUMN mark_price numeric(38, 12), ADD COLUMN index_price numeric(38, 12);
-- Not valid: rows that are there have none, and looking at all of them would hold the table up for hours.
ALTER TABLE quotes ADD CONSTRAINT quotes_mark_price_check CHECK (mark_price > 0) NOT VALID;
ALTER TABLE quotes ADD CONSTRAINT quotes_index_price_check CHECK (index_price > 0) NOT VALID;

COMMENT ON COLUMN quotes.mark_price IS 'By which the venue values positions of a contract. Null also in rows from before this column.';
COMMENT ON COLUMN quotes.index_price IS 'Of the underlying by the venue''s index. Null also in rows from before this column.';

COMMENT ON COLUMN funding.period_time IS
    'Where the period begins: the exchange time, or the receive time where that is earlier or alone, cut down to a multiple of '
    'postgres.quote_seconds counted from 1970. Of rows from before this change the receive time.';
COMMENT ON COLUMN funding.rate IS
    'What long positions pay short ones at next_funding_time, as a fraction of the position''s value. Until then it may move. '
    'Where the channel is one of history (fundingRate, funding/history, funding-rate-history) what was paid at exchange_time.';
