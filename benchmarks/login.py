"""Measure what a sign-in costs, what it keeps others waiting, and what its time gives away.

Run it from the repository: ``PYTHONPATH=src:. python benchmarks/login.py`` (about 4 minutes;
``--rounds``, ``--logins``, ``--cost``). There are three tables:

* What it takes to check one password, by algorithm, and to look at a new one.
* How long the event loop stands still while one caller signs in, and eight at once, beside
  fastapi-users. A ticker sleeps for a millisecond again and again; the longest time that it came
  too late is the stall of a round. "nobody" is the ticker alone: what the machine itself adds.
* Sign-ins with a wrong password to an account that exists and to one that does not, in turns. The
  difference of the medians has to be within what two halves of the same kind differ by, or a
  hundredth.

Before anything is measured the right password has to be accepted and a wrong one refused.
"""

import argparse
import asyncio
import base64
import hashlib
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI
from pydantic import SecretStr

from benchmarks.turns import print_table, run_turns, turn_of
from stockade import Settings, Stockade
from stockade.authentication import (
    Account,
    AuthenticationSettings,
    HashingPool,
    InvalidCredentialsError,
    PasswordPolicy,
    PasswordSignIn,
)
from stockade.authentication.hashers import choose_hasher
from stockade.core import TenantId, UserId, UserType
from stockade.storage.memory.accounts import MemoryAccountStore

SECRET = secrets.token_urlsafe(48)
EMAIL, PASSWORD, WRONG = "ana@example.org", "kelp lantern oboe drizzle", "kelp lantern oboe"
ACCOUNT = Account(
    user_id=UserId("ana"),
    email=EMAIL,
    user_type=UserType.USER,
    password_hash="",
    active=True,
    token_epoch=0,
    tenant_id=TenantId("t"),
    roles=frozenset(),
)
TICK = 0.001
STALL_BUDGET = 15.0
AT_ONCE = 8


def settings_of(kind: str, cost: int) -> AuthenticationSettings:
    return AuthenticationSettings.model_validate({"password_hash": kind, "bcrypt_cost": cost})


# --- What a check takes --------------------------------------------------------------------------


def pbkdf2(iterations: int) -> str:
    digest = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), b"salt", iterations)
    return f"pbkdf2_sha256${iterations}$salt${base64.b64encode(digest).decode()}"


def scrypt() -> str:
    digest = hashlib.scrypt(PASSWORD.encode(), salt=b"salt", n=16_384, r=8, p=5, dklen=64)
    return f"scrypt$16384$salt$8$5${base64.b64encode(digest).decode()}"


def measure_hashes(rounds: int) -> None:
    hashers = {kind: choose_hasher(settings_of(kind, 12)) for kind in ("bcrypt", "argon2id")}
    peppered = choose_hasher(
        AuthenticationSettings(
            password_hash="argon2id",
            password_pepper=True,
            password_pepper_keys=(SecretStr(SECRET),),
        )
    )
    cost_10 = choose_hasher(settings_of("bcrypt", 10))
    stored = {
        "bcrypt, cost 12 (default)": (hashers["bcrypt"], hashers["bcrypt"].hash(PASSWORD)),
        "bcrypt, cost 10": (cost_10, cost_10.hash(PASSWORD)),
        "argon2id, 19 MiB, 2 passes": (hashers["argon2id"], hashers["argon2id"].hash(PASSWORD)),
        "argon2id with pepper": (peppered, peppered.hash(PASSWORD)),
        "Django, PBKDF2, 1,000,000": (hashers["bcrypt"], pbkdf2(1_000_000)),
        "Django, scrypt, 16 MiB": (hashers["bcrypt"], scrypt()),
    }
    turns = {}
    for name, (hasher, hashed) in stored.items():
        if not hasher.verify(PASSWORD, hashed) or hasher.verify(WRONG, hashed):
            raise RuntimeError(f"{name} does not tell passwords apart")
        turns[name] = turn_of(lambda hasher=hasher, hashed=hashed: hasher.verify(PASSWORD, hashed))
    print_table("one check", run_turns(turns, rounds=rounds), width=28)
    policy = PasswordPolicy(AuthenticationSettings())
    if policy.check(PASSWORD) or not policy.check("password1"):
        raise RuntimeError("the policy does not tell passwords apart")
    rules = {"policy, 49,000 passwords": turn_of(lambda: policy.check(PASSWORD, context=(EMAIL,)))}
    print_table("one look at a new password", run_turns(rules, rounds=rounds), width=28)


