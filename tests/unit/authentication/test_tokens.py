import base64
import dataclasses
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication import AccessTokens, AuthenticationSettings, InvalidTokenError
from stockade.authentication.jwks import write_private_key
from stockade.authentication.models import AccessToken, Session
from stockade.authentication.signing_keys import _name_secret
from stockade.authentication.tokens import MAXIMUM_SIZE, read_claims
from stockade.core import UserType
from stockade.crypto import KeyRing
from stockade.errors import UnauthenticatedError
from tests.clock import FrozenClock
from tests.unit.authentication.helpers import (
    ALGORITHMS,
    ANA,
    NEW,
    OLD,
    decode,
    encode,
    make_tokens,
    parts_of,
    reissue,
    rsa_pem,
    sign,
)

NOW = int(FrozenClock().now().timestamp())
SERVICES = {algorithm: make_tokens(algorithm) for algorithm in ALGORITHMS}


@pytest.fixture(params=ALGORITHMS)
def tokens(request: pytest.FixtureRequest) -> AccessTokens:
    """The service with each algorithm."""
    return SERVICES[request.param]


def refusal(tokens: AccessTokens, token: str) -> str:
    """Return the reason for which a token is refused."""
    with pytest.raises(InvalidTokenError) as caught:
        tokens.verify(token)
    assert caught.value.code == "invalid_token"
    return caught.value.reason.removeprefix("authentication.")


def test_a_token_says_what_was_issued(tokens: AccessTokens) -> None:
    """Subject, tenant, epoch, end and sign-in come back as they went in."""
    issued = tokens.issue(ANA)
    read = tokens.verify(issued.value)
    assert issued.expires_in == 600
    assert dataclasses.replace(read, token_id="x") == AccessToken(
        user_id=ANA.user_id,
        tenant_id=ANA.tenant_id,
        token_epoch=3,
        expires_at=NOW + 600,
        authenticated_at=datetime.fromtimestamp(NOW, tz=UTC),
        token_id="x",
    )


def test_a_token_has_the_registered_and_the_required_claims(tokens: AccessTokens) -> None:
    """The claims are those of RFC 9068 and of requirement R5, and nothing secret is among them."""
    header, claims = parts_of(tokens.issue(ANA).value)
    assert header.keys() == {"alg", "typ", "kid"}
    assert header["typ"] == "at+jwt"
    expected = {"user_id": "ana", "email": "ana@example.com", "user_type": "user"}
    assert expected.items() <= claims.items()
    assert claims["active_tenant_id"] == "acme"
    assert claims.keys() - expected.keys() - {"active_tenant_id"} == {
        *("iss", "aud", "sub", "client_id", "iat", "nbf", "exp", "jti", "auth_time", "epoch")
    }


def test_no_two_tokens_are_alike(tokens: AccessTokens) -> None:
    """Each token has an identifier of its own."""
    assert len({tokens.verify(tokens.issue(ANA).value).token_id for _ in range(20)}) == 20


def test_a_token_shows_itself_in_no_representation(tokens: AccessTokens) -> None:
    """Logging an issued token does not give it away."""
    issued = tokens.issue(ANA)
    assert issued.value not in repr(issued)


def test_an_account_without_a_tenant_has_a_token_without_one(tokens: AccessTokens) -> None:
    """A super administrator needs no tenant to sign in."""
    lone = dataclasses.replace(ANA, tenant_id=None, user_type=UserType.SUPER_ADMIN)
    assert tokens.verify(tokens.issue(lone).value).tenant_id is None


@pytest.mark.parametrize("lifetime", [300, 600, 900], ids=str)
def test_a_token_ends_when_it_says(lifetime: int) -> None:
    """It holds up to its last second and not one more: there is no leeway at the end."""
    clock = FrozenClock()
    tokens = make_tokens(clock=clock, access_token_lifetime=timedelta(seconds=lifetime))
    token = tokens.issue(ANA).value
    clock.advance(lifetime - 0.001)
    tokens.verify(token)
    clock.advance(0.001)
    assert refusal(tokens, token) == "token_expired"


