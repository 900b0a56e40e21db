import codecs
import email.message
import json
import tracemalloc
import zlib
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

import anyio
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic_core import from_json
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import FormParser, MultiPartParser

from stockade.errors import DeniedError
from stockade.validation.content import (
    JSON,
    MULTIPART,
    URL_ENCODED,
    BodyCheck,
    ContentLimits,
    ContentRules,
)
from stockade.validation.content.forms import MultipartScanner, URLEncodedScanner
from stockade.validation.content.json_text import JSONScanner

Scanner = JSONScanner | URLEncodedScanner | MultipartScanner
LIMITS = ContentLimits(depth=4, values=20, text=30, fields=3, files=2)
LARGE = ContentLimits(values=1_000)


def verdict(make: Callable[[], Scanner], parts: Iterable[bytes], *, ends: bool = False) -> str:
    """Return the reason code of a refusal, or ``passed``."""
    try:
        scanner = make()
        for part in parts:
            scanner.feed(part, last=ends)
        if not ends:
            scanner.feed(b"", last=True)
    except DeniedError as error:
        return error.reason.removeprefix("validation.")
    return "passed"


def cut(data: bytes, size: int) -> list[bytes]:
    """Cut a body into parts."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def scan(data: bytes, size: int = 65_536, limits: ContentLimits = LIMITS) -> str:
    """Return the verdict on JSON; the same whether its end comes with the last part or behind."""
    first = verdict(lambda: JSONScanner(limits), cut(data, size))
    if len(data) <= size:
        assert verdict(lambda: JSONScanner(limits), [data], ends=True) == first
    return first


# What `json.loads` takes for UTF-16, and what looks like one text without an end in UTF-8: the last
# byte of the first character is a backslash, so that the quote behind it ends nothing.
HIDDEN = '"\u5c41\\u0000\\ud800\u5c41"'.encode("utf-16-le")
ENCODINGS = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
BOMS = [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", ['{"a":1,"a":2}', '"a"', "1", "  [1]", '"\u5c41"', "[]", '"\\""'])
@pytest.mark.parametrize("size", [1, 2, 3, 65_536])
def test_other_encodings_are_refused(encoding: str, text: str, size: int) -> None:
    """Whatever `json.loads` would find in the bytes, it is not read."""
    data = text.encode(encoding)
    json.loads(data)
    assert scan(data, size) in {"json_invalid", "not_utf8"}


@pytest.mark.parametrize("mark", BOMS, ids=repr)
def test_a_mark_of_another_encoding_is_refused(mark: bytes) -> None:
    """Only that of UTF-8 may begin a text, and only once."""
    assert scan(mark + b"[1]") in {"json_invalid", "not_utf8"}
    assert scan(codecs.BOM_UTF8 * 2 + b"[1]") == "json_invalid"


@pytest.mark.parametrize("size", [1, 2, 65_536])
def test_a_text_that_has_no_end_in_utf8_hides_nothing(size: int) -> None:
    """A parser that finds UTF-16 in it would read a NUL and half of a character."""
    assert json.loads(HIDDEN) == "\u5c41\0\ud800\u5c41"
    assert scan(HIDDEN, size) == "json_invalid"


@pytest.mark.parametrize(
    "data", [b'"a', b'"a\\', b'["a"', b'{"a":', b"[", b'{"a":"', b'["\\u00'], ids=repr
)
@pytest.mark.parametrize("size", [1, 65_536])
def test_what_has_no_end_is_refused(data: bytes, size: int) -> None:
    """No parser can make more of the rest than was looked through."""
    assert scan(data, size) == "json_invalid"


def is_bad(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Tell whether a value may not come out of a parser."""
    if isinstance(value, str):
        return any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, float):
        return value != value or abs(value) == float("inf")  # noqa: PLR0124 - NaN
    if isinstance(value, list):
        return any(map(is_bad, value))
    return False


