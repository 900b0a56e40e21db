"""Serve Swagger UI, ReDoc and the OpenAPI document behind HTTP Basic, under a strict policy."""

from stockade.api_docs.basic import basic_challenge, verify_basic
from stockade.api_docs.models import DocsKind, DocsRoute
from stockade.api_docs.policy import content_security_policy
from stockade.api_docs.routes import install_docs
from stockade.api_docs.settings import APIDocsSettings

__all__ = [
    "APIDocsSettings",
    "DocsKind",
    "DocsRoute",
    "basic_challenge",
    "content_security_policy",
    "install_docs",
    "verify_basic",
]
