"""Settings of issuers outside of this application whose access tokens are accepted."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

if TYPE_CHECKING:
    from typing import Self

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_Text = Annotated[str, Field(min_length=1, max_length=255)]
_Path = Annotated[tuple[_Text, ...], Field(max_length=5)]
# The media type of RFC 9068; a token that says no more than "JWT" may be of any kind.
_ACCESS_TOKEN: Final = "at+jwt"  # noqa: S105 - a media type


class IssuerSettings(BaseModel):
    """An issuer whose access tokens are accepted, and what its claims mean here.

    Attributes:
        issuer: Its exact name (``iss``), which is an address that its keys are found by.
        audience: The name that it has for this application (``aud``).
        algorithms: Signature algorithms that it may use.
        token_types: Types (``typ``) of its access tokens; one that does not say ``at+jwt`` needs
            `required_claims` or `required_scopes` beside it.
        required_claims: Claims that have to be there with exactly this text.
        required_scopes: Scopes that have to be there, in ``scope`` or ``scp``.
        metadata: Document that names its keys: ``openid-configuration`` or, for servers that have
            no OpenID Connect, ``oauth-authorization-server``.
        jwks_url: Where its keys are, if they are not on its own host; no document is read then.
        email_claim: Claim with the address of the caller; it counts only beside ``email_verified``.
        tenant: Tenant of all its callers.
        tenant_claim: Path of the claim that says which tenant a caller is of.
        tenants: Our tenant for each value of that claim; a caller of another one is refused.
        roles_claim: Path of the claim that lists the roles of a caller.
        roles: Our role for each value of that claim; another one means nothing.
        longest_lifetime: Tokens that hold longer are refused.
        keys_lifetime: How long its keys are believed before they are asked for again.
        keys_outage: How long they go on where the issuer is away; then its tokens get 503.
        pause: Time between two questions to it, whatever tokens come in.
        timeout: Time that one answer of it may take in all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1, max_length=255)
    audience: str = Field(min_length=1, max_length=255)
    algorithms: tuple[Literal["Ed25519", "ES256", "RS256"], ...] = Field(
        default=("RS256",), min_length=1, max_length=3
    )
    token_types: tuple[_Text, ...] = Field(default=(_ACCESS_TOKEN,), min_length=1, max_length=5)
    required_claims: dict[_Text, _Text] = Field(default_factory=dict, max_length=20)
    required_scopes: tuple[_Text, ...] = Field(default=(), max_length=20)
    metadata: Literal["openid-configuration", "oauth-authorization-server"] = "openid-configuration"
    jwks_url: str | None = Field(default=None, max_length=512)
    email_claim: str | None = Field(default=None, min_length=1, max_length=255)
    tenant: str | None = Field(default=None, min_length=1, max_length=255)
    tenant_claim: _Path = ()
    tenants: dict[_Text, _Text] = Field(default_factory=dict, max_length=10_000)
    roles_claim: _Path = ()
    roles: dict[_Text, _Text] = Field(default_factory=dict, max_length=1000)
    longest_lifetime: timedelta = Field(
        default=timedelta(hours=24), ge=timedelta(minutes=1), le=timedelta(days=7)
    )
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

    @field_validator("issuer", "jwks_url")
    @classmethod
    def _check_address(cls, value: str | None) -> str | None:
        if value is not None:
            check_address(value)
        return value

    @model_validator(mode="after")
    def _check_meaning(self) -> Self:  # noqa: N804 - pydantic calls it on the instance
        says_little = {kind.lower() for kind in self.token_types} != {_ACCESS_TOKEN}
        if says_little and not (self.required_claims or self.required_scopes):
            message = (
                "token_types lets in more than at+jwt, so that an identity token may pass for an"
                " access token: name required_claims or required_scopes that only access tokens"
                " have"
            )
            raise ValueError(message)
        if self.tenant is not None and self.tenant_claim:
            message = "tenant and tenant_claim both say which tenant a caller is of: keep one"
            raise ValueError(message)
        for claim, table in (("tenant_claim", "tenants"), ("roles_claim", "roles")):
            if bool(getattr(self, claim)) != bool(getattr(self, table)):
                message = (
                    f"{claim} and {table} go together: the claim says where the values are, the"
                    " table what they mean here"
                )
                raise ValueError(message)
        return self


def check_address(value: str) -> None:
    """Check the address of an issuer or of its keys.

    Raises:
        ValueError: It is no https address, or names more than a place; http is for this machine
            alone.
    """
    try:
        parts = urlsplit(value)
        # Reading the port is what checks it.
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(_NO_ADDRESS) from None
    local = parts.scheme == "http" and host in LOOPBACK
    plain = value.isascii() and value.isprintable() and not set(value) & set(' "<>\\^`{|}')
    if not host or not plain or not (parts.scheme == "https" or local):
        raise ValueError(_NO_ADDRESS)
    if "@" in parts.netloc or "?" in value or "#" in value:
        raise ValueError(_NO_ADDRESS)


_NO_ADDRESS: Final = (
    "this is no https address without name, question and fragment (http is for this machine alone)"
)
