"""Ask a collection of stolen passwords whether it has one, without telling it which one.

Five digits of a digest are sent, and the digests of that range come back: some hundreds, and as
many made-up ones as the service likes, so that the length of the answer tells nothing either.

Source: NIST SP 800-63B-4, section 3.1.1.2; ASVS 5.0 V6.2.12; the range protocol of Pwned Passwords.
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Protocol

from stockade.authentication.errors import BreachCheckError, IssuerError
from stockade.authentication.http_reader import HTTPReader
from stockade.authentication.policy import PasswordProblem, PasswordRule
from stockade.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.core.clock import Clock
    from stockade.events import EventLog

# A range of Pwned Passwords has about 100 KB.
LARGEST_RANGE: Final = 1_048_576
_PREFIX: Final = 5
_HEADERS: Final = {"accept": "text/plain", "add-padding": "true", "user-agent": "stockade"}
_NEED: Final = (
    "the check for stolen passwords needs an HTTP client: install stockade[oidc], or take"
    " STOCKADE_AUTHENTICATION__BREACH_CHECK away"
)
# The rest of a digest and how often it was seen; 0 is padding. Tolerant of nothing else: a page of
# a proxy is no answer, and must not look like one without the password.
_LINE: Final = re.compile(rb"([0-9A-F]{35}):([0-9]{1,12})")
# While the service is away it is not asked for each password.
_PAUSE: Final = timedelta(seconds=30)


class BreachChecker(Protocol):
    """Knows passwords that were stolen somewhere."""

    async def count(self, password: str) -> int:
        """Return how often a password was seen in stolen data; 0 where it never was.

        Raises:
            BreachCheckError: It can't be said.
        """


class RangeBreachChecker:
    """Ask a service that speaks the range protocol of Pwned Passwords.

    A redirect is an error, and the environment names no proxy.

    Args:
        url: Its address up to the five digits.
        timeout: The most time that an answer may take in all.

    Raises:
        ConfigurationError: The HTTP client is not installed.
    """

    def __init__(self, url: str, *, timeout: timedelta) -> None:
        self._reader = HTTPReader(need=_NEED, largest=LARGEST_RANGE)
        self._url = url.rstrip("/")
        self._seconds = timeout.total_seconds()

    async def count(self, password: str) -> int:
        """Return how often a password was seen in stolen data.

        Raises:
            BreachCheckError: The service does not answer, or with something else than a range.
        """
        digest = digest_of(password)
        url = f"{self._url}/{digest[:_PREFIX]}"
        try:
            answer = await self._reader.read(url, seconds=self._seconds, headers=_HEADERS)
        except IssuerError as error:
            # Without its cause, which names the address and with it the five digits.
            raise BreachCheckError(str(error)) from None
        return read_range(answer).get(digest[_PREFIX:].encode(), 0)


class BreachCheck:
    """Refuse passwords that a checker knows; what happens while it is away is declared.

    Args:
        checker: Knows stolen passwords.
        is_open: Whether a password that can't be checked may be chosen.
        events: Where it is recorded that the checker is away.
        clock: Source of time.
    """

    def __init__(
        self, checker: BreachChecker, *, is_open: bool, events: EventLog, clock: Clock
    ) -> None:
        self._checker = checker
        self._is_open = is_open
        self._events = events
        self._clock = clock
        self._is_away = False
        self._failed_at = -math.inf

    async def check(self, password: str) -> list[PasswordProblem]:
        """Return what is wrong with a password by the checker; nothing where it does not know it.

        Ask the policy first: what that refuses need not leave the house.

        Raises:
            UnavailableError: The checker is away, and the failure policy is ``closed``.
        """
        if self._remaining_pause() > 0:
            return self._do_without()
        try:
            count = await self._checker.count(password)
        except BreachCheckError as error:
            self._note_absence(error)
            return self._do_without()
        self._note_presence()
        if not count:
            return []
        message = "Was found in stolen data; others know it."
        return [PasswordProblem(PasswordRule.BREACHED, message)]

    def _remaining_pause(self) -> float:
        return self._failed_at + _PAUSE.total_seconds() - self._clock.monotonic()

    def _do_without(self) -> list[PasswordProblem]:
        if self._is_open:
            return []
        raise UnavailableError(
            reason="authentication.breach_check_away",
            retry_after=timedelta(seconds=math.ceil(max(1.0, self._remaining_pause()))),
        )

    def _note_absence(self, error: BreachCheckError) -> None:
        self._failed_at = self._clock.monotonic()
        if not self._is_away:
            self._is_away = True
            self._events.emit(
                "authentication.breach_check_failed",
                reason="authentication.breach_check_away",
                details={"problem": str(error), "failure": "open" if self._is_open else "closed"},
            )

    def _note_presence(self) -> None:
        if self._is_away:
            self._is_away = False
            self._events.emit("authentication.breach_check_recovered")


def make_breach_check(
    settings: AuthenticationSettings, *, events: EventLog, clock: Clock, allow_http: bool
) -> BreachCheck | None:
    """Build the check that the settings name; None where it is off.

    Args:
        settings: Whether, where and how long to ask.
        events: Where it is recorded that the service is away.
        clock: Source of time.
        allow_http: Whether a service on this machine may do without TLS.

    Raises:
        ConfigurationError: The HTTP client is not installed, or the service does without TLS.
    """
    if settings.breach_check == "off":
        return None
    if not allow_http and settings.breach_check_url.startswith("http:"):
        message = (
            "stolen passwords are asked for by http: give STOCKADE_AUTHENTICATION__BREACH_CHECK_URL"
            " an https address, or set STOCKADE_ENVIRONMENT to local or test"
        )
        raise ConfigurationError(message)
    checker = RangeBreachChecker(settings.breach_check_url, timeout=settings.breach_check_timeout)
    return BreachCheck(checker, is_open=settings.breach_check == "open", events=events, clock=clock)


def digest_of(password: str) -> str:
    """Return the SHA-1 of a password in its normal form, in hexadecimal capitals.

    >>> digest_of("password")
    '5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8'
    """
    # A lone surrogate can't be encoded strictly.
    encoded = unicodedata.normalize("NFC", password).encode("utf-8", errors="surrogatepass")
    # The protocol's own digest; nothing rests on it but which range is asked for.
    return hashlib.sha1(encoded, usedforsecurity=False).hexdigest().upper()


def read_range(answer: bytes) -> dict[bytes, int]:
    """Read the digests of a range, each with how often it was seen.

    Args:
        answer: As the service sent it; untrusted.

    Raises:
        BreachCheckError: It is something else.
    """
    lines = answer.removesuffix(b"\n").removesuffix(b"\r").replace(b"\r\n", b"\n").split(b"\n")
    found = [_LINE.fullmatch(line) for line in lines]
    if None in found:
        raise BreachCheckError("an answer that is no range of digests")
    return {match[1]: int(match[2]) for match in found if match}
