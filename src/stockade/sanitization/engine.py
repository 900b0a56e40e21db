"""Run the HTML engine until its result stays what it is.

A browser repairs misplaced elements while it reads, and an engine that takes an element away can
leave a tree that no markup describes: ``<p><button><p>`` without its button is a paragraph inside a
paragraph, which reads back as two. Such changes between writing and reading are what mutation XSS
is made of, so a result that would read back as something else is cleaned again, and refused if it
does not settle.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import nh3

from stockade.sanitization.errors import SanitizationError
from stockade.sanitization.links import URL_ATTRIBUTES, is_allowed_image, is_allowed_link
from stockade.sanitization.work import check_work

if TYPE_CHECKING:
    from collections.abc import Callable

    from stockade.sanitization.policies import HTMLPolicy

# No value of the corpora needs more than three.
_MAX_PASSES: Final = 8

_INLINE: Final = frozenset(
    {
        *("abbr", "b", "cite", "code", "del", "dfn", "em", "i", "ins", "kbd", "mark", "q", "s"),
        *("samp", "small", "span", "strong", "sub", "sup", "time", "u", "var"),
    }
)
_TEXT_BLOCKS: Final = frozenset({"h1", "h2", "h3", "h4", "h5", "h6", "p"})
_LEADING_BREAK: Final = re.compile(r"(<pre(?: [^>]*)?>)(?=[\r\n])")

# A reader far above the image is not worth telling its host about, nor is the page's address.
_IMAGE_VALUES: Final = {"loading": "lazy", "referrerpolicy": "no-referrer"}
_IMAGE_TAIL: Final = "".join(f' {name}="{value}"' for name, value in _IMAGE_VALUES.items())
# The engine puts them last, in an order that changes from one process to the next.
_IMAGE: Final = re.compile(
    r'(<img(?: [a-z]+="[^"]*+")*?) referrerpolicy="no-referrer" loading="lazy">'
)
_NO_SOURCE: Final = re.compile(r'<img(?: (?!src=)[a-z]+="[^"]*+")*+>')
# An image larger than any screen pushes the page away.
_IMAGE_SIZE: Final = re.compile(r"[0-9]{1,4}")
_IMAGE_SIZES: Final = frozenset({"height", "width"})


class Engine:
    """The engine of one policy. It may be used by many threads at once.

    Args:
        policy: What is kept.
    """

    def __init__(self, policy: HTMLPolicy) -> None:
        self._fast = _build_cleaner(policy, None)
        self._full = _build_cleaner(policy, _link_filter(policy))
        self._rel = f' rel="{policy.rel}"' if policy.rel else ""
        self._has_doubtful_link = re.compile(_doubtful_pattern(policy)).search
        self._is_settled = re.compile(_settled_pattern(policy)).fullmatch
        self._max_length = policy.max_length
        self._keeps_breaks = "pre" in policy.tags
        self._keeps_images = "img" in policy.tags

    def clean(self, value: str) -> str:
        """Return what the policy keeps of a value, in a form that reads back as itself.

        Raises:
            SanitizationError: The value does not settle, becomes too long, needs too much work when
                it is read back, or is not Unicode text.
        """
        # Calling back into Python for each attribute and cleaning twice would double the cost of
        # every value; a result that is seen to need neither is done.
        cleaned = self._run(self._fast, value)
        if "\r" in cleaned or self._has_doubtful_link(cleaned):
            return self._settle(self._pass(value))
        bare = self._bare(cleaned)
        if bare == value or bare == self._bare(value):
            # What only got our own attributes was well formed: it has been read back just now.
            self._check_length(cleaned)
            return cleaned
        if self._is_settled(cleaned):
            self._check(cleaned)
            return cleaned
        return self._settle(cleaned)

    def _settle(self, cleaned: str) -> str:
        for _ in range(_MAX_PASSES):
            # Markup can grow a hundredfold when misplaced elements are repaired.
            self._check(cleaned)
            again = self._pass(cleaned)
            if again == cleaned:
                return cleaned
            cleaned = again
        raise SanitizationError(reason="sanitization.too_complex")

    def _check(self, cleaned: str) -> None:
        # What is stored has to pass again when it is sanitized on its way out.
        self._check_length(cleaned)
        check_work(cleaned)

    def _check_length(self, cleaned: str) -> None:
        if len(cleaned) > self._max_length:
            raise SanitizationError(reason="sanitization.too_long", limit=self._max_length)

    def _bare(self, value: str) -> str:
        if self._keeps_images:
            value = value.replace(_IMAGE_TAIL, "")
        return value.replace(self._rel, "") if self._rel else value

    def _pass(self, value: str) -> str:
        # A carriage return comes from "&#13;"; parsers read it as a line feed.
        return self._run(self._full, value).replace("\r\n", "\n").replace("\r", "\n")

    def _run(self, cleaner: nh3.Cleaner, value: str) -> str:
        try:
            cleaned = cleaner.clean(value)
        except UnicodeEncodeError:
            # A lone surrogate: JSON can spell it, no encoding can hold it.
            raise SanitizationError(reason="sanitization.not_unicode") from None
        if self._keeps_images and "<img" in cleaned:
            # The engine can drop an attribute, but not the image that is nothing without it.
            cleaned = _NO_SOURCE.sub("", _IMAGE.sub(rf"\1{_IMAGE_TAIL}>", cleaned))
        if self._keeps_breaks:
            # Parsers skip a line break at the very start of <pre>.
            cleaned = _LEADING_BREAK.sub(r"\1\n", cleaned)
        return cleaned


@lru_cache(maxsize=64)
def engine_of(policy: HTMLPolicy) -> Engine:
    """Return the engine of a policy, built once: building costs more than cleaning."""
    return Engine(policy)


def _build_cleaner(
    policy: HTMLPolicy, attribute_filter: Callable[[str, str, str], str | None] | None
) -> nh3.Cleaner:
    # Without an entry for all elements, the engine keeps "lang" and "title" everywhere.
    attributes: dict[str, set[str]] = {"*": set()}
    for tag, attribute in policy.attributes:
        attributes.setdefault(tag, set()).add(attribute)
    return nh3.Cleaner(
        tags=policy.tags,
        clean_content_tags=policy.dropped,
        attributes=attributes,
        attribute_filter=attribute_filter,
        set_tag_attribute_values={"img": _IMAGE_VALUES} if "img" in policy.tags else None,
        link_rel=policy.rel,
        url_schemes=policy.schemes,
    )


def _link_filter(policy: HTMLPolicy) -> Callable[[str, str, str], str | None]:
    def filter_attribute(element: str, attribute: str, value: str) -> str | None:
        if attribute == "src":
            return value if is_allowed_image(value, policy) else None
        if attribute in URL_ATTRIBUTES:
            return value if is_allowed_link(value, policy) else None
        if element == "img" and attribute in _IMAGE_SIZES:
            return value if _IMAGE_SIZE.fullmatch(value) else None
        return value

    return filter_attribute


def _doubtful_pattern(policy: HTMLPolicy) -> str:
    """Build a pattern for attributes that do not begin like allowed ones; the filter decides.

    The engine puts attributes in double quotes and escapes quotes in them.
    """
    names = {name for _, name in policy.attributes}
    links = sorted(names & URL_ATTRIBUTES - {"src"})
    doubtful = []
    if links:
        # One attribute is searched for as it stands, which is several times faster.
        name = links[0] if len(links) == 1 else f"(?:{'|'.join(links)})"
        doubtful.append(_unlike(name, _links(policy)))
    if "src" in names:
        doubtful.append(_unlike("src", _sources(policy)))
    if "img" in policy.tags and names & _IMAGE_SIZES:
        doubtful.append(rf'(?:height|width)="(?!{_IMAGE_SIZE.pattern}")')
    return "|".join(doubtful) or "(?!)"


def _unlike(attribute: str, starts: list[str]) -> str:
    known = "|".join(starts) or "(?!)"
    return rf'{attribute}="(?!(?:{known})[^"\\\x00-\x1f\x7f]*+")'


def _links(policy: HTMLPolicy) -> list[str]:
    starts = [f"{name}://" for name in sorted(policy.schemes & {"http", "https"})]
    if "mailto" in policy.schemes:
        starts.append("mailto:")
    return starts + _relative(policy)


def _sources(policy: HTMLPolicy) -> list[str]:
    hosts = "|".join(map(re.escape, sorted(policy.image_hosts or ()))) or "(?!)"
    host = "" if policy.image_hosts is None else f'(?:{hosts})(?=[/?#"])'
    starts = [f"{name}://{host}" for name in sorted(policy.schemes & {"http", "https"})]
    return starts + _relative(policy)


def _relative(policy: HTMLPolicy) -> list[str]:
    return ["/(?!/)", "#"] if policy.relative_links else []


def _settled_pattern(policy: HTMLPolicy) -> str:
    """Build a pattern for results that read back as themselves.

    It knows the usual document: paragraphs and headings with nothing but inline elements in them,
    no link in a link, list items in lists. The engine's output is well formed, so that such a
    document is read as it is written. For anything else, a second pass decides.
    """
    inline = "|".join(sorted(policy.tags & _INLINE)) or "(?!)"
    blocks = "|".join(sorted(policy.tags & _TEXT_BLOCKS)) or "(?!)"
    # Possessive throughout, so that it never tries a second way; measured faster that way.
    mark = rf"</?(?:{inline}|br)>"
    if "img" in policy.tags:
        mark = rf"(?:{mark}|<img(?: [^>]*+)?+>)"
    text = rf"[^<]*+(?:{mark}[^<]*+)*+"
    link = rf"a(?: [^>]*+)?+>{text}</a>"
    block = rf"(?:{blocks})>{text}(?:<{link}{text})*+</(?:{blocks})>"
    item = r"(?:/?[ou]l|/li)>[ \n]*+(?:<li>)?+"
    return rf"{text}(?:<(?:{block}|{item}|{link}){text})*+"
