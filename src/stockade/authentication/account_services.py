"""Put together what the routes of accounts call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stockade.authentication.closing import AccountClosing
from stockade.authentication.email_change import EmailChange
from stockade.authentication.one_time import OneTimeLinks
from stockade.authentication.password_change import OwnPassword, PasswordChange
from stockade.authentication.recovery import PasswordRecovery
from stockade.authentication.registration import Registration

if TYPE_CHECKING:
    from stockade.authentication.hashers import PasswordHasher
    from stockade.authentication.interfaces import LinkStore, WritableAccountStore
    from stockade.authentication.new_passwords import NewPasswords
    from stockade.authentication.other_ways import OtherWaysIn
    from stockade.authentication.passwords import HashingPool
    from stockade.authentication.post import Post
    from stockade.authentication.sessions import Sessions
    from stockade.authentication.settings import AuthenticationSettings
    from stockade.authentication.throttle import SignInThrottle
    from stockade.core.clock import Clock
    from stockade.crypto import KeyRing


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountParts:
    """What the services of accounts are made of.

    Args:
        accounts: Where accounts live.
        links: Where one-time links live.
        sessions: Begins and ends sessions.
        hasher: Checks passwords.
        pool: Runs that off the event loop.
        passwords: Checks and hashes new passwords.
        throttle: Counts guesses; None where limits are off.
        others: What else lets somebody in.
        post: Sends mails.
    """

    accounts: WritableAccountStore
    links: LinkStore
    sessions: Sessions
    hasher: PasswordHasher
    pool: HashingPool
    passwords: NewPasswords
    throttle: SignInThrottle | None
    others: OtherWaysIn
    post: Post


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountServices:
    """What the routes of accounts call.

    Args:
        recovery: Gives new passwords to those who have lost theirs.
        change: Changes passwords.
        registration: Makes accounts.
        email_change: Changes addresses.
        closing: Deactivates and deletes accounts.
        sessions: Begins the session after a change.
    """

    recovery: PasswordRecovery
    change: PasswordChange
    registration: Registration
    email_change: EmailChange
    closing: AccountClosing
    sessions: Sessions


def make_account_services(
    parts: AccountParts, *, keys: KeyRing, settings: AuthenticationSettings, clock: Clock
) -> AccountServices:
    """Make the services.

    Args:
        parts: What they are made of.
        keys: Secrets of the application.
        settings: Who may register, and lifetimes.
        clock: Source of time.
    """
    links = OneTimeLinks(parts.links, keys=keys, clock=clock)
    passwords, sessions, post = parts.passwords, parts.sessions, parts.post
    own = OwnPassword(parts.accounts, parts.hasher, parts.pool, throttle=parts.throttle)
    return AccountServices(
        recovery=PasswordRecovery(
            parts.accounts,
            links,
            sessions=sessions,
            passwords=passwords,
            others=parts.others,
            post=post,
            settings=settings,
        ),
        change=PasswordChange(
            parts.accounts,
            own,
            passwords=passwords,
            sessions=sessions,
            others=parts.others,
            post=post,
        ),
        registration=Registration(
            parts.accounts, links, passwords=passwords, post=post, settings=settings
        ),
        email_change=EmailChange(
            parts.accounts, links, own=own, sessions=sessions, post=post, settings=settings
        ),
        closing=AccountClosing(parts.accounts, sessions=sessions, post=post),
        sessions=sessions,
    )
