"""Settings of providers at which people sign in (OpenID Connect)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from stockade.authentication.issuer_settings import check_address

if TYPE_CHECKING:
    from typing import Self

# RFC 6749, appendix A.4, and printable ASCII for the name of the client (appendix A.1).
_Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$", max_length=255)]
_Host = Annotated[
    str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?$", max_length=255)
]
_Domain = Annotated[
    str, Field(pattern=r"^(\*|[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9-]+)+)$", max_length=253)
]
ANY_DOMAIN: Final = "*"


class ProviderSettings(BaseModel):
    """A provider at which people may sign in, and what it is trusted with.

    Attributes:
        issuer: Its exact name (``iss``), which is an address that it describes itself at.
        client_id: The name that it has for this application.
        client_secret: The secret that it has given this application.
        client_key: The private key by which this application proves itself in the place of a
            secret, in PEM or as a JWK; the provider has its public part.
        client_authentication: How this application proves itself to it.
        scopes: What it is asked for; ``openid`` has to be among them, and ``email`` for a
            registration.
        algorithms: Signature algorithms that its identity tokens may have.
        hosts: Further hosts that it may have its endpoints on, such as ``oauth2.googleapis.com``;
            on all others than its own they are refused.
        registration: Whether somebody who has no account gets one by signing in there.
        trusted_domains: Domains whose e-mail addresses it vouches for, if it says that it has
            verified one; ``*`` for all. Others get no account.
        keys_lifetime: How long its keys and its description are believed before they are asked for
            again.
        keys_outage: How long they go on where it is away; then nobody signs in there.
        pause: Time between two questions for them.
        timeout: Time that one answer of it may take in all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1, max_length=255)
    client_id: str = Field(pattern=r"^[\x20-\x7e]+$", max_length=255)
    client_secret: SecretStr | None = None
    client_key: SecretStr | None = None
    client_authentication: Literal[
        "client_secret_basic", "client_secret_post", "private_key_jwt"
    ] = "client_secret_basic"
    scopes: tuple[_Scope, ...] = Field(default=("openid", "email"), min_length=1, max_length=20)
    algorithms: tuple[Literal["Ed25519", "ES256", "RS256"], ...] = Field(
        default=("RS256",), min_length=1, max_length=3
    )
    hosts: tuple[_Host, ...] = Field(default=(), max_length=10)
    registration: bool = False
    trusted_domains: tuple[_Domain, ...] = Field(default=(), max_length=1000)
    keys_lifetime: timedelta = Field(
        default=timedelta(hours=1), ge=timedelta(minutes=1), le=timedelta(days=1)
    )
    keys_outage: timedelta = Field(
        default=timedelta(hours=24), ge=timedelta(minutes=1), le=timedelta(days=7)
    )
    pause: timedelta = Field(
        default=timedelta(seconds=30), ge=timedelta(seconds=1), le=timedelta(minutes=10)
    )
    timeout: timedelta = Field(
        default=timedelta(seconds=5), ge=timedelta(seconds=1), le=timedelta(seconds=30)
    )

    @field_validator("issuer")
    @classmethod
    def _check_address(cls, value: str) -> str:
        check_address(value)
        return value

    @model_validator(mode="after")
    def _check_proof(self) -> Self:  # noqa: N804 - pydantic calls it on the instance
        by_key = self.client_authentication == "private_key_jwt"
        given, other = (
            (self.client_key, self.client_secret)
            if by_key
            else (self.client_secret, self.client_key)
        )
        if given is None or not given.get_secret_value() or other is not None:
            wanted = "client_key and no client_secret" if by_key else "client_secret alone"
            message = f"client_authentication {self.client_authentication} needs {wanted}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _check_meaning(self) -> Self:  # noqa: N804 - pydantic calls it on the instance
        if "openid" not in self.scopes:
            message = "scopes needs openid: without it nobody says who has signed in"
            raise ValueError(message)
        if self.registration and not (self.trusted_domains and "email" in self.scopes):
            message = (
                "registration needs trusted_domains, whose e-mail addresses the provider vouches"
                " for, and email among the scopes: nobody could get an account otherwise"
            )
            raise ValueError(message)
        return self

    def vouches_for(self, email: str) -> bool:
        """Tell whether the provider is trusted with the domain of an address.

        Args:
            email: The address, in lower case.
        """
        return ANY_DOMAIN in self.trusted_domains or (
            email.rpartition("@")[2] in self.trusted_domains
        )
