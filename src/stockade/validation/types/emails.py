"""Define e-mail addresses."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from stockade.validation.types.text import require_string

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue

_MAX_LENGTH: Final = 254
_MAX_LOCAL: Final = 64
# Most addresses are plain; the library takes ten times as long to say so. A label with hyphens in
# its third and fourth place may be an encoded one, and is for the library.
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PLAIN: Final = re.compile(
    rf"(?=[^@]{{1,{_MAX_LOCAL}}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?P<tld>[A-Za-z]{{2,63}})"
)
_SPECIAL: Final = frozenset(name.rpartition(".")[2] for name in SPECIAL_USE_DOMAIN_NAMES)


@dataclass(frozen=True, slots=True)
class EmailFormat:
    """An e-mail address by its form; nothing is looked up.

    No display name, no comment, no quoted part and no address of a machine. An address outside of
    ASCII has to be written as its normal form, because two spellings of one address would be two
    accounts. Capitals are kept: what stands before the ``@`` belongs to the receiving server.

    Raises:
        LooseSchemaError: It is put on something else than a ``str``.

    Source: RFC 5321, section 4.5.3.1 (lengths, in bytes); RFC 5322 and RFC 6531 by way of
    email-validator.
    """

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = require_string(handler(source), type(self).__name__)
        schema.setdefault("max_length", _MAX_LENGTH)
        return core_schema.no_info_after_validator_function(_check_email, schema)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "format": "email"}


def _check_email(value: str) -> str:
    plain = _PLAIN.fullmatch(value)
    if plain is not None and len(value) <= _MAX_LENGTH and plain["tld"].lower() not in _SPECIAL:
        return value
    if not _is_address(value):
        raise PydanticCustomError("email", "Value is not an e-mail address")
    return value


def _is_address(value: str) -> bool:
    # A field may allow more, and the library's work grows with what it reads.
    if len(value) > _MAX_LENGTH or not unicodedata.is_normalized("NFC", value):
        return False
    try:
        found = validate_email(value, check_deliverability=False)
    except EmailNotValidError:
        return False
    local, _, domain = value.rpartition("@")
    if len(local.encode()) > _MAX_LOCAL or len(value.encode()) > _MAX_LENGTH:
        return False
    # The library also takes domains that others read as a different one, such as in full width.
    known = found.ascii_domain if domain.isascii() else found.domain
    spelled = domain.lower() if domain.isascii() else domain
    return local == found.local_part and spelled == known.lower()


EmailAddress: TypeAlias = Annotated[str, EmailFormat()]
"""An e-mail address of at most 254 characters."""
