from collections.abc import Callable

from sinks.store import Entry, KafkaRecord

class TradeReader:
    def __init__(self, header: bytes, max_skew: int, series: Callable[[str, str | None], str]) -> None: ...
    def __call__(self, source: KafkaRecord) -> Entry | None: ...
