-- History of open interest is received at once: what was told of a past time has a row of its own.

COMMENT ON COLUMN open_interest.period_time IS
    'Where the period begins: the exchange time, or the receive time where that is earlier or alone, cut down to a multiple of '
    'postgres.quote_seconds counted from 1970. Of rows from before this change the receive time.';
