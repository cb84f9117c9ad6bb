"""The closed candles of one instrument as a mapping over the table of all instruments' closed candles."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from market.candle_series import CandleKey, ClosedCandle
from processors.computation import Table
from processors.encoding import Encoders
from processors.states.candles import decode_closed, encode_closed


class ClosedCandles(MutableMapping[CandleKey, ClosedCandle]):
    """Closed candles by interval and open time."""

    def __init__(self, instrument: str, table: Table, encoders: Encoders) -> None:
        self._instrument = instrument
        self._table = table
        self._encoders = encoders

    def _table_key(self, key: CandleKey) -> str:
        return f"{self._instrument}|{key[0]}|{key[1]}"

    def __getitem__(self, key: CandleKey) -> ClosedCandle:
        data = self._table.get(self._table_key(key))
        if data is None:
            raise KeyError(key)
        return decode_closed(data)

    def __setitem__(self, key: CandleKey, closed: ClosedCandle) -> None:
        self._table.put(self._table_key(key), encode_closed(closed, self._encoders))

    def __delitem__(self, key: CandleKey) -> None:
        self[key]  # a key that is not there raises
        self._table.put(self._table_key(key), None)

    def __iter__(self) -> Iterator[CandleKey]:
        raise TypeError("the candles of one instrument cannot be listed: the table holds those of all")

    def __len__(self) -> int:
        raise TypeError("the candles of one instrument cannot be counted: the table holds those of all")
