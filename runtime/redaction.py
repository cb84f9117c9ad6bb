"""Masking of secrets in anything that is shown: log lines, error messages, listings of settings. Pure functions.

A secret is known by the name it stands under (`password`, `dsn`, …) or by its place in a URL or a `key=value` text.
"""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["MASK", "is_secret", "redact", "redact_text"]

MASK = "**********"

_SENSITIVE = r"password|passwd|passphrase|pwd|secret|token|credentials?|authorization|dsn|api_?key|private_?key"
_SECRET_NAME = re.compile(rf"(?:^|[^a-z])(?:{_SENSITIVE})s?(?:$|[^a-z])", re.IGNORECASE)
# To the last `@`: a password may hold any sign, and masking too much does no harm.
_URL_PASSWORD = re.compile(r"(?P<before>://[^\s/@:]*:)\S+(?=@)")
# Tokens that are known by their form: JSON Web Tokens, and the gateway's API keys.
_TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*|\btpl_[0-9a-f]{16}_[\w-]+", re.ASCII)
_ASSIGNED = re.compile(
    rf"(?P<before>(?:{_SENSITIVE})s?[\"']?\s*[=:]\s*)(?:\"[^\"]*\"|'[^']*'|(?:Bearer |Basic )?[^\s,;&]+)",
    re.IGNORECASE,
)


def is_secret(name: str) -> bool:
    """Whether a value under this name must never be shown: `kafka.security.password`, `apiKey`, `TOKEN`."""
    return _SECRET_NAME.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)) is not None


def redact_text(text: str) -> str:
    """Mask passwords of URLs and the values of `password=…`, `token: …` and the like inside a text, and tokens anywhere."""
    return _TOKEN.sub(MASK, _ASSIGNED.sub(rf"\g<before>{MASK}", _URL_PASSWORD.sub(rf"\g<before>{MASK}", text)))


def redact(value: Any, name: str = "") -> Any:
    """Return the value as it may be shown under that name; mappings and sequences are masked item by item."""
    if is_secret(name) and value is not None:
        return MASK
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {key: redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(item) for item in value]
    return value
