"""Compose the settings of all layers; the only reader of the environment."""

from __future__ import annotations

import os
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from stockade.api_docs import APIDocsSettings
from stockade.authentication.settings import AuthenticationSettings
from stockade.authorization.settings import AuthorizationSettings
from stockade.errors import ConfigurationError
from stockade.gate.settings import GateSettings
from stockade.rate_limiting import RateLimitingSettings
from stockade.tenancy.settings import TenancySettings
from stockade.validation.settings import ValidationSettings
from stockade.web import WebSettings

_PREFIX: Final = "STOCKADE_"
# Read by the demo and by the project's tests, not by `Settings`.
_OTHER_READERS: Final = ("STOCKADE_DEMO_", "STOCKADE_TEST_", "STOCKADE_CORPORA")
# Names that teams already use, and the setting that each stands for.
_ALIASES: Final = {
    "SECRET_KEY": ("secret_keys",),
    "DATABASE_URL": ("database_url",),
    "REDIS_URL": ("redis_url",),
    "DOCS_USERNAME": ("api_docs", "username"),
    "DOCS_PASSWORD": ("api_docs", "password"),
}


class Environment(StrEnum):
    """Where the application runs."""

    LOCAL = "local"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"

    @property
    def is_deployed(self) -> bool:
        """Whether others than its developers can reach it."""
        return self in (Environment.STAGING, Environment.PRODUCTION)


class _AliasSource(PydanticBaseSettingsSource):
    """Reads the names that teams already use; a ``STOCKADE_`` name wins over them."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ANN401, ARG002 - pydantic's signature
        """Give nothing field by field; everything comes at once from the call."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return what the environment sets by an alias."""
        found: dict[str, Any] = {}
        for name, path in _ALIASES.items():
            value = os.environ.get(name)
            if not value:
                continue
            target = found
            for part in path[:-1]:
                target = target.setdefault(part, {})
            target[path[-1]] = value
        return found


class Settings(BaseSettings):
    """Every setting of Stockade, read from ``STOCKADE_<LAYER>__<FIELD>`` and checked when built.

    Attributes:
        environment: Where the application runs; ``production`` unless said otherwise.
        secret_keys: Secrets, oldest to newest, parted by commas: the newest signs, all of them
            verify.
        database_url: Database of the accounts and of `Stockade.session`.
        redis_url: Redis or Valkey for limits; without one, each process counts for itself.
        gate: What is closed by default.
        web: Hosts, proxies, body size, headers.
        validation: Start-up check of schemas.
        authentication: Sign-in and tokens.
        authorization: Roles and permissions.
        tenancy: Isolation of tenants.
        rate_limiting: Limits.
        api_docs: Credentials of the API documentation.

    Raises:
        ConfigurationError: A setting is unknown or has a value that can't be; the message never
            repeats the value.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        nested_model_default_partial_update=True,
    )

    environment: Environment = Environment.PRODUCTION
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    database_url: SecretStr | None = None
    redis_url: SecretStr | None = None
    gate: GateSettings = Field(default_factory=GateSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    validation: ValidationSettings = Field(default_factory=ValidationSettings)
    authentication: AuthenticationSettings = Field(default_factory=AuthenticationSettings)
    authorization: AuthorizationSettings = Field(default_factory=AuthorizationSettings)
    tenancy: TenancySettings = Field(default_factory=TenancySettings)
    rate_limiting: RateLimitingSettings = Field(default_factory=RateLimitingSettings)
    api_docs: APIDocsSettings = Field(default_factory=APIDocsSettings)

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - any setting
        _refuse_unknown_names(os.environ)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationError(_describe(error)) from None

    @field_validator("secret_keys", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then ``STOCKADE_`` names, then the names that teams already use."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, _AliasSource(settings_cls)


def _refuse_unknown_names(environment: os._Environ[str]) -> None:
    known = known_names()
    for name in environment:
        if not name.startswith(_PREFIX) or name.startswith(_OTHER_READERS):
            continue
        first, _, _ = name.removeprefix(_PREFIX).partition("__")
        candidates = [entry for entry in known if entry == name or name.startswith(entry + "__")]
        if not candidates:
            close = get_close_matches(name, known, n=1)
            hint = f"; is {close[0]} meant?" if close else ""
            message = f"the environment variable {name} names no setting of Stockade ({first.lower()}){hint}"
            raise ConfigurationError(message)


def known_names() -> list[str]:
    """Name the environment variable of every setting."""
    names = []
    for field, info in Settings.model_fields.items():
        nested = getattr(info.annotation, "model_fields", None)
        if nested is None:
            names.append(f"{_PREFIX}{field}".upper())
        else:
            names += [f"{_PREFIX}{field}__{inner}".upper() for inner in nested]
    return names


def _describe(error: ValidationError) -> str:
    parts = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        where = "__".join(str(part) for part in problem["loc"] if isinstance(part, str))
        parts.append(f"{_PREFIX}{where.upper()}: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)
