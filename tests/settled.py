"""What stands in the end of all that computations told, whatever came twice meanwhile."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from market.candle import CandleEvent


def settled(outputs: Iterable[Any], *, without: Sequence[str] = ()) -> dict[Any, Any]:
    """What stands in the end: the highest version of each candle, and everything else of an instrument in order."""
    versions: dict[Any, Any] = {}
    candles: dict[Any, CandleEvent] = {}
    others: dict[str, list[Any]] = defaultdict(list)
    for output in outputs:
        identity = _identity(output)
        is_new = identity not in versions
        assert versions.setdefault(identity, output) == output, "one identity, two contents"
        if isinstance(output, CandleEvent):
            key = identity[:3]
            candles[key] = max(candles.get(key, output), output, key=lambda event: event.version)
        elif is_new:
            others[output.instrument].append(output)
    return {key: _content(event, without) for key, event in candles.items()} | {
        instrument: [_content(one) for one in sorted(found, key=_identity)] for instrument, found in others.items()
    }


def _identity(output: Any) -> tuple[Any, ...]:
    if isinstance(output, CandleEvent):
        return output.instrument, output.interval, output.open_time, output.version
    place = output.source_topic, output.source_partition, output.source_offset
    return (
        *place,
        type(output).__name__,
        getattr(output, "rule", ""),
        getattr(output, "field", None) or "",
        getattr(output, "detail", ""),
    )


def _content(record: Any, without: Sequence[str] = ()) -> dict[str, Any]:
    left_out = {"source_topic", "source_partition", "source_offset", *without}
    return {name: value for name, value in record._asdict().items() if name not in left_out}


def differences(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> dict[Any, Any]:
    """What two ends differ in: of a candle the fields, of everything else of an instrument what only one of them has."""
    return {
        key: _difference(one.get(key), other.get(key)) for key in one.keys() | other.keys() if one.get(key) != other.get(key)
    }


def _difference(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {name: (one[name], other[name]) for name in one if one[name] != other[name]}
    if isinstance(one, list) and isinstance(other, list):
        return [found for found in one if found not in other], [found for found in other if found not in one]
    return one, other
