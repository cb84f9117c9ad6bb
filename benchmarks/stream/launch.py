"""How a contestant is run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.stream.outputs import Decode
from benchmarks.stream.servers import Server


@dataclass(frozen=True)
class Launch:
    """A contestant's command on the trade stream.

    `output` is the topic of its candles, None when it makes none; `refusals` a topic that must not grow meanwhile.
    """

    command: Sequence[str | os.PathLike[str]]
    group: str
    output: str | None = None
    decode: Decode | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    refusals: str | None = None


Prepare = Callable[[Server, str], Launch]
"""From the server and the name of the consumer group."""
