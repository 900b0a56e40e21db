"""Hold the settings of the API documentation: who may read it, and what its pages may call."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

MAX_USERNAME_LENGTH: Final = 64
MIN_PASSWORD_LENGTH: Final = 12
MAX_PASSWORD_LENGTH: Final = 256

# RFC 7617, section 2: neither part of the credentials holds a control character.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# A host is matched as a whole, so that no space, semicolon or quote reaches the policy header.
_ORIGIN: Final = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*(?::[0-9]{1,5})?"
)

# The double quote and the backslash would end or escape the quoted string of the challenge.
Realm = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[ !#-\[\]-~]+$")]


def _hide_password(value: object) -> SecretStr | None:
    # Pydantic keeps the input of a failed check in the error. Wrapping the value before the first
    # check keeps that input masked; what is no text becomes an empty, thus refused, password.
    if value is None or isinstance(value, SecretStr):
        return value
    return SecretStr(value if isinstance(value, str) else "")


def _validate_password(value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    if value is not None:
        password = value.get_secret_value()
        if not MIN_PASSWORD_LENGTH <= len(password) <= MAX_PASSWORD_LENGTH:
            raise ValueError(
                f"the password must be text of {MIN_PASSWORD_LENGTH} to "
                f"{MAX_PASSWORD_LENGTH} characters"
            )
        _require_transmissible(password, part="password")
    # A user name that was refused is not in `data`, and has an error of its own.
    if "username" in info.data:
        username = info.data["username"]
        if (username is None) != (value is None):
            raise ValueError("give both a user name and a password, or neither")
        if value is not None and value.get_secret_value() == username:
            raise ValueError("the password must differ from the user name")
    return value


# The last of these runs first, around the others: what they see, and put into errors, is masked. A
# validator of the whole model would put the whole input, password included, into its error.
Password = Annotated[
    SecretStr | None, AfterValidator(_validate_password), BeforeValidator(_hide_password)
]


class APIDocsSettings(BaseModel):
    """Who may read `/docs`, `/redoc` and `/openapi.json`.

    Without a user name and a password the documentation is off: its routes answer 404. No message
    of a refused value repeats a password.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, validate_default=True
    )

    enabled: bool = Field(
        default=True,
        description="Serve the documentation to those who sign in; false answers 404 to everybody.",
    )
    username: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_USERNAME_LENGTH,
        description="User name for HTTP Basic, 1 to 64 characters, no colon; none turns it off.",
    )
    password: Password = Field(
        default=None,
        description="Password for HTTP Basic, 12 to 256 characters; none turns the pages off.",
    )
    realm: Realm = Field(
        default="API documentation",
        description="Name the browser shows when it asks, 1 to 64 printable ASCII characters.",
    )
    connect_origins: tuple[str, ...] = Field(
        default=(),
        max_length=16,
        description=(
            "Origins besides its own that a page may call, such as an identity provider's "
            "(`https://login.example.com`); none by default."
        ),
    )

    @property
    def is_served(self) -> bool:
        """Whether the documentation answers at all."""
        return self.enabled and self.username is not None and self.password is not None

    @field_validator("username")
    @classmethod
    def _validate_username(cls, value: str | None) -> str | None:
        if value is None:
            return None
        # RFC 7617, section 2: the first colon ends the user name, so it can't hold one.
        if ":" in value:
            raise ValueError("the user name must not contain a colon")
        _require_transmissible(value, part="user name")
        return value

    @field_validator("connect_origins")
    @classmethod
    def _validate_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError("an origin is a scheme, a lower-case host and maybe a port")
        return value


def _require_transmissible(value: str, *, part: str) -> None:
    """Raise ValueError for text that no client can send in an `Authorization` header.

    Source: RFC 7617, sections 2 and 2.1 (no control characters; Normalization Form C).
    """
    if _CONTROL.search(value) is not None:
        raise ValueError(f"the {part} must not contain control characters")
    # Clients normalise what a person types. A value that is stored otherwise would never match.
    if not unicodedata.is_normalized("NFC", value):
        raise ValueError(f"the {part} must be in Unicode Normalization Form C")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the {part} must be valid Unicode") from None
