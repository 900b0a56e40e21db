"""Follow the HTML around the expressions of a template, and say what a place asks of a value.

Escaping for HTML makes a value safe as the content of an element and in a quoted attribute, and
nowhere else. The reader knows as much of the HTML standard's tokenizer as templates use (section
13.2.5).
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from stockade.sanitization.template_findings import TemplateRule

if TYPE_CHECKING:
    from collections.abc import Sequence


class Place(Enum):
    """What a piece of a template is in."""

    TEXT = auto()
    TAG_NAME = auto()
    TAG = auto()
    ATTRIBUTE_NAME = auto()
    VALUE_START = auto()
    UNQUOTED = auto()
    SINGLE = auto()
    DOUBLE = auto()
    RAW = auto()
    COMMENT = auto()
    DECLARATION = auto()


@dataclass(frozen=True, slots=True)
class State:
    """Where a reader stands between two pieces of a template.

    Attributes:
        place: The kind of place.
        tag: Name of the tag that it is in, or of the element whose raw text it is in.
        attribute: Name of the attribute that it is in.
        before: The end of what stands before it in that value or raw text.
        quote: The quote of the string of a script that it is in.
    """

    place: Place = Place.TEXT
    tag: str = ""
    attribute: str = ""
    before: str = ""
    quote: str = ""


START: Final = State()

_KEPT: Final = 40  # Characters of a value: enough to see its scheme.
_MARKUP: Final = re.compile(
    r"<(?:(?P<comment>!--)|(?P<close>/?)(?P<name>[A-Za-z][^\s/>]*|\Z)|[!?/])"
)
_ATTRIBUTE: Final = re.compile(r"[\s/]*")
_NAME: Final = re.compile(r"[^\s/>=]*")
_ASSIGNMENT: Final = re.compile(r"\s*(=)?\s*")
_UNQUOTED_END: Final = re.compile(r"[\s>]")
_RAW: Final = frozenset(
    {"iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp"}
)
_QUOTES: Final = {'"': Place.DOUBLE, "'": Place.SINGLE}
_ENDS: Final = {Place.DOUBLE: '"', Place.SINGLE: "'", Place.COMMENT: "-->", Place.DECLARATION: ">"}


def read(state: State, text: str) -> State:
    """Return where a reader stands after a piece of the template's own text."""
    position = 0
    while position < len(text):
        state, position = _step(state, text, position)
    return state


def follow(state: State) -> State:
    """Return where a reader stands after the value of an expression, which stayed in its place."""
    if state.place is Place.VALUE_START:
        state = replace(state, place=Place.UNQUOTED)
    elif state.place is Place.TAG:
        state = replace(state, place=Place.ATTRIBUTE_NAME, attribute="")
    # What follows a value is not the start of a URL, and no quote of a script.
    return replace(state, before=f"{state.before}/"[-_KEPT:])


def _step(  # noqa: PLR0911 - a table of places.
    state: State, text: str, position: int
) -> tuple[State, int]:
    match state.place:
        case Place.TEXT:
            return _read_text(text, position)
        case Place.TAG_NAME:
            return _read_tag_name(state, text, position)
        case Place.TAG:
            return _read_tag(state, text, position)
        case Place.ATTRIBUTE_NAME:
            return _read_attribute_name(state, text, position)
        case Place.VALUE_START:
            return _read_value_start(state, text, position)
        case Place.UNQUOTED:
            end = _UNQUOTED_END.search(text, position)
            stop = len(text) if end is None else end.start()
            return _keep(state, text[position:stop], Place.TAG if end else None), stop
        case Place.RAW:
            return _read_raw(state, text, position)
        case _:
            return _read_to_end(state, text, position)


def _read_text(text: str, position: int) -> tuple[State, int]:
    found = _MARKUP.search(text, position)
    if found is None:
        return START, len(text)
    if found["comment"]:
        return State(Place.COMMENT), found.end()
    if found["name"] is None:
        return State(Place.DECLARATION), found.end()
    name = f"{found['close']}{found['name'].lower()}"
    place = Place.TAG_NAME if found.end() == len(text) else Place.TAG
    return State(place, tag=name), found.end()


