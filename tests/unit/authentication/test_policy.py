import dataclasses
import secrets
import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.authentication import AuthenticationSettings
from stockade.authentication.common_passwords import CommonPasswords
from stockade.authentication.policy import (
    PasswordPolicy,
    PasswordRule,
    count_surprises,
    find_period,
    remove_words,
)

BCRYPT = PasswordPolicy(AuthenticationSettings())
ARGON2 = PasswordPolicy(AuthenticationSettings(password_hash="argon2id"))
GOOD = "kelp lantern oboe drizzle"


def codes(password: str, *context: str, factor: bool = False) -> set[str]:
    """Return what a password breaks where Argon2id hashes it."""
    return {
        problem.code.value
        for problem in ARGON2.check(password, context=context, has_second_factor=factor)
    }


@pytest.mark.parametrize(
    "password",
    [
        GOOD,
        "v8Kq2mWz7RtYp3x",
        "ein ganz langer Satz ohne Zahl",
        "пароль из четырёх слов",
        "正しい馬の電池のホッチキスは長い",
        "   spaces   count too   ",
        "🦊🐙🌵🎺🧭🪁🛶🔭🧵🪴🥁🧲🪶🧩🪐",
        "correct horse battery 123456789",
        "aaaaaaaaaaaaaaaaaaaa kelp lantern",
    ],
)
def test_a_long_password_is_taken(password: str) -> None:
    """No kind of character is asked for, and none that can be typed is refused."""
    assert BCRYPT.check(password) == []
    assert ARGON2.check(password, context=["ana.garcia@acme.example", "Acme"]) == []


@pytest.mark.parametrize(
    ("password", "factor", "refused"),
    [
        ("", False, True),
        (GOOD[:14], False, True),
        (GOOD[:15], False, False),
        ("x7Qm2pL", True, True),
        ("x7Qm2pLz", True, False),
        ("x7Qm2pLz", False, True),
        ("é" * 7, True, True),
    ],
)
def test_length_counts(password: str, factor: bool, refused: bool) -> None:
    """At least 15 characters alone, 8 beside a second factor (NIST SP 800-63B-4, 3.1.1.2)."""
    assert ("password_too_short" in codes(password, factor=factor)) is refused


def test_lengths_are_settings() -> None:
    """Up to what the standards let a verifier ask for."""
    policy = PasswordPolicy(
        AuthenticationSettings(password_min_length=20, password_min_length_with_factor=12)
    )
    (problem,) = policy.check(GOOD[:19])
    assert (problem.code, problem.limits) == (PasswordRule.TOO_SHORT, {"min_length": 20})
    (problem,) = policy.check(GOOD[:11], has_second_factor=True)
    assert problem.limits == {"min_length": 12}


@pytest.mark.parametrize("field", ["password_min_length", "password_min_length_with_factor"])
@pytest.mark.parametrize("value", [7, 0, 65])
def test_no_setting_allows_less_than_eight(field: str, value: int) -> None:
    """NIST has no verifier below that."""
    with pytest.raises(ValueError):
        AuthenticationSettings.model_validate({field: value})


@pytest.mark.parametrize(
    ("password", "bcrypt", "argon2"),
    [
        ((GOOD + "zu")[:27] * 2 + "q7f wandelt stumm.", False, False),
        ((GOOD + " zu") * 2 + "q7f wandelt stumm.", True, False),
        (GOOD + "€" * 15 + "ab", False, False),
        (GOOD + "€" * 15 + "abc", True, False),
        (secrets.token_urlsafe(200)[:128], True, False),
        (secrets.token_urlsafe(200)[:129], True, True),
        (GOOD * 1_000_000, True, True),
    ],
    ids=["72", "74", "72-bytes", "73-bytes", "128", "129", "huge"],
)
def test_nothing_is_cut(password: str, bcrypt: bool, argon2: bool) -> None:
    """What bcrypt would not read is refused; Argon2id reads all that the policy allows."""
    assert (PasswordRule.TOO_LONG in {each.code for each in BCRYPT.check(password)}) is bcrypt
    assert (PasswordRule.TOO_LONG in {each.code for each in ARGON2.check(password)}) is argon2


def test_the_limit_that_holds_is_the_one_that_is_named() -> None:
    """Bytes with bcrypt, characters otherwise."""
    assert BCRYPT.check("x" * 73 + GOOD)[0].limits == {"max_bytes": 72}
    assert ARGON2.check("x" * 129 + GOOD)[0].limits == {"max_length": 128}


@pytest.mark.parametrize(
    "character",
    ["\0", "\t", "\n", "\x7f", "\x85", "\u2028", "\u2029", "\ud800", "\uffff", "\U000e0080"],
    ids=ascii,
)
def test_what_nobody_types_is_refused(character: str) -> None:
    """Control characters end texts in C code; unassigned ones may be read otherwise later."""
    assert codes(GOOD + character) == {"password_characters"}


@pytest.mark.parametrize(
    "password",
    [
        "basketball",
        "BASKETBALL",
        "b4sk3tb@ll",
        "p@ssw0rd1",
        "passw0rd",
        "iloveyou",
        "trustno1trustno1",
        "".join(chr(ord(letter) + 0xFEE0) for letter in "basketball"),
        "basketballbasketball",
        "passwordpassword",
        "1qaz2wsx3edc4rfv",
        "q1w2e3r4t5y6u7i8o9p0",
        "Internationalization",
        "michelle",
    ],
)
def test_what_is_guessed_first_is_refused(password: str) -> None:
    """Whatever its case, its width, its stand-ins for letters and however often it is repeated."""
    assert "password_common" in codes(password, factor=True)


