"""Check PDF, and text that no browser takes for a page.

Source: ISO 32000-2, section 7.5; MIME Sniffing Standard, sections 3 and 7.1; RFC 8259.
"""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Final

from stockade.errors import DeniedError
from stockade.validation.content.json_text import JSONScanner
from stockade.validation.content.limits import ContentLimits
from stockade.validation.uploads.content import CHUNK, Content, refuse
from stockade.validation.uploads.errors import UploadRefusedError

if TYPE_CHECKING:
    from stockade.validation.uploads.limits import ContentBounds

_PDF: Final = re.compile(rb"%PDF-[12]\.[0-9][\r\n %]")
_PDF_TAIL: Final = 2_048
_PDF_END: Final = re.compile(rb"startxref\s+[0-9]{1,12}\s+%%EOF[\s\0]*\Z")

# Nothing of this is in text but tab, line breaks and form feed. An escape begins a change of the
# character set (ISO-2022-JP), behind which a quotation mark is another character.
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - set(b"\t\n\f\r"))
_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = b"\t\n\f\r "
# What browsers that sniff take for a page, XML, PDF or PostScript, and PHP.
_MARKUP: Final = re.compile(
    rb"<(?:!DOCTYPE|HTML|HEAD|SCRIPT|IFRAME|H1|DIV|FONT|TABLE|A|STYLE|TITLE|B|BODY|BR|P|SVG|MATH"
    rb"|IMG|BASE|META|LINK|OBJECT|EMBED|FORM|VIDEO|AUDIO)(?:[\t\n\f\r />]|\Z)"
    rb"|<!--|<\?|<%|%PDF-|%!PS",
    re.IGNORECASE,
)
_JSON_START: Final = frozenset(b'{["-0123456789tfn')
_JSON_DEPTH: Final = 64
_JSON_VALUES: Final = 1_000_000


def check_pdf(content: Content, bounds: ContentBounds) -> None:
    """Refuse what does not begin and end as a PDF does.

    Scripts and attachments inside of a PDF are part of the format and stay.

    Raises:
        UploadRefusedError: It is another kind of file, or damaged.
    """
    del bounds
    refuse("upload_type", when=not _PDF.match(content.peek(0, 9)))
    tail = content.peek(max(0, content.size - _PDF_TAIL), _PDF_TAIL)
    refuse("upload_malformed", when=not _PDF_END.search(tail))


def check_text(content: Content, bounds: ContentBounds) -> None:
    """Refuse what is not text in UTF-8, or begins as something that a browser would show as a page.

    Raises:
        UploadRefusedError: It is another kind of file.
    """
    del bounds
    decoder = codecs.getincrementaldecoder("utf-8")()
    first = True
    for chunk in content.chunks():
        refuse("upload_text", when=len(chunk.translate(None, _CONTROLS)) != len(chunk))
        # White space may go on for longer than one piece.
        if first:
            beginning = chunk.removeprefix(_BOM).lstrip(_SPACE)
            refuse("upload_text", when=_MARKUP.match(beginning) is not None)
            first = not beginning
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError:
            raise UploadRefusedError("upload_text") from None
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise UploadRefusedError("upload_text") from None


def check_json(content: Content, bounds: ContentBounds) -> None:
    """Refuse what is not JSON that every parser reads the same.

    It is looked through as bodies are: depth, number of values, names that come twice, NaN. The
    last word on its syntax has the parser.

    Raises:
        UploadRefusedError: It is another kind of file, or breaks a rule.
    """
    check_text(content, bounds)
    beginning = content.peek(0, CHUNK).removeprefix(_BOM).lstrip(_SPACE)
    refuse("upload_type", when=not beginning or beginning[0] not in _JSON_START)
    limits = ContentLimits(depth=_JSON_DEPTH, values=_JSON_VALUES, text=content.size)
    scanner = JSONScanner(limits)
    try:
        for chunk in content.chunks():
            scanner.feed(chunk, last=False)
        scanner.feed(b"", last=True)
    except DeniedError:
        raise UploadRefusedError("upload_text") from None
