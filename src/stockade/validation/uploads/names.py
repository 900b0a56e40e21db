"""Judge the names that clients give their files, and make the names that files are stored under.

Source: ASVS 5.0 V5.3.2; CWE-22; CWE-73; CWE-434; Microsoft's rules for naming files.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from typing import Final

from stockade.validation.uploads.errors import UploadRefusedError
from stockade.validation.uploads.kinds import kind_of

_MAX_BYTES: Final = 255
# Controls (C0, C1, DEL), line separators, what turns the direction of text and so shows
# "gpj.exe" as "exe.jpg", invisible characters, lone surrogates, and what is special on Windows:
# a colon names a stream of another file.
_REFUSED: Final = re.compile(
    "[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b\u2060\ufeff\ufffd\ud800-\udfff"
    r'/\\<>:"|?*]'
)
_DEVICES: Final = re.compile(
    r"(?:con|prn|aux|nul|clock\$|conin\$|conout\$|com[0-9]|lpt[0-9])", re.IGNORECASE
)
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

    It may be shown and offered for a download. It is never a place to store something: two clients
    can send one name, and file systems take different names for the same. Use
    `generate_storage_name`.

    Args:
        filename: What the client sent; untrusted.

    Raises:
        UploadRefusedError: It is missing or longer than 255 bytes, has a path, a character that
            hides or separates, the name of a device, or an extension that something would run.
    """
    if not filename or len(filename) > _MAX_BYTES or _REFUSED.search(filename):
        raise UploadRefusedError("upload_name")
    if len(filename.encode("utf-8")) > _MAX_BYTES:
        raise UploadRefusedError("upload_name")
    # Windows turns look-alikes of ASCII, such as a full-width solidus, into ASCII.
    for spelling in (filename, unicodedata.normalize("NFKC", filename)):
        if "/" in spelling or "\\" in spelling or _is_special(spelling):
            raise UploadRefusedError("upload_name")
    return filename


def _is_special(name: str) -> bool:
    # Windows drops dots and spaces at the end, so that such a name is another one there.
    if name.startswith((".", " ", "-", "~")) or name.endswith((".", " ")):
        return True
    stem, *extensions = (part.strip() for part in name.split("."))
    if _DEVICES.fullmatch(stem):
        return True
    return any(part.lower() in _ACTIVE for part in extensions)


def extension_of(name: str) -> str:
    """Return the last extension in lower case, without its dot; empty where there is none."""
    return name.rpartition(".")[2].lower() if "." in name else ""


def generate_storage_name(media_type: str) -> str:
    """Draw a name to store a file under, such as ``"3q2-7wAb….png"``.

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
