"""Measure what an access token costs to verify and to issue, beside PyJWT, joserfc and python-jose.

Run it from the repository: ``PYTHONPATH=src:. python benchmarks/tokens.py [--rounds N]``. Every
library gets the very same token and a key that it has parsed before, and checks signature, issuer,
audience and expiry. "raw" is the signature alone, by cryptography or hashlib. "first" is what a
process pays when it sees a token for the first time, and "again" the same token over the whole
authenticator, as the gate calls it: from its memory. All of them take turns in short slices; the
least time is what the code costs, and the median includes what the neighbours add. Each of them has
to accept the token and to refuse a forged one before anything is measured.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from jwt.algorithms import OKPAlgorithm

from stockade.authentication import (
    AccessTokens,
    Account,
    AuthenticationSettings,
    BearerAuthenticator,
    InvalidTokenError,
)
from stockade.authentication.jwks import write_key_set
from stockade.authentication.jws import read_compact
from stockade.core import SystemClock, TenantId, UserId, UserType
from stockade.crypto import KeyRing
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.storage.memory.sessions import MemorySessionStore

SECRET = "mZ4vT1qXy8RkW0bJd7NsLc2GhPfA5uEe9iCoQxVt"
NAMES = {"iss": "https://own.example", "aud": "https://api.example"}
REFUSALS = (InvalidTokenError, InvalidSignature, jwt.InvalidTokenError, JoseError, ValueError)
# Verifying again, and a first verification of 1.3 times the signature and 10 us.
AGAIN, FACTOR, OVERHEAD = 10.0, 1.3, 10.0

Work = Callable[[str], object]


def make_account() -> Account:
    return Account(
        user_id=UserId("ana"),
        email="ana@example.com",
        user_type=UserType.USER,
        password_hash="",
        active=True,
        token_epoch=0,
        tenant_id=TenantId("acme"),
        roles=frozenset({"member"}),
    )


def make_tokens(algorithm: str) -> AccessTokens:
    given: dict[str, Any] = {"algorithm": algorithm, "issuer": NAMES["iss"]}
    if algorithm == "RS256":
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        given["signing_keys"] = (pem.decode(),)
    settings = AuthenticationSettings(audience=NAMES["aud"], **given)
    return AccessTokens(KeyRing([SECRET]), settings, clock=SystemClock())


def again_case(tokens: AccessTokens) -> Work:
    accounts = MemoryAccountStore([make_account()])
    settings = tokens._settings.model_copy(update={"identity_cache_lifetime": 5.0})  # noqa: SLF001 - the same ones
    authenticator = BearerAuthenticator(
        tokens,
        accounts,
        MemorySessionStore(),
        permissions_of=frozenset,
        settings=settings,
        clock=SystemClock(),
    )
    headers: dict[str, bytes] = {}
    loop = asyncio.new_event_loop()

    def work(token: str) -> object:
        header = headers.setdefault(token, f"Bearer {token}".encode())
        return authenticator.peek(header) or loop.run_until_complete(
            authenticator.authenticate(header)
        )

    return work


def pyjwt_case(algorithm: str, key: Any) -> Work:
    names = {"issuer": NAMES["iss"], "audience": NAMES["aud"]}
    return lambda token: jwt.decode(token, key, algorithms=[algorithm], **names)


def joserfc_case(algorithm: str, key: Any) -> Work:
    registry = joserfc_jwt.JWTClaimsRegistry(
        **{name: {"essential": True, "value": value} for name, value in NAMES.items()},
        exp={"essential": True},
    )

    def work(token: str) -> None:
        registry.validate(joserfc_jwt.decode(token, key, algorithms=[algorithm]).claims)

    return work


def python_jose_case(algorithm: str, key: Any) -> Work | None:
    try:
        from jose import jwk
        from jose import jwt as jose_jwt
    except ImportError:
        return None
    if algorithm == "Ed25519":
        return None  # It has no such algorithm.
    # The library's own errors are JOSEError, which is no ValueError.
    parsed = jwk.construct(key, algorithm)

    def work(token: str) -> object:
        return jose_jwt.decode(
            token, parsed, algorithms=[algorithm], issuer=NAMES["iss"], audience=NAMES["aud"]
        )

    return work


def make_cases(algorithm: str, tokens: AccessTokens) -> dict[str, Work]:
    key = tokens.keys.newest.verification
    if key.public is None:
        secret = KeyRing([SECRET]).derive("jwt/HS256")[0]
        pyjwt_key: Any = secret
        joserfc_key: Any = OctKey.import_key(secret)
        jose_key: Any = secret
    else:
        kinds: dict[str, Any] = {"Ed25519": OKPKey, "ES256": ECKey, "RS256": RSAKey}
        described = write_key_set([key])["keys"][0]
        pyjwt_key, joserfc_key = key.public, kinds[algorithm].import_key(described)
        jose_key = joserfc_key.as_pem(private=False).decode()

    def raw(token: str) -> None:
        compact = parts.setdefault(token, read_compact(token, limit=4096))
        if not key.holds(compact.signed, compact.signature):
            raise InvalidSignature

    parts: dict[str, Any] = {}
    cases: dict[str, Work | None] = {
        "raw signature": raw,
        "Stockade, first": tokens.verify,
        "Stockade, again": again_case(tokens),
        "PyJWT": pyjwt_case(algorithm, pyjwt_key),
        "joserfc": joserfc_case(algorithm, joserfc_key),
        "python-jose": python_jose_case(algorithm, jose_key),
    }
    return {name: work for name, work in cases.items() if work is not None}


def check(cases: dict[str, Work], token: str) -> None:
    """Make sure that each case accepts the token and refuses a forged one."""
    head, _, signature = token.rpartition(".")
    forged = f"{head}.{signature[::-1]}"
    for name, work in cases.items():
        work(token)
        try:
            work(forged)
        except REFUSALS:
            continue
        except Exception as error:
            if type(error).__module__.startswith("jose"):
                continue
            raise
        raise RuntimeError(f"{name} accepts a forged token")


def measure(
    works: dict[str, Callable[[], object]], *, rounds: int, calls: int
) -> dict[str, list[float]]:
    """Let the cases take turns, and return the microseconds of each turn."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            for _ in range(calls):
                work()
            times[name].append((time.perf_counter() - started) / calls * 1e6)
    return times


