# ruff: noqa: RUF001 - Names of all scripts are what is tested.
"""Names of people come in all scripts; what only looks like a name is refused."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from stockade.validation import PersonName

NAMES = TypeAdapter(PersonName)


@pytest.mark.parametrize(
    "value",
    [
        "Ada Lovelace",
        "X",
        "O'Brien",
        "O\u2019Brien-Smith",
        "'t Hooft",
        "\u2019s-Gravesande",
        "J. R. R. Tolkien",
        "Martin Luther King Jr.",
        "Jean\u2011Luc",
        "Gal\u00b7la",
        "José Núñez",
        unicodedata.normalize("NFD", "José Núñez"),
        "Nguyễn Văn Đạt",
        # As the Vietnamese keyboard of Windows writes it, which is neither NFC nor NFD.
        "Nguy\u00ea\u0303n",
        # As Bengali keyboards write it, which is not NFC.
        "\u09b0\u09be\u09df",
        "\u02bbAkahi Ka\u02bbeo",
        "Søren Kierkegaard",
        "Þórr Guðmundsson",
        "Дмитрий Иванович",
        "Ελένη Παπαδοπούλου",
        "मोहन कुमार",
        "பாலாஜி",
        "ស៊ីសុវត្ថិ",
        "ကျော်စွာ",
        "ศรีสุดา",
        "བསྟན་འཛིན་",
        "محمد عبد\u200cالله",
        "علی\u200cرضا",
        # Chillu letters as older Malayalam keyboards write them, with a joiner at the end.
        "\u0d30\u0d3e\u0d1c\u0d28\u0d4d\u200d",
        "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
        "\u09b0\u200d\u09cd\u09af\u09be",
        "צ\u05f3רלי",
        "שָׁלוֹם",
        "山田\u3000太郎",
        "アンナ\u30fbマリー",
        "ｱﾝﾅ\uff65ﾏﾘｰ",
        "佐々木",
        "\u9089\U000e0100",
        "김민준",
        unicodedata.normalize("NFD", "김민준"),
        "ᠴᠢᠩᠭᠢᠰ",
        "x" * 100,
    ],
)
def test_names_are_accepted_as_they_are(value: str) -> None:
    """A name comes back as it was sent, composed or not."""
    assert NAMES.validate_python(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "...",
        "-",
        "'",
        " Ada",
        "Ada ",
        "\u3000Ada",
        "-Ada",
        "Ada-",
        "Ada----Lovelace",
        "Ada    Lovelace",
        "12345",
        "Ada 2",
        "\u0661\u0662",
        "\u2460",
        "Ada\nLovelace",
        "Ada\n",
        "Ada\tLovelace",
        "Ada\0",
        "Ada\x1b[31m",
        "Ada\x85",
        "Ada\u2028Lovelace",
        "Ada\u00a0Lovelace",
        "\u202eecalevoL",
        "Ada\u2066x\u2069",
        "Ada\u200e",
        "Ada\u200bLovelace",
        "Ada\u2060Lovelace",
        "Ad\u00ada",
        "\ufeffAda",
        # Joiners do nothing between Latin letters but make two names differ.
        "Ad\u200ca",
        "Ada\u200d",
        "علی\u200c\u200cرضا",
        "\u200cعلی",
        # Letters and marks that nobody sees.
        "\u3164",
        "\u115f\u1160",
        "\uffa0",
        "a\u034fb",
        "Ada\ufe0f",
        "ក\u17b4",
        "Ada\U000e0100",
        "\u2800",
        # Marks that pile up, that enclose, or that stand alone.
        "Z" + "\u0351" * 5 + "algo",
        "a\u20dd",
        "\u0301Ada",
        "Ada \u0301",
        "𝓐𝓭𝓪",
        "🅰da",
        "Ada 👩",
        "<b>Ada</b>",
        "Ada & Bob",
        "Ada; DROP TABLE users",
        "=cmd|' /C calc'!A0",
        "@Ada",
        "http://a.example/",
        "{{7*7}}",
        "${jndi:ldap://a}",
        "Ada\ue000",
        "Ada\uffff",
        "x" * 101,
    ],
    ids=ascii,
)
def test_what_is_no_name_is_refused(value: str) -> None:
    """Controls, symbols, digits, hidden characters and piles of marks are no name."""
    with pytest.raises(ValidationError) as caught:
        NAMES.validate_python(value)
    (error,) = caught.value.errors()
    assert error["type"] in {
        "string_pattern_mismatch",
        "string_too_long",
        "string_too_short",
    }


def test_a_lone_surrogate_is_no_name() -> None:
    """It is no character at all."""
    with pytest.raises(ValidationError):
        NAMES.validate_python("Ada\ud800")


def test_marks_are_counted_per_letter() -> None:
    """Four marks are the most that a letter of some language needs."""
    NAMES.validate_python("a\u0301\u0302\u0303\u0323" * 20)
    with pytest.raises(ValidationError):
        NAMES.validate_python("a\u0301\u0302\u0303\u0323\u0304")


def test_a_long_value_takes_no_long_time() -> None:
    """The pattern does not backtrack: the worst text of the greatest length is one pass."""
    with pytest.raises(ValidationError):
        TypeAdapter(PersonName).validate_python("a\u0301-" * 33 + "!")


@given(
    st.text(
        alphabet=st.characters(categories=["L", "Mn", "Mc", "Cf", "Zs", "Pd", "Nd", "Po"]),
        max_size=12,
    )
)
def test_a_name_has_a_visible_letter_and_no_format_character(value: str) -> None:
    """Whatever is accepted has a letter, no digit, and no invisible character but joiners."""
    try:
        accepted = NAMES.validate_python(value)
    except ValidationError:
        return
    assert accepted == value
    assert any(unicodedata.category(each).startswith("L") for each in accepted)
    assert not any(each.isdigit() for each in accepted)
    formats = {each for each in accepted if unicodedata.category(each) == "Cf"}
    assert formats <= {"\u200c", "\u200d"}
