"""Run the demo as its users do, in a process of its own, and talk to it as anybody could."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT = 60.0
"""Seconds; a busy machine needs several for the imports alone."""

STOP_TIMEOUT = 60.0
ANSWER_TIMEOUT = 30.0
LAST_LINE = "Ctrl-C ends the demo"
SECRET_KEY = "0b5d1c9e7f3a4826-d4c8e6f2a1b3975d-smoke-1"


@dataclass
class Answer:
    """What came back over a bare socket."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Demo:
    """A running demo."""

    origin: str
    out: Path
    log: Path
    process: subprocess.Popen[bytes]
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.origin.rpartition(":")[2])

    def client(self, who: str | None = None, **headers: str) -> httpx2.Client:
        """Make a client, signed in as ``<company>-<role>`` if somebody is named."""
        if who is not None:
            headers["Authorization"] = f"Bearer {self.token(who)}"
        return httpx2.Client(
            base_url=self.origin, headers=headers, timeout=ANSWER_TIMEOUT, trust_env=False
        )

    def token(self, who: str) -> str:
        """Return an access token of an account; each signs in once."""
        if who not in self.tokens:
            company, _, role = who.partition("-")
            form = {"username": f"{role}@{company}.example", "password": f"{who}-password"}
            with self.client() as client:
                answer = client.post("/auth/token", data=form)
            assert answer.status_code == 200, answer.text
            self.tokens[who] = answer.json()["access_token"]
        return self.tokens[who]

    def events(self, request_id: str) -> list[dict[str, Any]]:
        """Return what the log says about one request."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines if line.startswith('{"event"')]
        return [event for event in events if event.get("request_id") == request_id]

    def everything_written(self) -> str:
        """Return all that the process has printed and logged."""
        return self.out.read_text(encoding="utf-8") + self.log.read_text(encoding="utf-8")

    def send(self, head: str, *bodies: bytes, **headers: str) -> Answer:
        """Send a request as it stands over a bare socket, and read one answer.

        Args:
            head: Method and path.
            bodies: What follows the headers, part by part; nothing needs to follow.
            headers: Headers, with underscores for hyphens.
        """
        lines = [f"{head} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_TIMEOUT) as peer:
            peer.sendall("\r\n".join([*lines, "", ""]).encode())
            for body in bodies:
                try:
                    peer.sendall(body)
                except (BrokenPipeError, ConnectionResetError):
                    break  # The server has answered and closed; the answer is what counts.
            return _read_answer(peer)


def _read_answer(peer: socket.socket) -> Answer:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _receive(peer)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    if "content-length" not in headers:
        # What the server itself refuses it answers and closes, without saying how long it is.
        while part := peer.recv(65_536):
            body += part
        return Answer(int(first.split(" ")[1]), headers, body)
    while len(body) < int(headers["content-length"]):
        body += _receive(peer)
    return Answer(int(first.split(" ")[1]), headers, body)


def _receive(peer: socket.socket) -> bytes:
    part = peer.recv(65_536)
    assert part, "the server closed the connection without an answer"
    return part


def demo_environment(folder: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which nothing but what is given is set up."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PYTHONPATH": str(ROOT / "src"),
        "SECRET_KEY": SECRET_KEY,
        # The cheapest work factor: how long a hash takes is not what is looked at here.
        "STOCKADE_AUTHENTICATION__BCRYPT_COST": "4",
        # All tests sign in from one address.
        "STOCKADE_RATE_LIMITING__LOGIN": "100/minute",
        **given,
    }


@contextmanager
def run_demo(folder: Path, **environment: str) -> Iterator[Demo]:
    """Run ``stockade demo`` on a free port until the block ends, then press Ctrl-C.

    Args:
        folder: Where its output is kept; what it stores goes into a folder inside of it.
        environment: Variables beside the embedded defaults.
    """
    data = folder / "data"
    data.mkdir()
    out, log = folder / "out", folder / "log"
    with out.open("wb") as output, log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "stockade", "demo", "--port", "0"],
            cwd=folder,
            env=demo_environment(data, environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
        )
    try:
        _wait_until_serving(process, out, log)
        origin = next(
            line.split()[1] for line in out.read_text("utf-8").splitlines() if "Address" in line
        )
        yield Demo(origin, out, log, process)
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_TIMEOUT) == 0, log.read_text("utf-8")[-2000:]
        assert list(data.iterdir()) == []
    finally:
        process.kill()
        process.wait()


def _wait_until_serving(process: subprocess.Popen[bytes], out: Path, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while LAST_LINE not in out.read_text("utf-8"):
        assert process.poll() is None, log.read_text("utf-8")[-2000:]
        assert time.monotonic() < deadline, "the demo did not start in time"
        time.sleep(0.02)
