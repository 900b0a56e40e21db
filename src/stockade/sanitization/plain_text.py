"""Tell plain text from markup, and turn one into the other."""

from __future__ import annotations

import html
import re
from html.entities import html5
from typing import Final

import nh3

from stockade.sanitization.errors import SanitizationError
from stockade.sanitization.policies import DEFAULT_MAX_LENGTH
from stockade.sanitization.work import check_work

# The only characters for which an HTML parser and serializer give back anything but the text
# itself, found by trying every character there is.
_SPECIAL: Final = re.compile("[\0\r&<>\xa0]")
# A tag, end tag, comment, declaration or processing instruction begins with "<" and one of these
# (HTML standard, section 13.2.5.6 "Tag open state"); before anything else "<" is a character like
# any other. A "<" at the very end would meet whatever a template puts behind the value. NUL is a
# parse error with a different cure in each state.
_TAG_OPEN: Final = re.compile(r"<(?:[A-Za-z/!?]|\Z)|\0")
# Section 13.2.5.72 "Character reference state": a number, or a known name. Some old names count
# without their semicolon, whatever comes next.
_BARE_NAMES: Final = "|".join(
    sorted((name for name in html5 if not name.endswith(";")), key=len, reverse=True)
)
_REFERENCE: Final = re.compile(rf"&(?:#(?:[0-9]|[xX][0-9A-Fa-f])|{_BARE_NAMES})")
_NAMED: Final = re.compile(r"&([A-Za-z][A-Za-z0-9]*;)")

_LINE_ENDS: Final = re.compile(r"<br>|</(?:p|li|h[1-6]|div|tr|blockquote|pre|dd|dt)>")
_BLOCKS: Final = set(
    {
        *("blockquote", "br", "dd", "div", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "li"),
        *("p", "pre", "tr"),
    }
)
_STRIPPER: Final = nh3.Cleaner(
    tags=_BLOCKS,
    attributes={"*": set()},
    clean_content_tags={"script", "style"},
    link_rel=None,
)
_ANY_TAG: Final = re.compile(r"</?[a-z][a-z0-9]*>")


def is_plain_text(value: str) -> bool:
    """Tell whether an HTML parser would take a value for text alone and read it as it stands.

    Such a value is shown the same raw and escaped: it holds no tag, comment or declaration, and no
    character reference. ``Tom & Jerry < 3`` is plain text, ``a&lt;b`` is not.

    Source: HTML standard (WHATWG), sections 13.2.5.1, 13.2.5.6 and 13.2.5.72.
    """
    if not _SPECIAL.search(value):
        return True
    if _TAG_OPEN.search(value) or _REFERENCE.search(value):
        return False
    return not any(name[1] in html5 for name in _NAMED.finditer(value))


def escape_html(value: str) -> str:
    """Return HTML that shows a plain text as it stands, in element content and quoted attributes.

    Templates with automatic escaping do this already; do it once, where text becomes HTML.

    >>> escape_html("5 < 6 & 'so on'")
    '5 &lt; 6 &amp; &#x27;so on&#x27;'
    """
    return html.escape(value, quote=True)


def strip_html(value: str) -> str:
    r"""Return the text of an HTML fragment: no markup, one line for each paragraph, item or row.

    The result is plain text, for a search index, a preview or the text part of a mail. It is not
    HTML: what the author wrote as ``&lt;b&gt;`` is ``<b>`` in it. Escape it where it is rendered.

    >>> strip_html("<p>Tom &amp; Jerry</p><p>5 &lt; 6</p><script>x</script>")
    'Tom & Jerry\n5 < 6'

    Raises:
        SanitizationError: The value is too long, needs too much work, or is not Unicode text.
    """
    if len(value) > DEFAULT_MAX_LENGTH:
        raise SanitizationError(reason="sanitization.too_long", limit=DEFAULT_MAX_LENGTH)
    if is_plain_text(value):
        return value
    check_work(value)
    try:
        cleaned = _STRIPPER.clean(value)
    except UnicodeEncodeError:
        raise SanitizationError(reason="sanitization.not_unicode") from None
    # The engine's output is well formed and its tags have no attributes; every other "<" in it is
    # escaped, so what matches here is markup.
    lines = _ANY_TAG.sub("", _LINE_ENDS.sub("\n", cleaned))
    return html.unescape(lines).strip("\n")