def _read_tag_name(state: State, text: str, position: int) -> tuple[State, int]:
    rest = re.compile(r"[^\s/>]*").match(text, position)
    name = f"{state.tag}{rest[0].lower() if rest else ''}"
    end = rest.end() if rest else position
    return (state if end == len(text) else State(Place.TAG, tag=name)), end


def _read_tag(state: State, text: str, position: int) -> tuple[State, int]:
    blank = _ATTRIBUTE.match(text, position)
    position = blank.end() if blank else position
    if position == len(text):
        return state, position
    if text[position] == ">":
        return _after_tag(state), position + 1
    return replace(state, place=Place.ATTRIBUTE_NAME, attribute="", before=""), position


def _after_tag(state: State) -> State:
    return State(Place.RAW, tag=state.tag) if state.tag in _RAW else START


def _read_attribute_name(state: State, text: str, position: int) -> tuple[State, int]:
    rest = _NAME.match(text, position)
    end = rest.end() if rest else position
    name = f"{state.attribute}{text[position:end].lower()}"
    if end == len(text):
        return replace(state, attribute=name), end
    sign = _ASSIGNMENT.match(text, end)
    if sign is not None and sign[1]:
        value = replace(state, place=Place.VALUE_START, attribute=name, before="", quote="")
        return value, sign.end()
    # At "=" in an odd place, a browser reads it as part of a name; so one step is always taken.
    return replace(state, place=Place.TAG, attribute="", before=""), end


def _read_value_start(state: State, text: str, position: int) -> tuple[State, int]:
    character = text[position]
    if character in _QUOTES:
        return replace(state, place=_QUOTES[character]), position + 1
    return replace(state, place=Place.UNQUOTED), position


def _read_raw(state: State, text: str, position: int) -> tuple[State, int]:
    end = re.compile(rf"</{state.tag}(?=[\s/>])", re.IGNORECASE).search(text, position)
    if end is None:
        return _keep(state, text[position:], None), len(text)
    return State(Place.TAG, tag=f"/{state.tag}"), end.end()


def _read_to_end(state: State, text: str, position: int) -> tuple[State, int]:
    mark = _ENDS[state.place]
    end = text.find(mark, position)
    if end < 0:
        return _keep(state, text[position:], None), len(text)
    quoted = state.place in {Place.DOUBLE, Place.SINGLE}
    after = replace(state, place=Place.TAG, attribute="", before="", quote="") if quoted else START
    return after, end + len(mark)


def _keep(state: State, text: str, place: Place | None) -> State:
    before = f"{state.before}{text}"[-_KEPT:]
    quote = state.quote
    if state.place is Place.RAW and state.tag == "script":
        quote = _quote_after(quote, text)
    elif _is_handler(state.attribute):
        quote = _quote_after(quote, html.unescape(text))
    return replace(state, before=before, place=place or state.place, quote=quote)


# What an event handler is called: by HTML, by htmx, Alpine, Vue and AngularJS.
_HANDLER: Final = re.compile(r"on|(?:data-)?hx-on|(?:data-)?(?:ng|v|x)-|[@:]")


def _is_handler(attribute: str) -> bool:
    return _HANDLER.match(attribute) is not None


# A slash behind one of these begins a regular expression, in which a quote is no quote.
_CODE: Final = re.compile(
    r"//[^\n]*+|/\*.*?(?:\*/|\Z)"
    r"|(?<=[(,=:\[!&|?{};])\s*+/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*+\]|[^/\\\n\[])++/"
    r"|[\"'`]",
    re.DOTALL,
)
# The strings of a line end with it; a template literal, with all that is in it, at its backtick.
_STRING_ENDS: Final = {
    '"': re.compile(r'(?:\\.|[^"\\\n])*+["\n]', re.DOTALL),
    "'": re.compile(r"(?:\\.|[^'\\\n])*+['\n]", re.DOTALL),
    "`": re.compile(r"(?:\\.|[^`\\])*+`", re.DOTALL),
}


