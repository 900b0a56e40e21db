"""Run one application for all clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.oauth_client import find_client
from tests.conftest import miss
from tests.interop.served import Served, run_application


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A running application."""
    with run_application(tmp_path_factory.mktemp("interop")) as served:
        yield served


@pytest.fixture(autouse=True)
def _plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients talk to this machine without TLS."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.fixture(scope="session")
def oauth4webapi() -> Path:
    """Path of the module of npm's client."""
    found = find_client()
    if found is None:
        miss("no Node, or no client for it: run python scripts/oauth_client.py")
    return found