# --- Forged headers ---------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""], ids=repr)
@pytest.mark.parametrize("signature", ["", "AA", None], ids=["empty", "short", "stolen"])
def test_an_unsigned_token_is_refused(
    tokens: AccessTokens, algorithm: str, signature: str | None
) -> None:
    """No spelling of "none" lets a token through (RFC 8725, section 2.1)."""
    header, claims, stolen = tokens.issue(ANA).value.split(".")
    forged = encode({**decode(header), "alg": algorithm})
    ending = stolen if signature is None else signature
    assert refusal(tokens, f"{forged}.{claims}.{ending}") == (
        "token_algorithm" if ending else "token_malformed"
    )


def public_keys(algorithm: str) -> dict[str, bytes]:
    """Return every spelling of the public key that an attacker may try as a secret."""
    keys = SERVICES[algorithm].keys
    public: Any = keys.newest.verification.public
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    jwk = keys.describe()["keys"][0]
    spellings = {
        "pem": pem,
        "pem without its last line's end": pem.rstrip(),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(jwk).encode(),
        "number": base64.urlsafe_b64decode(jwk.get("x", jwk.get("n", "")) + "=="),
        "number in base64": jwk.get("x", jwk.get("n", "")).encode(),
    }
    if algorithm == "Ed25519":
        spellings["raw"] = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return spellings


@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256", "RS256"])
def test_the_public_key_is_no_secret(algorithm: str) -> None:
    """A token signed by HMAC with the public key is refused (algorithm confusion)."""
    tokens = SERVICES[algorithm]
    header, claims, _ = tokens.issue(ANA).value.split(".")
    for name in ("HS256", "HS384", algorithm):
        forged = encode({**decode(header), "alg": name}) + "." + claims
        for spelling, secret in public_keys(algorithm).items():
            digest = hmac.digest(secret, forged.encode(), hashlib.sha256)
            expected = "token_signature" if name == algorithm else "token_algorithm"
            assert refusal(tokens, f"{forged}.{encode(digest)}") == expected, spelling


@pytest.mark.parametrize(("ours", "theirs"), [*permutations(ALGORITHMS, 2)], ids=str)
def test_a_token_of_another_algorithm_is_refused(ours: str, theirs: str) -> None:
    """The key chooses the algorithm, never the token, although all keys are of one secret."""
    token = SERVICES[theirs].issue(ANA).value
    assert refusal(SERVICES[ours], token) == "token_key"
    renamed = reissue(
        SERVICES[theirs],
        header=lambda header: header.update(kid=SERVICES[ours].keys.newest.verification.kid),
    )
    assert refusal(SERVICES[ours], renamed) == "token_algorithm"


@pytest.mark.parametrize(
    "change",
    [
        {"kid": None},
        {"kid": "unknown"},
        {"kid": ""},
        {"kid": 5},
        {"kid": True},
        {"kid": ["a"]},
        {"kid": {"a": 1}},
        {"kid": "../../etc/passwd"},
        {"kid": "' OR 1=1 --"},
        {"kid": "k" * 2000},
        {"kid": "\x00"},
        {"kid": "\ud800"},
        {"kid": 1e400},
    ],
    ids=str,
)
def test_a_key_that_is_not_ours_is_refused(tokens: AccessTokens, change: dict[str, Any]) -> None:
    """The key is found by its exact name among ours; a well-signed token names it."""
    token = reissue(tokens, header=lambda header: header.update(change))
    assert refusal(tokens, token) == ("token_malformed" if "inf" in str(change) else "token_key")


def test_a_token_without_a_key_name_is_refused(tokens: AccessTokens) -> None:
    """Nobody tries keys until one fits."""
    token = reissue(tokens, header=lambda header: header.pop("kid"))
    assert refusal(tokens, token) == "token_header"