def _quote_after(quote: str, script: str) -> str:
    """Return the quote of the string that is open after a piece of a script, if one is."""
    position = 0
    while True:
        if quote:
            end = _STRING_ENDS[quote].match(script, position)
            if end is None:
                return quote
            position, quote = end.end(), ""
        found = _CODE.search(script, position)
        if found is None:
            return ""
        position = found.end()
        quote = found[0] if found[0] in _STRING_ENDS else ""


_URLS: Final = frozenset(
    {
        *("action", "background", "cite", "data", "formaction", "href", "manifest", "ping"),
        *("poster", "src", "srcset", "xlink:href"),
    }
)
# What fixes the scheme of a URL, or shows that it has none.
_FIXED_SCHEME: Final = re.compile(r"\s*(?:[/?#]|[./]*/|(?:https?|mailto|tel):)", re.IGNORECASE)
# What loads a script, a style or a document chooses its host with its URL as well: "/{{ x }}" is
# another host where the value begins with a slash.
_LOADING: Final = frozenset({"base", "embed", "frame", "iframe", "link", "object", "script"})
_FIXED_HOST: Final = re.compile(
    r"\s*(?:[?#]|(?:https?:)?//[^/?#]+[/?#]|\.{0,2}/[^/\\]|[\w.-]+/|(?:mailto|tel):)", re.IGNORECASE
)
_ESCAPING: Final = frozenset({"e", "escape", "forceescape"})
_HTML: Final = frozenset({"rich_text", "safe", "urlize", "xmlattr"})
# What makes text or a number of HTML. "escape" leaves it as it is.
_TEXT: Final = frozenset(
    {
        *("count", "float", "forceescape", "int", "length", "striptags", "tojson", "urlencode"),
        "wordcount",
    }
)


def gives_html(filters: Sequence[str]) -> bool:
    """Tell whether filters, innermost first, give HTML that nothing escapes any more."""
    made = False
    for name in filters:
        made = name in _HTML or (made and name not in _TEXT)
    return made


def judge(  # noqa: PLR0911 - a table of places.
    state: State, filters: Sequence[str], *, is_trusted_url: bool = False
) -> TemplateRule | None:
    """Say what is wrong with an expression in a place, if anything.

    Args:
        state: The place.
        filters: Names of its filters, innermost first.
        is_trusted_url: Whether the application builds the value as a URL, as ``url_for()`` does.
    """
    last = filters[-1] if filters else ""
    match state.place:
        case Place.TAG_NAME | Place.TAG | Place.ATTRIBUTE_NAME:
            return None if last == "xmlattr" else TemplateRule.NAME
        case Place.VALUE_START | Place.UNQUOTED:
            return TemplateRule.UNQUOTED
        case Place.DOUBLE | Place.SINGLE:
            return _judge_quoted(state, filters, is_trusted_url=is_trusted_url)
        case Place.RAW if state.tag == "script":
            return None if last == "tojson" and not state.quote else TemplateRule.SCRIPT
        case Place.RAW if state.tag == "style":
            return TemplateRule.STYLE
        case Place.RAW | Place.COMMENT | Place.DECLARATION:
            return TemplateRule.QUOTED_HTML if gives_html(filters) else None
        case _:
            return None


def _judge_quoted(  # noqa: PLR0911 - a table of attributes.
    state: State, filters: Sequence[str], *, is_trusted_url: bool
) -> TemplateRule | None:
    last = filters[-1] if filters else ""
    if gives_html(filters):
        return TemplateRule.QUOTED_HTML
    # It leaves double quotes as they are.
    if last == "tojson" and state.place is Place.DOUBLE:
        return TemplateRule.QUOTED_JSON
    if _is_handler(state.attribute):
        is_json = "tojson" in filters and set(filters[filters.index("tojson") + 1 :]) <= _ESCAPING
        return None if is_json and not state.quote else TemplateRule.HANDLER
    if state.attribute == "style":
        return TemplateRule.STYLE
    if state.attribute == "srcdoc":
        return TemplateRule.DOCUMENT
    if state.attribute in _URLS and not is_trusted_url:
        fixed = _FIXED_HOST if state.tag in _LOADING else _FIXED_SCHEME
        return None if fixed.match(state.before) else TemplateRule.URL
    return None
