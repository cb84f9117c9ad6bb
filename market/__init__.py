"""The language of the field: instruments, decimals, trades, quotes, candles.

Pure: imports the standard library only, reads no clock, logs nothing. Prices and sizes are unscaled integers at scale 12,
amounts at scale 24 (`market.decimals`); times are microseconds since the epoch, UTC.
"""
