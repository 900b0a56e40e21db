"""Wire what accounts do by themselves: passwords, registration, and their mails."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from stockade.authentication.account_services import AccountParts, make_account_services
from stockade.authentication.breaches import make_breach_check
from stockade.authentication.errands import Errands
from stockade.authentication.interfaces import WritableAccountStore
from stockade.authentication.mail_throttle import MailThrottle
from stockade.authentication.mails import AccountMails
from stockade.authentication.new_passwords import NewPasswords
from stockade.authentication.policy import PasswordPolicy
from stockade.authentication.post import Post
from stockade.core.mail import MailError
from stockade.errors import ConfigurationError
from stockade.reporting import SMTPMailer, choose_mailer
from stockade.storage.memory.links import MemoryLinkStore
from stockade.wiring.invitations import CountedInvitations, MailedInvitations

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from stockade.authentication.account_services import AccountServices
    from stockade.authentication.hashers import PasswordHasher
    from stockade.authentication.interfaces import AccountStore, LinkStore
    from stockade.authentication.other_ways import OtherWaysIn
    from stockade.authentication.passwords import HashingPool
    from stockade.authentication.routes_sessions import SignInServices
    from stockade.authentication.throttle import AttemptStore
    from stockade.authorization.interfaces import InvitationHook, InvitationPost
    from stockade.core.clock import Clock
    from stockade.core.mail import Mailer, Message
    from stockade.crypto import KeyRing
    from stockade.events import EventLog
    from stockade.settings import Settings

_ROUTES: Final = frozenset(
    {"stockade:password-forgot", "stockade:register", "stockade:email-change"}
)
_LOCAL_PAGES: Final = "http://localhost:8000"


class AccountWiring:
    """What the routes of accounts need, made when the first of them is called.

    Args:
        settings: Settings of all layers.
        keys: Secrets of the application.
        links: Where one-time links live.
        mailer: Sends mails; the one of the settings unless given.
        mails: Writes them; in words of our own unless given.
        events: Where it is recorded what becomes of accounts.
        clock: Source of time.

    Raises:
        ConfigurationError: The mail server, or the service that knows stolen passwords, can't be
            used.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        keys: KeyRing,
        links: LinkStore,
        mailer: Mailer | None,
        mails: AccountMails | None,
        events: EventLog,
        clock: Clock,
    ) -> None:
        is_deployed = settings.environment.is_deployed
        self._settings = settings
        self._keys = keys
        self._links = links
        self._mailer = mailer or choose_mailer(
            settings.reporting, is_deployed=is_deployed, clock=clock
        )
        pages = settings.authentication.pages_url or (None if is_deployed else _LOCAL_PAGES)
        self._mails = mails or (AccountMails(pages) if pages else None)
        self._events = events
        self._clock = clock
        self._services: AccountServices | None = None
        self._passwords: NewPasswords | None = None
        self._breach_check = make_breach_check(
            settings.authentication, events=events, clock=clock, allow_http=not is_deployed
        )
        self.errands = Errands(events=events)

    def require_ready(self, routes: Collection[str | None], accounts: AccountStore | None) -> None:
        """Check that routes of accounts, where there are any, can do what they are there for.

        Args:
            routes: Names of all routes.
            accounts: Where accounts live.

        Raises:
            ConfigurationError: Something is missing.
        """
        if _ROUTES.isdisjoint(routes):
            return
        self._require_post()
        if not isinstance(accounts, WritableAccountStore):
            message = (
                "accounts= can't be written to: give it the methods of WritableAccountStore, or "
                "leave out the routers of passwords, registration and accounts"
            )
            raise ConfigurationError(message)
        if self._settings.environment.is_deployed and isinstance(self._links, MemoryLinkStore):
            message = (
                "one-time links of accounts of your own have no place: pass links= beside accounts="
            )
            raise ConfigurationError(message)

    def _require_post(self) -> AccountMails:
        if self._mails is None:
            message = (
                "links in mails lead nowhere: set STOCKADE_AUTHENTICATION__PAGES_URL to the pages "
                "of your front end"
            )
            raise ConfigurationError(message)
        is_safe = self._mails.link("page", "token").startswith("https:")
        if self._settings.environment.is_deployed and not is_safe:
            message = "links in mails need TLS: begin STOCKADE_AUTHENTICATION__PAGES_URL with https"
            raise ConfigurationError(message)
        if self._mailer is None:
            message = "there is nothing to send mails with: set STOCKADE_REPORTING__SMTP_URL"
            raise ConfigurationError(message)
        return self._mails

    def require_services(
        self,
        accounts: AccountStore | None,
        sign_in: SignInServices,
        *,
        hasher: PasswordHasher,
        pool: HashingPool,
        others: OtherWaysIn,
        attempts: AttemptStore | None,
    ) -> AccountServices:
        """Return the services of the routes.

        Args:
            accounts: Where accounts live.
            sign_in: Sessions, and the count of guesses.
            hasher: Checks and hashes passwords.
            pool: Runs that off the event loop.
            others: What else lets somebody in.
            attempts: Counts mails; None where limits are off.

        Raises:
            ConfigurationError: Something is missing.
        """
        if self._services is None:
            self.require_ready(_ROUTES, accounts)
            mails = self._require_post()
            settings = self._settings.authentication
            parts = AccountParts(
                accounts=accounts,  # type: ignore[arg-type]  # Checked just above.
                links=self._links,
                sessions=sign_in.sessions,
                hasher=hasher,
                pool=pool,
                passwords=self.new_passwords(hasher, pool),
                throttle=sign_in.throttle,
                others=others,
                post=Post(
                    mails=mails,
                    mailer=self,
                    errands=self.errands,
                    throttle=self._make_throttle(attempts),
                    events=self._events,
                ),
            )
            self._services = make_account_services(
                parts, keys=self._keys, settings=settings, clock=self._clock
            )
        return self._services

    def new_passwords(self, hasher: PasswordHasher, pool: HashingPool) -> NewPasswords:
        """Return what checks and hashes new passwords.

        Args:
            hasher: Hashes them.
            pool: Runs that off the event loop.
        """
        if self._passwords is None:
            policy = PasswordPolicy(self._settings.authentication)
            self._passwords = NewPasswords(policy, hasher, pool, stolen=self._breach_check)
        return self._passwords

    def invitation_post(
        self, hook: InvitationHook | None, attempts: AttemptStore | None
    ) -> InvitationPost | None:
        """Return what sends invitations: the hook, or else the mailer; None without either.

        Args:
            hook: Sends them in its own way.
            attempts: Counts them; None where limits are off.

        Raises:
            ConfigurationError: There is a mailer, and links in mails lead nowhere.
        """
        if hook is None and self._mailer is None:
            return None
        if hook is None:
            hook = MailedInvitations(self._require_post(), self)
        return CountedInvitations(hook, self.errands, throttle=self._make_throttle(attempts))

    def _make_throttle(self, attempts: AttemptStore | None) -> MailThrottle | None:
        if attempts is None:
            return None
        return MailThrottle(attempts, keys=self._keys, settings=self._settings.authentication)

    async def send(self, message: Message) -> None:
        """Send a mail by the mailer of now.

        Raises:
            MailError: It could not be sent, or there is no mailer.
        """
        if self._mailer is None:
            raise MailError("there is nothing to send mails with")
        await self._mailer.send(message)

    @contextmanager
    def divert(self, mailer: Mailer) -> Iterator[None]:
        """Send mails by another mailer for a while, for tests.

        Raises:
            ConfigurationError: Others can reach the application.
        """
        if self._settings.environment.is_deployed:
            message = "mails are captured in the environments local and test alone"
            raise ConfigurationError(message)
        before, self._mailer = self._mailer, mailer
        try:
            yield
        finally:
            self._mailer = before

    def notify(
        self, write: Callable[[AccountMails], Message], *, scope: Mapping[str, Any] | None
    ) -> None:
        """Send a notice of what has happened to an account, if mails can be sent at all."""
        if self._mails is not None and self._mailer is not None:
            message = write(self._mails)
            self.errands.add("notice", partial(self._mailer.send, message), scope=scope)

    async def close(self) -> None:
        """Wait a while for mails that are under way, and give back threads."""
        await self.errands.close()
        if isinstance(self._mailer, SMTPMailer):
            self._mailer.close()
