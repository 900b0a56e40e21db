"""Bound the work that a value can make an HTML parser do, before the parser sees it.

Measured on html5ever (nh3 0.3.8): 50,000 nested ``<div>`` (250 KB) take 8 s, 1,000,000 ``&`` take
7.6 s, 20,000 attributes on ``<html>`` 5.4 s, and 4,000 ``<p>`` behind 200 unclosed ``<strong>``
turn 18 KB into 13.6 MB, because a parser opens formatting elements again in each paragraph. What
passes here takes well under a second, and below 0.1 s where it is 4 KB or less.

The bounds count what a parser might do at most. Markup that is well formed is counted exactly;
where the markup can be read in two ways, an end tag is not believed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from stockade.sanitization.errors import SanitizationError

# A value this small can't do harm, so that the usual one is not scanned at all, and not even
# counted where no number of tags in it could matter.
_TINY_LENGTH: Final = 1_024
_SMALL_LENGTH: Final = 4_096
_SMALL_TAGS: Final = 256

MAX_DEPTH: Final = 200
_MAX_REOPENED: Final = 250_000  # Formatting elements left open, times the tags that follow.
_MAX_TAG_LENGTH: Final = 10_000  # Parsers compare each attribute with those before it.
_MAX_ROOT_LENGTH: Final = 2_000  # Attributes of <html> and <body> tags add up, and are slower.
_MAX_ESCAPES: Final = 10_000_000_000  # Characters to escape, times the length they are moved along.

_SPACE: Final = r"[ \t\n\f\r]"
_ATTRIBUTE: Final = (
    rf"""[^ \t\n\f\r"'<>/=]++"""
    rf"""(?:{_SPACE}*+={_SPACE}*+(?:"[^"]*+"|'[^']*+'|[^ \t\n\f\r"'=<>`]++))?+"""
)
# Possessive throughout: each tag is tried once, in linear time. A tag that does not match is one
# that browsers read with error recovery.
_TOKEN: Final = re.compile(
    rf"<(?:(?P<start>[A-Za-z][A-Za-z0-9:\-]*+)(?={_SPACE}|[/>])(?:{_SPACE}|/|{_ATTRIBUTE})*+>"
    rf"|/(?P<end>[A-Za-z][A-Za-z0-9:\-]*+){_SPACE}*+>"
    r"|(?P<comment>!--(?!-?>))"
    r"|[!?](?!--)[^>]*+>"
    r"|(?P<odd>[A-Za-z/!?]))"
)
_COMMENT_END: Final = re.compile(r"--!?>")
_START: Final = re.compile(r"<[A-Za-z]")

_VOID: Final = frozenset(
    {
        *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta"),
        *("param", "source", "track", "wbr"),
    }
)
# A new one closes the one before it, so that writers leave out the end tag. They nest only through
# another element in between, and that one counts.
_SELF_ENDING: Final = frozenset({"p", "li"})
_FORMATTING: Final = frozenset(
    {
        *("a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike"),
        *("strong", "tt", "u"),
    }
)
# What is inside is text up to the element's own end tag.
_RAW: Final = frozenset(
    {*("iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp")}
)
_RAW_END: Final = {
    name: re.compile(rf"</{name}(?={_SPACE}|[/>])[^>]*+>", re.IGNORECASE) for name in _RAW
}
# These change how what follows is read: another language, another mode, or no tags at all.
_MODE_CHANGING: Final = frozenset(
    {*("frameset", "math", "noscript", "plaintext", "select", "svg", "template")}
)


def check_work(value: str) -> None:
    """Refuse a value whose parsing could take too long or grow too large.

    Raises:
        SanitizationError: It is nested too deep, has too many attributes in one tag, too many
            formatting elements left open, or too many characters to escape.
    """
    length = len(value)
    if length <= _TINY_LENGTH or (length <= _SMALL_LENGTH and value.count("<") <= _SMALL_TAGS):
        return
    escapes = value.count("&") + value.count("\xa0")
    if escapes * length > _MAX_ESCAPES:
        raise SanitizationError(reason="sanitization.too_complex")
    if not _scan(value).is_bounded():
        raise SanitizationError(reason="sanitization.too_complex")


@dataclass(slots=True)
class _Scan:
    """What a parser would hold at most."""

    open_elements: list[str] = field(default_factory=list)
    open_formatting: int = 0
    depth: int = 0
    formatting: int = 0
    tags: int = 0
    longest_tag: int = 0
    root_length: int = 0

    def start(self, name: str, length: int) -> None:
        self.tags += 1
        self.longest_tag = max(self.longest_tag, length)
        if name in {"html", "body"}:
            self.root_length += length
        elif name not in _VOID and name not in _SELF_ENDING:
            self.open_elements.append(name)
            self.depth = max(self.depth, len(self.open_elements))
            if name in _FORMATTING:
                self.open_formatting += 1
                self.formatting = max(self.formatting, self.open_formatting)

    def end(self, name: str) -> None:
        self.tags += 1
        # Only the end of the innermost element surely takes it off the parser's stack.
        if self.open_elements and self.open_elements[-1] == name:
            self.open_elements.pop()
            self.open_formatting -= name in _FORMATTING

    def distrust(self, rest: str) -> None:
        """Count each start tag of text that can be read in two ways as one that stays open."""
        starts = len(_START.findall(rest))
        self.depth = max(self.depth, len(self.open_elements) + starts)
        self.formatting = max(self.formatting, self.open_formatting + starts)
        self.tags += 2 * starts
        self.longest_tag = max(self.longest_tag, *map(len, rest.split("<")))
        self.root_length += len(rest) if _ROOT.search(rest) else 0

    def is_bounded(self) -> bool:
        return (
            self.depth <= MAX_DEPTH
            and self.formatting * self.tags <= _MAX_REOPENED
            and self.longest_tag <= _MAX_TAG_LENGTH
            and self.root_length <= _MAX_ROOT_LENGTH
        )


_ROOT: Final = re.compile(r"<(?:html|body)", re.IGNORECASE)


def _scan(value: str) -> _Scan:
    scan = _Scan()
    position = 0
    while (token := _TOKEN.search(value, position)) is not None:
        after = _read(token, scan)
        if after is None:
            scan.distrust(value[token.start() :])
            break
        position = after
    return scan


def _read(token: re.Match[str], scan: _Scan) -> int | None:
    """Count one token and return where the next may begin, or None where that is not certain."""
    if token["comment"] is not None:
        end = _COMMENT_END.search(token.string, token.end())
        return end and end.end()
    if token["end"] is not None:
        scan.end(token["end"].lower())
        return token.end()
    if token["start"] is None:
        return None if token["odd"] is not None else token.end()
    name = token["start"].lower()
    if name in _MODE_CHANGING:
        return None
    if name in _RAW:
        return _skip_raw(token, name)
    scan.start(name, token.end() - token.start())
    return token.end()


def _skip_raw(token: re.Match[str], name: str) -> int | None:
    end = _RAW_END[name].search(token.string, token.end())
    # A comment in a script can hide its end (script data double escaped state).
    if end is None or (name == "script" and "<!--" in token.string[token.end() : end.start()]):
        return None
    return end.end()
