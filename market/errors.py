"""What can go wrong with market data.

MarketDataError
├── DataValidationError     a record, field or frame is not what it claims to be
├── WebSocketError          a connection to a venue or a client failed
├── SubscriptionError       a subscription cannot be served: unknown or ambiguous symbol, unknown data type
├── DataPublishError        a record could not be handed to the broker
├── StorageError            a store refused or lost a write
├── AuthenticationError     who asks is not known, or may not
└── ConcurrencyError        the caller's version is stale
"""

from __future__ import annotations


class MarketDataError(Exception):
    """Base of every error of the domain."""


class DataValidationError(MarketDataError):
    """A value does not fit; `field` names it and `reason` is a short stable word for counters and dead letters."""

    def __init__(self, reason: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field


class WebSocketError(MarketDataError):
    """A WebSocket connection failed."""


class SubscriptionError(MarketDataError):
    """A subscription cannot be served."""


class DataPublishError(MarketDataError):
    """A record could not be handed to the broker."""


class StorageError(MarketDataError):
    """A store refused or lost a write."""


class AuthenticationError(MarketDataError):
    """Who asks is not known, or may not."""


class ConcurrencyError(MarketDataError):
    """The caller's version is stale."""
