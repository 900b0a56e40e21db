"""Say whether somebody may choose a password, and if not, why.

Length counts, and what a guess tries first is refused. There are no rules on kinds of characters
and no expiry: both make passwords worse.

Source: NIST SP 800-63B-4, section 3.1.1.2; ASVS 5.0 V6.2.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from stockade.authentication.common_passwords import (
    CommonPasswords,
    fold,
    load_common_passwords,
    spell_out,
)
from stockade.authentication.passwords import MAXIMUM_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from stockade.authentication.settings import AuthenticationSettings

# No setting allows more, and the sign-in takes no more: nothing longer has to be looked at.
_MOST_LOOKED_AT: Final = 1024
# What has to remain of a password without names, runs and repetitions: as much as the shortest
# password has that NIST allows.
_LEAST_REST: Final = 8
_SHORTEST_WORD: Final = 3
_LONGEST_WORD: Final = 254
# Control characters, lone surrogates, separators of lines; and what Unicode has not assigned yet,
# which a later version may normalise in another way (UAX 15, section 12.1).
_REFUSED_KINDS: Final = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})
_ROWS: Final = (
    "`1234567890-=",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    *("1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm", "8ik,", "9ol."),
)
_FOLLOWERS: Final = frozenset(pair for row in _ROWS for pair in pairwise(row))


class PasswordRule(StrEnum):
    """What a password can break; the codes are stable."""

    TOO_SHORT = "password_too_short"
    TOO_LONG = "password_too_long"
    CHARACTERS = "password_characters"
    COMMON = "password_common"
    PREDICTABLE = "password_predictable"
    PERSONAL = "password_personal"
    BREACHED = "password_breached"


@dataclass(frozen=True, slots=True)
class PasswordProblem:
    """One rule that a password breaks.

    Args:
        code: The rule.
        message: The rule in words, for the person who chooses; nothing of the password is in it.
        limits: Numbers of the rule, such as ``min_length``.
    """

    code: PasswordRule
    message: str
    limits: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


class PasswordPolicy:
    """The rules for a new password.

    Args:
        settings: Lengths, names of the service, and the hash, which may read less.
        common: Passwords that are guessed first; the list of the package unless given.
    """

    def __init__(
        self, settings: AuthenticationSettings, *, common: CommonPasswords | None = None
    ) -> None:
        self._settings = settings
        self._common = common
        self._most_bytes = (
            MAXIMUM_BYTES
            if settings.password_hash == "bcrypt"  # noqa: S105 - the name of an algorithm
            else None
        )

    def check(
        self, password: str, *, context: Iterable[str] = (), has_second_factor: bool = False
    ) -> list[PasswordProblem]:
        """Return every rule that a password breaks; none where it may be chosen.

        Args:
            password: As it was submitted; untrusted.
            context: What a guess at this account tries: its address, names, its tenant's name.
            has_second_factor: Whether the account can't be entered by the password alone.
        """
        if len(password) > _MOST_LOOKED_AT:
            return [self._too_long()]
        normal = unicodedata.normalize("NFC", password)
        return [
            *self._check_length(normal, has_second_factor=has_second_factor),
            *self._check_guesses(fold(normal), [*context, *self._settings.password_words]),
        ]

    def _check_length(self, password: str, *, has_second_factor: bool) -> Iterator[PasswordProblem]:
        settings = self._settings
        least = (
            settings.password_min_length_with_factor
            if has_second_factor
            else settings.password_min_length
        )
        # Code points count, as NIST has it.
        if len(password) < least:
            message = f"Must have at least {least} characters."
            yield PasswordProblem(PasswordRule.TOO_SHORT, message, {"min_length": least})
        size = len(password.encode("utf-8", errors="surrogatepass"))
        most = self._most_bytes
        if len(password) > settings.password_max_length or (most is not None and size > most):
            yield self._too_long()
        if any(unicodedata.category(character) in _REFUSED_KINDS for character in password):
            message = "Must not have control characters or characters that Unicode does not know."
            yield PasswordProblem(PasswordRule.CHARACTERS, message)

    def _too_long(self) -> PasswordProblem:
        if self._most_bytes is not None:
            message = f"Must have at most {self._most_bytes} bytes."
            return PasswordProblem(PasswordRule.TOO_LONG, message, {"max_bytes": self._most_bytes})
        most = self._settings.password_max_length
        message = f"Must have at most {most} characters."
        return PasswordProblem(PasswordRule.TOO_LONG, message, {"max_length": most})

    def _check_guesses(self, folded: str, context: list[str]) -> Iterator[PasswordProblem]:
        # An empty list is one as well.
        common = load_common_passwords() if self._common is None else self._common
        unit = folded[: find_period(folded)]
        if folded in common or unit in common:
            yield PasswordProblem(PasswordRule.COMMON, "Is one of those that are guessed first.")
        surprises = count_surprises(unit)
        if surprises <= _LEAST_REST and 2 * surprises <= len(folded):
            message = "Repeats itself or follows the alphabet, numbers or keys."
            yield PasswordProblem(PasswordRule.PREDICTABLE, message)
        rest = remove_words(folded, context)
        if rest is not None and (count_surprises(rest) < _LEAST_REST or rest in common):
            message = "Has too little besides your names and those of this service."
            yield PasswordProblem(PasswordRule.PERSONAL, message)


def find_period(text: str) -> int:
    """Return after how many characters a text begins anew; its length where it never does.

    >>> find_period("abcabcab"), find_period("abcd")
    (3, 4)
    """
    # The failure function of Knuth, Morris and Pratt: one pass, whatever the text.
    borders = [0] * len(text)
    matched = 0
    for position in range(1, len(text)):
        while matched and text[position] != text[matched]:
            matched = borders[matched - 1]
        matched += text[position] == text[matched]
        borders[position] = matched
    period = len(text) - (borders[-1] if borders else 0)
    return period if 2 * period <= len(text) else len(text)


def count_surprises(folded: str) -> int:
    """Count the characters that neither repeat the one before nor go on in its direction.

    >>> count_surprises("aaaabbbb1234"), count_surprises("horse")
    (4, 5)
    """
    surprises, before, direction = 0, "", 0
    for character in folded:
        if character == before:
            continue
        step = _step(before, character) if before else 0
        surprises += not step or step != direction
        before, direction = character, step
    return surprises


def _step(first: str, second: str) -> int:
    """Return 1 or 2 where a character follows another, negative where it goes before, else 0."""
    distance = ord(second) - ord(first)
    if abs(distance) == 1 and first.isalnum() and second.isalnum():
        return distance
    if (first, second) in _FOLLOWERS:
        return 2
    return -2 if (second, first) in _FOLLOWERS else 0


def remove_words(folded: str, context: Iterable[str]) -> str | None:
    """Return the letters and digits of a folded text without some words, or None if it has none.

    Args:
        folded: The text.
        context: Words, addresses and names; each of their parts counts.
    """
    words = set(_words_of(context))
    taken = [False] * len(folded)
    # Digits may stand for letters.
    for spelling in (folded, *spell_out(folded)):
        for word in words:
            start = spelling.find(word)
            while start >= 0:
                taken[start : start + len(word)] = [True] * len(word)
                start = spelling.find(word, start + 1)
    if not any(taken):
        return None
    rest = (character for character, gone in zip(folded, taken, strict=True) if not gone)
    return "".join(filter(str.isalnum, rest))


def _words_of(context: Iterable[str]) -> Iterator[str]:
    for text in context:
        folded = fold(text[:_LONGEST_WORD])
        parts = re.split(r"[\W_]+", folded)
        # Both the address's first part as it is and its parts.
        for word in (folded, folded.partition("@")[0], "".join(parts), *parts):
            if len(word) >= _SHORTEST_WORD:
                yield word
