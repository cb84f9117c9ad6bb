"""Settings of who may use the gateway: keys, quotas, and the certificate of its port."""

from typing import Annotated, Self

from pydantic import Field, FilePath, NonNegativeFloat, SecretStr, model_validator

from runtime.settings.base import Count, Maybe, Names, Seconds, Section, Text, UserPath

__all__ = [
    "AccessSettings",
    "AddressQuotaSettings",
    "JwtSettings",
    "QuotasSettings",
    "TlsSettings",
    "UserQuotaSettings",
]

_ALGORITHMS = ("RS256", "ES256", "HS256")


class JwtSettings(Section):
    """Tokens of an identity provider (JSON Web Tokens)."""

    key_set_file: Maybe[UserPath] = None
    """JSON Web Key Set with the keys that may sign tokens; read again when it changes."""
    secret: Maybe[SecretStr] = None
    """Shared secret of 32 bytes or more for tokens signed by HS256."""
    algorithms: Annotated[Names, Field(min_length=1)] = ("RS256", "ES256")
    """Signatures accepted of the key set; the secret is for HS256 in any case."""
    issuer: Maybe[Text] = None
    """Who must have issued the tokens (`iss`)."""
    audience: Maybe[Text] = None
    """Whom the tokens must be meant for (`aud`)."""
    leeway_seconds: NonNegativeFloat = 5.0
    """How much the clocks of issuer and gateway may differ."""

    @property
    def is_configured(self) -> bool:
        """Whether there are keys to check tokens with."""
        return bool(self.key_set_file or self.secret)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """Refuse tokens that anyone's provider could have issued for anyone, and settings that nothing would use."""
        for algorithm in self.algorithms:
            if algorithm not in _ALGORITHMS:
                raise ValueError(f"algorithms: {algorithm!r} is none of {', '.join(_ALGORITHMS)}")
        if self.is_configured and not (self.issuer and self.audience):
            raise ValueError("issuer and audience are needed with key_set_file or secret")
        if not self.is_configured and (self.issuer or self.audience):
            raise ValueError("issuer and audience are given, but neither key_set_file nor secret")
        if self.secret and len(self.secret.get_secret_value().encode()) < 32:
            raise ValueError("secret must have 32 bytes or more")
        return self


class AccessSettings(Section):
    """How clients are known; without keys only this machine is served."""

    key_file: Maybe[UserPath] = None
    """File of API keys, as `tapeline gateway key` writes it; read again when it changes."""
    jwt: JwtSettings = Field(default_factory=JwtSettings)
    reload_seconds: Seconds = 2.0
    """How often the files are looked at for changes."""
    resume_key: Maybe[Annotated[SecretStr, Field(min_length=32)]] = None
    """Secret of 32 bytes or more that signs resume tokens, the same for all replicas; without it each process makes its own."""
    first_message_seconds: Seconds = 5.0
    """How long a WebSocket client that came without a token has to send one."""


_Connections = Annotated[Count, Field(description="WebSocket connections at a time.")]
_NewConnections = Annotated[Seconds, Field(description="New WebSocket connections a second.")]
_Subscriptions = Annotated[Count, Field(description="Subscriptions at a time.")]
_Messages = Annotated[Seconds, Field(description="Messages and REST requests a second.")]
_Bytes = Annotated[Seconds, Field(description="Bytes of messages a second.")]
_Queue = Annotated[Count, Field(description="Bytes waiting for slow connections.")]


class UserQuotaSettings(Section):
    """What one user may use over all connections; rates on average, ten seconds' worth at once."""

    connections: _Connections = 100
    connections_per_second: _NewConnections = 20.0
    subscriptions: _Subscriptions = 20_000
    messages_per_second: _Messages = 200.0
    bytes_per_second: _Bytes = 1024.0 * 1024
    queue_bytes: _Queue = 16 * 1024 * 1024


class AddressQuotaSettings(Section):
    """What one address may use over all connections; behind a proxy that is all clients together."""

    connections: _Connections = 2_000
    connections_per_second: _NewConnections = 200.0
    subscriptions: _Subscriptions = 200_000
    messages_per_second: _Messages = 2_000.0
    bytes_per_second: _Bytes = 8.0 * 1024 * 1024
    queue_bytes: _Queue = 64 * 1024 * 1024


class QuotasSettings(Section):
    """What clients may use."""

    user: UserQuotaSettings = Field(default_factory=UserQuotaSettings)
    address: AddressQuotaSettings = Field(default_factory=AddressQuotaSettings)


class TlsSettings(Section):
    """Encryption of the gateway's port (TLS 1.2 or later)."""

    certificate_file: Maybe[FilePath] = None
    """PEM file of the certificate with those that lead to its authority."""
    key_file: Maybe[FilePath] = None
    """PEM file of its key."""
    key_password: Maybe[SecretStr] = None
    """Password of the key file."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("certificate_file and key_file are needed together")
        return self
