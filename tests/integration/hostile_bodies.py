"""Make the bodies that hostile clients send, and say what has to come of them."""

import functools
import gzip
import zlib
from collections.abc import Iterator

from tests.integration.hostile_client import MEGABYTE, Attack

TEN_GIGABYTES = 10 * 1024 * MEGABYTE
# What a server may take for one request to a route that takes bodies of 50 MB: FastAPI keeps a body
# twice, and the allocator holds on to some of it.
GROWTH_OF_LARGE = 160 * MEGABYTE
CHUNK = b" " * 65_536
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=XX"}
TEXT = {"Content-Type": "application/octet-stream"}
GZIP = {"Content-Encoding": "gzip"}
DEFLATE = {"Content-Encoding": "deflate"}
FIELD = b'--XX\r\nContent-Disposition: form-data; name="name"\r\n\r\na\r\n'
FILE = (
    b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n'
    b"Content-Type: text/plain\r\n\r\n"
)
MANY_FILES = b"".join(
    FILE.replace(b'"file"', b'"file%d"' % number) + b"a\r\n" for number in range(10_000)
)
KEYS = b"{" + b",".join(b'"k%d":1' % number for number in range(1_000_000)) + b"}"
# UTF-16 for `json.loads`, and a text without an end in UTF-8.
HIDDEN = '"\u5c41\\u0000\\ud800\u5c41"'.encode("utf-16-le")

TOO_LARGE = (413, "body_too_large")
TOO_MANY = (422, "json_too_many_values")
TOO_MANY_FIELDS = (422, "form_too_many_fields")
NUMBER_TOO_LONG = (422, "json_number_too_long")
INVALID = (422, "json_invalid")
BAD = (400, "bad_request")
NO_SUCH_CODING = (415, "unsupported_media_type")


