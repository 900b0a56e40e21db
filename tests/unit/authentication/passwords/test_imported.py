"""Hashes that other programs have made, and what resembles them."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockade.authentication import AuthenticationSettings, BcryptHasher
from stockade.authentication.hashers import choose_hasher
from stockade.authentication.passwords import ImportedHashes

pytest.importorskip("argon2")

FOLDER = Path(__file__).resolve().parents[3] / "vectors" / "passwords"
VECTORS: list[dict[str, str]] = json.loads((FOLDER / "hashes.json").read_text(encoding="utf-8"))
COSTS: dict[str, Any] = {"argon2_memory": 7_168, "argon2_time": 1, "bcrypt_cost": 4}
HASHERS = {
    kind: choose_hasher(AuthenticationSettings.model_validate({"password_hash": kind, **COSTS}))
    for kind in ("bcrypt", "argon2id")
}
IMPORTED = ImportedHashes(most_memory=131_072)


def name_of(vector: dict[str, str]) -> str:
    """Name a vector by its program, its scheme and the kind of its password."""
    return ascii(f"{vector['program']} {vector['scheme']} {vector['password'][:4]}")


@pytest.mark.parametrize("kind", HASHERS)
@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_a_password_belongs_to_its_hash(kind: str, vector: dict[str, str]) -> None:
    """Whatever hashes new passwords; and no other password does."""
    hasher, password, stored = HASHERS[kind], vector["password"], vector["hash"]
    assert hasher.reads(stored)
    assert hasher.verify(password, stored)
    others = [password[:-1], password + "x", password.swapcase(), password.partition("\0")[0], ""]
    for other in others:
        assert other == password or not hasher.verify(other, stored)


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_an_imported_hash_is_replaced(vector: dict[str, str]) -> None:
    """By one of the way that new passwords are hashed in."""
    for kind, hasher in HASHERS.items():
        own = kind == "bcrypt" and vector["scheme"] == "bcrypt" and vector["program"] != "Django"
        assert hasher.needs_rehash(vector["hash"]) is not own


@pytest.mark.parametrize("vector", VECTORS, ids=name_of)
def test_a_hash_is_read_to_the_letter(vector: dict[str, str]) -> None:
    """A space, a line end, another case, another digit or one character less: no hash, no error."""
    stored, password = vector["hash"], vector["password"]
    changed = [
        stored + "\n",
        stored + " ",
        " " + stored,
        "\t" + stored,
        stored + "\0",
        stored + "=",
        stored[:-1] + "é",
        stored[:-1],
        stored[:-5],
        stored.upper(),
        stored.swapcase(),
        stored.replace("$", "$$"),
        stored + stored,
        re.sub(r"(?<=\d)(?=\d)", "_", stored),
        stored.replace("1", "\u0661"),
        stored.replace("$", "\uff04"),
    ]
    for hasher in HASHERS.values():
        for other in changed:
            if other != stored:
                assert not hasher.verify(password, other)


def by(program: str, scheme: str) -> str:
    """Return a vector's hash."""
    return next(v["hash"] for v in VECTORS if (v["program"], v["scheme"]) == (program, scheme))


PBKDF2 = by("passlib", "pbkdf2_sha256")
DJANGO = by("Django", "pbkdf2_sha256")
SCRYPT = by("passlib", "scrypt")
DJANGO_SCRYPT = by("Django", "scrypt")
BCRYPT = by("passlib", "bcrypt_sha256 v2")
DJANGO_BCRYPT = by("Django", "bcrypt_sha256")


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "!",
        "!" + "A" * 40,
        "plain$secret",
        "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
        "sha1$salt$" + "0" * 40,
        "{SSHA}" + "A" * 32,
        "pbkdf2_md5$1$salt$" + "A" * 24,
        "$1$salt$" + "." * 22,
        "$6$rounds=5000$salt$" + "." * 86,
        "$5$salt$" + "." * 43,
        PBKDF2.replace("$1000$", "$99999999$"),
        PBKDF2.replace("$1000$", "$5000001$"),
        PBKDF2.replace("$1000$", "$9999999999999999999999$"),
        PBKDF2.replace("$1000$", "$0$"),
        PBKDF2.replace("$1000$", "$-1$"),
        PBKDF2.replace("$1000$", "$01000$"),
        PBKDF2.replace("$1000$", "$1e3$"),
        PBKDF2.replace("sha256", "sha512"),
        PBKDF2.replace("sha256", "md5"),
        PBKDF2.rpartition("$")[0] + "$",
        PBKDF2.rpartition("$")[0] + "$" + "A" * 22,
        PBKDF2[:-1] + "/",
        DJANGO.replace("$1000$", "$5000001$"),
        DJANGO.replace("sha256", "sha1"),
        DJANGO.replace("=", ""),
        DJANGO.replace("=", "=="),
        DJANGO.rpartition("$")[0] + "$",
        DJANGO.rpartition("$")[0] + "$" + "A" * 24,
        SCRYPT.replace("ln=8", "ln=31"),
        SCRYPT.replace("ln=8", "ln=18"),
        SCRYPT.replace("ln=8", "ln=99"),
        SCRYPT.replace("ln=8", "ln=0"),
        SCRYPT.replace("r=8", "r=99").replace("ln=8", "ln=16"),
        SCRYPT.replace("p=1", "p=99").replace("ln=8", "ln=16"),
        SCRYPT.replace("r=8", "r=0"),
        SCRYPT.replace("r=8", "r=1").replace("ln=8", "ln=17"),
        SCRYPT.rpartition("$")[0] + "$" + "A" * 22,
        DJANGO_SCRYPT.replace("$256$", "$255$"),
        DJANGO_SCRYPT.replace("$256$", "$1$"),
        DJANGO_SCRYPT.replace("$256$", "$67108864$"),
        DJANGO_SCRYPT.rpartition("$")[0] + "$AAAA",
        BCRYPT.replace("r=4", "r=31"),
        BCRYPT.replace("r=4", "r=17"),
        BCRYPT.replace("r=4", "r=3"),
        BCRYPT.replace("r=4", "4"),
        BCRYPT.replace("t=2b", "t=2x"),
        BCRYPT.replace("v=2", "v=1"),
        DJANGO_BCRYPT.replace("$04$", "$31$"),
        DJANGO_BCRYPT.replace("$2b$", "$2x$"),
        DJANGO_BCRYPT[:-1],
        "bcrypt$" + "$" + "A" * 59,
    ],
    ids=ascii,
)
def test_what_is_broken_weak_or_too_costly_is_no_hash(stored: str) -> None:
    """It is checked against the decoy, which costs what a new hash costs."""
    assert not IMPORTED.reads(stored)
    for hasher in HASHERS.values():
        assert not hasher.reads(stored)
        assert not hasher.verify("correct horse battery staple", stored)
        assert hasher.needs_rehash(stored)


