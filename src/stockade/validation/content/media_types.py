"""Read the name of a media type."""

from __future__ import annotations

import re
from typing import Final

# RFC 9110, sections 5.6.2 and 8.3.1; RFC 6838, section 4.2 caps the names.
_NAME: Final = rb"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE: Final = re.compile(rb"[ \t]*(%b)/(%b)[ \t]*(?:;.*)?" % (_NAME, _NAME), re.DOTALL)


def read_media_type(value: bytes) -> bytes | None:
    """Return the name in a ``Content-Type`` header in small letters, or None if it has none.

    >>> read_media_type(b"Application/JSON; charset=utf-8")
    b'application/json'

    Args:
        value: Untrusted value of the header.
    """
    found = _MEDIA_TYPE.fullmatch(value.lower())
    return b"%b/%b" % found.groups() if found else None


def is_json(media_type: bytes) -> bool:
    """Tell whether bodies of a media type are JSON (RFC 6839, section 3.1)."""
    return media_type.endswith((b"/json", b"+json"))