def cut(data: bytes, size: int = 65_536) -> list[bytes]:
    """Cut a body into parts."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def forever(part: bytes, size: int, first: bytes = b"") -> Iterator[bytes]:
    """Repeat a part until it is as much as that."""
    if first:
        yield first
    for _ in range(size // len(part)):
        yield part


@functools.cache
def bomb(size: int, *, layers: int = 1, wbits: int = 31) -> bytes:
    """Compress spaces, which JSON may have as many of as it likes."""
    compressor = zlib.compressobj(9, wbits=wbits)
    data = b"".join(compressor.compress(b" " * MEGABYTE) for _ in range(size // MEGABYTE))
    data += compressor.flush()
    for _ in range(layers - 1):
        data = gzip.compress(data)
    return data


def endless() -> dict[str, Attack]:
    """Bodies that go on and on."""
    return {
        "ten gigabytes of json": Attack(
            "/json", JSON, lambda: forever(CHUNK, TEN_GIGABYTES), TOO_LARGE
        ),
        "ten gigabytes of anything": Attack(
            "/raw", TEXT, lambda: forever(CHUNK, TEN_GIGABYTES), TOO_LARGE
        ),
        "ten gigabytes of space": Attack(
            "/large",
            JSON,
            lambda: forever(CHUNK, TEN_GIGABYTES),
            TOO_LARGE,
            growth=GROWTH_OF_LARGE,
        ),
        "ten gigabytes of fields": Attack(
            "/form",
            FORM,
            lambda: forever(b"a=" + b"b" * 999 + b"&", TEN_GIGABYTES),
            TOO_MANY_FIELDS,
        ),
        "ten gigabytes of a file": Attack(
            "/upload", MULTIPART, lambda: forever(CHUNK, TEN_GIGABYTES, FILE), TOO_LARGE
        ),
        "ten gigabytes of a field": Attack(
            "/upload",
            MULTIPART,
            lambda: forever(CHUNK, TEN_GIGABYTES, FIELD[:-3]),
            (422, "form_field_too_long"),
        ),
        "ten gigabytes of lines before a form": Attack(
            "/upload", MULTIPART, lambda: forever(b"\r\n" * 32_768, TEN_GIGABYTES), TOO_LARGE
        ),
        "ten gigabytes of lines behind a form": Attack(
            "/upload",
            MULTIPART,
            lambda: forever(b"\r\n" * 32_768, TEN_GIGABYTES, FIELD + b"--XX--"),
            TOO_LARGE,
        ),
        "ten gigabytes of a number": Attack(
            "/large", JSON, lambda: forever(b"1" * 65_536, TEN_GIGABYTES), NUMBER_TOO_LONG
        ),
        "ten gigabytes are announced": Attack(
            "/json", JSON | {"Content-Length": str(TEN_GIGABYTES)}, list, TOO_LARGE, chunked=False
        ),
        "too much for a length is announced": Attack(
            "/json", JSON | {"Content-Length": "9" * 18}, list, TOO_LARGE, chunked=False
        ),
    }


def json_attacks() -> dict[str, Attack]:
    """JSON that is too much for a parser, or another thing to another one."""
    bodies: dict[str, tuple[bytes, tuple[int, str]]] = {
        "a million names": (KEYS, TOO_MANY),
        "a million items": (b"[" + b"1," * 1_000_000 + b"1]", TOO_MANY),
        "a million texts": (b"[" + b'"",' * 1_000_000 + b"1]", TOO_MANY),
        "a million arrays": (b"[" + b"[]," * 1_000_000 + b"1]", TOO_MANY),
        "a million objects": (b"[" + b"{}," * 1_000_000 + b"1]", TOO_MANY),
        "a million objects without commas": (b"{}" * 1_000_000, INVALID),
        "a million texts without commas": (b'"\\n"' * 1_000_000, INVALID),
        "a hundred thousand levels": (b"[" * 100_000 + b"]" * 100_000, (422, "json_too_deep")),
        "a hundred thousand objects": (b'{"a":' * 100_000, (422, "json_too_deep")),
        "a text of two megabytes": (
            b'["' + b"x" * 2 * MEGABYTE + b'"]',
            (422, "body_text_too_long"),
        ),
        "a name of two megabytes": (
            b'{"' + b"x" * 2 * MEGABYTE + b'":1}',
            (422, "body_text_too_long"),
        ),
        "a text without an end": (b'["' + b"\\\\" * 10_000, INVALID),
        "a number of a million digits": (b"1" * 1_000_000, NUMBER_TOO_LONG),
        "a number with an exponent": (b'{"a":1e999999999}', (422, "json_not_finite")),
        "not a number": (b'{"a":NaN}', (422, "json_not_finite")),
        "the same name far away": (
            b'{"a":1,"b":[' + b'"xxxxxxxx",' * 9_000 + b'1],"\\u0061":2}',
            (422, "json_duplicate_key"),
        ),
        "a nul": (b'["\\u0000"]', (422, "string_unstorable")),
        "half of a pair": (b'["\\ud800"]', (422, "string_unstorable")),
        "utf-16": ('{"name":"a"}'.encode("utf-16-le"), INVALID),
        "utf-16 with a mark": ('{"name":"a"}'.encode("utf-16"), BAD),
        "utf-16 that looks like utf-8": (HIDDEN, INVALID),
        "utf-32": ('{"name":"a"}'.encode("utf-32-be"), INVALID),
        "latin-1": (b'["\xe9"]', BAD),
        "overlong": (b'["\xc0\xaf"]', BAD),
        "a surrogate in utf-8": (b'["\xed\xa0\x80"]', BAD),
        "half of a character": (b'["\xf0\x9f"]', BAD),
    }
    return {
        name: Attack("/large", JSON, _cutter(body), how) for name, (body, how) in bodies.items()
    }


def form_attacks() -> dict[str, Attack]:
    """Forms that are too much for a parser, or another thing to another one."""
    fields: dict[str, tuple[bytes, tuple[int, str]]] = {
        "a hundred thousand fields": (b"name=a&" * 100_000, TOO_MANY_FIELDS),
        "a million separators": (b"&" * 1_000_000, TOO_MANY_FIELDS),
        "a field of two megabytes": (
            b"name=" + b"a" * 2 * MEGABYTE,
            (422, "form_field_too_long"),
        ),
        "a nul in a field": (b"name=%00", (422, "string_unstorable")),
        "a field of latin-1": (b"name=%E9", BAD),
    }
    parts: dict[str, tuple[bytes, tuple[int, str]]] = {
        "a hundred thousand parts": (FIELD * 100_000, TOO_MANY_FIELDS),
        "ten thousand files": (MANY_FILES, (422, "form_too_many_files")),
        "headers of a part without end": (b"--XX\r\n" + b"X: y\r\n" * 100_000, BAD),
        "a header of a part without end": (b"--XX\r\nX: " + b"y" * MEGABYTE, BAD),
        "a boundary that never comes": (b"a" * 2 * MEGABYTE, BAD),
        "a boundary that never ends": (b"--X" * MEGABYTE, BAD),
        "a form without an end": (FIELD + FILE + b"a", BAD),
        "a part that is two things": (
            FIELD.replace(
                b"\r\n\r\n",
                b'\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n',
            )
            + b"--XX--\r\n",
            BAD,
        ),
    }
    attacks = {
        name: Attack("/form", FORM, _cutter(body), how) for name, (body, how) in fields.items()
    }
    attacks |= {
        name: Attack("/upload", MULTIPART, _cutter(body), how)
        for name, (body, how) in parts.items()
    }
    attacks["a boundary of a kilobyte"] = Attack(
        "/upload",
        {"Content-Type": f"multipart/form-data; boundary={'X' * 1_000}"},
        lambda: [b"--"],
        BAD,
    )
    return attacks


def compressed_attacks() -> dict[str, Attack]:
    """Little that stands for much."""
    bodies: dict[str, tuple[dict[str, str], bytes, tuple[int, str]]] = {
        "a bomb": (JSON | GZIP, bomb(300 * MEGABYTE), TOO_LARGE),
        "a bomb of anything": (TEXT | GZIP, bomb(300 * MEGABYTE), TOO_LARGE),
        "a bomb of another kind": (JSON | DEFLATE, bomb(300 * MEGABYTE, wbits=15), TOO_LARGE),
        "a bomb in a bomb": (JSON | GZIP, bomb(200 * MEGABYTE, layers=2), BAD),
        "two codings": (JSON | {"Content-Encoding": "gzip, gzip"}, b"x", NO_SUCH_CODING),
        "a coding that nobody knows": (JSON | {"Content-Encoding": "br"}, b"x", NO_SUCH_CODING),
        "a bomb cut short": (JSON | GZIP, gzip.compress(b"[1]")[:-4], BAD),
        "a bomb that goes on": (JSON | GZIP, gzip.compress(b"[1]") * 2, BAD),
        "levels in a bomb": (
            JSON | GZIP,
            gzip.compress(b"[" * 100_000 + b"]" * 100_000),
            (422, "json_too_deep"),
        ),
    }
    attacks = {
        name: Attack("/raw", headers, _cutter(body), how)
        for name, (headers, body, how) in bodies.items()
    }
    attacks["a bomb for a route that takes much"] = Attack(
        "/large",
        JSON | GZIP,
        lambda: cut(bomb(300 * MEGABYTE)),
        TOO_LARGE,
        growth=GROWTH_OF_LARGE,
    )
    return attacks


def slow_attacks() -> dict[str, Attack]:
    """What comes one byte at a time, and would be read again and again."""
    slow: dict[str, tuple[str, dict[str, str], bytes, tuple[int, str]]] = {
        "escapes": ("/large", JSON, b'["' + b"\\\\" * 5_000, INVALID),
        "digits": ("/large", JSON, b"[" + (b"1" * 299 + b",") * 20 + b"1" * 301, NUMBER_TOO_LONG),
        "a name": ("/large", JSON, b'{"' + b"x" * 5_000 + b'":1,', INVALID),
        "space": ("/large", JSON, b"[" + b" " * 5_000, INVALID),
        "names of fields": ("/form", FORM, b"x" * 5_000 + b"=%00", (422, "string_unstorable")),
        "separators": ("/form", FORM, b"&" * 5_000, TOO_MANY_FIELDS),
        "headers of a part": ("/upload", MULTIPART, b"--XX\r\nX: " + b"y" * 5_000, BAD),
        "a file": ("/upload", MULTIPART, FILE + b"\r\n--X" * 1_000, BAD),
        "a compressed text": ("/raw", JSON | GZIP, gzip.compress(KEYS[:90_000]), INVALID),
    }
    return {
        f"{name}, one byte at a time": Attack(path, headers, _cutter(body, 1), how)
        for name, (path, headers, body, how) in slow.items()
    }


def _cutter(body: bytes, size: int = 65_536) -> functools.partial[list[bytes]]:
    return functools.partial(cut, body, size)


def attacks() -> dict[str, Attack]:
    """All of them by name."""
    return endless() | json_attacks() | form_attacks() | compressed_attacks() | slow_attacks()
