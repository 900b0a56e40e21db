"""A policy is a choice from what is harmless, and never changes under its name."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from stockade.errors import ConfigurationError
from stockade.sanitization import (
    HTMLPolicy,
    UnsafePolicyError,
    find_policy,
    register_policy,
    sanitize_html,
)

P = frozenset({"p"})


def test_default_policy_is_the_required_one() -> None:
    """The default policy allows exactly what requirement R3 names."""
    policy = find_policy("default")
    assert policy.tags == {
        *("p", "br", "strong", "em", "u", "a", "ul", "ol", "li", "h1", "h2", "h3")
    }
    assert policy.attributes == {("a", "href"), ("a", "title")}
    assert policy.schemes == {"http", "https", "mailto"}
    assert policy.rel == "noopener noreferrer nofollow"


@pytest.mark.parametrize(
    "tag",
    [
        *("script", "style", "iframe", "object", "embed", "svg", "math", "form", "input"),
        *("button", "textarea", "select", "base", "link", "meta", "template", "noscript"),
        *("title", "xmp", "plaintext", "video", "audio", "canvas", "SCRIPT"),
    ],
)
def test_dangerous_elements_can_not_be_allowed(tag: str) -> None:
    """No policy allows an element with behaviour of its own."""
    with pytest.raises(UnsafePolicyError):
        HTMLPolicy(name="x", tags=frozenset({tag}), dropped=frozenset({"script", "style"}))


@pytest.mark.parametrize(
    "attribute",
    ["onclick", "style", "class", "id", "name", "srcdoc", "action", "xlink:href", "srcset"],
)
def test_dangerous_attributes_can_not_be_allowed(attribute: str) -> None:
    """No policy allows a handler, a style or a name that shadows the page's own."""
    with pytest.raises(UnsafePolicyError):
        HTMLPolicy(name="x", tags=P, attributes=frozenset({("p", attribute)}))


@pytest.mark.parametrize("scheme", ["javascript", "data", "vbscript", "file", "blob", "HTTPS"])
def test_dangerous_schemes_can_not_be_allowed(scheme: str) -> None:
    """No policy allows a scheme that runs script or reads local data."""
    with pytest.raises(UnsafePolicyError):
        HTMLPolicy(name="x", tags=P, schemes=frozenset({scheme}))


@pytest.mark.parametrize(
    "change",
    [
        {"attributes": frozenset({("a", "href")})},
        {"dropped": frozenset({"script"})},
        {"dropped": frozenset({"script", "style", "p"})},
        {"max_length": 0},
        {"max_length": 1_000_001},
    ],
    ids=["attribute without element", "style kept", "kept and dropped", "no length", "too long"],
)
def test_contradictions_are_refused(change: dict[str, object]) -> None:
    """A policy that contradicts itself is a configuration error."""
    with pytest.raises(ConfigurationError):
        replace(HTMLPolicy(name="x", tags=P), **change)  # type: ignore[arg-type]


def test_policies_are_immutable() -> None:
    """Nobody changes a policy after it was built."""
    with pytest.raises(FrozenInstanceError):
        find_policy("default").version = 2  # type: ignore[misc]


def test_registered_policy_is_found_by_name() -> None:
    """A registered policy is used under its name."""
    policy = register_policy(HTMLPolicy(name="test-mark", tags=frozenset({"mark"})))
    assert register_policy(policy) is policy
    assert sanitize_html("<mark>a</mark><p>b</p>", "test-mark") == "<mark>a</mark>b"


def test_a_name_never_changes_its_meaning() -> None:
    """Another policy under a known name is refused."""
    with pytest.raises(UnsafePolicyError):
        register_policy(HTMLPolicy(name="default", tags=P))
    assert "a" in find_policy("default").tags


def test_unknown_names_are_refused() -> None:
    """The error names what is registered."""
    with pytest.raises(UnsafePolicyError, match="article, comment, default"):
        find_policy("no such policy")


def test_article_keeps_tables_and_code() -> None:
    """The article policy keeps what long texts need."""
    table = '<table><tbody><tr><td colspan="2"><code>x</code></td></tr></tbody></table>'
    assert sanitize_html(table, "article") == table


def test_article_drops_images() -> None:
    """No policy of ours loads anything from elsewhere."""
    assert sanitize_html("<img src=https://x.example/a.png>ok", "article") == "ok"


def test_comment_has_no_headings() -> None:
    """A comment can't shout."""
    assert sanitize_html("<h1>x</h1>", "comment") == "x"
