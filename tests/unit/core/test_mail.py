import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockade.core.mail import InvalidMessageError, Message, is_address

GOOD = {"to": "ana@example.com", "subject": "A new password", "text": "Hello\n\nBye\n"}


@pytest.mark.parametrize(
    "address",
    [
        "ana@example.com",
        "ana.maria+tag@mail.example.co.uk",
        "o'brien@example.com",
        "root@localhost",
        "a@b",
        f"{'a' * 64}@example.com",
        "ana@xn--bcher-kva.example",
    ],
)
def test_a_plain_address_is_taken(address: str) -> None:
    """Mail servers of today deliver to it."""
    assert is_address(address)
    assert Message(**{**GOOD, "to": address}).to == address


REFUSED_ADDRESSES = [
    "",
    "ana",
    "@example.com",
    "ana@",
    "ana@@example.com",
    "ana@example.com, eve@example.com",
    "ana@example.com,eve@example.com",
    "ana@example.com;eve@example.com",
    "ana@example.com eve@example.com",
    "Ana <ana@example.com>",
    "<ana@example.com>",
    '"ana eve"@example.com',
    '"ana@example.com, eve"@example.com',
    "ana(eve)@example.com",
    "ana@example.com\r\nBcc: eve@example.com",
    "ana@example.com\nBcc: eve@example.com",
    "ana@example.com\n",
    "ana\r@example.com",
    "ana\0@example.com",
    "ana\u2028@example.com",
    "ana@example.com\u0085",
    "\u0430na@example.com",
    "ana@ex\u0430mple.com",
    "ana@ex\uff41mple.com",
    "ana@[127.0.0.1]",
    "ana@-example.com",
    "ana@example..com",
    ".ana@example.com",
    "ana.@example.com",
    "ana%eve.com@[x]",
    "ana@example.com:25",
    f"{'a' * 250}@example.com",
]


@pytest.mark.parametrize("address", REFUSED_ADDRESSES, ids=ascii)
def test_another_address_is_refused(address: str) -> None:
    """No second recipient and no header hides in it; the error does not repeat it."""
    assert not is_address(address)
    with pytest.raises(InvalidMessageError) as caught:
        Message(**{**GOOD, "to": address})
    assert len(address) < 5 or address not in str(caught.value)


@pytest.mark.parametrize(
    "subject",
    ["", "a\r\nBcc: eve@example.com", "a\nb", "a\rb", "a\0b", "a\u2028b", "a\x85b", "x" * 151],
    ids=ascii,
)
def test_a_subject_is_one_line(subject: str) -> None:
    """A line break would begin a header of its own."""
    with pytest.raises(InvalidMessageError):
        Message(**{**GOOD, "subject": subject})


@pytest.mark.parametrize(
    "text", ["a\r\n.\r\nQUIT", "a\rb", "a\0", "\x1b[2J", "x" * 20_001], ids=len
)
def test_a_text_is_plain(text: str) -> None:
    """Carriage returns, control characters and floods are refused."""
    with pytest.raises(InvalidMessageError):
        Message(**{**GOOD, "text": text})


def test_nobody_sees_recipient_and_text_by_accident() -> None:
    """A log of the message holds neither: the text may hold a link."""
    shown = repr(Message(**{**GOOD, "text": "secret"}))
    assert "ana@" not in shown
    assert "secret" not in shown


@given(st.text(), st.text(), st.text())
def test_any_text_is_taken_or_refused(to: str, subject: str, text: str) -> None:
    """Nothing but the declared error comes out."""
    try:
        message = Message(to=to, subject=subject, text=text)
    except InvalidMessageError:
        return
    assert "\n" not in message.to + message.subject