def twice(pairs: list[tuple[str, Any]]) -> list[Any]:
    """Keep each name and value, and mark what is there twice."""
    mark = [float("nan")] if len(dict(pairs)) != len(pairs) else []
    return [*mark, *(part for pair in pairs for part in pair)]


PIECES = st.sampled_from(
    [
        *(bytes([each]) for each in b'\0"\\{}[]:,ua01.eE+-NI \n\x01'),
        *(b"\\u0000", b"\\ud83d", b"\\ude00", b"\\u0061", b'"a"', b'"a":', b"1e999", b"NaN"),
        *(b"-Infinity", b"true", "é".encode(), "\u5c41".encode("utf-16-le"), b"\xef\xbb\xbf"),
    ]
)


@settings(max_examples=1_000)
@given(st.lists(PIECES, max_size=14).map(b"".join), st.integers(1, 9))
@example(HIDDEN, 1)
@example(HIDDEN, 65_536)
@example('{"a":1,"a":2}'.encode("utf-16-be"), 65_536)
def test_what_parsers_take_is_what_was_looked_through(data: bytes, size: int) -> None:
    """Python's parser and Pydantic's make nothing bad of any bytes that pass."""
    if scan(data, size) != "passed":
        return
    for parse in (lambda raw: json.loads(raw, object_pairs_hook=twice), from_json):
        try:
            value = parse(data)
        except (ValueError, RecursionError):
            continue
        assert not is_bad(value)


FLOODS = {
    "objects": b"{}",
    "objects in an array": b"[" + b"{}" * 10,
    "texts": b'""',
    "texts with escapes": b'"\\n"',
    "objects without names": b"{},",
    "words and objects": b"1{}",
    "texts and words": b'"a"1',
    "ends": b"]",
}


@pytest.mark.parametrize("unit", FLOODS.values(), ids=FLOODS.keys())
@pytest.mark.parametrize("prefix", [b"", b"[", b"{", b'{"a":'])
def test_a_flood_without_values_ends(unit: bytes, prefix: bytes) -> None:
    """What no limit counts is no JSON, and is refused before all of it was looked at."""
    scanner = JSONScanner(LIMITS)
    with pytest.raises(DeniedError):
        scanner.feed(prefix + unit * 10_000, last=False)


FULL = {
    "members": b"{" + b", ".join(b' "a%d" : "b" ' % each for each in range(1_000)) + b"}",
    "escaped": b"{" + b" , ".join(b'"\\n%d" : "\\n" ' % each for each in range(1_000)) + b"}",
    "objects": b"[ " + b" , ".join([b"{ }"] * 1_000) + b" ]",
    "members that are objects": b"{"
    + b",".join(b'"\\u0061%d" : { } ' % each for each in range(1_000))
    + b"}",
    "arrays": b"[ " + b" , ".join([b"[ ]"] * 499) + b" , 1 ]",
    "texts": b"[ " + b" , ".join([b'"\\n" ']) + b', "a" , 1 ' * 499 + b"]",
}


@pytest.mark.parametrize("data", FULL.values(), ids=FULL.keys())
@pytest.mark.parametrize("size", [1, 2, 7, 65_536])
def test_json_never_runs_out_of_steps(data: bytes, size: int) -> None:
    """As many values as may be pass in any spelling, however the text is cut up."""
    json.loads(data)
    assert scan(data, size, LARGE) == "passed"


def test_an_escape_counts_as_what_it_stands_for() -> None:
    """A text of nothing but escaped emoji has its length, in one part and in many."""
    data = b'["' + b"\\ud83d\\ude00" * 30 + b'"]'
    assert {scan(data, size) for size in (1, 5, 65_536)} == {"passed"}
    longer = data.replace(b'"]', b'x"]')
    assert {scan(longer, size) for size in (1, 5, 65_536)} == {"body_text_too_long"}