def test_a_listed_word_may_be_part_of_a_password() -> None:
    """The whole password is compared (NIST SP 800-63B-4, 3.1.1.2)."""
    assert codes("basketball lantern oboe") == set()
    assert "password_common" not in codes("basketball7", factor=True)


@pytest.mark.parametrize(
    "password",
    [
        "a" * 15,
        "abcabcabcabcabcabc",
        "1234abcd",
        "abcdefghijklmnop",
        "ponmlkjihgfedcba",
        "1234567890123456789",
        "98765432109876543210",
        "qwertyuiopasdfgh",
        "QWERTZUIOPYXCVBN",
        "azertyuiopqsdfghjklm",
        "11112222333344445555",
        "aabbccddeeffgghh",
        "xy" * 32,
        "..........--------",
        "zzzzzzzzzzzzzzz!",
        "٠١٢٣٤٥٦٧٨٩٠١٢٣٤",
    ],
)
def test_runs_are_refused(password: str) -> None:
    """Repetition, the alphabet, numbers and rows of keys, in either direction."""
    assert "password_predictable" in codes(password, factor=True)


ANA = ("ana.garcia@acme.example", "Ana García", "Acme Rockets")


@pytest.mark.parametrize(
    "password",
    [
        "ana.garcia@acme.example",
        "ana.garcia12345",
        "AnaGarcia-2024!",
        "4n4g4rc14-20!24",
        "garcia garcia garcia",
        "acme-rockets-12",
        "Rockets12345678",
        "ana+password+garcia",
        "acmesunshine",
        "stockadestockade1",
    ],
)
def test_names_are_no_passwords(password: str) -> None:
    """What is known of the person, the tenant and the service does not count."""
    policy = PasswordPolicy(AuthenticationSettings(password_words=("Stockade",)))
    found = policy.check(password, context=ANA, has_second_factor=True)
    assert PasswordRule.PERSONAL in {each.code for each in found}


@pytest.mark.parametrize(
    "password", ["acme kelp lantern", "ana likes drizzle", "banana lantern kelp"]
)
def test_a_name_may_be_part_of_a_password(password: str) -> None:
    """If enough is left without it."""
    assert codes(password, *ANA) == set()


def test_short_words_are_no_context() -> None:
    """Otherwise somebody called Li could use no word with these letters."""
    assert codes("lily oboe kelp drizzle", "li", "", "@", "a.b@c.de") == set()


def test_all_problems_come_together() -> None:
    """Nobody has to try again for each of them."""
    assert codes("ana\0", *ANA) == {
        "password_too_short",
        "password_characters",
        "password_personal",
    }


@pytest.mark.parametrize("password", ["secret-of-ana" * 20, "hunter\0two", "p@ssw0rd1", "acme12"])
def test_no_problem_repeats_the_password(password: str) -> None:
    """Neither in its message nor in its representation."""
    for policy in (BCRYPT, ARGON2):
        problems = policy.check(password, context=ANA)
        assert problems
        for problem in problems:
            assert password not in repr(problem)
            assert problem.message.endswith(".")


def test_problems_can_not_be_changed() -> None:
    """They are values."""
    (problem,) = ARGON2.check("x7Qm2pLz")
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem.message = ""  # type: ignore[misc]  # The test breaks the rule on purpose.


def test_equivalent_spellings_are_judged_alike() -> None:
    """A decomposed accent is no further character, and no further byte."""
    composed = "é" * 7
    decomposed = unicodedata.normalize("NFD", composed)
    assert len(decomposed) == 14
    assert ARGON2.check(decomposed) == ARGON2.check(composed)
    edge = "ö" * 8 + "kelp lantern oboe drizzle, moss quay 4 finch rust bolt 9"
    assert len(edge.encode()) == 72
    assert BCRYPT.check(unicodedata.normalize("NFD", edge)) == []


@given(st.text(max_size=200), st.lists(st.text(max_size=60), max_size=4), st.booleans())
def test_any_text_is_judged(password: str, context: list[str], factor: bool) -> None:
    """Nothing raises, and nothing is forgotten between two calls."""
    first = ARGON2.check(password, context=context, has_second_factor=factor)
    assert first == ARGON2.check(password, context=context, has_second_factor=factor)
    if factor:
        alone = ARGON2.check(password, context=context)
        assert {each.code for each in first} <= {each.code for each in alone}


@given(st.text(st.sampled_from("abc1"), max_size=40))
def test_the_period_is_the_shortest_one(text: str) -> None:
    """As the plain definition has it."""
    slow = next(
        (
            length
            for length in range(1, len(text) // 2 + 1)
            if all(text[at] == text[at - length] for at in range(length, len(text)))
        ),
        len(text),
    )
    assert find_period(text) == slow


@given(st.text(max_size=100))
def test_no_more_surprises_than_characters(text: str) -> None:
    """And at least one in what is not empty."""
    assert (len(text) > 0) <= count_surprises(text) <= len(text)


@given(st.text(st.sampled_from("an. 4"), max_size=30), st.text(st.sampled_from("an."), max_size=9))
def test_words_are_taken_out(text: str, word: str) -> None:
    """What remains is part of what was there."""
    rest = remove_words(text, [word])
    assert rest is None or len(rest) < len(text)


@pytest.mark.parametrize("length", [15, 20])
def test_drawn_passwords_are_taken(length: int) -> None:
    """A password manager's proposals break no rule."""
    for alphabet in (string.ascii_lowercase, string.ascii_letters + string.digits):
        for _ in range(200):
            drawn = "".join(secrets.choice(alphabet) for _ in range(length))
            assert ARGON2.check(drawn) == []


def test_a_list_of_ones_own_takes_the_place() -> None:
    """Such as a longer one."""
    policy = PasswordPolicy(AuthenticationSettings(), common=CommonPasswords(b""))
    assert policy.check("internationalization") == []
