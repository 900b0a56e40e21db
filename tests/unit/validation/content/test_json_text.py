import json
import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic_core import from_json

from stockade.errors import DeniedError
from stockade.validation.content import ContentLimits
from stockade.validation.content.json_text import _LONGEST_NUMBER, JSONScanner, _is_plain

LIMITS = ContentLimits(depth=4, values=20, text=30)


def scan(data: bytes, *cuts: int, limits: ContentLimits = LIMITS) -> str | None:
    """Scan a body in parts, and return the reason code of its refusal."""
    scanner = JSONScanner(limits)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [data[start:end] for start, end in pairwise(edges)]
    try:
        for index, part in enumerate(parts, start=1):
            scanner.feed(part, last=index == len(parts))
    except DeniedError as error:
        return error.reason.removeprefix("validation.")
    return None


ACCEPTED = {
    "empty": b"",
    "object": b'{"a": 1, "b": [1, 2.5, -3e2, null, true, false], "c": "x"}',
    "scalar": b" 12 ",
    "text": b'"text"',
    "byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "as deep as allowed": b'[[{"a": []}]]',
    "wide and as deep as allowed": b'[[{"a":[]}],{"a":{"b":[1]}},[],{}]',
    "name again in a sibling": b'[{"a": 1}, {"a": 2}]',
    "name again inside": b'{"a": {"a": {"a": 1}}}',
    "value like a name": b'{"a": "b", "b": "a"}',
    "brackets in text": b'{"a": "[[[[[[[[[[", "b": "{{{{{{{{{"}',
    "commas in text": b'["' + b"," * 29 + b'"]',
    "escaped quote": rb'{"a\"": "\\", "a": "\"}"}',
    "long but small number": b"[" + b"1" * 300 + b"]",
    "small exponent": b"[1e-999]",
    "emoji": b'{"a": "\\ud83d\\ude00"}',
    "escape of a backslash": rb'["\\u0000", "\\\\ud800"]',
    "as long as allowed": b'["' + b"x" * 30 + b'"]',
    "escapes count as one": b'["' + b"\\u00e9" * 30 + b'"]',
    "as many as allowed": b"[" + b"1," * 18 + b"1]",
}
REFUSED = {
    "too deep": (b"[[[[[", "json_too_deep"),
    "objects too deep": (b'{"a":' * 5, "json_too_deep"),
    "too deep beside others": (b'[[],{},[[]],{"a":[{"b":[]}]}]', "json_too_deep"),
    "too deep in the last member": (
        b'{"a":[],"b":{},"c":[],"d":{"e":[{"f":{}}]}}',
        "json_too_deep",
    ),
    "too many items": (b"[" + b"1," * 20 + b"1]", "json_too_many_values"),
    "too many texts": (b"[" + b'"1",' * 20 + b"1]", "json_too_many_values"),
    "too many arrays": (b"[" + b"[]," * 20 + b"1]", "json_too_many_values"),
    "too many objects": (b"[" + b"{}," * 20 + b"1]", "json_too_many_values"),
    "too many members": (
        b"{" + b",".join(b'"%d":1' % number for number in range(21)) + b"}",
        "json_too_many_values",
    ),
    "name twice": (b'{"a": 1, "a": 2}', "json_duplicate_key"),
    "name twice, one escaped": (rb'{"a": 1, "\u0061": 2}', "json_duplicate_key"),
    "name twice, far apart": (b'{"a": {"b": [1, {"c": 2}]}, "a": 2}', "json_duplicate_key"),
    "name twice in an item": (b'[1, {"a": "x", "a": "x"}]', "json_duplicate_key"),
    "NaN": (b'{"a": NaN}', "json_not_finite"),
    "Infinity": (b"[Infinity]", "json_not_finite"),
    "-Infinity": (b"[-Infinity]", "json_not_finite"),
    "too large for a float": (b"[1e999]", "json_not_finite"),
    "too large with a small exponent": (b"[" + b"1" * 290 + b"e99]", "json_not_finite"),
    "too large with a point": (b"[1.5E+400]", "json_not_finite"),
    "negative and too large": (b'{"a":-1e309}', "json_not_finite"),
    "number too long": (b"[" + b"1" * 301 + b"]", "json_number_too_long"),
    "fraction too long": (b"[0." + b"1" * 301 + b"]", "json_number_too_long"),
    "member with a long number": (b'{"a":' + b"1" * 301 + b"}", "json_number_too_long"),
    "text too long": (b'["' + b"x" * 31 + b'"]', "body_text_too_long"),
    "name too long": (b'{"' + b"x" * 31 + b'": 1}', "body_text_too_long"),
    "member with a long text": (b'{"a":"' + b"x" * 31 + b'"}', "body_text_too_long"),
    "escapes too long": (b'["' + b"\\u00e9" * 31 + b'"]', "body_text_too_long"),
    "text without an end": (b'["' + b"x" * 1000, "body_text_too_long"),
    "NUL": (rb'{"a": "x\u0000"}', "string_unstorable"),
    "NUL in a name": (rb'{"\u0000": 1}', "string_unstorable"),
    "NUL behind a backslash": (rb'["\\\u0000"]', "string_unstorable"),
    "high surrogate alone": (rb'["\ud800"]', "string_unstorable"),
    "low surrogate alone": (rb'["\uDC00x"]', "string_unstorable"),
    "pair the wrong way round": (rb'["\ude00\ud83d"]', "string_unstorable"),
    "Latin-1": (b'["\xe9"]', "not_utf8"),
    "surrogate in UTF-8": (b'["\xed\xa0\x80"]', "not_utf8"),
    "overlong": (b'["\xc0\x80"]', "not_utf8"),
    "cut within a character": (b'["\xc3', "not_utf8"),
    "UTF-16": ('{"a": 1}'.encode("utf-16-le"), "json_invalid"),
    "UTF-16 with a mark": ('{"a": 1}'.encode("utf-16"), "not_utf8"),
    "comment": (b"[1, /* x */ 2]", "json_invalid"),
    "single quotes": (b"['a']", "json_invalid"),
    "bare name": (b"{a: 1}", "json_invalid"),
    "closed too often": (b"[]]", "json_invalid"),
    "name in an array": (b'["a": 1]', "json_invalid"),
    "colon out of nowhere": (b"[:]", "json_invalid"),
    "bad escape": (rb'["\x41"]', "json_invalid"),
}


