"""Make keys, and put new ones in the place of old ones: ``stockade keys``."""

from __future__ import annotations

import json
import os
import re
import secrets
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from stockade.cli.output import make_console
from stockade.errors import ConfigurationError

if TYPE_CHECKING:
    from stockade.authentication.algorithms import PrivateKey

app = typer.Typer(
    name="keys",
    help="Make keys, and put new ones in the place of old ones.",
    no_args_is_help=True,
)

_SECRET_BYTES: Final = 48
_RSA_BITS: Final = 3072
_VARIABLE: Final = "STOCKADE_SECRET_KEYS"
_LINE: Final = re.compile(
    r"""(\s*(?:export\s+)?STOCKADE_SECRET_KEYS\s*=\s*)(["']?)([^"'#\s]*)\2(\s*)"""
)
_LARGEST_FILE: Final = 1_048_576


class Kind(StrEnum):
    """What can be made."""

    SECRET = "secret"  # noqa: S105 - a word of the command line
    ED25519 = "Ed25519"
    ES256 = "ES256"
    RS256 = "RS256"


class Form(StrEnum):
    """How a private key is written."""

    PEM = "pem"
    JWK = "jwk"


class Step(StrEnum):
    """The steps of a rotation, each of which is rolled out before the next."""

    ADD = "add"
    USE = "use"
    DROP = "drop"


@app.callback()
def _group() -> None:
    """Make keys, and put new ones in the place of old ones."""


@app.command()
def generate(
    kind: Annotated[
        Kind,
        typer.Argument(
            help="secret, for STOCKADE_SECRET_KEYS, or a private key to sign tokens with."
        ),
    ] = Kind.SECRET,
    form: Annotated[
        Form, typer.Option("--format", help="How a private key is written: pem or jwk.")
    ] = Form.PEM,
    output: Annotated[
        Path | None,
        typer.Option(
            help="A new file for it, that its owner alone may read; standard output unless given."
        ),
    ] = None,
) -> None:
    """Make a secret or a private key."""
    text = make_secret() if kind is Kind.SECRET else write_key(make_key(kind), form)
    if output is None:
        make_console().out(text, highlight=False)
        return
    _write_new(output, text + "\n")
    make_console().print(f"Written to {output}.")


@app.command()
def rotate(
    step: Annotated[
        Step,
        typer.Argument(help="add, then use, then drop; roll out each before the next."),
    ],
    env_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the line STOCKADE_SECRET_KEYS=..., which is changed at once or not at"
            " all; without one, the command says what to change."
        ),
    ] = None,
) -> None:
    """Put a new secret key in the place of the old ones, without an outage."""
    console = make_console()
    if env_file is None:
        console.print(_ADVICE[step])
        if step is Step.ADD:
            console.out(make_secret(), highlight=False)
        return
    change_file(env_file, step)
    console.print(f"{env_file}: {_DONE[step]}")


