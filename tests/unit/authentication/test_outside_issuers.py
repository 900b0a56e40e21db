import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from stockade.authentication import AuthenticationSettings, InvalidTokenError
from stockade.authentication.algorithms import sign_with
from stockade.authentication.issuer_settings import IssuerSettings
from stockade.authentication.jwks import write_private_key
from stockade.authentication.outside_issuers import (
    MAXIMUM_SIZE,
    OutsideAuthenticator,
    OutsideIssuer,
    check_claims,
    make_outside_issuers,
)
from stockade.core import Principal, UserType
from stockade.errors import ConfigurationError, UnauthenticatedError, UnavailableError
from stockade.events import EventLog
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import ANA, encode, make_tokens
from tests.unit.authentication.issuers import NOW, Issuer, make_key, make_private

pytestmark = pytest.mark.anyio


class Own:
    """Stands in the place of our own tokens, and says that it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes | None] = []

    def peek(self, authorization: bytes | None) -> Principal | None:
        """Know nobody."""
        return None

    async def authenticate(self, authorization: bytes | None) -> Principal:
        """Refuse everybody."""
        self.asked.append(authorization)
        raise UnauthenticatedError(reason="own")


class Bench:
    """An authenticator with one outside issuer."""

    def __init__(self, issuer: Issuer | None = None, **settings: object) -> None:
        self.issuer = issuer or Issuer()
        self.clock = FrozenClock()
        self.own = Own()
        chosen = AuthenticationSettings(issuers={"partner": self.issuer.settings(**settings)})
        issuers = make_outside_issuers(
            chosen,
            self.issuer,
            permissions_of=lambda roles: frozenset(f"may:{role}:x" for role in roles),
            allow_http=False,
            events=EventLog([], clock=self.clock),
            clock=self.clock,
        )
        own: Any = self.own
        self.authenticator = OutsideAuthenticator(own, issuers, size=10, clock=self.clock)

    async def accept(self, token: str) -> Principal:
        """Present a token."""
        return await self.authenticator.authenticate(f"Bearer {token}".encode())

    async def refuse(self, token: str) -> str:
        """Present a token that has to be refused, and return the reason."""
        with pytest.raises(InvalidTokenError) as caught:
            await self.accept(token)
        assert self.authenticator.peek(f"Bearer {token}".encode()) is None
        return caught.value.reason.removeprefix("authentication.")


async def test_a_token_of_a_pinned_issuer_is_a_caller() -> None:
    """Its subject is named after the issuer, and nothing else is taken from it unasked."""
    bench = Bench()
    token = bench.issuer.issue(
        email="ana@example.com",
        email_verified=True,
        roles=["admin"],
        tenant="acme",
        active_tenant_id="acme",
        user_type="super_admin",
        permissions=["all"],
    )
    assert await bench.accept(token) == Principal(user_id="partner|ana", email="")  # type: ignore[arg-type]  # a NewType of text
    assert bench.own.asked == []


@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256", "RS256"])
@pytest.mark.parametrize("library", ["PyJWT", "joserfc"])
async def test_tokens_of_other_libraries_are_accepted(library: str, algorithm: str) -> None:
    """What PyJWT and joserfc sign is taken, under both names of the newer algorithm."""
    private = make_private(algorithm)
    key = sign_with(private, "one")
    bench = Bench(Issuer(keys=[key]))
    claims = {"iss": bench.issuer.name, "aud": ["api"], "sub": "a", "iat": NOW, "exp": NOW + 60}
    header = {"typ": "at+jwt", "kid": "one"}
    if library == "PyJWT":
        name = "EdDSA" if algorithm == "Ed25519" else algorithm
        token = jwt.encode(claims, private, name, headers=header)
    else:
        kinds: dict[str, Any] = {"Ed25519": OKPKey, "ES256": ECKey, "RS256": RSAKey}
        jwk = kinds[algorithm].import_key(write_private_key(private))
        token = joserfc_jwt.encode({**header, "alg": algorithm}, claims, jwk, [algorithm])
    assert (await bench.accept(token)).user_id == "partner|a"


async def test_a_token_of_nobody_that_is_known_is_left_to_our_own_rules() -> None:
    """Our own tokens, other issuers', other schemes and rubbish go where they went before."""
    bench = Bench()
    tokens = [
        make_tokens("Ed25519").issue(ANA).value,
        bench.issuer.issue(iss="https://other.example"),
        bench.issuer.issue(iss=[bench.issuer.name]),
        bench.issuer.issue(without=("iss",)),
        bench.issuer.issue() + "=",
        "x",
        "",
    ]
    for token in tokens:
        with pytest.raises(UnauthenticatedError):
            await bench.accept(token)
    for header in (None, b"Basic Og==", b"\xff"):
        with pytest.raises(UnauthenticatedError):
            await bench.authenticator.authenticate(header)
    assert len(bench.own.asked) == len(tokens) + 3
    assert bench.issuer.asked == []


