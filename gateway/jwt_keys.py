"""Tokens of an identity provider (JWT, RFC 7519): which keys may sign them, and who a valid one says its bearer is.

A key has one algorithm, and a token must be signed by just that one, so no token can choose how it is checked (RFC 8725).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from gateway.identity import Principal, read_grants
from gateway.refusals import ErrorCode, Refusal

ALGORITHMS = ("RS256", "ES256", "HS256")
SECRET_BYTES = 32
"""Least length of an HS256 key: that of its hash (RFC 7518 §3.2)."""
RSA_BITS = 2048
"""Least length of an RS256 key (RFC 7518 §3.3)."""

_REQUIRED = ["exp", "sub", "iss", "aud"]
_TYPES = {"RSA": "RS256", "EC": "ES256", "oct": "HS256"}
_UNKNOWN = "the token is not valid here"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that tokens may be signed with. `fingerprint` tells it from any other, without showing it."""

    algorithm: str
    key: jwt.PyJWK
    key_id: str | None
    fingerprint: str


def read_key_set(text: bytes, algorithms: Sequence[str]) -> list[SigningKey]:
    """The signing keys of a JSON Web Key Set (RFC 7517). Raises ValueError naming the entry at fault, never its content."""
    try:
        entries = json.loads(text)["keys"]
        entries = [dict(entry) for entry in entries]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError('is no JSON Web Key Set: {"keys": [...]}') from error
    keys = [_read_key(number, entry, algorithms) for number, entry in enumerate(entries) if entry.get("use", "sig") == "sig"]
    names = [key.key_id for key in keys if key.key_id is not None]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"has more than one key with the kid {twice[0]!r}")
    if not keys:
        raise ValueError("has no key to check signatures with")
    return keys


def secret_key(secret: str) -> SigningKey:
    """The HS256 key of a shared secret. Raises ValueError for one that is too short."""
    entry = {"kty": "oct", "k": jwt.utils.base64url_encode(secret.encode()).decode()}
    return _read_key(0, entry, ("HS256",))


def _read_key(number: int, entry: Mapping[str, Any], algorithms: Sequence[str]) -> SigningKey:
    algorithm = _TYPES.get(str(entry.get("kty")))
    if algorithm is None or entry.get("alg", algorithm) != algorithm or entry.get("crv", "P-256") != "P-256":
        raise ValueError(f"keys.{number}: is for none of {', '.join(ALGORITHMS)}")
    if algorithm not in algorithms:
        raise ValueError(f"keys.{number}: is for {algorithm}, which is not among the allowed {', '.join(algorithms)}")
    key_id = entry.get("kid")
    if key_id is not None and not isinstance(key_id, str):
        raise ValueError(f"keys.{number}: has a kid that is no text")
    if "d" in entry:
        raise ValueError(f"keys.{number}: is a private key, and signatures are checked with the public one")
    try:
        key = jwt.PyJWK(dict(entry), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        raise ValueError(f"keys.{number}: cannot be read as a key of type {entry['kty']}") from None
    if algorithm == "HS256" and len(key.key) < SECRET_BYTES:
        raise ValueError(f"keys.{number}: has {len(key.key)} bytes, and HS256 needs {SECRET_BYTES} or more")
    if algorithm == "RS256" and key.key.key_size < RSA_BITS:
        raise ValueError(f"keys.{number}: has {key.key.key_size} bits, and RS256 needs {RSA_BITS} or more")
    fingerprint = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    return SigningKey(algorithm, key, key_id, fingerprint)


class Tokens:
    """Checks tokens by the keys it has. `leeway` is what clocks may differ, in microseconds."""

    def __init__(self, *, issuer: str, audience: str, leeway: int, keys: Sequence[SigningKey] = ()) -> None:
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway
        self._decoder = jwt.PyJWT()
        self.replace(keys)

    def replace(self, keys: Sequence[SigningKey]) -> None:
        """Accept the tokens of these keys and of no others."""
        self._keys = list(keys)

    def vouches(self, credential: str) -> bool:
        """Whether the key that a principal was known by is still accepted."""
        return credential in {_credential(key) for key in self._keys}

    def principal(self, token: str, now: int) -> Principal:
        """Who the token says its bearer is. Raises Refusal for a token that is not valid, in words that show nothing of it."""
        try:
            key = self._key_of(token)
            # The library's clock is not ours, so times are compared below.
            claims = self._decoder.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={"require": _REQUIRED, "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
            expires_at = self._check_times(claims, now)
            grants = read_grants(claims)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Refusal(ErrorCode.UNAUTHENTICATED, _UNKNOWN) from error
        return Principal(_subject(claims), _credential(key), grants, expires_at)

    def _key_of(self, token: str) -> SigningKey:
        header = jwt.get_unverified_header(token.partition(".")[0] + "..")  # the rest is read when the key is known
        algorithm, name = header.get("alg"), header.get("kid")
        fitting = [key for key in self._keys if key.algorithm == algorithm and (name is None or key.key_id in (name, None))]
        named = [key for key in fitting if key.key_id == name]
        chosen = named or fitting
        if len(chosen) != 1:
            raise jwt.InvalidKeyError("no key, or more than one, is meant")
        return chosen[0]

    def _check_times(self, claims: Mapping[str, Any], now: int) -> int:
        """When the token ends. Raises Refusal for one that has ended, ValueError for one that has not begun."""
        ends = _micros(claims["exp"]) + self._leeway
        if ends <= now:
            raise Refusal(ErrorCode.UNAUTHENTICATED, "the token has expired")
        if "nbf" in claims and _micros(claims["nbf"]) - self._leeway > now:
            raise ValueError("nbf")
        return ends


def _micros(seconds: object) -> int:
    """A numeric date as microseconds. Raises ValueError for what is none."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < 1 << 40:
        raise ValueError("no numeric date")
    return int(seconds * 1_000_000)


def _subject(claims: Mapping[str, Any]) -> str:
    subject = str(claims["sub"])
    if not 0 < len(subject) <= 128:
        raise Refusal(ErrorCode.UNAUTHENTICATED, _UNKNOWN)
    return subject


def _credential(key: SigningKey) -> str:
    return f"jwt:{key.fingerprint}"
