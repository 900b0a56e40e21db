"""Describe validation errors without repeating anything that was submitted.

Pydantic's errors carry the value itself (``input``), parts of it in the text and the context, and
names of the caller's choosing in the location. None of it may reach a response or a log: a value
that does not fit may be a password in the wrong field.

Source: ASVS 5.0 V14.2.4 and V16.2.5; CWE-209; CWE-532.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stockade.validation.locations import Locations

MAX_PROBLEMS: Final = 50

# Constraints, which the author of the schema wrote.
_CONSTANTS: Final = frozenset(
    {
        *("decimal_places", "ge", "gt", "le", "lt", "max_bytes", "max_digits", "max_length"),
        *("min_length", "multiple_of", "whole_digits"),
    }
)
_UNKNOWN_CODE: Final = "This value does not fit."
_MESSAGES: Final = {
    "bool_parsing": "Must be true or false.",
    "bool_type": "Must be true or false.",
    "bytes_too_long": "Must have at most {max_length} bytes.",
    "bytes_too_short": "Must have at least {min_length} bytes.",
    "date_from_datetime_parsing": "Must be a date such as 2026-01-31.",
    "date_parsing": "Must be a date such as 2026-01-31.",
    "date_type": "Must be a date such as 2026-01-31.",
    "datetime_from_date_parsing": "Must be a date and time such as 2026-01-31T12:00:00Z.",
    "datetime_out_of_range": "Must be in the years 1 to 9999, in UTC as well.",
    "datetime_parsing": "Must be a date and time such as 2026-01-31T12:00:00Z.",
    "datetime_type": "Must be a date and time such as 2026-01-31T12:00:00Z.",
    "decimal_max_digits": "Must have at most {max_digits} digits.",
    "decimal_max_places": "Must have at most {decimal_places} decimal places.",
    "decimal_parsing": "Must be a decimal number.",
    "decimal_type": "Must be a decimal number.",
    "decimal_whole_digits": "Must have at most {whole_digits} digits before the point.",
    "dict_type": "Must be an object.",
    "email": "Must be an e-mail address.",
    "enum": "Must be one of the allowed values.",
    "extra_forbidden": "This field is unknown.",
    "file_name": "Must be a plain name of a file, without a path.",
    "finite_number": "Must be a finite number.",
    "float_parsing": "Must be a number.",
    "float_type": "Must be a number.",
    "frozen_set_type": "Must be an array.",
    "greater_than": "Must be greater than {gt}.",
    "greater_than_equal": "Must be at least {ge}.",
    "http_url": "Must be a URL such as https://example.com/, without user name and password.",
    "int_from_float": "Must be a whole number.",
    "int_parsing": "Must be a whole number.",
    "int_parsing_size": "Must be a smaller number.",
    "int_type": "Must be a whole number.",
    "json_invalid": "The body is not valid JSON.",
    "json_type": "Must be JSON in a string.",
    "less_than": "Must be less than {lt}.",
    "less_than_equal": "Must be at most {le}.",
    "list_type": "Must be an array.",
    "literal_error": "Must be one of the allowed values.",
    "missing": "This field is required.",
    "model_attributes_type": "Must be an object.",
    "model_type": "Must be an object.",
    "money": "Must be an amount in a string, such as 19.90.",
    "multiple_of": "Must be a multiple of {multiple_of}.",
    "none_required": "Must be null.",
    "password_characters": "Must not have a NUL character.",
    "password_too_long": "Must have at most {max_bytes} bytes.",
    "password_too_short": "Must have at least {min_length} characters.",
    "phone_number": "Must be a telephone number such as +442079460018.",
    "rich_text_too_complex": "Must have fewer or less deeply nested elements.",
    "set_type": "Must be an array.",
    "string_pattern_mismatch": "Has a character or a form that is not allowed here.",
    "string_too_long": "Must have at most {max_length} characters.",
    "string_too_short": "Must have at least {min_length} characters.",
    "string_type": "Must be a string.",
    "string_unicode": "Must be valid Unicode text.",
    "string_unstorable": "Must be text without NUL characters and lone surrogates.",
    "time_delta_parsing": "Must be a duration such as PT15M.",
    "time_delta_type": "Must be a duration such as PT15M.",
    "time_out_of_range": "Must have an offset from UTC of less than 16 hours.",
    "time_parsing": "Must be a time such as 12:00:00.",
    "time_type": "Must be a time such as 12:00:00.",
    "timezone_aware": "Must have a time zone.",
    "timezone_naive": "Must not have a time zone.",
    "token": "Must be a token of {min_length} to {max_length} characters.",
    "too_long": "Must have a length of at most {max_length}.",
    "too_short": "Must have a length of at least {min_length}.",
    "tuple_type": "Must be an array.",
    "union_tag_invalid": "Must name one of the allowed kinds.",
    "union_tag_not_found": "Must name its kind.",
    "upload_archive": "Must be an archive that is safe to unpack and not too large when it is.",
    "upload_empty": "Must not be an empty file.",
    "upload_image_too_large": "Must be an image with fewer pixels or frames.",
    "upload_malformed": "Must be one complete file with nothing in front or behind.",
    "upload_name": "Must be a file with a plain name.",
    "upload_text": "Must be a file of text in UTF-8 that does not begin as a page does.",
    "upload_too_large": "Must be a file of at most {max_bytes} bytes.",
    "upload_too_many": "Must be at most {max_length} files.",
    "upload_total_too_large": "Must be files of at most {max_bytes} bytes together.",
    "upload_type": "Must be a file of an allowed type, by its name, header and content.",
    "url_not_public": "Must be a URL of the public internet.",
    "url_parsing": "Must be a URL.",
    "url_scheme": "Must be a URL of an allowed scheme.",
    "url_syntax_violation": "Must be a URL.",
    "url_too_long": "Must have at most {max_length} characters.",
    "url_type": "Must be a URL.",
    "uuid_canonical": "Must be a UUID such as 123e4567-e89b-42d3-a456-426614174000.",
    "uuid_parsing": "Must be a UUID such as 123e4567-e89b-42d3-a456-426614174000.",
    "uuid_type": "Must be a UUID such as 123e4567-e89b-42d3-a456-426614174000.",
    "uuid_version": "Must be a UUID of the right version.",
}


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing that did not fit.

    Args:
        pointer: Where, as a JSON Pointer (RFC 6901) that starts with the place: ``/body/title``.
        code: Stable code, the type of Pydantic's error.
        message: The rule in words.
    """

    pointer: str
    code: str
    message: str


