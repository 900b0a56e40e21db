import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication import AccessTokens, AuthenticationSettings
from stockade.authentication.signing_keys import read_signing_key
from stockade.cli.keys import Step, change_keys, make_secret
from stockade.core.clock import SystemClock
from stockade.crypto import KeyRing
from stockade.errors import ConfigurationError
from tests.unit.authentication.helpers import ANA, NEW, OLD
from tests.unit.cli.helpers import CommandLine


def test_a_secret_is_fit_for_the_settings(run: CommandLine) -> None:
    """It is one line that nothing else is on, and no two are alike."""
    first, second = run("keys", "generate"), run("keys", "generate")
    assert (first.status, first.err) == (0, "")
    assert first.out != second.out
    KeyRing([first.out.rstrip("\n"), second.out.rstrip("\n")])
    assert "\n" not in first.out.rstrip("\n")
    assert "," not in first.out


@pytest.mark.parametrize("form", ["pem", "jwk"])
@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256", "RS256"])
def test_a_key_is_fit_for_the_settings(run: CommandLine, algorithm: str, form: str) -> None:
    """What is printed signs tokens as it is, and names itself by its contents."""
    made = run("keys", "generate", algorithm, "--format", form)
    assert made.status == 0
    settings = AuthenticationSettings.model_validate(
        {"algorithm": algorithm, "signing_keys": [made.out]}
    )
    tokens = AccessTokens(KeyRing([NEW]), settings, clock=SystemClock())
    tokens.verify(tokens.issue(ANA).value)
    if form == "jwk":
        assert read_signing_key(made.out).verification.kid == json.loads(made.out)["kid"]


def test_a_file_is_for_its_owner_alone(run: CommandLine, tmp_path: Path) -> None:
    """The key is in the file and nowhere else, whatever the umask says."""
    path = tmp_path / "key.pem"
    before = os.umask(0)
    try:
        made = run("keys", "generate", "Ed25519", "--output", str(path))
    finally:
        os.umask(before)
    assert made.out == f"Written to {path}.\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    read_signing_key(path.read_text(encoding="ascii"))


def test_a_file_that_is_there_stays(run: CommandLine, tmp_path: Path) -> None:
    """A key in use is not written over, nor a file that a link leads to."""
    path, link = tmp_path / "key.pem", tmp_path / "link.pem"
    path.write_text("in use", encoding="ascii")
    link.symlink_to(tmp_path / "elsewhere.pem")
    for taken in (path, link, tmp_path / "none" / "key.pem"):
        assert run("keys", "generate", "--output", str(taken)).status == 2
    assert path.read_text(encoding="ascii") == "in use"
    assert not (tmp_path / "elsewhere.pem").exists()


def test_a_rotation_without_a_file_says_what_to_do(run: CommandLine) -> None:
    """Each step has its advice; the first one brings the new secret."""
    added = run("keys", "rotate", "add").out.splitlines()
    assert len(added) == 2
    KeyRing([added[1]])
    for step in ("use", "drop"):
        ran = run("keys", "rotate", step)
        assert ran.status == 0
        assert len(ran.out.splitlines()) == 1
    assert run("keys", "rotate", "undo").status == 2


FILE = f"""# Settings\r
STOCKADE_ENVIRONMENT=production
export STOCKADE_SECRET_KEYS="{OLD}"  \r
# STOCKADE_SECRET_KEYS=commented
OTHER=x"""


def read_keys(path: Path) -> list[str]:
    """Return the keys of a file, and check that nothing else has changed."""
    text = path.read_bytes().decode()
    value = text.partition('STOCKADE_SECRET_KEYS="')[2].partition('"')[0]
    assert text.replace(value, OLD) == FILE
    return value.split(",")


def test_a_rotation_changes_the_file(run: CommandLine, tmp_path: Path) -> None:
    """A new key verifies, then signs, then is alone; every other byte stays."""
    path = tmp_path / ".env"
    path.write_bytes(FILE.encode())
    path.chmod(0o640)
    run("keys", "rotate", "add", "--env-file", str(path))
    new, old = read_keys(path)
    assert old == OLD
    KeyRing([new])
    run("keys", "rotate", "use", "--env-file", str(path))
    assert read_keys(path) == [OLD, new]
    ran = run("keys", "rotate", "drop", "--env-file", str(path))
    assert (ran.status, ran.err) == (0, "")
    assert read_keys(path) == [new]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [file.name for file in tmp_path.iterdir()] == [".env"]
    assert new not in ran.out


def test_a_link_stays_a_link(run: CommandLine, tmp_path: Path) -> None:
    """What it leads to is changed."""
    path, link = tmp_path / "real", tmp_path / ".env"
    path.write_bytes(FILE.encode())
    link.symlink_to(path)
    assert run("keys", "rotate", "add", "--env-file", str(link)).status == 0
    assert link.is_symlink()
    assert len(read_keys(path)) == 2


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("", "add"),
        ("SECRET_KEY=x\n", "add"),
        ("STOCKADE_SECRET_KEYS=\n", "add"),
        ("STOCKADE_SECRET_KEYS=a\nSTOCKADE_SECRET_KEYS=b\n", "add"),
        ("STOCKADE_SECRET_KEYS=a\nSTOCKADE_SECRET_KEYS=b c\n", "add"),
        ("STOCKADE_SECRET_KEYS=a # comment\n", "add"),
        ("STOCKADE_SECRET_KEYS=\"a'\n", "add"),
        ("STOCKADE_SECRET_KEYS=a, b\n", "use"),
        ('STOCKADE_SECRET_KEYS=["a","b"]\n', "use"),
        ("STOCKADE_SECRET_KEYS=a\n", "use"),
        ("STOCKADE_SECRET_KEYS=a\n", "drop"),
        ("STOCKADE_SECRET_KEYS=a,b\n", "add"),
        ("\udcff", "add"),
    ],
    ids=ascii,
)
def test_a_file_that_does_not_fit_stays(
    run: CommandLine, tmp_path: Path, text: str, step: str
) -> None:
    """The command says so in one line, which holds no key."""
    path = tmp_path / ".env"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    ran = run("keys", "rotate", step, "--env-file", str(path))
    assert ran.status == 2
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1
    assert path.read_bytes() == text.encode("utf-8", "surrogateescape")
    assert [file.name for file in tmp_path.iterdir()] == [".env"]


def test_a_file_that_is_not_there_is_an_error(run: CommandLine, tmp_path: Path) -> None:
    """Nothing is made in its place."""
    for path in (tmp_path / ".env", tmp_path):
        assert run("keys", "rotate", "add", "--env-file", str(path)).status == 2
    assert list(tmp_path.iterdir()) == []


@given(st.integers(2, 5))
def test_a_rotation_ends_with_one_key(count: int) -> None:
    """From any number of keys: the first one comes last, and then it is alone."""
    keys = [make_secret() for _ in range(count)]
    assert change_keys(change_keys(keys, Step.USE), Step.DROP) == keys[:1]
    with pytest.raises(ConfigurationError):
        change_keys(keys, Step.ADD)