# --- Headers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "none"}, "token_algorithm"),
        ({"alg": "nOnE"}, "token_algorithm"),
        ({"alg": "HS256"}, "token_algorithm"),
        ({"alg": "RS256"}, "token_algorithm"),
        ({"alg": ["Ed25519"]}, "token_algorithm"),
        ({"alg": None}, "token_algorithm"),
        ({"kid": "other"}, "token_key"),
        ({"kid": "../keys"}, "token_key"),
        ({"kid": "' OR 1=1 --"}, "token_key"),
        ({"kid": "k" * 256}, "token_key"),
        ({"kid": "k\x00"}, "token_key"),
        ({"kid": ""}, "token_key"),
        ({"kid": 5}, "token_key"),
        ({"kid": ["one"]}, "token_key"),
        ({"kid": None}, "token_key"),
        ({"typ": "JWT"}, "token_type"),
        ({"typ": "logout+jwt"}, "token_type"),
        ({"typ": "at+jwt "}, "token_type"),
        ({"typ": None}, "token_type"),
        ({"typ": ["at+jwt"]}, "token_type"),
        ({"crit": ["exp"]}, "token_header"),
        ({"crit": []}, "token_header"),
        ({"b64": True}, "token_header"),
        ({"b64": False, "crit": ["b64"]}, "token_header"),
        ({"zip": "DEF"}, "token_header"),
        ({"cty": "JWT"}, "token_header"),
        ({"jwk": {}}, "token_header"),
        ({"jku": "https://attacker.example"}, "token_header"),
        ({"x5u": "https://attacker.example"}, "token_header"),
        ({"x5c": ["AAAA"]}, "token_header"),
    ],
    ids=repr,
)
async def test_a_header_that_does_not_fit_is_refused(
    header: dict[str, object], reason: str
) -> None:
    """Even signed with the issuer's own key: the settings say what is read, never the token."""
    bench = Bench()
    assert await bench.refuse(bench.issuer.issue(header=header)) == reason


@pytest.mark.parametrize("member", ["alg", "kid", "typ"])
async def test_a_header_that_lacks_something_is_refused(member: str) -> None:
    """Algorithm, key and type have to be named."""
    bench = Bench()
    reason = await bench.refuse(bench.issuer.issue(without=(member,)))
    assert reason == {"alg": "token_algorithm", "kid": "token_key", "typ": "token_type"}[member]


@pytest.mark.parametrize("kind", ["AT+JWT", "application/at+jwt"])
async def test_a_media_type_is_one_in_any_spelling(kind: str) -> None:
    """Case and prefix of a media type mean nothing (RFC 7515, section 4.1.9)."""
    bench = Bench()
    await bench.accept(bench.issuer.issue(header={"typ": kind}))


async def test_other_members_of_a_header_do_not_matter() -> None:
    """Issuers add their own, such as the thumbprint of a certificate."""
    bench = Bench()
    await bench.accept(bench.issuer.issue(header={"x5t": "AAAA", "nonce": "n"}))


@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256", "RS256"])
async def test_the_public_key_of_an_issuer_is_no_secret(algorithm: str) -> None:
    """Nobody signs with what the issuer publishes (algorithm confusion)."""
    bench = Bench(Issuer(keys=[make_key(algorithm)]))
    public: Any = bench.issuer.keys[0].verification.public
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name, reason in (("HS256", "token_algorithm"), (algorithm, "token_signature")):
        head, _, _ = bench.issuer.issue(header={"alg": name}).rpartition(".")
        forged = encode(hmac.digest(pem, head.encode(), hashlib.sha256))
        assert await bench.refuse(f"{head}.{forged}") == reason


async def test_a_key_of_another_algorithm_does_not_count() -> None:
    """A key is found by name and algorithm together, both of them pinned."""
    keys = [make_key("RS256", "one"), make_key("Ed25519", "two")]
    bench = Bench(Issuer(keys=keys), algorithms=("Ed25519",))
    assert await bench.refuse(bench.issuer.issue(key=keys[0])) == "token_algorithm"
    renamed = bench.issuer.issue(key=keys[0], header={"alg": "Ed25519"})
    assert await bench.refuse(renamed) == "token_key"
    await bench.accept(bench.issuer.issue(key=keys[1]))


