"""Take a new password: ask the rules, then hash it, both off the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from stockade.authentication.errors import PasswordRefusedError, PasswordTooLongError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from stockade.authentication.hashers import PasswordHasher
    from stockade.authentication.passwords import HashingPool


class BrokenRule(Protocol):
    """A rule that a password breaks."""

    @property
    def code(self) -> str:
        """Stable code of the rule."""

    @property
    def message(self) -> str:
        """The rule in words, with nothing of the password in it."""


class PasswordRules(Protocol):
    """Says whether somebody may choose a password."""

    def check(
        self, password: str, *, context: Iterable[str] = (), has_second_factor: bool = False
    ) -> Sequence[BrokenRule]:
        """Return every rule that a password breaks."""


class StolenPasswords(Protocol):
    """Says whether a password was found in stolen data."""

    async def check(self, password: str) -> Sequence[BrokenRule]:
        """Return what is wrong with a password.

        Raises:
            UnavailableError: It can't be said, and without an answer none may be chosen.
        """


class NewPasswords:
    """Check and hash new passwords.

    Args:
        rules: What a password has to satisfy.
        hasher: Hashes it.
        pool: Runs both off the event loop.
        stolen: Knows stolen passwords; None where that is off.
    """

    def __init__(
        self,
        rules: PasswordRules,
        hasher: PasswordHasher,
        pool: HashingPool,
        *,
        stolen: StolenPasswords | None = None,
    ) -> None:
        self._rules = rules
        self._hasher = hasher
        self._pool = pool
        self._stolen = stolen

    async def hash(self, password: str, *, email: str, pointer: str = "/body/password") -> str:
        """Return the hash of a password that may be chosen.

        Args:
            password: As it was submitted; untrusted.
            email: Address of the account, on which the password must not lean.
            pointer: Where it stands in the request, for the answer.

        Raises:
            PasswordRefusedError: It breaks a rule; the first one is named.
            UnavailableError: Too many passwords wait already, or it can't be said whether this one
                was stolen.
        """
        _refuse(await self._pool.run(self._check, password, email), pointer)
        if self._stolen is not None:
            # After the rules: what they refuse need not leave the house.
            _refuse(await self._stolen.check(password), pointer)
        try:
            return await self._pool.run(self._hasher.hash, password)
        except PasswordTooLongError as error:
            message = f"Must have at most {error.limit} bytes."
            raise PasswordRefusedError(
                rule="password_too_long", message=message, pointer=pointer
            ) from None

    def _check(self, password: str, email: str) -> Sequence[BrokenRule]:
        return self._rules.check(password, context=(email,))


def _refuse(broken: Sequence[BrokenRule], pointer: str) -> None:
    for rule in broken:
        raise PasswordRefusedError(rule=str(rule.code), message=rule.message, pointer=pointer)
