"""Who the bearer of a token is: by the JWT keys and the API keys that the gateway has. Where a request carries its token.

A token is never taken from a URL, since URLs are written to logs and histories.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from gateway.api_keys import ApiKeys, is_api_key
from gateway.identity import LOCAL, Principal
from gateway.jwt_keys import Tokens
from gateway.metrics import AUTHENTICATIONS
from gateway.refusals import ErrorCode, Refusal

SUBPROTOCOL = "tapeline"
"""The subprotocol the gateway answers with; a browser must offer it beside the one that holds the token."""
TOKEN_SUBPROTOCOL = "bearer."  # noqa: S105  # the word before a token
"""How the subprotocol begins that holds a token, for browsers, which cannot send an Authorization header."""

_MOST_BYTES = 8192
_REMEMBERED = 10_000


class Authenticator:
    """Knows clients by their tokens; without any keys (`required` is False) everyone is `LOCAL`."""

    def __init__(self, tokens: Tokens | None = None, api_keys: ApiKeys | None = None) -> None:
        self._tokens = tokens
        self._api_keys = api_keys
        self._known: OrderedDict[bytes, Principal] = OrderedDict()

    @property
    def required(self) -> bool:
        """Whether clients must show a token."""
        return self._tokens is not None or self._api_keys is not None

    def authenticate(self, token: str | None, now: int) -> Principal:
        """The bearer of a token. Raises Refusal (401) for a token that is missing or not valid."""
        if not self.required:
            return LOCAL
        try:
            principal = self._principal(token, now)
        except Refusal:
            AUTHENTICATIONS.labels("refused" if token else "no token").inc()
            raise
        AUTHENTICATIONS.labels("accepted").inc()
        return principal

    def forget(self) -> None:
        """The keys have changed: check every token anew."""
        self._known.clear()

    def current(self, principal: Principal) -> Principal | None:
        """What a principal may do by the keys there are now; None when its key was taken away."""
        if not self.required:
            return principal
        if self._api_keys is not None and (found := self._api_keys.current(principal.credential)) is not None:
            return found
        if self._tokens is not None and self._tokens.vouches(principal.credential):
            return principal
        return None

    def known(self, token: str, now: int) -> Principal | None:
        """The bearer of a token that was checked before and is still good; None when it has to be checked."""
        known = self._known.get(_digest(token))
        return None if known is None or (known.expires_at is not None and known.expires_at <= now) else known

    def _principal(self, token: str | None, now: int) -> Principal:
        if not token:
            raise Refusal(ErrorCode.UNAUTHENTICATED, "a token is needed: Authorization: Bearer TOKEN")
        if len(token) > _MOST_BYTES or not token.isascii():
            raise Refusal(ErrorCode.UNAUTHENTICATED, "the token is not valid here")
        known = self.known(token, now)
        if known is None:
            known = self._known[_digest(token)] = self._verified(token, now)
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return known

    def _verified(self, token: str, now: int) -> Principal:
        if self._api_keys is not None and is_api_key(token):
            return self._api_keys.principal(token, now)
        if self._tokens is not None:
            return self._tokens.principal(token, now)
        raise Refusal(ErrorCode.UNAUTHENTICATED, "the token is not valid here")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def bearer(values: Sequence[str]) -> str | None:
    """The token in the Authorization headers of a request, None when there are none. Raises Refusal for what is no token."""
    if not values:
        return None
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise Refusal(ErrorCode.UNAUTHENTICATED, "the Authorization header must be: Bearer TOKEN")
    return token.strip()


def offered(subprotocols: Iterable[str]) -> str | None:
    """The token among the subprotocols that a WebSocket request offers. Raises Refusal when there are several."""
    tokens = [name.removeprefix(TOKEN_SUBPROTOCOL) for name in subprotocols if name.startswith(TOKEN_SUBPROTOCOL)]
    if len(tokens) > 1:
        raise Refusal(ErrorCode.UNAUTHENTICATED, "more than one token is given")
    return tokens[0] if tokens else None


def one_token(first: str | None, second: str | None) -> str | None:
    """The one token of two places it may stand in. Raises Refusal when it stands in both."""
    if first is not None and second is not None:
        raise Refusal(ErrorCode.UNAUTHENTICATED, "more than one token is given")
    return first if first is not None else second
