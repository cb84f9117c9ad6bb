"""The files with the keys: read at the start, read again when they change, and what follows from it.

A file that cannot be read any more, or holds no keys in the right form, changes nothing: the keys read before stay, and the
log says so, since half-written files must not lock everyone out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from gateway.api_keys import ApiKeys, read_keys
from gateway.authentication import Authenticator
from gateway.jwt_keys import SigningKey, Tokens, read_key_set, secret_key
from runtime import metrics
from runtime.errors import ConfigurationError, Problem
from runtime.logs import get_logger
from runtime.settings.access import AccessSettings, JwtSettings

log = get_logger(__name__)

_Signature = tuple[int, int, int]
_MOST_BYTES = 4 << 20


class KeyFile:
    """A file whose text `use` takes; `use` raises ValueError for a text it cannot take, and changes nothing then."""

    def __init__(self, setting: str, path: Path, use: Callable[[bytes], None]) -> None:
        self._setting = setting
        self._path = path
        self._use = use
        self._seen: _Signature | None = None

    def load(self) -> None:
        """Read the file for the first time. Raises ConfigurationError."""
        try:
            self._read()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ConfigurationError(Problem(self._setting, reason, str(self._path))) from error

    def refresh(self) -> bool:
        """Read the file again if it changed; whether it gave other keys."""
        try:
            if self._signature() == self._seen:
                return False
            self._read()
        except (OSError, ValueError) as error:
            log.error("key file cannot be used, the keys read before stay", file=str(self._path), error=str(error))
            metrics.ERRORS.labels("key_file").inc()
            return False
        log.info("keys read again", file=str(self._path))
        return True

    def _read(self) -> None:
        seen = self._signature()
        with self._path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        self._seen = seen  # a wrong file is complained of once, until it changes again
        if len(text) > _MOST_BYTES:
            raise ValueError(f"has more than {_MOST_BYTES} bytes")
        try:
            self._use(text)
        except ValueError:
            raise
        except Exception as error:  # whatever a file makes a library raise, the keys are watched on
            raise ValueError(f"cannot be read: {type(error).__name__}") from error

    def _signature(self) -> _Signature:
        status = os.stat(self._path)
        if not stat.S_ISREG(status.st_mode):  # reading a pipe might wait for ever
            raise ValueError("is no regular file")
        return status.st_ino, status.st_mtime_ns, status.st_size


def open_keys(access: AccessSettings) -> tuple[Authenticator, list[KeyFile]]:
    """The authenticator of the settings, with the files to be watched. Raises ConfigurationError."""
    files = []
    tokens = api_keys = None
    if access.jwt.is_configured:
        tokens, jwt_files = _tokens(access.jwt)
        files += jwt_files
    if access.key_file is not None:
        api_keys = ApiKeys()
        files.append(KeyFile("gateway.access.key_file", access.key_file, _replacing(api_keys)))
    for file in files:
        file.load()
    return Authenticator(tokens, api_keys), files


def _tokens(settings: JwtSettings) -> tuple[Tokens, list[KeyFile]]:
    shared: list[SigningKey] = [secret_key(settings.secret.get_secret_value())] if settings.secret else []
    tokens = Tokens(
        issuer=settings.issuer or "",
        audience=settings.audience or "",
        leeway=int(settings.leeway_seconds * 1e6),
        keys=shared,
    )
    if settings.key_set_file is None:
        return tokens, []

    def use(text: bytes) -> None:
        tokens.replace([*shared, *read_key_set(text, settings.algorithms)])

    return tokens, [KeyFile("gateway.access.jwt.key_set_file", settings.key_set_file, use)]


def _replacing(api_keys: ApiKeys) -> Callable[[bytes], None]:
    return lambda text: api_keys.replace(read_keys(text))