@pytest.mark.parametrize("distance", [1, 63, 64, 65, 500])
def test_long_names_are_told_apart(distance: int) -> None:
    """A name is one however long it is, and however it is spelled."""
    name = b"x" * distance
    limits = ContentLimits(text=1_000)
    other = b'{"%b":1, "%by":2, "y%b":3}' % (name, name, name)
    same = b'{"%b":1, "%by":2, "\\u0078%b":3}' % (name, name, name[1:])
    for size in (1, 65_536):
        assert scan(other + b" " * 70_000, size, limits) == "passed"
        assert scan(same + b" " * 70_000, size, limits) == "json_duplicate_key"


def peak_of(work: Callable[[], object]) -> int:
    """Return the most bytes that were held at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_long_names_are_not_kept() -> None:
    """Forty megabytes of names leave next to nothing behind."""
    scanner = JSONScanner(ContentLimits(values=10_000))

    def work() -> None:
        scanner.feed(b"{", last=False)
        for number in range(1_000):
            scanner.feed(b'"%d%b":1,' % (number, b"x" * 40_000), last=False)

    assert peak_of(work) < 2_000_000


def test_a_text_in_many_parts_is_no_larger_than_itself() -> None:
    """A part of one character costs no more than the character."""
    scanner = JSONScanner(ContentLimits(text=200_000))
    part = "é".encode()

    def work() -> None:
        scanner.feed(b'["', last=False)
        for _ in range(200_000):
            scanner.feed(part, last=False)

    assert peak_of(work) < 2_000_000


def url_encoded(data: bytes, size: int = 65_536) -> str:
    """Return the verdict on a form of names and values."""
    return verdict(lambda: URLEncodedScanner(LIMITS), cut(data, size))


@pytest.mark.parametrize("data", [b"%C3=%A9", b"a=%C3&%A9=b", b"%=C3%A9&%F0%9F=%98%80"], ids=repr)
def test_half_a_character_in_the_name_is_no_text(data: bytes) -> None:
    """Name and value are read each by itself."""
    assert url_encoded(data) == url_encoded(data, 1) == "not_utf8"


def test_no_nul_comes_of_a_name_and_a_value() -> None:
    """What is a NUL in neither of them is none."""
    assert url_encoded(b"a%0=0") == url_encoded(b"a%0=0", 1) == "passed"


@pytest.mark.parametrize("data", [b"&" * 1_000, b"a=1" + b"&" * 1_000], ids=["alone", "behind"])
def test_separators_without_fields_end(data: bytes) -> None:
    """The parser takes its time for each of them."""
    assert url_encoded(data) == url_encoded(data, 1) == "form_too_many_fields"


async def in_parts(parts: Iterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Hand on parts as Starlette does."""
    for part in parts:
        yield part


def read_form(parser: Callable[..., Any], content_type: bytes, parts: list[bytes]) -> FormData:
    """Let Starlette read a form."""
    headers = Headers(raw=[(b"content-type", content_type)])

    async def read() -> FormData:
        form: FormData = await parser(headers, in_parts(parts)).parse()
        return form

    return anyio.run(read)


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(
            [b"a", b"&", b"=", b"%", b"%00", b"%C3", b"%A9", b"0", b"+", b"\xe9", b";"]
        ),
        max_size=10,
    ).map(b"".join),
    st.integers(1, 9),
)
def test_starlette_reads_what_was_looked_through(data: bytes, size: int) -> None:
    """In a form that passes are no more fields than may be, and nothing was replaced."""
    parts = cut(data, size)
    if verdict(lambda: URLEncodedScanner(LIMITS), parts) != "passed":
        return
    items = read_form(FormParser, URL_ENCODED, parts).multi_items()
    assert len(items) <= LIMITS.fields
    for name, value in items:
        assert isinstance(value, str)
        assert not {"\0", "\ufffd"} & {*name, *value}