def describe_errors(
    errors: Iterable[Mapping[str, Any]], *, locations: Locations | None = None
) -> tuple[FieldProblem, ...]:
    """Turn the errors of Pydantic or FastAPI into what may be shown and logged.

    Args:
        errors: What ``exc.errors()`` returns: untrusted, for it holds submitted values.
        locations: Reads the locations, by the schema that has made the errors; without it, no place
            is shown.

    Returns:
        At most 50 problems, and where there are more a last one that counts them.
    """
    problems = []
    total = 0
    for total, error in enumerate(errors, start=1):
        if total <= MAX_PROBLEMS:
            problems.append(_describe(error, locations))
    if total > MAX_PROBLEMS:
        message = f"There are {total - MAX_PROBLEMS} more problems."
        problems.append(FieldProblem("", "more_problems", message))
    return tuple(problems)


def _describe(error: Mapping[str, Any], locations: Locations | None) -> FieldProblem:
    code = str(error["type"])
    pointer = "" if locations is None else locations.point(error["loc"])
    return FieldProblem(pointer, code, _message(code, error.get("ctx") or {}))


def _message(code: str, context: Mapping[str, Any]) -> str:
    template = _MESSAGES.get(code, _UNKNOWN_CODE)
    constants = {
        name: value
        for name, value in context.items()
        if name in _CONSTANTS and isinstance(value, (int, float))
    }
    try:
        return template.format_map(constants)
    except KeyError:
        # The constraint is no plain number, such as a date: say no more than that.
        return _UNKNOWN_CODE
