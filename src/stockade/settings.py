"""Compose the settings of all layers; the only reader of the environment."""

from __future__ import annotations

import os
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_origin

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from stockade.api_docs import APIDocsSettings
from stockade.authentication.settings import AuthenticationSettings
from stockade.authorization.settings import AuthorizationSettings
from stockade.errors import ConfigurationError
from stockade.gate.settings import GateSettings
from stockade.rate_limiting import RateLimitingSettings
from stockade.reporting.settings import ReportingSettings
from stockade.tenancy.settings import TenancySettings
from stockade.validation.settings import ValidationSettings
from stockade.web import WebSettings
from stockade.web.dashboard import DashboardSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic.fields import FieldInfo

_PREFIX: Final = "STOCKADE_"
_OF_SLOWAPI: Final = frozenset(
    f"RATELIMIT_{name}"
    for name in (
        "ENABLED",
        "HEADERS_ENABLED",
        "STORAGE_URL",
        "STORAGE_OPTIONS",
        "STRATEGY",
        "DEFAULT",
        "APPLICATION",
        "HEADER_LIMIT",
        "HEADER_REMAINING",
        "HEADER_RESET",
        "SWALLOW_ERRORS",
        "IN_MEMORY_FALLBACK",
        "IN_MEMORY_FALLBACK_ENABLED",
        "HEADER_RETRY_AFTER",
        "HEADER_RETRY_AFTER_VALUE",
        "KEY_PREFIX",
    )
)
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


class _EnvironmentSource(EnvSettingsSource):
    """Reads ``STOCKADE_`` names; a list is parted by commas or written as JSON."""

    def decode_complex_value(self, field_name: str, field: FieldInfo | None, value: Any) -> Any:  # noqa: ANN401 - pydantic's signature
        """Decode the value of a list or a table.

        Raises:
            ConfigurationError: It is neither a list nor JSON; the message never repeats it.
        """
        text = str(value).strip()
        if field is not None and not text.startswith(("[", "{")):
            return [part.strip() for part in text.split(",") if part.strip()]
        try:
            return super().decode_complex_value(field_name, field, value)  # type: ignore[arg-type]  # None is passed for members of tables.
        except ValueError:
            message = (
                f"the environment variable of {field_name} is neither a list parted by commas nor "
                "JSON"
            )
            raise ConfigurationError(message) from None


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
        dashboard: Pages for super administrators.
        reporting: Mail.

    Raises:
        ConfigurationError: A setting is unknown or has a value that can't be; the message never
            repeats the value.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        # An empty variable, as compose files leave it, is none.
        env_ignore_empty=True,
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
    dashboard: DashboardSettings = Field(default_factory=DashboardSettings)
    reporting: ReportingSettings = Field(default_factory=ReportingSettings)

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
    def settings_customise_sources(  # noqa: PLR0917 - pydantic's signature
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments first, then ``STOCKADE_`` names, then the names that teams already use."""
        del env_settings, dotenv_settings, file_secret_settings
        return init_settings, _EnvironmentSource(settings_cls), _AliasSource(settings_cls)


def variables_of_slowapi() -> list[str]:
    """Name the variables that slowapi's ``Limiter`` would read, there or in ``.env``."""
    file = Path(".env")
    lines = file.read_text("utf-8", "replace").splitlines() if file.is_file() else []
    given = {line.partition("=")[0].strip() for line in lines} | set(os.environ)
    return sorted(given & _OF_SLOWAPI)


def _refuse_unknown_names(environment: Iterable[str]) -> None:
    names = dict(_list_names())
    for given in environment:
        # Names are read in any case, so a misspelt one is noticed in any case.
        name = given.upper()
        if not name.startswith(_PREFIX) or name.startswith(_OTHER_READERS) or name in names:
            continue
        if any(name.startswith(f"{table}__") for table, takes in names.items() if takes):
            continue
        close = get_close_matches(name, names, n=1)
        hint = f"; is {close[0]} meant?" if close else ""
        message = f"the environment variable {given} names no setting of Stockade{hint}"
        raise ConfigurationError(message)


def known_names() -> list[str]:
    """Name the environment variable of every setting."""
    return [name for name, _ in _list_names()]


def _list_names() -> Iterator[tuple[str, bool]]:
    """Yield the environment variable of every setting, and whether it takes members."""
    for field, info in Settings.model_fields.items():
        nested = getattr(info.annotation, "model_fields", None)
        for inner, inner_info in {"": info}.items() if nested is None else nested.items():
            name = f"{_PREFIX}{field}__{inner}" if inner else f"{_PREFIX}{field}"
            yield name.upper(), get_origin(inner_info.annotation) is dict


def _describe(error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        # Parts with brackets are pydantic's own names for the members of a union.
        parts = [part for part in problem["loc"] if isinstance(part, str) and "[" not in part]
        message = _without(problem["msg"].removeprefix("Value error, "), problem["input"])
        lines.append(f"{_PREFIX}{'__'.join(parts).upper()}: {message}")
    return "; ".join(dict.fromkeys(lines))


def _without(message: str, value: object) -> str:
    """Take a value out of a message: a rule of a layer may quote what it was given."""
    if not isinstance(value, str) or not value:
        return message
    return message.replace(repr(value), "this").replace(value, "this")
