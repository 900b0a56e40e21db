"""Turn addresses in text into links."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stockade.sanitization.cleaning import sanitize_html
from stockade.sanitization.errors import UnsafePolicyError
from stockade.sanitization.links import is_allowed_link
from stockade.sanitization.plain_text import is_plain_text
from stockade.sanitization.policies import find_policy

if TYPE_CHECKING:
    from stockade.sanitization.policies import HTMLPolicy

# Only what names its scheme: a guess such as "setup.py" would become a link to somebody's host.
# A host is ASCII and stands before no other letter, so that no part of a longer name becomes a
# link of its own, and there is no user name before it, which looks like a host. In sanitized text
# "&" stands for itself as "&amp;" alone.
_HOST: Final = (
    r"[A-Za-z0-9](?:[A-Za-z0-9\-]|\.(?=[A-Za-z0-9]))*+(?::[0-9]{1,5}+)?+(?!\.?[\w@%\-]|:[\w@])"
)
_ADDRESS: Final = re.compile(
    rf"(?<![\w+.\-])(?:https?://|mailto:[A-Za-z0-9._+\-]{{1,64}}+@){_HOST}"
    r"(?:[/?#](?:[\w\-.~:/?#@!$()*+,;=%\[\]]|&amp;)*+)?+",
    re.IGNORECASE,
)
_TAG: Final = re.compile(r"<(/?)([a-z][a-z0-9]*)[^>]*+>")
# Text in these is no prose: a link in a link is none, and code is read letter by letter.
_VERBATIM: Final = frozenset({"a", "code", "kbd", "pre", "samp", "var"})
_SENTENCE_END: Final = ".,:;!?"
_PAIRS: Final = {")": "(", "]": "["}


def linkify(value: str, policy: str | HTMLPolicy = "default") -> str:
    """Return sanitized HTML in which ``http://``, ``https://`` and ``mailto:`` addresses are links.

    Do it where text is shown, not where it is stored. Text without markup that holds an address
    becomes HTML, so that ``<`` and ``&`` in it are escaped; without an address it stays as it is.
    Addresses inside links and code stay text. Doing it twice changes nothing more.

    >>> linkify("1 < 2, see https://x.example.")
    '1 &lt; 2, see <a href="https://x.example" rel="noopener noreferrer nofollow">https://x.example</a>.'

    Args:
        value: Untrusted rich text, or plain text.
        policy: A policy with links, or the name of a registered one.

    Raises:
        SanitizationError: The value is longer than the policy takes, before or after, needs too
            much work, or is not Unicode text.
        UnsafePolicyError: The policy's name is unknown, or it has no links.
    """
    rules = find_policy(policy)
    if ("a", "href") not in rules.attributes:
        message = f"the policy {rules.name!r} has no links: allow href on a, or leave linkify out"
        raise UnsafePolicyError(message)
    cleaned = sanitize_html(value, rules)
    if _ADDRESS.search(cleaned) is None:
        return cleaned
    markup = _escape(cleaned) if is_plain_text(cleaned) else cleaned
    linked = _link_text(markup, rules)
    # The sanitizer has the last word on what we wrote, and on its length.
    return cleaned if linked == markup else sanitize_html(linked, rules)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _link_text(markup: str, policy: HTMLPolicy) -> str:
    parts = []
    verbatim = position = 0
    for tag in _TAG.finditer(markup):
        parts += [_replace(markup[position : tag.start()], policy, verbatim), tag[0]]
        if tag[2] in _VERBATIM:
            verbatim += -1 if tag[1] else 1
        position = tag.end()
    return "".join([*parts, _replace(markup[position:], policy, verbatim)])


def _replace(text: str, policy: HTMLPolicy, verbatim: int) -> str:
    if verbatim:
        return text

    def link(found: re.Match[str]) -> str:
        address = _trim(found[0])
        if not is_allowed_link(address.replace("&amp;", "&"), policy):
            return found[0]
        rest = found[0][len(address) :]
        return f'<a href="{address}">{address}</a>{rest}'

    return _ADDRESS.sub(link, text)


def _trim(address: str) -> str:
    """Leave out what belongs to the sentence: its punctuation, and a bracket opened before."""
    end = len(address)
    spare = {
        closing: address.count(closing) - address.count(opening)
        for closing, opening in _PAIRS.items()
    }
    while end > 1:
        last = address[end - 1]
        # The end of "&amp;" is no punctuation.
        if last in _SENTENCE_END and not address.endswith("&amp;", 0, end):
            end -= 1
        elif spare.get(last, 0) > 0:
            spare[last] -= 1
            end -= 1
        else:
            break
    return address[:end]
