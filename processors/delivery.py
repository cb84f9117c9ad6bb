"""Waiting for the broker's acknowledgements, but not for ever: a worker that cannot deliver ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class DeliveryTimedOut(Exception):
    """The broker has not acknowledged records in time; whether it has them is not known."""


@asynccontextmanager
async def delivered_within(seconds: float, what: str) -> AsyncIterator[None]:
    """Bound the sending of records and the waiting for them. Raises DeliveryTimedOut naming `what` was not acknowledged."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise DeliveryTimedOut(f"the broker has not acknowledged {what} within {seconds:g} s") from error
