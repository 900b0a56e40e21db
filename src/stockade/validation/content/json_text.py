"""Look through JSON while it streams in, before anything parses it.

A parser takes what is valid: `json.loads` recurses as deep as the text does, keeps the last of two
members of one name, and reads ``NaN``, ``Infinity`` and ``1e999``. Behind it, readers disagree
about what was sent, and the memory is spent. This scanner holds no more than the names of the
objects it is inside of; whether the text is JSON at all is left to the parser, but for what could
make a parser read another text than was looked through.

Source: RFC 8259, sections 4, 6, 8.1 and 9; CWE-400; CWE-436; ASVS 5.0 V1.5.3.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from hashlib import blake2b
from io import StringIO
from typing import TYPE_CHECKING, Final

from pydantic_core import from_json

from stockade.validation.content.errors import invalid, malformed

if TYPE_CHECKING:
    from stockade.validation.content.limits import ContentLimits

_SPACE: Final = r"[ \t\n\r]*+"
_COMMAS: Final = r"[ \t\n\r,]*+"
# Numbers, true, false and null.
_WORDS: Final = r"[0-9+\-.eEtrufalsn]"
_INSIDE: Final = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
# One step of the text. Most members are one step each, since each step has its price. Nothing here
# backtracks, and every character belongs to exactly one step.
_STEP: Final = re.compile(
    # 1, 2: a name without escapes, and the string or the word that is its value.
    rf'"([^"\\]*+)"{_SPACE}:{_SPACE}(?:"[^"\\]*+"|({_WORDS}*+)){_COMMAS}'
    # 3, 4: any other name. 3, 5: a string.
    rf'|"({_INSIDE})"(?:({_SPACE}:)|({_COMMAS}))'
    # 6: an object or array begins. 7: it ends.
    rf"|([\[{{])|[\]}}]({_COMMAS})"
    # 8: the colon of a name that came in another part of the text.
    r"|(:)"
    # Words, space and commas.
    rf"|(?:{_WORDS}|[ \t\n\r,])++"
    # 9: what is none of these.
    r"|(.)",
    re.DOTALL,
)
_PLAIN_WORD: Final = 2
_PLAIN: Final = (1, _PLAIN_WORD)
_NAME, _STRING, _OPEN, _CLOSE, _COLON, _OTHER = range(4, 10)
_REST_OF_STRING: Final = re.compile(_INSIDE, re.DOTALL)
_LONGEST_NUMBER: Final = 300
# The whole of it matches where no number is longer.
_SHORT_NUMBERS: Final = re.compile(
    rf"(?:[0-9+\-.eE]{{0,{_LONGEST_NUMBER}}}+(?:[^0-9+\-.eE]++|\Z))*+"
)
_NUMBER_AT_END: Final = re.compile(r"[0-9+\-.eE]*+\Z")
# Only an exponent makes a number of 300 characters larger than a float can be.
_EXPONENT: Final = re.compile(r"[0-9.]++[eE][+]?[0-9]++")
_SHORTEST_LARGE: Final = 5
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
# A character beyond U+FFFF is two escapes.
_LONGEST_ESCAPE: Final = 12
_LONGEST_KEPT_NAME: Final = 64
# A member or item takes at most five steps, and a text that comes in two parts is cut at one place.
# What takes more is no JSON: its steps have no values, so that no other limit would end it.
_STEPS_PER_VALUE: Final = 8
_BOM: Final = "\ufeff"


def _is_harmless(data: bytes, limits: ContentLimits) -> bool:
    """Tell whether a short and complete text breaks no rule, where that is quick to see.

    Most bodies are, and a parser in C sees it in a fraction of the time. Nothing is refused here:
    whatever raises a doubt is for the scanner to decide.
    """
    if len(data) > _LONGEST_HARMLESS or len(data) > limits.text or _DOUBTFUL in data:
        return False
    opened = data.count(b"[") + data.count(b"{")
    if opened + data.count(b",") >= limits.values:
        return False
    if opened == 1 <= limits.depth and len(data) <= _LONGEST_NUMBER and _is_plain(data):
        return True
    try:
        root = _PARSER.decode(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return False
    return opened <= limits.depth or _is_flat(root, limits.depth)


def _is_plain(data: bytes) -> bool:
    """Tell whether a text that is no longer than a number may be is one flat object or array.

    A parser without hooks takes a fifteenth of the time. Each member has a colon outside of its
    strings: where the members that are left are as many as all colons, none was lost to another of
    its name.
    """
    try:
        root = from_json(data, allow_inf_nan=False)
    except ValueError:
        return False
    if type(root) is dict:
        values = root.values()
        return (
            len(root) == data.count(b":") and _INFINITE not in values and -_INFINITE not in values
        )
    return type(root) is list and _INFINITE not in root and -_INFINITE not in root


def _is_flat(root: object, depth: int) -> bool:
    level = [root] if isinstance(root, list) else []
    for _ in range(depth):
        level = [inner for outer in level for inner in outer if isinstance(inner, list)]
    return not level


def _require_unique(members: list[tuple[str, object]]) -> list[object]:
    """Stand for an object by a list of the objects and arrays in it."""
    if len(members) > 1 and len(dict(members)) != len(members):
        raise ValueError
    return [value for _, value in members if isinstance(value, list)]


def _require_short(number: str) -> None:
    if len(number) > _LONGEST_NUMBER:
        raise ValueError


def _require_finite(number: str) -> None:
    if len(number) > _LONGEST_NUMBER or not math.isfinite(float(number)):
        raise ValueError


def _refuse_constant(_name: str) -> None:
    raise ValueError


_LONGEST_HARMLESS: Final = 65_536
_INFINITE: Final = math.inf
# What a NUL and half of a surrogate pair are written with.
_DOUBTFUL: Final = b"\\u"
_PARSER: Final = json.JSONDecoder(
    object_pairs_hook=_require_unique,
    parse_constant=_refuse_constant,
    parse_float=_require_finite,
    parse_int=_require_short,
)


class JSONScanner:
    """Refuses JSON that is too deep, too large, ambiguous or not finite.

    Args:
        limits: How much it may hold.
    """

    __slots__ = ("_limits", "_steps")

    def __init__(self, limits: ContentLimits) -> None:
        self._limits = limits
        self._steps: _Steps | None = None

    def feed(self, data: bytes, *, last: bool) -> None:
        """Look through the next part of a text.

        Args:
            data: Untrusted bytes.
            last: Whether nothing follows.

        Raises:
            MalformedRequestError: It is not UTF-8.
            InvalidRequestError: It breaks a rule.
        """
        if self._steps is None:
            if last and _is_harmless(data, self._limits):
                return
            self._steps = _Steps(self._limits)
        self._steps.feed(data, last=last)


class _Steps:
    """Goes through a text step by step, and remembers where it is."""

    __slots__ = (
        "_decode",
        "_escaped",
        "_inside",
        "_last",
        "_left",
        "_length",
        "_limits",
        "_names",
        "_number",
        "_parts",
        "_started",
        "_values",
    )

    def __init__(self, limits: ContentLimits) -> None:
        self._limits = limits
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        # The names of each object that the text is inside of; None for an array.
        self._names: list[set[str] | None] = []
        self._values = 0
        # The string that was read last, for a colon that comes in another part of the text.
        self._last: str | None = None
        # The beginning of a number whose end has not come yet.
        self._number = ""
        self._inside = False
        self._escaped = False
        self._parts = StringIO()
        self._length = 0
        self._left = _STEPS_PER_VALUE * (limits.values + 1)
        self._started = False

    def feed(self, data: bytes, *, last: bool) -> None:
        try:
            text = self._decode(data, last)
        except UnicodeDecodeError:
            raise malformed("not_utf8") from None
        if "\0" in text:
            # JSON has no NUL, and what has one is UTF-16 or UTF-32 for `json.loads`.
            raise invalid("json_invalid")
        if text:
            self._read(text, last=last)
        if last and (self._inside or self._names):
            raise invalid("json_invalid")

    def _read(self, text: str, *, last: bool) -> None:
        if not self._started:
            self._started = True
            text = text.removeprefix(_BOM)
        if self._inside:
            end = self._continue(text, 0)
            if end < 0:
                return
            text = text[end:]
        if self._number:
            text = self._number + text
            self._number = ""
        self._left += _STEPS_PER_VALUE
        self._scan(text, last=last)

    # One loop over the grammar: a call for each step would cost more than the step.
    def _scan(self, text: str, *, last: bool) -> None:  # noqa: C901, PLR0912
        names = self._names
        members = names[-1] if names else None
        longest = self._limits.text
        left = self._left
        for match in _STEP.finditer(text):
            left -= 1
            if left < 0:
                raise invalid("json_invalid")
            kind = match.lastindex
            if kind in _PLAIN:
                if match.end() - match.start() > longest:
                    self._check_long(match.group())
                self._add_name(match.group(1), members)
                if kind == _PLAIN_WORD and len(word := match.group(2)) >= _SHORTEST_LARGE:
                    self._check_numbers(word)
            elif kind == _STRING:
                self._last = self._check_string(match.group(3))
                if members is None:
                    self._count(match.group(5).count(","))
            elif kind == _OPEN:
                members = self._open(match.group())
            elif kind == _CLOSE:
                if not names:
                    raise invalid("json_invalid")
                names.pop()
                members = names[-1] if names else None
                if members is None:
                    self._count(match.group(7).count(","))
            elif kind is None:
                run = match.group()
                if members is None:
                    self._count(run.count(","))
                if len(run) >= _SHORTEST_LARGE:
                    self._check_numbers(run)
            elif kind == _NAME:
                self._add_name(self._check_string(match.group(3)), members)
            elif kind == _COLON:
                if self._last is None:
                    raise invalid("json_invalid")
                self._add_name(self._last, members)
                self._last = None
            elif match.group() == '"':
                # Nothing ends the string, so that it takes all the rest.
                self._continue(text, match.end())
                break
            else:
                # NaN and Infinity, in the spelling of parsers that take them.
                raise invalid("json_not_finite" if match.group() in "NI" else "json_invalid")
        self._left = left
        if not (last or self._inside):
            self._keep_number(text)

    def _open(self, bracket: str) -> set[str] | None:
        names = self._names
        if len(names) == self._limits.depth:
            raise invalid("json_too_deep", limit=self._limits.depth)
        members: set[str] | None = set() if bracket == "{" else None
        names.append(members)
        # The first item of an array comes without a comma.
        self._count(members is None)
        return members

    def _add_name(self, name: str, members: set[str] | None) -> None:
        if len(name) > _LONGEST_KEPT_NAME:
            # Names would be all that the scanner's memory could grow by.
            name = blake2b(name.encode("utf-8")).hexdigest()
        if members is None or name in members:
            raise invalid("json_invalid" if members is None else "json_duplicate_key")
        members.add(name)
        self._count(1)

    def _count(self, values: int) -> None:
        self._values += values
        if self._values > self._limits.values:
            raise invalid("json_too_many_values", limit=self._limits.values)

    def _check_numbers(self, words: str) -> None:
        if len(words) > _LONGEST_NUMBER and not _SHORT_NUMBERS.fullmatch(words):
            raise invalid("json_number_too_long", limit=_LONGEST_NUMBER)
        if "e" not in words and "E" not in words:
            return
        for number in _EXPONENT.findall(words):
            try:
                finite = math.isfinite(float(number))
            except ValueError:
                raise invalid("json_invalid") from None
            if not finite:
                raise invalid("json_not_finite")

    def _check_long(self, step: str) -> None:
        """Look again at the strings of a long step, which has no escapes."""
        # Nothing, the name, a colon, the value, commas.
        if max(map(len, step.split('"')[1::2])) > self._limits.text:
            raise invalid("body_text_too_long", limit=self._limits.text)

    def _check_string(self, raw: str) -> str:
        """Return what a string stands for; two spellings of one name are the same name."""
        limit = self._limits.text
        if "\\" not in raw:
            if len(raw) > limit:
                raise invalid("body_text_too_long", limit=limit)
            return raw
        try:
            value: str = json.loads(f'"{raw}"')
        except ValueError:
            raise invalid("json_invalid") from None
        if len(value) > limit:
            raise invalid("body_text_too_long", limit=limit)
        if _UNSTORABLE.search(value):
            raise invalid("string_unstorable")
        return value

    def _continue(self, text: str, start: int) -> int:
        """Read on in a string; return where it has ended, or -1."""
        if not self._inside:
            self._inside = True
            self._length = 0
        at = start
        if self._escaped:
            self._escaped = False
            at += 1
        end = match.end() if (match := _REST_OF_STRING.match(text, at)) else at
        closed = end < len(text) and text[end] == '"'
        if not closed and end < len(text):
            # A backslash at the very end: what it escapes is in the next part.
            self._escaped = True
            end = len(text)
        self._length += end - start
        if self._length > _LONGEST_ESCAPE * self._limits.text:
            raise invalid("body_text_too_long", limit=self._limits.text)
        self._parts.write(text[start:end])
        if not closed:
            return -1
        whole = self._parts.getvalue()
        self._parts = StringIO()
        self._inside = False
        self._last = self._check_string(whole)
        return end + 1

    def _keep_number(self, text: str) -> None:
        match = _NUMBER_AT_END.search(text, max(0, len(text) - _LONGEST_NUMBER - 1))
        self._number = match.group() if match else ""
        if len(self._number) > _LONGEST_NUMBER:
            raise invalid("json_number_too_long", limit=_LONGEST_NUMBER)
