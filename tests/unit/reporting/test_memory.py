from stockade.core.mail import Message
from stockade.reporting import MemoryMailer


async def test_mails_are_kept_in_their_order() -> None:
    """A test finds what was sent."""
    mailer = MemoryMailer()
    sent = [Message(to="ana@example.com", subject=word, text="") for word in ("one", "two")]
    for message in sent:
        await mailer.send(message)
    assert mailer.sent == sent
