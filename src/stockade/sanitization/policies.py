"""Say what rich text may hold: named, immutable and versioned allow-lists.

A policy is a choice from what is known to be harmless. There is no switch that allows more: an
element or attribute that can run script, load a document, submit a form, or overlay the page is
refused when the policy is built, whoever asks for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from stockade.sanitization.errors import UnsafePolicyError

# Elements without behaviour of their own. Whatever is not here can't be allowed: script-capable
# elements, embedded documents, forms, and all of SVG and MathML, whose different parsing rules are
# the root of most mutation XSS.
_HARMLESS_ELEMENTS: Final = frozenset(
    {
        *("a", "abbr", "b", "blockquote", "br", "caption", "cite", "code", "col", "colgroup"),
        *("dd", "del", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "h1", "h2"),
        *("h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "mark", "ol", "p"),
        *("pre", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "table", "tbody"),
        *("td", "tfoot", "th", "thead", "time", "tr", "u", "ul", "var"),
    }
)
# "id" and "name" are missing on purpose: they shadow properties of document and window (DOM
# clobbering). "style" and "class" are missing because they can cover or imitate the page.
_HARMLESS_ATTRIBUTES: Final = frozenset(
    {
        *("abbr", "alt", "cite", "colspan", "datetime", "dir", "height", "href", "lang"),
        *("reversed", "rowspan", "scope", "span", "src", "start", "title", "width"),
    }
)
_HARMLESS_SCHEMES: Final = frozenset({"http", "https", "mailto", "sms", "tel"})
# A host as a browser writes it, with a port where it is not the usual one. Anything else could be
# read in two ways: a user name before "@", an escape, a name in another script.
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?(?::[0-9]{1,5})?")
# Link types that give the linked page nothing. "opener" would give it the window of this page.
_HARMLESS_RELATIONS: Final = frozenset(
    {"external", "nofollow", "noopener", "noreferrer", "sponsored", "ugc"}
)
_SETS: Final = ("tags", "attributes", "schemes", "dropped", "image_hosts")

DEFAULT_MAX_LENGTH: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HTMLPolicy:
    """An allow-list for one kind of rich text.

    Args:
        name: Name that fields refer to.
        version: Raise it with every change, so that stored text can be sanitized again.
        tags: Elements that are kept; the text inside other elements is kept without them.
        attributes: Pairs of element and attribute that are kept.
        schemes: URL schemes that links and sources may use.
        relative_links: Whether links without a scheme, such as ``/help`` or ``#top``, are kept.
            A link to another host without a scheme (``//host``) is never kept.
        rel: Relation set on every link, or None for none.
        dropped: Elements that are removed with all they contain.
        image_hosts: Hosts that images may come from, such as ``images.example.com``, or None for
            any. An empty set leaves images of the site itself, where ``relative_links`` is on.
        max_length: Most characters, of what comes in and of what goes out.

    Raises:
        UnsafePolicyError: The policy asks for something that is not harmless.
    """

    name: str
    version: int = 1
    tags: frozenset[str]
    attributes: frozenset[tuple[str, str]] = frozenset()
    schemes: frozenset[str] = frozenset({"http", "https", "mailto"})
    relative_links: bool = True
    rel: str | None = "noopener noreferrer nofollow"
    dropped: frozenset[str] = frozenset({"script", "style"})
    image_hosts: frozenset[str] | None = None
    max_length: int = DEFAULT_MAX_LENGTH
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        for name in _SETS:
            value = getattr(self, name)
            # Whoever holds a set that can change could allow more after it was checked.
            if not isinstance(value, frozenset) and (value is not None or name != "image_hosts"):
                message = f"{name} has to be a frozenset: write frozenset({{...}})"
                raise UnsafePolicyError(message)
        if type(self.version) is not int or self.version < 1:
            message = "a policy's version is a whole number: count from 1"
            raise UnsafePolicyError(message)
        _refuse("elements", self.tags - _HARMLESS_ELEMENTS)
        _refuse("attributes", {name for _, name in self.attributes} - _HARMLESS_ATTRIBUTES)
        _refuse("schemes", self.schemes - _HARMLESS_SCHEMES)
        _refuse("relations", {*(self.rel or "").split(" ")} - _HARMLESS_RELATIONS - {""})
        stray = {tag for tag, _ in self.attributes} - self.tags
        if stray:
            message = f"attributes on elements that are not allowed: {_names(stray)}"
            raise UnsafePolicyError(message)
        if not {"script", "style"} <= self.dropped:
            message = "a policy has to drop the contents of script and style"
            raise UnsafePolicyError(message)
        if self.dropped & self.tags:
            message = f"elements both kept and dropped: {_names(self.dropped & self.tags)}"
            raise UnsafePolicyError(message)
        unclear = {host for host in self.image_hosts or () if not _HOST.fullmatch(host)}
        if unclear:
            message = f"image hosts that are not plain host names: {_names(unclear)}"
            raise UnsafePolicyError(message)
        if not 0 < self.max_length <= DEFAULT_MAX_LENGTH:
            message = f"max_length has to be from 1 to {DEFAULT_MAX_LENGTH}"
            raise UnsafePolicyError(message)
        # Each value looks its engine up by policy; hashing all fields would cost more than plain
        # text may.
        object.__setattr__(self, "_hash", hash((self.name, self.version, self.tags)))

    def __hash__(self) -> int:
        return self._hash


def _refuse(kind: str, unsafe: set[str] | frozenset[str]) -> None:
    if unsafe:
        message = f"these {kind} can't be allowed in rich text: {_names(unsafe)}"
        raise UnsafePolicyError(message)


def _names(values: set[str] | frozenset[str]) -> str:
    return ", ".join(sorted(values))


# Requirement R3 names exactly these.
DEFAULT: Final = HTMLPolicy(
    name="default",
    tags=frozenset({"a", "br", "em", "h1", "h2", "h3", "li", "ol", "p", "strong", "u", "ul"}),
    attributes=frozenset({("a", "href"), ("a", "title")}),
)
# No headings in a remark below somebody else's text.
COMMENT: Final = HTMLPolicy(
    name="comment",
    tags=frozenset({"a", "blockquote", "br", "code", "em", "li", "ol", "p", "strong", "u", "ul"}),
    attributes=frozenset({("a", "href"), ("a", "title")}),
    relative_links=False,
)
# A remote image tells its host that the page is read, and when. The engine makes images load late
# and without a referrer; a policy with image_hosts says where they may come from.
ARTICLE: Final = HTMLPolicy(
    name="article",
    version=2,
    tags=DEFAULT.tags
    | frozenset(
        {
            *("b", "blockquote", "caption", "code", "del", "dd", "dl", "dt", "figcaption"),
            *("figure", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd", "mark", "pre", "q"),
            *("s", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr"),
        }
    ),
    attributes=DEFAULT.attributes
    | frozenset(
        {
            *(("img", name) for name in ("alt", "height", "src", "title", "width")),
            ("ol", "start"),
            ("td", "colspan"),
            ("td", "rowspan"),
            ("th", "colspan"),
            ("th", "rowspan"),
            ("th", "scope"),
        }
    ),
)
# The text of a mail. Nothing is loaded, because the sender would learn that the mail was opened,
# and there is no site that a link without a scheme could be relative to.
EMAIL: Final = HTMLPolicy(
    name="email",
    tags=(ARTICLE.tags - {"figcaption", "figure", "img"})
    | frozenset({"abbr", "div", "small", "span"}),
    attributes=DEFAULT.attributes
    | frozenset({("td", "colspan"), ("td", "rowspan"), ("th", "colspan"), ("th", "rowspan")}),
    relative_links=False,
    dropped=frozenset({"script", "style", "title"}),
)

_registry: Final[dict[str, HTMLPolicy]] = {
    policy.name: policy for policy in (DEFAULT, COMMENT, ARTICLE, EMAIL)
}


def register_policy(policy: HTMLPolicy) -> HTMLPolicy:
    """Make a policy known by its name, and return it.

    Registering the same policy again changes nothing. A name never changes its meaning: text that
    was sanitized under it is already stored.

    Raises:
        UnsafePolicyError: The name stands for another policy.
    """
    known = _registry.setdefault(policy.name, policy)
    if known != policy:
        message = f"the name {policy.name!r} stands for another policy: choose a new name"
        raise UnsafePolicyError(message)
    return policy


def find_policy(policy: str | HTMLPolicy) -> HTMLPolicy:
    """Return a policy by its name; a policy is returned as it is.

    Raises:
        UnsafePolicyError: Nobody registered the name.
    """
    if isinstance(policy, HTMLPolicy):
        return policy
    try:
        return _registry[policy]
    except KeyError:
        message = f"unknown policy {policy!r}; registered are: {', '.join(sorted(_registry))}"
        raise UnsafePolicyError(message) from None
