"""Resume tokens: where a subscriber stands, signed, and bound to who it is.

All replicas with the same key understand each other's tokens, and a restarted gateway those it gave before. A token says
nothing about what its bearer may see, which is checked at each subscription as ever; the signature keeps clients from asking
for any past they like. The key is no key of access tokens, and the audience is another, so none can pass for the other.
"""

from __future__ import annotations

import secrets

import jwt

from gateway.positions import Place

KEY_BYTES = 32
"""Least length of the key: that of the hash (RFC 7518 §3.2)."""

_AUDIENCE = "tapeline-resume"
_ALGORITHM = "HS256"


class ResumeTokens:
    """Signs and reads tokens. Without a key it makes one, which dies with the process."""

    def __init__(self, key: bytes | None = None) -> None:
        self._key = secrets.token_bytes(KEY_BYTES) if key is None else key

    def issue(self, subject: str, place: Place) -> str:
        """The token of someone who has everything up to this place."""
        offsets: dict[str, dict[str, int]] = {name: {} for name in place.topic_ids}
        for (topic, partition), offset in place.offsets.items():
            if topic in offsets:
                offsets[topic][str(partition)] = offset
        at = {name: [topic_id, offsets[name]] for name, topic_id in place.topic_ids.items()}
        return jwt.encode({"aud": _AUDIENCE, "sub": subject, "at": at}, self._key, _ALGORITHM)

    def read(self, token: str, subject: str) -> Place | None:
        """The place a token tells of; None for one that is not ours, or not this subject's."""
        try:
            claims = jwt.decode(
                token, self._key, [_ALGORITHM], audience=_AUDIENCE, subject=subject, options={"require": ["aud", "sub", "at"]}
            )
        except jwt.PyJWTError:
            return None
        at = claims["at"]
        return Place(
            {topic: topic_id for topic, (topic_id, _) in at.items()},
            {(topic, int(number)): offset for topic, (_, offsets) in at.items() for number, offset in offsets.items()},
        )
