"""Settings of the web layer."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

# An API answers with data. Nothing of it is to be run, framed or used as a base, and no form may
# send from it.
API_CONTENT_SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The widest private networks: 10.0.0.0/8 (RFC 1918) and fc00::/7 (RFC 4193).
_SHORTEST_PREFIX = {4: 8, 6: 7}
_HOST = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]", re.ASCII)


def _check_host(value: str) -> str:
    lowered = value.lower()
    if not _HOST.fullmatch(lowered):
        message = "a host name without port and path, or *.example.com for its subdomains"
        raise ValueError(message)
    return lowered


class WebSettings(BaseModel):
    """How the outermost layer treats requests and answers.

    Attributes:
        allowed_hosts: Host names that the server answers to; ``*.example.com`` means subdomains.
            Needed outside of the environments ``local`` and ``test``.
        trusted_proxies: Networks of proxies whose headers about the client are believed.
        proxy_header: What these proxies append the client to: ``x-forwarded-for``, with
            ``X-Forwarded-Proto`` beside it, or ``forwarded`` (RFC 7239). The other one is never
            read, since proxies hand on what a client wrote into it.
        max_body_size: Most bytes of a request body where an endpoint does not say otherwise.
        content_security_policy: Policy of answers that have none of their own.
        hsts_max_age: Seconds for which browsers are told to use HTTPS alone; 0 sends no such
            header.
        max_headers: Most headers of a request.
        max_header_bytes: Most bytes of all headers of a request together.
        max_url: Most bytes of path and query together.
        max_request_id: Longest ``X-Request-Id`` that is taken over from a trusted proxy, in
            characters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    allowed_hosts: tuple[Annotated[str, AfterValidator(_check_host)], ...] = ()
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    proxy_header: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"
    max_body_size: int = Field(default=1_048_576, ge=0)
    content_security_policy: str = Field(
        default=API_CONTENT_SECURITY_POLICY, min_length=1, max_length=4096
    )
    hsts_max_age: int = Field(default=31_536_000, ge=0)
    max_headers: int = Field(default=100, ge=1)
    max_header_bytes: int = Field(default=32_768, ge=1)
    max_url: int = Field(default=16_384, ge=1)
    max_request_id: int = Field(default=128, ge=8, le=512)

    @field_validator("content_security_policy")
    @classmethod
    def _check_header(cls, value: str) -> str:
        if not value.isascii() or not value.isprintable():
            message = "a header value is one line of printable ASCII"
            raise ValueError(message)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(
        cls, value: tuple[IPv4Network | IPv6Network, ...]
    ) -> tuple[IPv4Network | IPv6Network, ...]:
        if any(network.prefixlen < _SHORTEST_PREFIX[network.version] for network in value):
            # Whoever trusts everybody lets each client choose its own address, and with it its
            # limits.
            message = (
                "a network this wide lets clients choose their own address; name the proxies (at "
                "widest /8, or /7 for IPv6)"
            )
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _check_proxy_header(self) -> Self:  # noqa: N804 - pydantic calls it on the instance
        if self.proxy_header != "x-forwarded-for" and not self.trusted_proxies:
            message = (
                "proxy_header is read from trusted proxies alone: name them in "
                "STOCKADE_WEB__TRUSTED_PROXIES"
            )
            raise ValueError(message)
        return self
