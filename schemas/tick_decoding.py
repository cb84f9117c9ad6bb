"""Reading of what is told most, trades, quotes and books, sooner than by the codec's own reader."""

from __future__ import annotations

from market.depth import Depth
from market.quote import Quote
from market.trade import Trade
from schemas.codec import Codec
from schemas.depth_decoding import decode_depth


def read_ticks(codec: Codec) -> None:
    """Have a codec's ticks read by the soonest of the readers there are here."""
    codec.decode_with(Depth, decode_depth)
    try:
        from schemas import _tick_reading_compiled as readers
    except ImportError:
        return
    codec.decode_with(Trade, readers.decode_trade)
    codec.decode_with(Quote, readers.decode_quote)