@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256", "RS256"])
async def test_a_foreign_signature_is_refused(algorithm: str) -> None:
    """Another key of the same name, an empty, a short and an all-zero signature prove nothing."""
    bench = Bench(Issuer(keys=[make_key(algorithm)]))
    head, _, signature = bench.issuer.issue().rpartition(".")
    others = [encode(bytes(size)) for size in (1, 32, 64, 256)]
    if algorithm != "RS256":
        others.append(bench.issuer.issue(key=make_key(algorithm)).rpartition(".")[2])
    cut = base64.urlsafe_b64decode(signature + "==")[:-1]
    for other in (*others, encode(cut)):
        assert await bench.refuse(f"{head}.{other}") == "token_signature"


async def test_a_token_that_is_too_long_is_not_read() -> None:
    """It counts as nobody's, so that nothing of it is parsed."""
    bench = Bench()
    with pytest.raises(UnauthenticatedError):
        await bench.accept(bench.issuer.issue(x="a" * MAXIMUM_SIZE))
    assert len(bench.own.asked) == 1


# --- Claims -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "other"}, "token_audience"),
        ({"aud": ["other"]}, "token_audience"),
        ({"aud": []}, "token_audience"),
        ({"aud": ["api", 5]}, "token_audience"),
        ({"aud": ["api"] * 21}, "token_audience"),
        ({"aud": {"api": 1}}, "token_audience"),
        ({"aud": None}, "token_audience"),
        ({"exp": NOW}, "token_expired"),
        ({"exp": str(NOW + 60)}, "token_claims"),
        ({"exp": NOW + 60.5}, "token_claims"),
        ({"exp": True}, "token_claims"),
        ({"exp": -1}, "token_claims"),
        ({"exp": 10**30}, "token_claims"),
        ({"exp": float("1e300")}, "token_claims"),
        ({"iat": NOW + 11}, "token_not_yet_valid"),
        ({"iat": "x"}, "token_claims"),
        ({"nbf": NOW + 11}, "token_not_yet_valid"),
        ({"nbf": None}, "token_claims"),
        ({"auth_time": NOW + 11}, "token_not_yet_valid"),
        ({"auth_time": True}, "token_claims"),
        ({"exp": NOW + 24 * 3600 + 1}, "token_lifetime"),
        ({"sub": ""}, "token_claims"),
        ({"sub": 5}, "token_claims"),
        ({"sub": "a\x00"}, "token_claims"),
        ({"sub": "\ud800"}, "token_claims"),
        ({"sub": "x" * 250}, "token_claims"),
        ({"nonce": "n"}, "token_type"),
        ({"at_hash": "h"}, "token_type"),
        ({"c_hash": "h"}, "token_type"),
        ({"events": {}}, "token_type"),
        ({"scope": 5}, "token_claims"),
        ({"scp": [5]}, "token_claims"),
    ],
    ids=repr,
)
async def test_claims_that_do_not_hold_are_refused(claims: dict[str, Any], reason: str) -> None:
    """Each with its own reason, although the issuer has signed it."""
    bench = Bench()
    assert await bench.refuse(bench.issuer.issue(**claims)) == reason


@pytest.mark.parametrize("claim", ["aud", "exp", "iat", "sub"])
async def test_a_claim_that_is_missing_is_refused(claim: str) -> None:
    """These have to be there (RFC 9068, section 2.2)."""
    bench = Bench()
    reason = "token_audience" if claim == "aud" else "token_claims"
    assert await bench.refuse(bench.issuer.issue(without=(claim,))) == reason


async def test_names_given_twice_are_refused() -> None:
    """Neither the issuer that a token names nor any other claim depends on who reads it."""
    bench = Bench()
    key = bench.issuer.keys[0]
    header, payload, _ = bench.issuer.issue().split(".")
    for doubled in ({"iss": "https://other.example"}, {"sub": "root"}):
        inner = json.dumps({"iss": bench.issuer.name, "aud": "api", "sub": "a", "iat": NOW})
        text = inner[:-1] + f', "exp": {NOW + 60}, ' + json.dumps(doubled)[1:]
        head = f"{header}.{encode(text.encode())}"
        with pytest.raises(UnauthenticatedError):
            await bench.accept(f"{head}.{encode(key.sign(head.encode()))}")
    twice = encode(b'{"alg":"Ed25519","typ":"at+jwt","kid":"two","kid":"one"}')
    head = f"{twice}.{payload}"
    assert await bench.refuse(f"{head}.{encode(key.sign(head.encode()))}") == "token_malformed"