def run(algorithm: str, *, rounds: int) -> bool:
    """Measure one algorithm, print it, and tell whether it keeps the budget."""
    tokens = make_tokens(algorithm)
    account = make_account()
    token = tokens.issue(account).value
    cases = make_cases(algorithm, tokens)
    check(cases, token)
    works: dict[str, Callable[[], object]] = {
        name: (lambda work=work: work(token)) for name, work in cases.items()
    }
    times = measure(works, rounds=rounds, calls=40)
    issued = measure({"issue": lambda: tokens.issue(account)}, rounds=rounds, calls=10)
    print(f"\n{algorithm}: a token of {len(token)} characters")
    for name, turns in (times | issued).items():
        least, median = min(turns), statistics.median(turns)
        print(f"  {name:<18}{least:>9.1f} us least{median:>9.1f} us median")
    best = {name: min(turns) for name, turns in times.items()}
    budget = FACTOR * best["raw signature"] + OVERHEAD
    kept = best["Stockade, first"] <= budget and best["Stockade, again"] <= AGAIN
    print(f"  budget: first {budget:.1f} us, again {AGAIN:.0f} us: {'kept' if kept else 'MISSED'}")
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    arguments = parser.parse_args()
    # PyJWT knows the algorithm by its older name alone.
    jwt.register_algorithm("Ed25519", OKPAlgorithm())
    print(f"{datetime.now(UTC):%Y-%m-%d}, {arguments.rounds} turns each")
    results = [
        run(name, rounds=arguments.rounds) for name in ("HS256", "Ed25519", "ES256", "RS256")
    ]
    if not all(results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
