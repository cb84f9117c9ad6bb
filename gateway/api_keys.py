"""Keys of programs: an id to find the entry by, and a secret of which the gateway keeps a hash only.

`tpl_ID_SECRET`: the secret has 256 random bits, so a plain SHA-256 of it cannot be guessed back, and no slow hash is needed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable

import msgspec

from gateway.identity import Grants, Principal
from gateway.refusals import ErrorCode, Refusal

PREFIX = "tpl_"
"""How keys begin; logs mask what begins so (`runtime.redaction`)."""

_FORM = re.compile(rf"{PREFIX}(?P<id>[0-9a-f]{{16}})_(?P<secret>[A-Za-z0-9_-]{{43}})", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NO_HASH = "0" * 64


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the key file: no secret stands in it. `expires_at` is in microseconds, None for never."""

    id: str
    hash: str
    subject: str
    grants: Grants
    expires_at: int | None = None

    def __post_init__(self) -> None:
        if not _HASH.fullmatch(self.hash):
            raise ValueError("hash: is no SHA-256 in small hexadecimal digits")
        if not 0 < len(self.subject) <= 128:
            raise ValueError("subject: must have 1 to 128 characters")

    def principal(self) -> Principal:
        """Whom the key stands for. The hash is part of the credential: a new secret under the old id is another key."""
        return Principal(self.subject, f"api-key:{self.id}:{self.hash}", self.grants, self.expires_at)


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: tuple[ApiKey, ...]


def make_key(subject: str, grants: Grants, expires_at: int | None = None) -> tuple[str, ApiKey]:
    """A new key, to be shown once, and the entry to be kept."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    return f"{PREFIX}{key_id}_{secret}", ApiKey(key_id, _hash(secret), subject, grants, expires_at)


def read_keys(text: bytes) -> tuple[ApiKey, ...]:
    """The entries of a key file. Raises ValueError saying what is wrong with it."""
    try:
        keys = msgspec.json.decode(text, type=_KeyFile).keys
    except msgspec.DecodeError as error:
        raise ValueError(f"is no file of keys: {error}") from error
    ids = [key.id for key in keys]
    if twice := sorted({key_id for key_id in ids if ids.count(key_id) > 1}):
        raise ValueError(f"has more than one key with the id {twice[0]!r}")
    return keys


def write_keys(keys: Iterable[ApiKey]) -> bytes:
    """The text of a key file."""
    return msgspec.json.format(msgspec.json.encode(_KeyFile(tuple(keys)), order="sorted"), indent=2) + b"\n"


def is_api_key(token: str) -> bool:
    """Whether a token is meant as a key of this kind."""
    return token.startswith(PREFIX)


class ApiKeys:
    """Checks keys by their entries."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self.replace(keys)

    def replace(self, keys: Iterable[ApiKey]) -> None:
        """Accept these keys and no others."""
        self._keys = {key.id: key for key in keys}
        self._principals = {key.principal().credential: key.principal() for key in self._keys.values()}

    def current(self, credential: str) -> Principal | None:
        """What the key grants now that a principal was known by, None when it was taken away."""
        return self._principals.get(credential)

    def principal(self, token: str, now: int) -> Principal:
        """Whom the key stands for. Raises Refusal; it takes as long for an unknown id as for a wrong secret."""
        form = _FORM.fullmatch(token)
        key = None if form is None else self._keys.get(form["id"])
        found = hmac.compare_digest(_hash(form["secret"] if form else ""), key.hash if key else _NO_HASH)
        if key is None or not found:
            raise Refusal(ErrorCode.UNAUTHENTICATED, "the API key is not valid here")
        if key.expires_at is not None and key.expires_at <= now:
            raise Refusal(ErrorCode.UNAUTHENTICATED, "the API key has expired")
        return key.principal()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
