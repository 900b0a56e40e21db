"""Make the headers to hand out again what was uploaded.

Source: RFC 6266, section 4 and appendix D; RFC 8187, section 3.2; ASVS 5.0 V3.2.1 and V5.4.2.
"""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import quote

from stockade.validation.uploads.errors import UploadRuleError
from stockade.validation.uploads.kinds import FileKind, find_kind
from stockade.validation.uploads.names import safe_name

# Shown in a page of their own, these run nothing.
_SHOWN: Final = frozenset(
    {
        *("audio/mpeg", "audio/ogg", "audio/wav", "image/avif", "image/gif", "image/jpeg"),
        *("image/png", "image/webp", "text/plain", "video/mp4"),
    }
)
_UNKNOWN: Final = "application/octet-stream"
# attr-char of RFC 8187 beyond what is never quoted anyway.
_ATTRIBUTE_CHARACTERS: Final = "!#$&+-.^_`|~"
# A percent sign stays out too: some readers would decode it.
_NO_TOKEN: Final = re.compile(r"[^A-Za-z0-9 ._()\[\]{}+,=@!#$&^~-]")


def download_headers(
    name: str,
    media_type: str | FileKind,
    *,
    disposition: Literal["attachment", "inline"] = "attachment",
) -> dict[str, str]:
    """Return the headers of an answer that holds an uploaded file.

    A browser saves the file and does not show it, does not guess another type, and runs nothing
    even if it were shown. A type that is unknown here, such as HTML, SVG and XML, is sent as bytes.

    Args:
        name: What the file is offered as; a name that has passed `safe_name`.
        media_type: Type that was established when it was uploaded.
        disposition: ``inline`` shows it, for images, sound, video and plain text alone.

    Raises:
        UploadRefusedError: The name would not pass `safe_name`.
        UploadRuleError: Files of the type are not safe to show.
    """
    name = safe_name(name)
    kind = find_kind(media_type)
    known = _UNKNOWN if kind is None else kind.media_type
    shown = disposition == "inline"
    if shown and known not in _SHOWN:
        raise UploadRuleError(f"files of {known} are not safe to show: leave them an attachment")
    fallback = _NO_TOKEN.sub("_", name)
    value = f'{"inline" if shown else "attachment"}; filename="{fallback}"'
    if fallback != name:
        value += f"; filename*=UTF-8''{quote(name, safe=_ATTRIBUTE_CHARACTERS)}"
    return {
        "Content-Type": f"{known}; charset=utf-8" if known.startswith("text/") else known,
        "Content-Disposition": value,
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "X-Content-Type-Options": "nosniff",
    }
