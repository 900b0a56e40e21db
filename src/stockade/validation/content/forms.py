"""Count the fields and files of a form while it streams in, before anything parses it.

The grammar is that of python-multipart, which Starlette parses forms with: what a second parser
took for a file, the first could take for a field.

Source: RFC 7578; URL Standard, section 5.1; CWE-400; ASVS 5.0 V1.5.3 and V5.2.1.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, QuerystringParser, parse_options_header

from stockade.validation.content.errors import invalid, malformed, repeated

if TYPE_CHECKING:
    from stockade.validation.content.limits import ContentLimits

# RFC 2046, section 5.1.1.
_LONGEST_BOUNDARY: Final = 70
_DISPOSITION: Final = b"content-disposition"
# Some clients begin or end a form with one, or write two.
_SPARE_SEPARATORS: Final = 16
_UTF8: Final = codecs.getincrementaldecoder("utf-8")


class _Parser(Protocol):
    def write(self, data: bytes) -> int: ...

    def finalize(self) -> None: ...


class URLEncodedScanner:
    """Refuses a form of names and values that is too large or is no text.

    Args:
        limits: How much it may hold.
        single: Names of which one value is read.
    """

    def __init__(self, limits: ContentLimits, single: frozenset[str] = frozenset()) -> None:
        self._limits = limits
        self._names = _Names(single)
        self._fields = 0
        self._separators = 0
        self._name = bytearray()
        self._value = bytearray()
        self._parser = QuerystringParser(
            {
                "on_field_start": self._start,
                "on_field_name": self._extend_name,
                "on_field_data": self._extend_value,
                "on_field_end": self._end,
            }
        )

    def feed(self, data: bytes, *, last: bool) -> None:
        """Look through the next part of a form.

        Args:
            data: Untrusted bytes.
            last: Whether nothing follows.

        Raises:
            MalformedRequestError: It is no form, or no UTF-8.
            InvalidRequestError: It breaks a rule.
        """
        # The parser looks at each of them by itself, and calls nobody where no field is between.
        self._separators += data.count(b"&")
        if self._separators > self._limits.fields + _SPARE_SEPARATORS:
            raise invalid("form_too_many_fields", limit=self._limits.fields)
        _feed(self._parser, data, last=last)

    def _start(self) -> None:
        self._fields += 1
        if self._fields > self._limits.fields:
            raise invalid("form_too_many_fields", limit=self._limits.fields)
        self._name.clear()
        self._value.clear()

    def _extend_name(self, data: bytes, start: int, end: int) -> None:
        self._require_room(end - start)
        self._name += data[start:end]

    def _extend_value(self, data: bytes, start: int, end: int) -> None:
        self._require_room(end - start)
        self._value += data[start:end]

    def _require_room(self, size: int) -> None:
        if len(self._name) + len(self._value) + size > self._limits.text:
            raise invalid("form_field_too_long", limit=self._limits.text)

    def _end(self) -> None:
        # Each by itself: half of a character in the name and half in the value are no text.
        self._names.add(_unescape(self._name))
        _unescape(self._value)


class MultipartScanner:
    """Refuses a form of fields and files that has too many of them or is no text.

    What is in the files is not looked at.

    Args:
        content_type: Value of the ``Content-Type`` header; untrusted.
        limits: How much it may hold.
        single: Names of fields and files of which one value is read.

    Raises:
        MalformedRequestError: The header names no boundary, or a character set that is not UTF-8.
    """

    def __init__(
        self, content_type: bytes, limits: ContentLimits, single: frozenset[str] = frozenset()
    ) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
            raise malformed("multipart")
        if options.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):
            raise malformed("charset")
        self._limits = limits
        self._names = _Names(single)
        self._fields = 0
        self._files = 0
        self._length = 0
        self._name = bytearray()
        self._value = bytearray()
        self._disposition: bytes | None = None
        self._is_file = False
        self._begun = False
        self._ended = False
        self._decoder = _UTF8()
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._start,
                "on_header_field": self._extend_name,
                "on_header_value": self._extend_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._extend,
                "on_part_end": self._end,
                "on_end": self._finish,
            },
        )

    def feed(self, data: bytes, *, last: bool) -> None:
        """Look through the next part of a form.

        Args:
            data: Untrusted bytes.
            last: Whether nothing follows.

        Raises:
            MalformedRequestError: It is no form, a field is no UTF-8, or the last boundary is
                missing.
            InvalidRequestError: It breaks a rule.
        """
        self._begun = self._begun or bool(data)
        _feed(self._parser, data, last=last)
        if last and self._begun and not self._ended:
            # Starlette would drop the part that has no end, and take the others for the form.
            raise malformed("form")

    def _start(self) -> None:
        self._disposition = None
        self._name.clear()
        self._value.clear()

    def _extend_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _extend_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._name.lower() == _DISPOSITION:
            if self._disposition is not None:
                raise malformed("multipart")
            self._disposition = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise malformed("multipart")
        for option in options.values():
            _decode(_UTF8(), option, last=True)
        self._names.add(options[b"name"].decode("utf-8"))
        self._is_file = b"filename" in options
        if self._is_file:
            self._files += 1
            if self._files > self._limits.files:
                raise invalid("form_too_many_files", limit=self._limits.files)
        else:
            self._fields += 1
            if self._fields > self._limits.fields:
                raise invalid("form_too_many_fields", limit=self._limits.fields)
        self._length = 0
        self._decoder = _UTF8()

    def _extend(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            return
        self._length += end - start
        if self._length > self._limits.text:
            raise invalid("form_field_too_long", limit=self._limits.text)
        _decode(self._decoder, data[start:end], last=False)

    def _end(self) -> None:
        if not self._is_file:
            _decode(self._decoder, b"", last=True)

    def _finish(self) -> None:
        self._ended = True


def _feed(parser: _Parser, data: bytes, *, last: bool) -> None:
    try:
        if data:
            parser.write(data)
        if last:
            parser.finalize()
    except FormParserError:
        raise malformed("form") from None


class _Names:
    """Refuses a name that comes twice where one value is read."""

    def __init__(self, single: frozenset[str]) -> None:
        self._left = set(single)
        self._single = single

    def add(self, name: str) -> None:
        if name not in self._single:
            return
        if name not in self._left:
            raise repeated("body", name)
        self._left.discard(name)


def _unescape(escaped: bytearray) -> str:
    # Bytes beyond ASCII have to be percent-encoded; Starlette would read them as Latin-1.
    if not escaped.isascii():
        raise malformed("not_utf8")
    plain = escaped.replace(b"+", b" ")
    return _decode(_UTF8(), unquote_to_bytes(bytes(plain)) if b"%" in plain else plain, last=True)


def _decode(decoder: codecs.IncrementalDecoder, data: bytes | bytearray, *, last: bool) -> str:
    try:
        text = decoder.decode(data, last)
    except UnicodeDecodeError:
        raise malformed("not_utf8") from None
    if "\0" in text:
        raise invalid("string_unstorable")
    return text