def test_a_key_in_the_token_is_never_used(tokens: AccessTokens) -> None:
    """A token signed with a key that it brings along is refused (CVE-2018-0114 and others)."""
    header, claims, _ = tokens.issue(ANA).value.split(".")
    own = b"k" * 32
    brought = {
        "jwk": {"kty": "oct", "k": encode(own)},
        "jku": "https://attacker.example/keys",
        "x5u": "https://attacker.example/cert",
        "x5c": ["AAAA"],
    }
    for name, value in brought.items():
        forged = encode({**decode(header), name: value}) + "." + claims
        digest = hmac.digest(own, forged.encode(), hashlib.sha256)
        assert refusal(tokens, f"{forged}.{encode(digest)}") == "token_header"


@pytest.mark.parametrize(
    "change",
    [
        {"crit": ["b64"], "b64": False},
        {"crit": ["exp"], "exp": 9_999_999_999},
        {"crit": []},
        {"crit": "b64"},
        {"crit": ["unheard-of"], "unheard-of": True},
        {"b64": False},
        {"zip": "DEF"},
        {"enc": "A128GCM"},
        {"crit": ["kid"]},
        {"cty": "JWT"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x": 1},
    ],
    ids=str,
)
def test_a_header_of_more_than_ours_is_refused(
    tokens: AccessTokens, change: dict[str, Any]
) -> None:
    """A header that asks for processing that we don't do is refused, even if signed by us."""
    token = reissue(tokens, header=lambda header: header.update(change))
    assert refusal(tokens, token) == "token_header"


@pytest.mark.parametrize(
    "kind", ["JWT", "AT+JWT", "application/at+jwt", "at+jwt ", "", None, ["at+jwt"]], ids=repr
)
def test_a_token_of_another_type_is_refused(tokens: AccessTokens, kind: str | None) -> None:
    """A token that was made for something else, such as an identity token, opens nothing."""
    token = reissue(tokens, header=lambda header: header.update(typ=kind))
    assert refusal(tokens, token) == "token_type"


def test_a_token_without_a_type_is_refused(tokens: AccessTokens) -> None:
    """The type has to be there (RFC 9068, section 4)."""
    token = reissue(tokens, header=lambda header: header.pop("typ"))
    assert refusal(tokens, token) == "token_header"


@pytest.mark.parametrize(
    "header",
    [b"[]", b'"x"', b"null", b"5", b"{", b"", b"\xff\xfe", b"[" * 700, b'{"alg":"HS256"', b"{}"],
    ids=repr,
)
def test_a_header_that_is_no_object_is_refused(tokens: AccessTokens, header: bytes) -> None:
    """Whatever stands in the header's place, the token is refused and nothing else happens."""
    _, claims, signature = tokens.issue(ANA).value.split(".")
    reason = refusal(tokens, f"{encode(header)}.{claims}.{signature}")
    assert reason == ("token_header" if header == b"{}" else "token_malformed")


# --- Forged signatures ------------------------------------------------------------------------


def test_every_changed_character_is_noticed(tokens: AccessTokens) -> None:
    """A token has one spelling: each character counts, also the unused bits of the last one."""
    token = tokens.issue(ANA).value
    for position, character in enumerate(token):
        for other in "AQgw_-":
            if character not in {other, "."}:
                refusal(tokens, token[:position] + other + token[position + 1 :])


@pytest.mark.parametrize("ending", ["A", "AA", "AAAA", "=", "==", ".", ".AAAA", " ", "\n", "%00"])
def test_nothing_may_follow_a_token(tokens: AccessTokens, ending: str) -> None:
    """A token with something behind it is another one."""
    refusal(tokens, tokens.issue(ANA).value + ending)


@pytest.mark.parametrize("missing", [1, 2, 4, 43, 86], ids=str)
def test_a_shortened_signature_is_refused(tokens: AccessTokens, missing: int) -> None:
    """A part of the signature proves nothing."""
    refusal(tokens, tokens.issue(ANA).value[:-missing])


@pytest.mark.parametrize("size", [0, 1, 32, 64, 128], ids=str)
def test_an_all_zero_signature_is_refused(tokens: AccessTokens, size: int) -> None:
    """Zeros are no signature (CVE-2022-21449)."""
    head, _, _ = tokens.issue(ANA).value.rpartition(".")
    refusal(tokens, f"{head}.{encode(bytes(size))}")


def test_a_signature_does_not_move_to_other_claims(tokens: AccessTokens) -> None:
    """The signature of one token does not hold for another one's claims."""
    header, _, _ = tokens.issue(ANA).value.split(".")
    _, _, signature = tokens.issue(dataclasses.replace(ANA, token_epoch=4)).value.split(".")
    _, claims, _ = tokens.issue(ANA).value.split(".")
    assert refusal(tokens, f"{header}.{claims}.{signature}") == "token_signature"


def test_an_ecdsa_signature_has_one_representation() -> None:
    """Neither DER nor the mirror image of the second number is taken for a token of ours."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    tokens = SERVICES["ES256"]
    head, _, signature = tokens.issue(ANA).value.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    assert s <= order // 2
    mirrored = raw[:32] + (order - s).to_bytes(32, "big")
    for other in (mirrored, encode_dss_signature(r, s), raw[32:] + raw[:32], b"\0" + raw):
        assert refusal(tokens, f"{head}.{encode(other)}") == "token_signature"


@pytest.mark.parametrize("r", [0, 1, "n"], ids=str)
@pytest.mark.parametrize("s", [0, 1, "n"], ids=str)
def test_a_psychic_signature_is_refused(r: int | str, s: int | str) -> None:
    """Zeros, ones and the order itself prove nothing (CVE-2022-21449)."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    head, _, _ = SERVICES["ES256"].issue(ANA).value.rpartition(".")
    numbers = (order if number == "n" else int(number) for number in (r, s))
    forged = b"".join(number.to_bytes(32, "big") for number in numbers)
    assert refusal(SERVICES["ES256"], f"{head}.{encode(forged)}") == "token_signature"


def test_a_signature_with_another_representation_is_refused() -> None:
    """An Ed25519 signature whose scalar was raised by the group's order is refused."""
    order = 2**252 + 27742317777372353535851937790883648493
    tokens = SERVICES["Ed25519"]
    head, _, signature = tokens.issue(ANA).value.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    scalar = int.from_bytes(raw[32:], "little") + order
    assert refusal(tokens, f"{head}.{encode(raw[:32] + scalar.to_bytes(32, 'little'))}")


# --- Forged claims ----------------------------------------------------------------------------


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "iat", "nbf", "exp", "jti", "auth_time"])
def test_a_missing_claim_is_refused(tokens: AccessTokens, claim: str) -> None:
    """Every registered claim has to be there."""
    refusal(tokens, reissue(tokens, claims=lambda claims: claims.pop(claim)))