# --- What others wait ----------------------------------------------------------------------------


@dataclass
class Application:
    """An application with a sign-in by form."""

    name: str
    app: FastAPI
    path: str

    async def sign_in(self, password: str) -> int:
        """Send one sign-in and return the status."""
        body = urlencode({"username": EMAIL, "password": password}).encode()
        status = 0
        sent = False

        async def receive() -> dict[str, object]:
            nonlocal sent
            if sent:
                await asyncio.Event().wait()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]

        headers = [
            (b"host", b"localhost"),
            (b"content-type", b"application/x-www-form-urlencoded"),
            (b"content-length", str(len(body)).encode()),
        ]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("192.0.2.7", 1),
            "server": ("localhost", 80),
            "state": {},
        }
        await self.app(scope, receive, send)
        return status


def make_stockade(name: str, kind: str, cost: int) -> Application:
    settings = Settings.model_validate(
        {
            "environment": "test",
            "secret_keys": [SecretStr(SECRET)],
            "rate_limiting": {"enabled": False},
            "authentication": settings_of(kind, cost),
        }
    )
    account = replace(ACCOUNT, password_hash=choose_hasher(settings.authentication).hash(PASSWORD))
    app = FastAPI()
    stockade = Stockade(settings, accounts=MemoryAccountStore([account]), sinks=[])
    stockade.install(app)
    app.include_router(stockade.auth_router)
    return Application(name, app, "/auth/token")


def make_fastapi_users() -> Application | None:
    """Build the sign-in of fastapi-users with its own hashing, or nothing if that is missing."""
    try:
        import fastapi_users
        import fastapi_users.authentication as backends
        import fastapi_users.db
        from fastapi_users.password import PasswordHelper
    except ImportError:
        print("fastapi-users is not installed")
        return None

    @dataclass
    class User:
        hashed_password: str
        id: int = 1
        email: str = EMAIL
        is_active: bool = True
        is_superuser: bool = False
        is_verified: bool = True

    class Users(fastapi_users.db.BaseUserDatabase[User, int]):
        async def get_by_email(self, email: str) -> User | None:
            return user if email == EMAIL else None

    class Manager(fastapi_users.IntegerIDMixin, fastapi_users.BaseUserManager[User, int]):
        reset_password_token_secret = verification_token_secret = SECRET

    user = User(PasswordHelper().hash(PASSWORD))

    async def get_manager() -> AsyncIterator[Manager]:
        yield Manager(Users())

    def get_strategy() -> backends.JWTStrategy[User, int]:
        return backends.JWTStrategy(SECRET, lifetime_seconds=3600)

    backend = backends.AuthenticationBackend(
        "jwt", backends.BearerTransport(tokenUrl="login"), get_strategy
    )
    app = FastAPI()
    users = fastapi_users.FastAPIUsers[User, int](get_manager, [backend])
    app.include_router(users.get_auth_router(backend))
    return Application("fastapi-users (argon2id, 64 MiB)", app, "/login")


async def measure_stall(work: Awaitable[object]) -> tuple[float, float]:
    """Return by how many milliseconds the ticker came too late at most, and how long it took."""
    task = asyncio.ensure_future(work)
    worst = 0.0
    started = time.perf_counter()
    while not task.done():
        before = time.perf_counter()
        await asyncio.sleep(TICK)
        worst = max(worst, time.perf_counter() - before - TICK)
    await task
    return worst * 1e3, (time.perf_counter() - started) * 1e3


