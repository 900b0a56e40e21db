"""Settings of the limits."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from stockade.core.limits import FailurePolicy, LimitRule, Unit
from stockade.errors import ConfigurationError
from stockade.rate_limiting.keys import IPV6_PREFIX
from stockade.rate_limiting.models import DefaultRules
from stockade.rate_limiting.rules import in_flight_rule, parse_rules

StoreKind = Literal["auto", "memory", "redis", "database"]


class RateLimitingSettings(BaseModel):
    """What is limited by default, and what happens while the store is away."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    enabled: bool | None = Field(
        default=None,
        description="Whether limits apply; unset, not in the environments local and test.",
    )
    public: str = Field(
        default="60/minute",
        description="Limits of each open route without limits of its own, by address.",
    )
    authenticated: str = Field(
        default="300/minute",
        description="Limits of each other route without limits of its own, by caller.",
    )
    programs: str = Field(
        default="300/minute",
        description="The same for programs, which come with an API key: apart from people, so that"
        " neither uses up what is the other's.",
    )
    address: str = Field(
        default="3000/minute",
        description="Limits of all not open routes together, by address, before authentication.",
    )
    login: str = Field(
        default="10/minute; 50/hour",
        description="Limits of each route that takes a password, by address.",
    )
    messages: str = Field(
        default="3000/minute",
        description="Limits of what comes in on each open websocket, by caller or address.",
    )
    connections: int = Field(
        default=100,
        ge=1,
        le=1_000_000,
        description="Websockets of one route that a caller or an address may have open at once.",
    )
    dry_run: bool = Field(
        default=False,
        description="Count and record what would be refused, and refuse nothing.",
    )
    legacy_headers: bool = Field(
        default=False,
        description="Whether answers have X-RateLimit-Limit, -Remaining and -Reset as well.",
    )
    ipv6_prefix: int = Field(
        default=IPV6_PREFIX,
        ge=16,
        le=128,
        description="Bits of an IPv6 address that name one client.",
    )
    store: StoreKind = Field(
        default="auto",
        description="Where limits are counted: memory, redis, database (PostgreSQL), or auto: Redis"
        " if there is one, else memory.",
    )
    failure: FailurePolicy = Field(
        default="closed",
        description="While the store is away: closed (refuse), open, or local (count in process).",
    )
    failure_public: FailurePolicy | None = Field(
        default=None, description="The same for limits of open routes; unset, as `failure`."
    )
    failure_authenticated: FailurePolicy | None = Field(
        default=None,
        description="The same for limits of routes that need a caller; unset, as `failure`.",
    )
    failure_address: FailurePolicy | None = Field(
        default=None, description="The same for the limit `address`; unset, as `failure`."
    )
    failure_login: FailurePolicy = Field(
        default="closed",
        description="The same for limits of routes that take a password; sign-in itself is always"
        " closed.",
    )
    ban_after: int | None = Field(
        default=None,
        ge=3,
        le=100_000,
        description="Refusals within `ban_window`, in one process, after which an address or a"
        " caller is banned; unset, nobody is.",
    )
    ban_window: int = Field(
        default=600, ge=10, le=86_400, description="Seconds within which refusals are counted."
    )
    ban_first: float = Field(
        default=60,
        ge=1,
        le=86_400,
        description="Seconds of the first ban; each further one lasts twice as long.",
    )
    ban_longest: float = Field(
        default=86_400, ge=1, le=2_592_000, description="Seconds of the longest ban."
    )
    timeout: float = Field(
        default=0.05, gt=0, le=5, description="Seconds within which the store must answer."
    )
    failure_threshold: int = Field(
        default=3,
        ge=1,
        le=1000,
        description="Failures in a row after which the store is left alone.",
    )
    cooldown: float = Field(
        default=1.0, gt=0, le=300, description="Seconds for which the store is then left alone."
    )
    max_keys: int = Field(
        default=100_000,
        ge=100,
        le=10_000_000,
        description="Buckets kept in memory at most; about 300 bytes each.",
    )

    @field_validator("public", "authenticated", "programs", "address", "login", "messages")
    @classmethod
    def _check_limits(cls, value: str) -> str:
        try:
            parse_rules(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        return value

    def default_rules(self) -> DefaultRules:
        """Return the default limits as rules."""
        address = parse_rules(self.address, scope="stockade:address")
        return DefaultRules(
            public=with_failure(parse_rules(self.public), self.failure_public),
            authenticated=with_failure(parse_rules(self.authenticated), self.failure_authenticated),
            programs=with_failure(parse_rules(self.programs), self.failure_authenticated),
            address=with_failure(address, self.failure_address),
            login=with_failure(parse_rules(self.login), self.failure_login),
            messages=parse_rules(self.messages, unit=Unit.MESSAGES),
            connections=(in_flight_rule(self.connections),),
            redirects=with_failure(
                parse_rules(self.public, scope="stockade:redirects"), self.failure_public
            ),
        )

    def failure_of(self, *, login: bool, needs_principal: bool) -> FailurePolicy | None:
        """Return the failure policy of the limits of a kind of routes."""
        if login:
            return self.failure_login
        return self.failure_authenticated if needs_principal else self.failure_public


def with_failure(
    rules: tuple[LimitRule, ...], failure: FailurePolicy | None
) -> tuple[LimitRule, ...]:
    """Set the failure policy of rules that have none of their own."""
    return tuple(
        rule if rule.failure is not None else replace(rule, failure=failure) for rule in rules
    )
