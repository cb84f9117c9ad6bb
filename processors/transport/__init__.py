"""Faust's transport, made over: whole batches instead of single records, and a fetch that is paced.

`consumer` is the extension of Faust, `thread` the part of it that runs beside Faust's own loop, `views` the hook into aiokafka
that leaves Kafka's batches whole. All three reach into names that are not public; `private` lists them.
"""

from __future__ import annotations

import logging

SCHEME = "tapeline"
"""Scheme of the broker URLs that select this transport."""

FAUST_LOGGER = logging.getLogger("faust.tapeline")
"""For subclasses of Faust's services, which log each of their steps: heard as Faust itself is."""
