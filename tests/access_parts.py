"""Keys, tokens and certificates for tests of who may use the gateway."""

from __future__ import annotations

import base64
import ipaddress
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from gateway.jwt_keys import ALGORITHMS, Tokens, read_key_set
from tests.builders import START

ISSUER, AUDIENCE = "https://login.example.com", "tapeline"
SECRET = "a secret that is long enough: 32 bytes"
SECOND = 1_000_000
HOUR = 3600 * SECOND

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@cache
def rsa_key(name: str = "one", bits: int = 2048) -> rsa.RSAPrivateKey:
    """An RSA key; another one for each name."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(name: str = "one") -> ec.EllipticCurvePrivateKey:
    """A P-256 key; another one for each name."""
    return ec.generate_private_key(ec.SECP256R1())


def public_entry(key: PrivateKey, key_id: str | None = None) -> dict[str, Any]:
    """The entry of a key set for a key."""
    if isinstance(key, rsa.RSAPrivateKey):
        entry = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        entry = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    entry.pop("key_ops", None)
    return entry if key_id is None else entry | {"kid": key_id}


def secret_entry(secret: str = SECRET, key_id: str | None = None) -> dict[str, Any]:
    """The entry of a key set for a shared secret."""
    entry = {"kty": "oct", "k": base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()}
    return entry if key_id is None else entry | {"kid": key_id}


def key_set(*entries: dict[str, Any]) -> bytes:
    """The text of a key set."""
    return json.dumps({"keys": list(entries)}).encode()


def tokens_of(*entries: dict[str, Any], algorithms: Sequence[str] = ALGORITHMS, leeway: int = 0) -> Tokens:
    """A checker of tokens by these keys."""
    return Tokens(issuer=ISSUER, audience=AUDIENCE, leeway=leeway, keys=read_key_set(key_set(*entries), algorithms))


def make_token(
    key: PrivateKey | str = SECRET,
    *,
    now: int = START,
    seconds: float = 3600,
    algorithm: str | None = None,
    key_id: str | None = None,
    without: Sequence[str] = (),
    **claims: Any,
) -> str:
    """A token that is valid from `now` on (microseconds), unless its claims are changed; it grants all market data."""
    fitting = "HS256" if isinstance(key, str) else "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    given = {"sub": "desk", "iss": ISSUER, "aud": AUDIENCE, "exp": now / 1e6 + seconds, "symbols": ["*"], "data_types": ["*"]}
    payload = {name: value for name, value in (given | claims).items() if name not in without}
    headers = None if key_id is None else {"kid": key_id}
    return jwt.encode(payload, key, algorithm=algorithm or fitting, headers=headers)


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec_key("certificate")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "gateway.crt", folder / "gateway.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file
