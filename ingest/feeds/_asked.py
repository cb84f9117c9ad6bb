"""What a request asked for: of venues whose answers do not name it, its address does."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from market.errors import DataValidationError


def asked_for(url: str, name: str) -> str:
    """The one value that a request gives to a name. Raises DataValidationError (`missing_field`) for none or several."""
    values = parse_qs(urlsplit(url).query).get(name, [])
    if len(values) != 1:
        raise DataValidationError("missing_field", f"{name}: the request does not name it", field=name)
    return values[0]