@pytest.mark.parametrize(
    "value",
    [True, False, "9999999999", 9e9, -1, 10**30, None, [NOW + 60], {"a": 1}],
    ids=repr,
)
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat", "auth_time", "epoch"])
def test_a_number_has_to_be_a_plain_one(tokens: AccessTokens, claim: str, value: object) -> None:
    """Booleans, texts, floats and moments beyond the calendar are refused."""
    token = reissue(tokens, claims=lambda claims: claims.update({claim: value}))
    assert refusal(tokens, token) == "token_claims"


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "Infinity"])
def test_a_number_that_is_none_is_refused(tokens: AccessTokens, number: str) -> None:
    """Infinity is not later than now."""
    header, claims = parts_of(tokens.issue(ANA).value)
    payload = json.dumps(claims).replace(str(claims["exp"]), number)
    assert refusal(tokens, sign(tokens, header, payload.encode())) == "token_claims"


@pytest.mark.parametrize("value", ["", "x" * 256, 5, None, True, ["ana"], {"a": 1}], ids=repr)
@pytest.mark.parametrize("claim", ["sub", "jti", "active_tenant_id"])
def test_a_name_has_to_be_a_short_text(tokens: AccessTokens, claim: str, value: object) -> None:
    """Identifiers are texts of 1 to 255 characters; only the tenant may be none."""
    if claim == "active_tenant_id" and value is None:
        return
    token = reissue(tokens, claims=lambda claims: claims.update({claim: value}))
    assert refusal(tokens, token) == "token_claims"