XX = b"multipart/form-data; boundary=XX"
FORM_PIECES = st.sampled_from(
    [
        *(b"--XX", b"\r\n--XX", b"\r\n", b"--", b"\r", b"\n", b"-", b" ", b"x", b"\0", b"\xc3"),
        *(b"--XX\r\nContent-Disposition: form-data; ", b"\r\n\r\n", b'; filename="y"'),
        *(b'name="a"', b"name=b", b'name*="c"', b'filename*="d"', b";", b'"', b"\\", b"\r\nX: y"),
        *(b"\r\n--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n", b"\r\n--XX--", b"\xa9"),
        b'\r\nContent-Disposition: form-data; name="a"; filename="x"',
    ]
)


@settings(max_examples=1_000)
@given(st.lists(FORM_PIECES, max_size=12).map(b"".join), st.integers(1, 50))
def test_starlette_finds_the_same_fields_and_files(data: bytes, size: int) -> None:
    """A form that passes has an end, and no more fields and files than may be; fields are text."""
    parts = cut(data, size)
    if verdict(lambda: MultipartScanner(XX, LIMITS), parts) != "passed":
        return
    form = read_form(MultiPartParser, XX, parts)
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    texts = [value for _, value in form.multi_items() if isinstance(value, str)]
    texts += [name for name, _ in form.multi_items()] + [str(file.filename) for file in files]
    for file in files:
        file.file.close()
    assert len(files) <= LIMITS.files
    assert len(form.multi_items()) - len(files) <= LIMITS.fields
    assert not any("\0" in text or "Ã" in text for text in texts)


PART = b'--XX\r\nContent-Disposition: form-data; name="a"\r\n\r\nb'


@pytest.mark.parametrize(
    "data",
    [
        PART,
        PART + b"\r\n",
        PART + b"\r\n--XX",
        PART + b"\r\n--XX-",
        PART + b"\r\n" + PART,
        b"--XX\r\n",
        b"\r\n",
        PART.replace(b"\r\n\r\nb", b'; filename="x"\r\n\r\nb'),
    ],
    ids=repr,
)
def test_a_form_without_an_end_is_refused(data: bytes) -> None:
    """Starlette would leave out the last part, and take the others for all of them."""
    for size in (1, 65_536):
        assert verdict(lambda: MultipartScanner(XX, LIMITS), cut(data, size)) == "form"
    assert verdict(lambda: MultipartScanner(XX, LIMITS), [PART + b"\r\n--XX--"]) == "passed"


def test_a_form_of_no_bytes_is_no_form() -> None:
    """Whether one is needed is for the endpoint to say."""
    assert verdict(lambda: MultipartScanner(XX, LIMITS), []) == "passed"


TYPE_PIECES = st.sampled_from(
    [
        *(b"application/json", b"application", b"json", b"/", b";", b"+json", b",", b"*", b"A"),
        *(MULTIPART, URL_ENCODED, b"boundary=X", b"charset=utf-8", b"charset=utf-16", b"JSON"),
        *(b" ", b"\t", b'"', b"\\", b"=", b"\x0b", b"\x0c", b"\x85", b"\xa0", b"\x1c", b"(", b")"),
        *(b"\r", b"\n", b"text/plain", b"\xff", b"boundary*=", b"=?utf-8?q?", b"?=", b"\xc4\xb0"),
    ]
)


def kind_of(content_type: bytes) -> str:
    """Say how FastAPI and Starlette would read a body."""
    value = content_type.decode("latin-1")
    message = email.message.Message()
    message["content-type"] = value
    subtype = message.get_content_subtype()
    if message.get_content_maintype() == "application" and (
        subtype == "json" or subtype.endswith("+json")
    ):
        return "JSONScanner"
    name, _ = parse_options_header(value)
    kinds = {MULTIPART: "MultipartScanner", URL_ENCODED: "URLEncodedScanner"}
    return kinds.get(name, "none")


@settings(max_examples=2_000)
@given(st.lists(TYPE_PIECES, max_size=6).map(b"".join))
def test_a_body_is_looked_through_as_it_will_be_read(content_type: bytes) -> None:
    """No spelling of a type makes others read what nobody looked through."""
    headers = [(b"content-type", content_type), (b"content-length", b"1")]
    try:
        check = ContentRules((), LIMITS).open(headers, limit=lambda: 1)
    except DeniedError:
        return
    expected = kind_of(content_type)
    if expected != "none":
        assert check is not None
        assert type(check._scanner).__name__ == expected