def make_secret() -> str:
    """Draw a secret of 384 bits."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def make_key(kind: Kind) -> PrivateKey:
    """Make a private key."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if kind is Kind.RS256:
        return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    if kind is Kind.ES256:
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def write_key(key: PrivateKey, form: Form) -> str:
    """Write a private key as text."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    from stockade.authentication.jwks import write_private_key

    if form is Form.JWK:
        return json.dumps(write_private_key(key))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode("ascii").rstrip()


def change_keys(keys: list[str], step: Step) -> list[str]:
    """Return the secret keys, oldest to newest, after a step of a rotation.

    Raises:
        ConfigurationError: The step does not fit what is there.
    """
    if step is Step.ADD:
        if len(keys) > 1:
            message = (
                f"{_VARIABLE} has {len(keys)} keys, so that a rotation is under way: go on with"
                " `use`, or end it with `drop`"
            )
            raise ConfigurationError(message)
        # In the first place it verifies and does not sign yet.
        return [make_secret(), *keys]
    if len(keys) < 2:  # noqa: PLR2004 - an old one and a new one
        message = f"{_VARIABLE} has one key, so that no rotation is under way: begin with `add`"
        raise ConfigurationError(message)
    return [*keys[1:], keys[0]] if step is Step.USE else keys[-1:]


def change_file(path: Path, step: Step) -> None:
    """Change the secret keys of a file at once or not at all; every other line stays as it is.

    Raises:
        ConfigurationError: The file can't be read or written, or has no such line, or several.
    """
    # The file itself, and not a link to it, is replaced.
    file = path.resolve()
    lines = _read(file, path).splitlines(keepends=True)
    found = [(number, _LINE.fullmatch(line)) for number, line in enumerate(lines)]
    matches = [(number, match) for number, match in found if match is not None]
    named = [line for line in lines if _VARIABLE in line.partition("#")[0]]
    if len(matches) != 1 or len(named) != 1:
        message = (
            f"{path} needs one line {_VARIABLE}=OLDEST,...,NEWEST on its own, without spaces in the"
            " value, and without a comment behind it"
        )
        raise ConfigurationError(message)
    number, match = matches[0]
    keys = [key for key in match[3].split(",") if key]
    if not keys:
        raise ConfigurationError(
            f"{path} has no secret key: make one with `stockade keys generate`"
        )
    changed = ",".join(change_keys(keys, step))
    lines[number] = f"{match[1]}{match[2]}{changed}{match[2]}{match[4]}"
    _replace(file, "".join(lines), path)


def _read(file: Path, path: Path) -> str:
    try:
        # Line ends stay as they are.
        with file.open(encoding="utf-8", newline="") as opened:
            text = opened.read(_LARGEST_FILE + 1)
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path} can't be read ({type(error).__name__}): give the file with {_VARIABLE}"
        raise ConfigurationError(message) from None
    if len(text) > _LARGEST_FILE:
        raise ConfigurationError(f"{path} is too large: give the file with {_VARIABLE}")
    return text


def _replace(file: Path, text: str, path: Path) -> None:
    """Write a file beside the old one, for its owner alone, and put it in the old one's place."""
    try:
        status = file.stat()
        # Made with 0600, so that nobody else reads it on the way.
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as opened:
                opened.write(text)
                opened.flush()
                if os.name == "posix":
                    os.fchmod(opened.fileno(), status.st_mode & 0o777)
                    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                        os.fchown(opened.fileno(), status.st_uid, status.st_gid)
                os.fsync(opened.fileno())
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        message = f"{path} can't be changed ({type(error).__name__}): it is as it was"
        raise ConfigurationError(message) from None


def _write_new(path: Path, text: str) -> None:
    try:
        # Never over what is there, and never through a link.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(path, flags, 0o600), "w", encoding="ascii") as opened:
            opened.write(text)
    except OSError as error:
        message = f"{path} can't be written ({type(error).__name__}): give the name of a new file"
        raise ConfigurationError(message) from None


_ADVICE: Final = {
    Step.ADD: (
        f"1. Put this new secret in front of the others in {_VARIABLE}, parted by a comma, and roll"
        " it out: it verifies everywhere before it signs anywhere. Then: stockade keys rotate use"
    ),
    Step.USE: (
        f"2. Move the new secret to the end of {_VARIABLE} and roll it out: from now on it signs,"
        " and the others only verify. Then: stockade keys rotate drop"
    ),
    Step.DROP: (
        "3. Once every session has been refreshed or has ended (7 days unless set) and every"
        f" program has called once, leave the newest secret alone in {_VARIABLE}"
        " and roll it out. After a leak do it at once: everybody signs in anew, and programs"
        " that had not called need new keys."
    ),
}
_DONE: Final = {
    Step.ADD: "a new secret verifies now. Roll it out everywhere; then: stockade keys rotate use",
    Step.USE: (
        "the new secret signs now. Roll it out everywhere; once sessions and API keys made before"
        " have ended or were renewed: stockade keys rotate drop"
    ),
    Step.DROP: "the old secrets are gone. Roll it out everywhere; the rotation is over.",
}
