"""What can go wrong when history is asked for.

StorageError
├── HistoryUnavailable    the database does not answer, or has no connection to spare: ask again later
├── HistoryTooSlow        the answer took longer than it may: ask for less
└── HistoryUnfit          a table or a right is missing: a person must mend it

A wrong instrument, time, limit or cursor is a DataValidationError naming it.
"""

from __future__ import annotations

from market.errors import StorageError


class HistoryUnavailable(StorageError):
    """The database cannot be asked now."""


class HistoryTooSlow(StorageError):
    """The database was stopped answering."""


class HistoryUnfit(StorageError):
    """The database is not one that a sink of this version has made, or may not be read."""
