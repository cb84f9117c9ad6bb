"""Answers that are lines of script, one an instrument: `name_sh600519="…";`, as Sina and Tencent write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ingest.feeds._cn_snapshots import text_of
from ingest.feeds._cn_symbols import instrument_of
from market.errors import DataValidationError


class Lines(NamedTuple):
    """The lines of a source; `row` matches one, with its symbol and what is between the quotation marks.

    The bytes of a GBK character are never a quotation mark, nor a semicolon.
    """

    source: str
    row: re.Pattern[bytes]
    fields: int
    separator: str

    def read(self, frame: bytes) -> tuple[str, list[str]]:
        """The instrument of a line and its fields, none where it is empty. Raises DataValidationError."""
        row = self.row.fullmatch(frame)
        if row is None:
            raise DataValidationError("malformed_row", f"{frame[:80]!r} is no line of {self.source}'s")
        instrument = instrument_of(text_of(row[1]))
        fields = text_of(row[2]).split(self.separator) if row[2] else []
        if fields and len(fields) < self.fields:
            raise DataValidationError("too_few_fields", f"{len(fields)} fields are no quote of {instrument}")
        return instrument, fields

    def split(self, answer: bytes) -> Sequence[bytes]:
        """The lines of an answer. Raises DataValidationError where there are none."""
        found = [row[0] for row in self.row.finditer(answer)]
        if not found:
            raise DataValidationError("no_answer", f"{answer[:80]!r} is no answer of {self.source}'s")
        return found

    def named(self, frame: bytes) -> str | None:
        """The instrument of a line, None where it does not show it."""
        row = self.row.match(frame)
        try:
            return None if row is None else instrument_of(row[1].decode(errors="replace"))
        except DataValidationError:
            return None
