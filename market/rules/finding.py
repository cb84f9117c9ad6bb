"""What a rule says."""

from __future__ import annotations

from typing import NamedTuple

from market.quality_event import QualityRule, Severity


class Finding(NamedTuple):
    """A rule that a record broke, or keeps again (INFO). The fields are those of `QualityEvent`."""

    rule: QualityRule
    severity: Severity
    field: str | None
    observed: int | None
    expected: int | None
    detail: str
