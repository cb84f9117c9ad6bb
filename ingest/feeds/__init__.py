"""The venues, one file each: a file's name is the feed's name in the configuration, its attribute `VENUE` the venue."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ingest.feed import Venue
from market.errors import SubscriptionError


def names() -> list[str]:
    """The feeds that exist, sorted."""
    return sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))


def load(name: str) -> Venue:
    """The venue of a feed. Raises SubscriptionError listing the names when there is no such feed."""
    if name not in names():
        raise SubscriptionError(f"{name!r:.40} is no venue; there are: {', '.join(names())}")
    venue: Venue = import_module(f"{__name__}.{name}").VENUE
    return venue
