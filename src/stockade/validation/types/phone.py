"""Define telephone numbers in their one international spelling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from stockade.errors import ConfigurationError
from stockade.validation.types.text import TextFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler

_MAX_LENGTH: Final = 16
_E164: Final = r"^\+[1-9][0-9]{1,14}$"


@dataclass(frozen=True, slots=True)
class PhoneFormat:
    """A telephone number as ``+`` and up to 15 digits, which some network has given out.

    What else people write, such as spaces, brackets or a leading zero, is for the form in the
    browser: two spellings of one number would be two customers. A number that exists may belong to
    anybody, and may cost money to call: send a code to it only within a limit.

    Raises:
        LooseSchemaError: It is put on something else than a ``str``.
        ConfigurationError: The library of numbers is not installed.

    Source: ITU-T E.164, section 6.
    """

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        check = _build_check()
        spelling = TextFormat(_E164, _MAX_LENGTH).__get_pydantic_core_schema__(source, handler)
        return core_schema.no_info_after_validator_function(check, spelling)


def _build_check() -> Callable[[str], str]:
    try:
        import phonenumbers  # noqa: PLC0415 - an extra, asked for when a model needs it.
    except ImportError:
        message = "telephone numbers need phonenumbers: pip install 'stockade[phone]'"
        raise ConfigurationError(message) from None

    def check(value: str) -> str:
        try:
            number = phonenumbers.parse(value)
        except phonenumbers.NumberParseException:
            raise PydanticCustomError("phone_number", "Value is no telephone number") from None
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        # The parser drops a zero that is only dialled within a country.
        if written != value or not phonenumbers.is_valid_number(number):
            raise PydanticCustomError("phone_number", "Value is no telephone number")
        return value

    return check


PhoneNumber: TypeAlias = Annotated[str, PhoneFormat()]
"""A telephone number such as ``+442079460018``: E.164, at most 16 characters."""