async def test_what_only_access_tokens_have_is_asked_for() -> None:
    """An issuer whose tokens all are of one type has to be told apart by claims and scopes."""
    bench = Bench(
        token_types=("JWT",), required_claims={"typ": "Bearer"}, required_scopes=("notes", "read")
    )
    header: dict[str, object] = {"typ": "JWT"}
    good: dict[str, Any] = {"typ": "Bearer", "scope": "read notes more"}
    await bench.accept(bench.issuer.issue(header=header, **good))
    await bench.accept(bench.issuer.issue(header=header, typ="Bearer", scp=["notes", "read"]))
    for claims in (
        {**good, "typ": "ID"},
        {**good, "scope": "notes"},
        {**good, "scope": "notesread"},
    ):
        token = bench.issuer.issue(header=header, **claims)
        assert await bench.refuse(token) == "token_requirement"
    # The list of the settings holds for a token without a type as well.
    untyped = bench.issuer.issue(header={"typ": "JWT"}, without=("scope",), typ="Bearer")
    assert await bench.refuse(untyped) == "token_requirement"


# --- Whom a caller is taken for ---------------------------------------------------------------


async def test_tenant_and_roles_are_what_the_settings_make_of_them() -> None:
    """Each value goes through a table; a role that is not in it means nothing."""
    bench = Bench(
        tenant_claim=("org", "id"),
        tenants={"org-1": "acme"},
        roles_claim=("realm_access", "roles"),
        roles={"boss": "admin", "staff": "member"},
    )
    caller = await bench.accept(
        bench.issuer.issue(org={"id": "org-1"}, realm_access={"roles": ["boss", "admin", 5, []]})
    )
    assert caller.tenant_id == "acme"
    assert caller.roles == {"admin"}
    assert caller.permissions == {"may:admin:x"}
    assert caller.user_type is UserType.USER


@pytest.mark.parametrize(
    "value", ["acme", "org-2", "", None, 5, ["org-1"], {"id": {}}, {"id": ["org-1"]}], ids=repr
)
async def test_a_tenant_that_is_not_in_the_table_is_refused(value: object) -> None:
    """Our own name for it does not count either."""
    bench = Bench(tenant_claim=("org",), tenants={"org-1": "acme"})
    assert await bench.refuse(bench.issuer.issue(org=value)) == "token_tenant"
    assert await bench.refuse(bench.issuer.issue()) == "token_tenant"


@pytest.mark.parametrize("value", [None, 5, {}, {"admin": True}, [["admin"]], True], ids=repr)
async def test_roles_that_are_no_list_of_texts_are_none(value: object) -> None:
    """Nobody gets a role by a claim of the wrong shape."""
    bench = Bench(roles_claim=("roles",), roles={"admin": "admin"}, tenant="acme")
    caller = await bench.accept(bench.issuer.issue(roles=value))
    assert (caller.roles, caller.tenant_id) == (frozenset(), "acme")


@pytest.mark.parametrize("verified", [True, False, None, "true", 1], ids=repr)
async def test_an_address_counts_only_if_it_was_verified(verified: object) -> None:
    """Otherwise a caller would be whoever it says it is."""
    bench = Bench(email_claim="email")
    caller = await bench.accept(
        bench.issuer.issue(email="root@example.com", email_verified=verified)
    )
    assert caller.email == ("root@example.com" if verified is True else "")
    assert (await bench.accept(bench.issuer.issue(email_verified=True))).email == ""


async def test_a_sign_in_is_as_fresh_as_the_issuer_says() -> None:
    """The time of issue says nothing: a refreshed token is no sign-in."""
    bench = Bench()
    fresh = await bench.accept(bench.issuer.issue(auth_time=NOW - 5))
    unknown = await bench.accept(bench.issuer.issue())
    assert fresh.authenticated_at == datetime.fromtimestamp(NOW - 5, tz=UTC)
    assert unknown.authenticated_at == datetime.fromtimestamp(0, tz=UTC)


@pytest.mark.parametrize(
    ("methods", "several"),
    [
        (["pwd", "mfa"], True),
        (["mfa"], True),
        (["pwd", "otp"], False),
        ("mfa", False),
        ({"mfa": True}, False),
        (None, False),
        ([["mfa"]], False),
    ],
    ids=repr,
)
async def test_a_second_factor_is_one_that_the_issuer_speaks_of(
    methods: object, several: bool
) -> None:
    """It says "mfa" in a list (RFC 8176); anything else says nothing."""
    bench = Bench()
    caller = await bench.accept(bench.issuer.issue(amr=methods))
    assert caller.factors == (frozenset({"mfa"}) if several else frozenset())
    assert caller.has_factor("mfa") is several


