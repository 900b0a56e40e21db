"""Make the refusals of requests, which carry nothing of the request."""

from __future__ import annotations

from typing import Final

from stockade.errors import InvalidRequestError, MalformedRequestError

_MESSAGES: Final = {
    "body_text_too_long": "Holds a text of more than {limit} characters.",
    "form_field_too_long": "Holds a field of more than {limit} bytes.",
    "form_too_many_fields": "Has more than {limit} fields.",
    "form_too_many_files": "Has more than {limit} files.",
    "json_duplicate_key": "Has an object that names a member twice.",
    "json_invalid": "The body is not valid JSON.",
    "json_not_finite": "Holds a number that is not finite.",
    "json_number_too_long": "Holds a number of more than {limit} characters.",
    "json_too_deep": "Has more than {limit} levels of objects and arrays.",
    "json_too_many_values": "Has more than {limit} members and items.",
    "repeated": "Must not be sent more than once.",
    "string_unstorable": "Must be text without NUL characters and lone surrogates.",
}


def invalid(code: str, *, limit: int = 0, pointer: str = "/body") -> InvalidRequestError:
    """Make the refusal of a request that breaks a rule.

    Args:
        code: Stable code of the rule.
        limit: What the rule allows, for the message.
        pointer: Where, without anything that was submitted.
    """
    message = _MESSAGES[code].format(limit=limit)
    return InvalidRequestError(
        reason=f"validation.{code}", rule=code, message=message, pointer=pointer
    )


def repeated(place: str, name: str) -> InvalidRequestError:
    """Make the refusal of a parameter that is sent twice.

    Args:
        place: Where it is, such as ``query``.
        name: Its name, one that the application declares.
    """
    escaped = name.replace("~", "~0").replace("/", "~1")
    return invalid("repeated", pointer=f"/{place}/{escaped}")


def malformed(what: str) -> MalformedRequestError:
    """Make the refusal of a body that is not what its headers say.

    Args:
        what: Last part of the reason code.
    """
    return MalformedRequestError(reason=f"validation.{what}")
