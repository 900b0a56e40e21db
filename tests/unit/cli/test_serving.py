import socket
import subprocess
import sys

import pytest

from stockade.cli.serving import listen, read_port
from stockade.errors import ConfigurationError


@pytest.mark.parametrize("text", ["0", "80", "8000", "65535"])
def test_port(text: str) -> None:
    """A port is a number that TCP has."""
    assert read_port(text) == int(text)


@pytest.mark.parametrize("text", ["", "x", "-1", "65536", "8000 ", "٨", "1e3", "0x50", "9" * 5000])
def test_what_is_no_port(text: str) -> None:
    """Anything else is refused by name of the option."""
    with pytest.raises(ConfigurationError, match="STOCKADE_DEMO_PORT"):
        read_port(text)


def test_any_free_port() -> None:
    """Port 0 takes any that is free."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.getsockname()[1] > 0


def test_answers_are_sent_at_once() -> None:
    """The socket names its protocol, without which asyncio leaves Nagle's delay on."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_port_in_use() -> None:
    """A port that somebody listens on is told, with the ways to choose another."""
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port} is in use.*--port"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "256.256.256.256", "", "a" * 64, "ä" * 300, " "])
def test_address_of_no_machine_of_ours(host: str) -> None:
    """An address that this machine does not have is refused in one line."""
    # In a process of its own: the tests may look up no names.
    script = (
        "import sys; from stockade.cli.serving import listen; "
        "from stockade.errors import ConfigurationError\n"
        "try: listen(sys.argv[1], 0)\n"
        "except ConfigurationError as error: print(error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, host], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("can't listen on ")
    assert ran.stdout.count("\n") == 1
