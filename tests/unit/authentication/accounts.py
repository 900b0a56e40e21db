"""Run the services of accounts in memory, without a server."""

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass

from stockade.authentication import AuthenticationSettings, BcryptHasher, HashingPool
from stockade.authentication.account_services import (
    AccountParts,
    AccountServices,
    make_account_services,
)
from stockade.authentication.enrolled import EnrolledFactors
from stockade.authentication.errands import Errands
from stockade.authentication.mail_throttle import MailThrottle
from stockade.authentication.mails import AccountMails
from stockade.authentication.models import Account
from stockade.authentication.new_passwords import NewPasswords
from stockade.authentication.other_ways import OtherWaysIn
from stockade.authentication.pending import FactorCheck, PendingSignIns
from stockade.authentication.post import Post
from stockade.authentication.refresh_tokens import COOKIE_PREFIX, RefreshTokens
from stockade.authentication.sessions import Sessions
from stockade.authentication.sign_in import PasswordSignIn
from stockade.authentication.throttle import SignInThrottle
from stockade.core import UserId
from stockade.core.mail import Message
from stockade.crypto import KeyRing
from stockade.events import EventLog, MemorySink
from stockade.reporting import MemoryMailer
from stockade.storage.limits import LimitedAttempts
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.memory.factors import MemoryFactorStore
from stockade.storage.memory.identities import MemoryIdentityStore
from stockade.storage.memory.limits import MemoryLimitStore
from stockade.storage.memory.links import MemoryLinkStore
from stockade.storage.memory.passkeys import MemoryPasskeyStore
from stockade.storage.memory.sessions import MemorySessionStore
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ANA, NEW, make_tokens, random_password

PASSWORD = random_password()
HASHER = BcryptHasher(cost=4)
BEA = dataclasses.replace(
    ANA, user_id=UserId("bea"), email="bea@example.org", password_hash=HASHER.hash(PASSWORD)
)
OFF = dataclasses.replace(BEA, user_id=UserId("off"), email="off@example.org", active=False)
BARE = dataclasses.replace(BEA, user_id=UserId("bare"), email="bare@example.org", password_hash="")
NEWCOMER = dataclasses.replace(
    BEA, user_id=UserId("newcomer"), email="newcomer@example.org", email_verified=False
)
WEAK = "a weak password"


@dataclass(frozen=True)
class Broken:
    """A rule that the weak password breaks."""

    code: str = "password_common"
    message: str = "Is one of those that are guessed first."


class Rules:
    """Refuse one password; remember what came with each."""

    def __init__(self) -> None:
        self.context: list[str] = []

    def check(
        self, password: str, *, context: Iterable[str] = (), has_second_factor: bool = False
    ) -> list[Broken]:
        """Return what is wrong."""
        assert not has_second_factor
        self.context = list(context)
        return [Broken()] if password == WEAK else []


def token_in(message: Message) -> str:
    """Find the token of the link in a mail."""
    (token,) = re.findall(r"#token=(stkl_\S{43})\n", message.text)
    return str(token)


class AccountBench:
    """The services of accounts, and everything around them in memory."""

    def __init__(self, *, limited: bool = False, **settings: object) -> None:
        chosen = AuthenticationSettings.model_validate({"bcrypt_cost": 4, **settings})
        self.clock = FrozenClock()
        self.sink = MemorySink()
        self.accounts = MemoryAccountStore([BEA, OFF, BARE, NEWCOMER])
        self.identities = MemoryIdentityStore(self.accounts)
        self.passkeys = MemoryPasskeyStore(self.identities)
        self.links = MemoryLinkStore()
        self.mailer = MemoryMailer()
        self.rules = Rules()
        self.pool = HashingPool(threads=1, queue=100)
        events = EventLog([self.sink], clock=self.clock)
        self.errands = Errands(events=events)
        keys = KeyRing([NEW])
        session_store = MemorySessionStore()
        attempts = LimitedAttempts(MemoryLimitStore(clock=self.clock))
        self.sessions = Sessions(
            session_store,
            self.accounts,
            access=make_tokens(clock=self.clock),
            refresh=RefreshTokens(keys),
            cookies=RefreshTokens(keys, prefix=COOKIE_PREFIX),
            factors=FactorCheck(
                EnrolledFactors(MemoryFactorStore(), MemoryPasskeyStore()),
                PendingSignIns(keys, self.clock),
            ),
            settings=chosen,
            clock=self.clock,
        )
        self.sign_in = PasswordSignIn(
            self.accounts, HASHER, self.pool, verified_email=chosen.verified_email_required
        )
        throttle = SignInThrottle(
            attempts, self.accounts, session_store, keys=keys, settings=chosen, clock=self.clock
        )
        parts = AccountParts(
            accounts=self.accounts,
            links=self.links,
            sessions=self.sessions,
            hasher=HASHER,
            pool=self.pool,
            passwords=NewPasswords(self.rules, HASHER, self.pool),
            throttle=throttle if limited else None,
            others=OtherWaysIn(
                self.identities, self.passkeys, providers={"https://id.example": "acme-id"}
            ),
            post=Post(
                mails=AccountMails("https://app.example.com"),
                mailer=self.mailer,
                errands=self.errands,
                throttle=MailThrottle(attempts, keys=keys, settings=chosen) if limited else None,
                events=events,
            ),
        )
        self.services: AccountServices = make_account_services(
            parts, keys=keys, settings=chosen, clock=self.clock
        )

    def close(self) -> None:
        """Give back threads."""
        self.pool.close()

    async def mails(self) -> list[Message]:
        """Wait for what is under way, and return what was sent since the last time."""
        await self.errands.settle()
        sent = list(self.mailer.sent)
        self.mailer.sent.clear()
        return sent

    async def account(self, account: Account = BEA) -> Account:
        """Return an account as it is now."""
        found = await self.accounts.find_by_id(account.user_id, account.tenant_id)
        assert found is not None
        return found

    def reasons(self) -> list[tuple[str, str | None]]:
        """Return what was recorded."""
        return [(event.name.removeprefix("authentication."), event.reason) for event in self.sink]
