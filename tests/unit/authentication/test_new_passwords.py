import pytest

from stockade.authentication import BcryptHasher, HashingPool
from stockade.authentication.errors import PasswordRefusedError
from stockade.authentication.new_passwords import NewPasswords
from tests.unit.authentication.accounts import WEAK, Broken, Rules

HASHER = BcryptHasher(cost=4)


async def test_a_password_is_hashed_as_it_is() -> None:
    """Nothing of it is trimmed or cut."""
    pool = HashingPool(threads=1, queue=1)
    password = "  Ünusual words, with spaces  "
    hashed = await NewPasswords(Rules(), HASHER, pool).hash(password, email="a@example.org")
    assert HASHER.verify(password, hashed)
    assert not HASHER.verify(password.strip(), hashed)
    pool.close()


@pytest.mark.parametrize(
    ("password", "rule"),
    [(WEAK, "password_common"), ("x" * 73, "password_too_long"), ("a\0b", "password_too_long")],
    ids=["weak", "long", "nul"],
)
async def test_a_refused_password_is_not_repeated(password: str, rule: str) -> None:
    """The error says the rule alone."""
    pool = HashingPool(threads=1, queue=1)
    with pytest.raises(PasswordRefusedError) as caught:
        await NewPasswords(Rules(), HASHER, pool).hash(password, email="canary@example.org")
    assert (caught.value.rule, caught.value.reason) == (rule, "authentication.password_refused")
    assert password not in f"{caught.value!r} {caught.value.message}"
    assert "canary" not in f"{caught.value!r} {caught.value.message}"
    pool.close()


class Stolen:
    """Know one password; remember which were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def check(self, password: str) -> list[Broken]:
        """Return what is wrong."""
        self.asked.append(password)
        return [Broken("password_breached", "Was found.")] if password == "stolen" else []


async def test_a_stolen_password_is_refused() -> None:
    """The rules come first: what they refuse is told to nobody."""
    pool = HashingPool(threads=1, queue=1)
    stolen = Stolen()
    passwords = NewPasswords(Rules(), HASHER, pool, stolen=stolen)
    for password, rule in ((WEAK, "password_common"), ("stolen", "password_breached")):
        with pytest.raises(PasswordRefusedError) as caught:
            await passwords.hash(password, email="a@example.org")
        assert caught.value.rule == rule
    await passwords.hash("another", email="a@example.org")
    assert stolen.asked == ["stolen", "another"]
    pool.close()