@pytest.mark.parametrize(
    "value", ["other", "Stockade", "stockade ", ["stockade"], ["stockade", "other"], None, 5, {}]
)
@pytest.mark.parametrize("claim", ["iss", "aud"])
def test_issuer_and_audience_are_exact(tokens: AccessTokens, claim: str, value: object) -> None:
    """Lists and near misses are refused (CVE-2026-75509)."""
    token = reissue(tokens, claims=lambda claims: claims.update({claim: value}))
    assert refusal(tokens, token) == {"iss": "token_issuer", "aud": "token_audience"}[claim]


@pytest.mark.parametrize("claim", ["nbf", "iat", "auth_time"])
def test_a_token_from_the_future_is_refused(claim: str) -> None:
    """Each of the moments counts by itself; the leeway forgives a clock that is a little ahead."""
    tokens = make_tokens(leeway=timedelta(seconds=10))
    in_time = reissue(tokens, claims=lambda claims: claims.update({claim: NOW + 10}))
    too_early = reissue(tokens, claims=lambda claims: claims.update({claim: NOW + 11}))
    tokens.verify(in_time)
    assert refusal(tokens, too_early) == "token_not_yet_valid"


def test_a_claim_given_twice_is_refused(tokens: AccessTokens) -> None:
    """Two readers may see two different claims, so nobody gets to choose, even if signed by us."""
    header, claims = parts_of(tokens.issue(ANA).value)
    for doubled in (', "sub": "other"}', f', "exp": {claims["exp"]}}}'):
        payload = json.dumps(claims)[:-1] + doubled
        assert refusal(tokens, sign(tokens, header, payload.encode())) == "token_claims"


def test_a_member_of_the_header_given_twice_is_refused(tokens: AccessTokens) -> None:
    """The same holds for the header, also where both say the same."""
    header, payload, _ = tokens.issue(ANA).value.split(".")
    for name in ("alg", "typ", "kid"):
        member = json.dumps({name: decode(header)[name]})[1:]
        doubled = json.dumps(decode(header))[:-1] + ", " + member
        head = f"{encode(doubled.encode())}.{payload}"
        token = f"{head}.{encode(tokens.keys.newest.sign(head.encode()))}"
        assert refusal(tokens, token) == "token_malformed"


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "a\udfffb", "a\nb", "\x7f"], ids=ascii)
@pytest.mark.parametrize("claim", ["sub", "jti", "active_tenant_id", "sid"])
def test_a_name_that_no_store_takes_is_refused(tokens: AccessTokens, claim: str, text: str) -> None:
    """Control characters and halves of a pair end here, and not in a driver."""
    token = reissue(tokens, claims=lambda claims: claims.update({claim: text}))
    assert refusal(tokens, token) == "token_claims"


@pytest.mark.parametrize(
    "payload", [b"[]", b'"x"', b"null", b"5", b"{", b"", b"\xff", b"[" * 900], ids=repr
)
def test_claims_that_are_no_object_are_refused(tokens: AccessTokens, payload: bytes) -> None:
    """A well-signed token without claims is refused."""
    header, _ = parts_of(tokens.issue(ANA).value)
    reason = refusal(tokens, sign(tokens, header, payload))
    assert reason == ("token_claims" if payload else "token_malformed")


def test_a_token_of_another_purpose_is_refused(tokens: AccessTokens) -> None:
    """A key derived for another use signs nothing that is a token, even under the key's name."""
    foreign = KeyRing([NEW]).derive("session")[0]
    header, claims, _ = tokens.issue(ANA).value.split(".")
    named = {**decode(header), "alg": "HS256", "kid": _name_secret(foreign)}
    for changed in ({**decode(header), "alg": "HS256"}, named):
        forged = f"{encode(changed)}.{claims}"
        digest = hmac.digest(foreign, forged.encode(), hashlib.sha256)
        refusal(tokens, f"{forged}.{encode(digest)}")