# --- What is remembered -----------------------------------------------------------------------


async def test_a_verified_token_is_remembered_until_it_ends() -> None:
    """It is known at once for a minute, and not a moment longer than it holds."""
    bench = Bench()
    token = f"Bearer {bench.issuer.issue(exp=NOW + 90)}".encode()
    caller = await bench.authenticator.authenticate(token)
    bench.clock.advance(59.9)
    assert bench.authenticator.peek(token) is caller
    bench.clock.advance(0.1)
    assert bench.authenticator.peek(token) is None
    await bench.authenticator.authenticate(token)
    bench.clock.advance(30)
    assert bench.authenticator.peek(token) is None
    with pytest.raises(InvalidTokenError) as caught:
        await bench.authenticator.authenticate(token)
    assert caught.value.reason == "authentication.token_expired"
    assert bench.authenticator.peek(None) is None


async def test_a_withdrawn_key_ends_its_tokens() -> None:
    """Once the issuer was asked again, what it no longer has verifies nothing."""
    bench = Bench()
    old = bench.issuer.keys[0]
    token = bench.issuer.issue(exp=NOW + 7200)
    await bench.accept(token)
    bench.issuer.keys = [make_key(kid="two")]
    bench.clock.advance(3600)
    await bench.accept(bench.issuer.issue(iat=NOW + 3600, exp=NOW + 7200))
    assert await bench.refuse(bench.issuer.issue(key=old, exp=NOW + 7200)) == "token_key"
    assert await bench.refuse(token) == "token_key"


async def test_without_its_keys_nothing_of_an_issuer_is_decided() -> None:
    """The caller hears that it may try again, and gets in by no other way."""
    bench = Bench()
    bench.issuer.is_away = True
    with pytest.raises(UnavailableError) as caught:
        await bench.accept(bench.issuer.issue())
    assert caught.value.reason == "authentication.issuer_away"
    assert caught.value.retry_after == timedelta(seconds=30)


# --- Settings ---------------------------------------------------------------------------------


def build(
    issuers: dict[str, IssuerSettings], *, allow_http: bool = False
) -> dict[str, OutsideIssuer]:
    """Build the issuers of some settings."""
    clock = FrozenClock()
    return make_outside_issuers(
        AuthenticationSettings(issuer="https://own.example", issuers=issuers),
        Issuer(),
        permissions_of=frozenset,
        allow_http=allow_http,
        events=EventLog([], clock=clock),
        clock=clock,
    )


def test_issuers_must_not_be_mixed_up() -> None:
    """Two of one name, or one of ours, would leave it to chance whose keys count."""
    one, own = Issuer().settings(), Issuer(name="https://own.example").settings()
    assert build({"a": one}).keys() == {"https://issuer.example"}
    for issuers in ({"a": one, "b": one}, {"a": own}):
        with pytest.raises(ConfigurationError):
            build(issuers)


def test_an_issuer_without_tls_is_for_local_use_alone() -> None:
    """Whoever is on the way could put keys in its mouth."""
    for settings in (
        Issuer(name="http://localhost:1").settings(),
        Issuer().settings(jwks_url="http://127.0.0.1:1/keys"),
    ):
        build({"a": settings}, allow_http=True)
        with pytest.raises(ConfigurationError):
            build({"a": settings})


# --- Any input --------------------------------------------------------------------------------

VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
CLAIM = st.sampled_from(
    ["iss", "aud", "sub", "iat", "exp", "nbf", "scope", "scp", "roles", "org", "auth_time", "email"]
)


@given(st.dictionaries(CLAIM, VALUE, max_size=5))
def test_any_claims_are_accepted_or_refused(claims: dict[str, Any]) -> None:
    """Reading raises one kind of error alone, whatever an issuer has signed."""
    good = {"iss": "https://issuer.example", "aud": "api", "iat": NOW, "exp": NOW + 60}
    settings = Issuer().settings()
    now = datetime.fromtimestamp(NOW, tz=UTC)
    try:
        ends = check_claims({**good, **claims}, settings, now=now, leeway=10)
    except InvalidTokenError:
        return
    assert NOW < ends <= NOW + 24 * 3600 + 10
