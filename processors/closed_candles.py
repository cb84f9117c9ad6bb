"""The closed candles of one instrument as a mapping: reads through to a table, collects what was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping

from market.candle_series import CandleKey, ClosedCandle
from processors.state import decode_closed, encode_closed


class ClosedCandles(MutableMapping[CandleKey, ClosedCandle]):
    """Closed candles by interval and open time; `written` holds table keys with new bytes, None for deleted ones."""

    def __init__(self, instrument: str, table: Mapping[str, bytes]) -> None:
        self.written: dict[str, bytes | None] = {}
        self._instrument = instrument
        self._table = table

    def _table_key(self, key: CandleKey) -> str:
        return f"{self._instrument}|{key[0]}|{key[1]}"

    def __getitem__(self, key: CandleKey) -> ClosedCandle:
        table_key = self._table_key(key)
        data = self.written[table_key] if table_key in self.written else self._table.get(table_key)
        if data is None:
            raise KeyError(key)
        return decode_closed(data)

    def __setitem__(self, key: CandleKey, closed: ClosedCandle) -> None:
        self.written[self._table_key(key)] = encode_closed(closed)

    def __delitem__(self, key: CandleKey) -> None:
        self[key]  # a key that is not there raises
        self.written[self._table_key(key)] = None

    def __iter__(self) -> Iterator[CandleKey]:
        raise TypeError("the candles of one instrument cannot be listed: the table holds those of all")

    def __len__(self) -> int:
        raise TypeError("the candles of one instrument cannot be counted: the table holds those of all")