# --- Rotation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["HS256", "Ed25519", "ES256"])
def test_secrets_rotate(algorithm: str) -> None:
    """The newest secret signs, an older one still verifies, a removed one does not."""
    before = make_tokens(algorithm, ring=(OLD,))
    during = make_tokens(algorithm, ring=(OLD, NEW))
    after = make_tokens(algorithm, ring=(NEW,))
    old, new = before.issue(ANA).value, during.issue(ANA).value
    during.verify(old)
    during.verify(new)
    after.verify(new)
    assert refusal(after, old) == "token_key"
    assert refusal(before, new) == "token_key"


def test_given_keys_rotate() -> None:
    """The same holds for keys that the settings give, also from one algorithm to another."""
    ed25519 = json.dumps(write_private_key(Ed25519PrivateKey.generate()))
    before = make_tokens("RS256", signing_keys=(rsa_pem(),))
    during = make_tokens("Ed25519", signing_keys=(rsa_pem(), ed25519))
    after = make_tokens("Ed25519", signing_keys=(ed25519,))
    old, new = before.issue(ANA).value, during.issue(ANA).value
    during.verify(old)
    during.verify(new)
    after.verify(new)
    assert refusal(after, old) == "token_key"


def test_a_key_can_be_known_before_it_signs() -> None:
    """A new secret in the first place verifies already: no process refuses what another issues."""
    ahead = make_tokens(ring=(NEW, OLD))
    ahead.verify(make_tokens(ring=(OLD, NEW)).issue(ANA).value)
    make_tokens(ring=(OLD,)).verify(ahead.issue(ANA).value)


def test_both_names_of_an_algorithm_are_for_one_key() -> None:
    """Tokens go on when the name in their header changes (RFC 9864)."""
    old, new = make_tokens("EdDSA"), make_tokens("Ed25519")
    assert parts_of(old.issue(ANA).value)[0]["alg"] == "EdDSA"
    assert parts_of(new.issue(ANA).value)[0]["alg"] == "Ed25519"
    new.verify(old.issue(ANA).value)
    old.verify(new.issue(ANA).value)


# --- Any input --------------------------------------------------------------------------------


@pytest.mark.parametrize("extra", [1, 100_000, 10_000_000], ids=str)
def test_a_token_that_is_too_long_is_refused_unread(tokens: AccessTokens, extra: int) -> None:
    """The size is checked before anything is parsed."""
    assert refusal(tokens, "A" * (MAXIMUM_SIZE + extra)) == "token_too_long"


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b", "a.b.", ".b.c", "a..c", "a.b.c.d", "a.b.c\n", "a.b.\xe9", "a.b.c=", "ä"],
    ids=repr,
)
def test_a_malformed_token_is_refused(tokens: AccessTokens, token: str) -> None:
    """Three parts of the URL-safe alphabet, or it is no token."""
    assert refusal(tokens, token) == "token_malformed"


@pytest.mark.parametrize("general", [False, True], ids=["flattened", "general"])
def test_a_token_in_json_is_refused(tokens: AccessTokens, general: bool) -> None:
    """There is one serialization."""
    header, payload, signature = tokens.issue(ANA).value.split(".")
    mark: dict[str, object] = {"protected": header, "signature": signature}
    whole = {"payload": payload, **({"signatures": [mark]} if general else mark)}
    assert refusal(tokens, json.dumps(whole)) == "token_malformed"


def test_a_token_in_a_token_is_refused(tokens: AccessTokens) -> None:
    """A payload that is a token is no object, whatever the header calls it."""
    inner = tokens.issue(ANA).value
    header, _ = parts_of(inner)
    assert refusal(tokens, sign(tokens, header, inner.encode())) == "token_claims"
    nested = sign(tokens, {**header, "cty": "JWT"}, inner.encode())
    assert refusal(tokens, nested) == "token_header"