def test_the_memory_of_a_check_is_bounded() -> None:
    """As the setting has it."""
    stored = SCRYPT.replace("ln=8", "ln=14")
    assert ImportedHashes(most_memory=16_384).reads(stored)
    assert not ImportedHashes(most_memory=16_383).reads(stored)


@given(st.integers(1, 13), st.integers(1, 99), st.integers(1, 99))
@settings(max_examples=40, deadline=None)
def test_whatever_is_read_can_be_checked(log: int, block: int, lanes: int) -> None:
    """The bounds are within what OpenSSL takes; nothing raises."""
    changed = SCRYPT.replace("ln=8", f"ln={log}").replace("r=8", f"r={block}")
    stored = changed.replace("p=1", f"p={lanes}")
    cheap = (1 << log) * block * lanes < 100_000
    if IMPORTED.reads(stored) and cheap:
        assert not IMPORTED.verify("guess", stored)


def test_usual_costs_are_bearable() -> None:
    """Those of passlib and Django as they come."""
    for stored in (
        PBKDF2.replace("$1000$", "$1200000$"),
        DJANGO.replace("$1000$", "$1800000$"),
        SCRYPT.replace("ln=8", "ln=17"),
        DJANGO_SCRYPT.replace("$256$", "$16384$").replace("$8$1$", "$8$5$"),
        BCRYPT.replace("r=4", "r=13"),
        DJANGO_BCRYPT.replace("$04$", "$14$"),
    ):
        assert IMPORTED.reads(stored)
    argon2 = by("Django", "argon2")
    assert HASHERS["bcrypt"].reads(argon2.replace("m=512,t=1,p=8", "m=102400,t=2,p=8"))
    assert HASHERS["bcrypt"].reads(by("pwdlib", "argon2").replace("m=512,t=1", "m=65536,t=3"))


def test_a_hash_of_what_django_has_cut_holds_for_nothing_longer() -> None:
    """Its own hasher lets bcrypt read 72 bytes and forget the rest."""
    stored = "bcrypt$" + BcryptHasher(cost=4).hash("a" * 72)
    assert IMPORTED.verify("a" * 72, stored)
    assert not IMPORTED.verify("a" * 73, stored)
    assert not IMPORTED.verify("a" * 72 + "\0", stored)
    assert not IMPORTED.verify("", "bcrypt$" + BcryptHasher(cost=4).hash("") + "x")
    empty = "bcrypt$" + BcryptHasher(cost=4).hash("")
    assert not IMPORTED.verify("b" * 73, empty)
    assert not IMPORTED.verify("\0", empty)


def test_a_digest_is_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a bcrypt_sha256 feeds to bcrypt does not open the account by itself."""
    digest = hashlib.sha256(b"correct horse battery staple")
    assert not IMPORTED.verify(digest.hexdigest(), DJANGO_BCRYPT)
    for each in (BCRYPT, by("passlib", "bcrypt_sha256 v1")):
        assert not IMPORTED.verify(base64.b64encode(digest.digest()).decode(), each)


@pytest.mark.parametrize("stored", ["", "!", "x" * 60, PBKDF2[:-1], "$6$salt$" + "." * 86])
def test_an_unknown_format_costs_the_decoy(monkeypatch: pytest.MonkeyPatch, stored: str) -> None:
    """One run of bcrypt at the cost of new hashes, no less and no more."""
    hasher = HASHERS["bcrypt"]
    hasher.verify("", None)
    seen: list[bytes] = []
    check = bcrypt.checkpw

    def count(password: bytes, hashed: bytes) -> bool:
        seen.append(hashed)
        return check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", count)
    assert not hasher.verify("anything", stored)
    assert [each[:7] for each in seen] == [b"$2b$04$"]


def test_nothing_stored_is_nothing_read() -> None:
    """No account, no check."""
    assert not IMPORTED.verify("anything", None)


@given(
    st.text(max_size=300)
    | st.from_regex(r"\$?(pbkdf2|scrypt|bcrypt)[-_$]\S*\$\d{1,9}\$\S*\$[A-Za-z0-9+/.=]*")
    | st.builds(
        lambda stored, at, text: stored[:at] + text + stored[at + 1 :],
        st.sampled_from([vector["hash"] for vector in VECTORS]),
        st.integers(0, 120),
        st.text(st.sampled_from("0123456789$=,./+A\n\0é"), max_size=2),
    )
)
def test_any_stored_text_is_looked_at(text: str) -> None:
    """Only its form is read before its cost is known, and nothing raises."""
    assert isinstance(IMPORTED.reads(text), bool)
    assert isinstance(HASHERS["bcrypt"].needs_rehash(text), bool)
