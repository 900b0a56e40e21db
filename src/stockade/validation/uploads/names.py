"""Judge the names that clients give their files, and make the names that files are stored under.

Source: ASVS 5.0 V5.3.2; CWE-22; CWE-73; CWE-434; Microsoft's rules for naming files.
"""

from __future__ import annotations

import secrets
import unicodedata
from typing import Final

from pydantic import TypeAdapter, ValidationError

from stockade.validation.types.files import LONGEST_NAME, FileName, fold_name
from stockade.validation.uploads.errors import UploadRefusedError
from stockade.validation.uploads.kinds import kind_of

_PLAIN: Final[TypeAdapter[str]] = TypeAdapter(FileName)
# A server that is set up loosely runs "x.php.png"; a desktop that hides the last extension shows
# "x.exe.png" as a program would be shown, and a browser may open the first as a page.
_ACTIVE: Final = frozenset(
    {
        *("asa", "ashx", "asmx", "asp", "aspx", "bat", "cer", "cfm", "cgi", "cmd", "exe", "fcgi"),
        *("hta", "htaccess", "htm", "html", "jar", "js", "jsp", "jspx", "lnk", "msi", "phar"),
        *("php", "php3", "php4", "php5", "php7", "php8", "phps", "pht", "phtm", "phtml", "pl"),
        *("ps1", "py", "rb", "scr", "sh", "shtml", "svg", "svgz", "vbs", "wsf", "xht", "xhtml"),
    }
)


def safe_name(filename: str | None) -> str:
    """Return the name of a file if it is a plain one, and refuse it otherwise.

    A plain one is what `FileName` takes, in whichever Unicode form, without an extension that
    something would run. It may be shown and offered for a download. It is never a place to store
    something: two clients can send one name, and file systems take different names for the same.
    Use `generate_storage_name`.

    Args:
        filename: What the client sent; untrusted.

    Raises:
        UploadRefusedError: It is missing, not plain, or longer than 255 bytes.
    """
    if filename is None or len(filename) > LONGEST_NAME:
        raise UploadRefusedError("upload_name")
    try:
        # Systems of Apple take letters and their accents apart, which no user can help.
        _PLAIN.validate_python(unicodedata.normalize("NFC", filename))
    except ValidationError:
        raise UploadRefusedError("upload_name") from None
    is_active = _is_active(filename) or _is_active(fold_name(filename))
    if is_active or len(filename.encode("utf-8")) > LONGEST_NAME:
        raise UploadRefusedError("upload_name")
    return filename


def _is_active(name: str) -> bool:
    return any(part.strip().lower() in _ACTIVE for part in name.split(".")[1:])


def extension_of(name: str) -> str:
    """Return the last extension in lower case, without its dot; empty where there is none."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def generate_storage_name(media_type: str) -> str:
    """Draw a name to store a file under, such as ``"u3q2-7wAb….png"``.

    It has 192 bits of randomness, so that it can't be guessed either, and only letters, digits,
    ``-`` and ``_`` before the extension.

    Args:
        media_type: Type that was established for the content, such as ``upload.content_type`` of an
            upload that has passed its `Upload`.

    Raises:
        UploadRuleError: No extension is known for the type.
    """
    # A letter in front: a name that begins with "-" is an option to a program.
    return f"u{secrets.token_urlsafe(24)}.{kind_of(media_type).extensions[0]}"