PART = st.one_of(
    st.binary(max_size=80).map(encode),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
        max_leaves=6,
    ).map(encode),
    st.dictionaries(
        st.sampled_from(["alg", "typ", "kid", "crit", "jwk", "b64", "zip", "cty"]),
        st.sampled_from(["HS256", "Ed25519", "none", "at+jwt", None, 5, ["b64"], {}, True]),
    ).map(encode),
)


@given(st.sampled_from(ALGORITHMS), st.lists(PART, max_size=4).map(".".join) | st.text())
def test_any_text_is_a_refusal(algorithm: str, token: str) -> None:
    """Verifying raises one kind of error alone, whatever was sent."""
    with pytest.raises(UnauthenticatedError):
        SERVICES[algorithm].verify(token)


CLAIM = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(NOW - 100, NOW + 1000),
    st.floats(),
    st.text(max_size=300),
    st.lists(st.text(max_size=3), max_size=2),
    st.just("stockade"),
)
NAMES = ["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "auth_time", "epoch", "active_tenant_id"]
GOOD = {
    "iss": "stockade",
    "aud": "stockade",
    "exp": NOW + 600,
    "nbf": NOW,
    "iat": NOW,
    "sub": "ana",
    "jti": "j",
    "auth_time": NOW,
    "epoch": 0,
    "active_tenant_id": None,
}


@given(st.dictionaries(st.sampled_from(NAMES), CLAIM, max_size=3), st.sets(st.sampled_from(NAMES)))
def test_claims_hold_or_are_refused(changes: dict[str, Any], dropped: set[str]) -> None:
    """Whatever the claims are, what is accepted keeps every rule, and the rest is one error."""
    claims = {**{name: GOOD[name] for name in GOOD if name not in dropped}, **changes}
    settings = AuthenticationSettings()
    now = FrozenClock().now()
    try:
        token = read_claims(claims, settings=settings, now=now)
    except InvalidTokenError:
        return
    moment, leeway = now.timestamp(), settings.leeway.total_seconds()
    assert claims["iss"] == claims["aud"] == "stockade"
    assert moment < token.expires_at
    assert max(claims["nbf"], claims["iat"], claims["auth_time"]) <= moment + leeway
    assert 0 < len(token.user_id) <= 255
    assert token.token_epoch >= 0


@pytest.mark.parametrize(
    "factors",
    [[], ["password"], ["password", "totp"], ["password", "recovery_code"], ["totp"]],
    ids=",".join,
)
def test_a_token_says_what_its_session_was_begun_with(
    tokens: AccessTokens, factors: list[str]
) -> None:
    """In the names of RFC 8176, with "mfa" where there was a second factor, and reads it back."""
    now = FrozenClock().now()
    session = Session(
        session_id="s",
        user_id=ANA.user_id,
        tenant_id=ANA.tenant_id,
        token_epoch=ANA.token_epoch,
        created_at=now,
        authenticated_at=now,
        last_used_at=now,
        expires_at=now,
        factors=frozenset(factors),
    )
    issued = tokens.issue(ANA, session=session).value
    assert tokens.verify(issued).factors == frozenset(factors)
    methods = parts_of(issued)[1]["amr"]
    assert ("mfa" in methods) is bool({"totp", "recovery_code"} & set(factors))


@pytest.mark.parametrize(
    "value", ["otp", {"otp": 1}, None, 1, ["otp", 1], ["sms"], [["otp"]], [None]], ids=repr
)
def test_methods_have_to_be_a_list_of_ours(tokens: AccessTokens, value: object) -> None:
    """Anything else was not written by us."""
    forged = reissue(tokens, claims=lambda claims: claims.update(amr=value))
    assert refusal(tokens, forged) == "token_claims"


def test_a_token_of_an_older_release_names_no_factor(tokens: AccessTokens) -> None:
    """It counts as none."""
    assert tokens.verify(tokens.issue(ANA).value).factors == frozenset()