def test_a_type_that_comes_later_changes_nothing() -> None:
    """Some servers append trailers to the headers; Starlette reads the first of a name."""
    headers = [(b"content-type", XX), (b"content-length", b"9"), (b"content-type", URL_ENCODED)]
    check = ContentRules((MULTIPART, URL_ENCODED), LIMITS).open(headers, limit=lambda: 1)
    assert check is not None
    assert isinstance(check._scanner, MultipartScanner)


@pytest.mark.parametrize("accepted", [(), (JSON,)], ids=["any", "json"])
@pytest.mark.parametrize(
    "header",
    [
        (b"content-type", b""),
        (b"content-type", b"nonsense"),
        (b"content-type", MULTIPART),
        (b"content-encoding", b"utf-8"),
    ],
    ids=repr,
)
def test_a_header_about_nothing_is_no_harm(
    accepted: tuple[bytes, ...], header: tuple[bytes, bytes]
) -> None:
    """Clients send such headers with a GET; a body behind them is refused all the same."""
    rules = ContentRules(accepted, LIMITS)
    with pytest.raises(DeniedError) as announced:
        rules.open([header, (b"content-length", b"1")], limit=lambda: 100)
    with pytest.raises(DeniedError):
        rules.open([header, (b"transfer-encoding", b"chunked")], limit=lambda: 100)
    for headers in ([header], [header, (b"content-length", b"0")]):
        check = rules.open(headers, limit=lambda: 100)
        assert check is not None
        assert check.read(b"", last=True) == b""
        with pytest.raises(type(announced.value)):
            check.read(b"{}", last=True)


def gzipped(data: bytes) -> bytes:
    """Compress without a header that is larger than the data."""
    compressor = zlib.compressobj(9, wbits=31)
    return compressor.compress(data) + compressor.flush()


def read_all(check: BodyCheck, parts: list[bytes]) -> None:
    """Read a body as the gate does."""
    for index, part in enumerate(parts, start=1):
        check.read(part, last=index == len(parts))
        while check.has_more:
            check.read(b"", last=index == len(parts))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzipped(b"[1]")[:-1], "content_encoding"),
        (gzipped(b"[1]")[:5], "content_encoding"),
        (gzipped(b"[1]") + b"x", "content_encoding"),
        (gzipped(b"[1") + gzipped(b"]"), "content_encoding"),
        (gzipped(b"[1]")[:-8] + b"\0" * 8, "content_encoding"),
        (zlib.compress(b"[1]"), "content_encoding"),
        (gzipped(HIDDEN), "json_invalid"),
        (gzipped(b"[" * 5), "json_too_deep"),
        (gzipped(b'["a'), "json_invalid"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("size", [1, 65_536])
def test_a_coding_hides_nothing(data: bytes, reason: str, size: int) -> None:
    """What comes out is looked through, and all that came in is part of it."""
    headers = [(b"content-type", JSON), (b"content-encoding", b"gzip"), (b"content-length", b"9")]
    check = ContentRules((JSON,), LIMITS).open(headers, limit=lambda: 1_000)
    assert check is not None
    with pytest.raises(DeniedError) as refusal:
        read_all(check, cut(data, size))
    assert refusal.value.reason == f"validation.{reason}"


@pytest.mark.parametrize("size", [1, 65_536])
def test_one_coding_is_undone_once(size: int) -> None:
    """What is compressed inside is no text."""
    headers = [(b"content-type", JSON), (b"content-encoding", b"gzip")]
    check = ContentRules((JSON,), LIMITS).open(headers, limit=lambda: 1_000)
    assert check is not None
    with pytest.raises(DeniedError):
        read_all(check, cut(gzipped(gzipped(b"[1]")), size))