async def measure_stalls(rounds: int, cost: int) -> bool:
    """Print the stalls, and tell whether ours are within the budget."""
    ours = [
        make_stockade(f"Stockade (bcrypt, cost {cost})", "bcrypt", cost),
        make_stockade("Stockade (argon2id, 19 MiB)", "argon2id", cost),
    ]
    peer = make_fastapi_users()
    applications = [*ours, *([peer] if peer else [])]
    for each in applications:
        if (await each.sign_in(PASSWORD), await each.sign_in(WRONG)) != (200, 400):
            raise RuntimeError(f"{each.name} does not tell passwords apart")
    cases: dict[str, Callable[[], Awaitable[object]]] = {"nobody": lambda: asyncio.sleep(0.3)}
    for each in applications:
        cases[f"{each.name}, one"] = lambda each=each: each.sign_in(PASSWORD)
        cases[f"{each.name}, {AT_ONCE} at once"] = lambda each=each: asyncio.gather(
            *(each.sign_in(PASSWORD) for _ in range(AT_ONCE))
        )
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, make in cases.items():
            found[name].append(await measure_stall(make()))
    print(f"\n{'stall of the event loop':<48}{'median':>10}{'worst':>10}{'took':>10}")
    medians = {}
    for name, times in found.items():
        stalls = [stall for stall, _ in times]
        medians[name] = statistics.median(stalls)
        took = statistics.median(duration for _, duration in times)
        print(f"{name:<48}{medians[name]:>7.1f} ms{max(stalls):>7.1f} ms{took:>7.0f} ms")
    worst = max(stall for name, stall in medians.items() if name.startswith("Stockade"))
    kept = worst <= STALL_BUDGET
    print(f"budget: {STALL_BUDGET:.0f} ms, the median of ours: {'kept' if kept else 'MISSED'}")
    return kept


# --- What the time gives away --------------------------------------------------------------------


async def time_sign_in(service: PasswordSignIn, email: str) -> float:
    started = time.perf_counter()
    try:
        await service.sign_in(email, WRONG)
    except InvalidCredentialsError:
        return (time.perf_counter() - started) * 1e3
    raise RuntimeError("a wrong password was accepted")


async def compare_accounts(kind: str, *, logins: int, cost: int) -> bool:
    """Print how long both kinds of refusal take, and tell whether they are alike."""
    hasher = choose_hasher(settings_of(kind, cost))
    store = MemoryAccountStore([replace(ACCOUNT, password_hash=hasher.hash(PASSWORD))])
    pool = HashingPool(threads=1, queue=1)
    service = PasswordSignIn(store, hasher, pool)
    names = {"known": EMAIL, "unknown": "nobody@example.org"}
    times: dict[str, list[float]] = {name: [] for name in names}
    await time_sign_in(service, "first@example.org")
    for number in range(logins):
        for name in sorted(names, reverse=bool(number % 2)):
            times[name].append(await time_sign_in(service, names[name]))
    pool.close()
    medians = {name: statistics.median(each) for name, each in times.items()}
    difference = medians["known"] - medians["unknown"]
    # Two halves of the same kind, taken in turns as well.
    noise = max(
        abs(statistics.median(each[::2]) - statistics.median(each[1::2])) for each in times.values()
    )
    alike = abs(difference) <= max(noise, medians["known"] / 100)
    print(
        f"{kind:<12}{medians['known']:>10.2f} ms{medians['unknown']:>10.2f} ms"
        f"{difference:>+10.3f} ms{noise:>10.3f} ms  {'alike' if alike else 'DIFFERENT'}"
    )
    return alike


async def run(*, rounds: int, logins: int, cost: int) -> bool:
    measure_hashes(rounds)
    kept = await measure_stalls(rounds, cost)
    print(f"\n{logins} refusals of each, in turns")
    print(f"{'':<12}{'known':>13}{'unknown':>13}{'difference':>13}{'noise':>13}")
    alike = [
        await compare_accounts(kind, logins=logins, cost=cost) for kind in ("bcrypt", "argon2id")
    ]
    return kept and all(alike)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--logins", type=int, default=200)
    parser.add_argument("--cost", type=int, default=12)
    arguments = parser.parse_args()
    print(f"{datetime.now(UTC):%Y-%m-%d}, {arguments.rounds} rounds")
    if not asyncio.run(run(**vars(arguments))):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
