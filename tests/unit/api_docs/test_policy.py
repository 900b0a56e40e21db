from __future__ import annotations

import base64
import hashlib

import pytest

from stockade.api_docs import DocsKind, content_security_policy
from stockade.api_docs.policy import REDOC_STYLE_HASHES, docs_headers


def directives(kind: DocsKind, origins: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Parse the policy of one kind."""
    parts = (part.split() for part in content_security_policy(kind, origins).split("; "))
    return {name: sources for name, *sources in parts}


@pytest.mark.parametrize("kind", DocsKind)
def test_policy_starts_from_nothing(kind: DocsKind) -> None:
    """What is not named is refused, and nobody may frame the page."""
    policy = directives(kind)
    assert policy["default-src"] == ["'none'"]
    assert policy["frame-ancestors"] == ["'none'"]


@pytest.mark.parametrize("kind", DocsKind)
@pytest.mark.parametrize("word", ["unsafe", "*", "http:", "https:", "blob:", "nonce"])
def test_policy_has_no_wide_source(kind: DocsKind, word: str) -> None:
    """No policy allows inline code, every host, or a blob."""
    assert word not in content_security_policy(kind)


def test_swagger_policy() -> None:
    """Swagger UI lives with its own origin alone, for styles too."""
    assert content_security_policy(DocsKind.SWAGGER) == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; worker-src 'none'; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def test_redoc_differs_by_two_style_hashes() -> None:
    """ReDoc gets two known style elements more, and nothing else."""
    swagger, redoc = directives(DocsKind.SWAGGER), directives(DocsKind.REDOC)
    assert redoc.pop("style-src") == ["'self'", *REDOC_STYLE_HASHES]
    swagger.pop("style-src")
    assert redoc == swagger


def test_one_hash_is_of_the_empty_style() -> None:
    """The element that styled-components fills through the CSSOM is empty when it is checked."""
    digest = base64.b64encode(hashlib.sha256(b"").digest()).decode()
    assert f"'sha256-{digest}'" in REDOC_STYLE_HASHES


def test_redirect_page_may_only_run_its_script() -> None:
    """The page that sees an authorization code loads one script and calls nobody."""
    policy = directives(DocsKind.OAUTH2_REDIRECT)
    assert policy["script-src"] == ["'self'"]
    assert "connect-src" not in policy


def test_extra_origins_are_for_calls_of_swagger_only() -> None:
    """A provider's origin may be called, but gives no script; ReDoc does not get it."""
    origins = ("https://login.example.com",)
    policy = directives(DocsKind.SWAGGER, origins)
    assert policy["connect-src"] == ["'self'", *origins]
    assert policy["script-src"] == ["'self'"]
    assert directives(DocsKind.REDOC, origins)["connect-src"] == ["'self'"]


@pytest.mark.parametrize("kind", DocsKind)
def test_headers_stop_sniffing_and_foreign_use(kind: DocsKind) -> None:
    """Every response keeps its type and its origin."""
    headers = docs_headers(kind)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Content-Security-Policy"] == content_security_policy(kind)
