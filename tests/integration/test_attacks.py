"""Hostile bytes over a bare socket: nothing gets in, nothing comes back, nobody else waits."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.demo_server import Demo, run_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo for the tests of this module."""
    with run_demo(tmp_path_factory.mktemp("attacks")) as running:
        yield running


def _exchange(demo: Demo, raw: bytes) -> bytes:
    """Send bytes as they stand and return all that comes back."""
    with socket.create_connection(("127.0.0.1", demo.port), timeout=5) as peer:
        try:
            peer.sendall(raw)
            peer.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The server has closed already; what it said is what counts.
        received = b""
        try:
            while part := peer.recv(65_536):
                received += part
        except ConnectionResetError:
            pass
        return received


def _statuses(answer: bytes) -> list[int]:
    return [int(part[2:5]) for part in answer.split(b"HTTP/1.")[1:]]


HOST = b"Host: 127.0.0.1\r\n"
HOSTILE = {
    "no-host": b"GET /notes HTTP/1.0\r\n\r\n",
    "two-hosts": b"GET /notes HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "absolute-target": b"GET http://evil.example/notes HTTP/1.1\r\n" + HOST + b"\r\n",
    "long-path": b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "many-headers": b"GET /notes HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 9_000 + b"\r\n",
    "nul-in-path": b"GET /notes/%00 HTTP/1.1\r\n" + HOST + b"\r\n",
    "raw-nul": b"GET /no\0tes HTTP/1.1\r\n" + HOST + b"\r\n",
    "raw-eighth-bit": b"GET /notes/\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "broken-escape": b"GET /notes/%zz%1 HTTP/1.1\r\n" + HOST + b"\r\n",
    "dot-segments": b"GET /health/../notes HTTP/1.1\r\n" + HOST + b"\r\n",
    "two-slashes": b"GET //notes HTTP/1.1\r\n" + HOST + b"\r\n",
    "two-credentials": b"GET /notes HTTP/1.1\r\n" + HOST + b"Authorization: a\r\n" * 2 + b"\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "connect": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "broken-upgrade": b"GET /notes/live HTTP/1.1\r\n"
    + HOST
    + b"Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "both-lengths": b"POST /notes HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /notes HTTP/1.1\r\n"
    + HOST
    + b"\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_request_is_refused(demo: Demo, name: str) -> None:
    """However a request is written, nobody gets in and the server does not fail."""
    statuses = _statuses(_exchange(demo, HOSTILE[name]))

    assert statuses == [] or 400 <= min(statuses) <= max(statuses) < 500


JSON_BODIES = {
    "deep": b"[" * 60_000,
    "deep-objects": b'{"a":' * 20_000,
    "not-a-number": b'{"title": NaN, "body": "secret-7f"}',
    "long-number": b'{"title": ' + b"9" * 6_000 + b', "body": "secret-7f"}',
    "surrogate": b'{"title": "secret-7f\\ud800", "body": "b"}',
    "nul": b'{"title": "secret-7f\\u0000", "body": "b"}',
    "not-utf-8": b'{"title": "secret-7f\xff", "body": "b"}',
    "foreign-tenant": b'{"title": "t", "body": "secret-7f", "tenant_id": "globex"}',
}


@pytest.mark.parametrize("name", JSON_BODIES)
def test_hostile_json_is_refused_and_not_repeated(demo: Demo, name: str) -> None:
    """JSON that no note could be is refused, and appears neither in the answer nor in the log."""
    with demo.client("acme-member") as client:
        answer = client.post(
            "/notes", content=JSON_BODIES[name], headers={"Content-Type": "application/json"}
        )

    assert 400 <= answer.status_code < 500
    assert "secret-7f" not in answer.text + demo.everything_written()


PASSWORD = b"secret-9c"
FORMS = {
    "no-boundary": ("multipart/form-data", PASSWORD),
    "file": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="password"; filename="f"\r\n\r\n'
        + PASSWORD
        + b"\r\n--x--",
    ),
    "many-parts": (
        "multipart/form-data; boundary=x",
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * 1_500 + b"--x--",
    ),
    "many-fields": ("application/x-www-form-urlencoded", b"a=1&" * 5_000 + PASSWORD),
    "nul": ("application/x-www-form-urlencoded", b"username=%00&password=" + PASSWORD),
    "wrong-grant": (
        "application/x-www-form-urlencoded",
        b"grant_type=" + PASSWORD + b"&username=a&password=" + PASSWORD,
    ),
    "charset": ("application/x-www-form-urlencoded; charset=hex", b"username=a&password=z"),
}


@pytest.mark.parametrize("name", FORMS)
def test_hostile_form_is_refused_and_not_repeated(demo: Demo, name: str) -> None:
    """A sign-in form that is none is refused, and appears neither in the answer nor in the log."""
    kind, content = FORMS[name]

    with demo.client() as client:
        answer = client.post("/auth/token", content=content, headers={"Content-Type": kind})

    assert 400 <= answer.status_code < 500
    assert PASSWORD.decode() not in answer.text + demo.everything_written()


def test_stalled_bodies_do_not_keep_others_waiting(demo: Demo) -> None:
    """Clients that never finish their bodies leave the server free for everybody else."""
    token = demo.token("acme-member")
    head = (
        f"POST /notes HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
    )
    stalled = [socket.create_connection(("127.0.0.1", demo.port), timeout=5) for _ in range(40)]
    try:
        for peer in stalled:
            peer.sendall(head.encode())
        started = time.monotonic()
        with demo.client("acme-member") as client:
            status = client.get("/notes").status_code
        taken = time.monotonic() - started
    finally:
        for peer in stalled:
            peer.close()

    assert status == 200
    assert taken < 3


def test_unstorable_text_is_no_server_error(tmp_path: Path, postgres_url: str) -> None:
    """Text that PostgreSQL does not take is the mistake of whoever sent it."""
    body = json.dumps({"name": "a\0b", "description": "d"})

    with run_demo(tmp_path, DATABASE_URL=postgres_url) as demo, demo.client("acme-admin") as client:
        answer = client.post(
            "/companies/departments", content=body, headers={"Content-Type": "application/json"}
        )

    assert 400 <= answer.status_code < 500