@pytest.mark.parametrize("data", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_harmless_text_passes(data: bytes) -> None:
    """What breaks no rule passes, in one part or in parts of one byte."""
    assert scan(data) is None
    assert scan(data, *range(len(data))) is None


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_broken_rule_is_seen(data: bytes, reason: str) -> None:
    """It makes no difference how the text is cut up."""
    assert scan(data) == reason
    assert scan(data, *range(len(data))) == reason
    for cut in range(len(data)):
        assert scan(data, cut) == reason


TEXTS = st.text(alphabet='abu0\\"{[,:é\u2028😀\ud800\0', max_size=8)
NUMBERS = st.integers() | st.floats() | st.sampled_from([10**299, 10**300, 1e308, -0.0])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def breaks_a_rule(value: Any, depth: int = 1) -> bool:  # noqa: ANN401 - any JSON value
    """Say what the slow way says of a value that was parsed."""
    if isinstance(value, str):
        return len(value) > LIMITS.text or any(
            char == "\0" or "\ud800" <= char <= "\udfff" for char in value
        )
    if isinstance(value, float):
        return value != value or value in (float("inf"), float("-inf"))  # noqa: PLR0124 - NaN
    if isinstance(value, int):
        return len(str(value)) > 300
    if isinstance(value, dict):
        inside = [*value, *value.values()]
    elif isinstance(value, list):
        inside = value
    else:
        return False
    return depth > LIMITS.depth or any(breaks_a_rule(each, depth + 1) for each in inside)


def count(value: Any) -> int:  # noqa: ANN401 - any JSON value
    """Count members and items; an empty array counts as one."""
    if isinstance(value, dict):
        return len(value) + sum(map(count, value.values()))
    if isinstance(value, list):
        return max(1, len(value)) + sum(map(count, value))
    return 0


@settings(max_examples=500)
@given(VALUES, st.booleans(), st.sampled_from([None, 1]), st.lists(st.integers(0, 300), max_size=4))
@example([[], [], []], False, None, [])
def test_it_agrees_with_a_parser(
    value: Any,  # noqa: ANN401 - any JSON value
    escape: bool,
    indent: int | None,
    cuts: list[int],
) -> None:
    """For any JSON, spelled and cut up in any way, it refuses just what breaks a rule."""
    try:
        data = json.dumps(value, ensure_ascii=escape, indent=indent).encode()
    except UnicodeEncodeError:
        data = json.dumps(value, indent=indent).encode()
    expected = breaks_a_rule(value) or count(value) > LIMITS.values
    assert (scan(data) is not None) == expected
    assert (scan(data, *cuts) is not None) == expected


@settings(max_examples=500)
@given(
    st.lists(
        st.sampled_from(['"a"', '"\\u0061"', '"b"', "{", "}", "[", "]", ":", ",", " ", "1", "N"])
    ),
    st.lists(st.integers(0, 60), max_size=6),
)
def test_what_a_parser_takes_has_no_name_twice(parts: list[str], cuts: list[int]) -> None:
    """No arrangement of tokens that is JSON hides a second member of one name."""
    text = "".join(parts)
    seen: list[bool] = []

    def collect(pairs: list[tuple[str, object]]) -> None:
        seen.append(len({name for name, _ in pairs}) != len(pairs))

    try:
        json.loads(text, object_pairs_hook=collect)
    except ValueError:
        return
    if any(seen):
        assert scan(text.encode(), *cuts) is not None
        assert scan(text.encode()) is not None


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_any_bytes_give_a_verdict(data: bytes, cuts: list[int]) -> None:
    """Nothing but the declared refusals comes out, and cutting does not change whether."""
    assert (scan(data) is None) == (scan(data, *cuts) is None)


def test_the_work_grows_with_the_text_alone() -> None:
    """Parts of one byte do not make a long text or number be read again and again."""
    limits = ContentLimits(text=1_000_000)
    data = b'["' + b"\\\\x" * 100_000 + b'",' + b"1" * 300 + b"]"
    scanner = JSONScanner(limits)
    for at in range(len(data)):
        scanner.feed(data[at : at + 1], last=at + 1 == len(data))
    assert scanner._steps is not None
    assert scanner._steps._names == []


PIECES = st.sampled_from(
    # Numbers, names and brackets that are right, and what only some readers take.
    (
        '{"a":1 ,"a":2 ,"b":"x:y" "b": "\\"a"" : , } ] { [ 1e999 -1e999 NaN Infinity 0 -0.5 \\ "'
        ' true null "c":[] "d":{} "a":3 \ud7ff'
    ).split()
    + [" ", "\t", "\0", "\ufeff", "\u2028", "\x1f", "1" * 301]  # noqa: RUF005
)


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=8).map("".join))
@example('{"a":1,"a":1}')
@example('{"a":":","a":1}')
@example('{"a":1e999}')
@example("[-1e999]")
@example('{"a":' + "9" * 301 + "}")
@example("[NaN]")
@example("\ufeff{}")
def test_the_quick_look_lets_nothing_through(text: str) -> None:
    """What is found plain at first sight passes the scanner as well, and is what a parser reads."""
    data = text.encode()
    opened = data.count(b"{") + data.count(b"[")
    if opened == 1 and len(data) <= _LONGEST_NUMBER and _is_plain(data):
        assert scan(data, 1, limits=ContentLimits(depth=1, values=1000, text=1000)) is None
        read = json.loads(data)
        assert from_json(data) == read
        assert math.inf not in (read.values() if isinstance(read, dict) else read)
        pairs = json.loads(data, object_pairs_hook=list)
        assert isinstance(read, list) or len(pairs) == len(read)


@pytest.mark.parametrize("text", ['{"a":1,"b":"x"}', "[1,2.5,null]", "{}", "[]", '{"a":-1.5e3}'])
def test_ordinary_bodies_take_the_quick_look(text: str) -> None:
    """A flat body costs one pass of a parser."""
    assert _is_plain(text.encode())
