import email
import stat
from email.policy import default
from pathlib import Path

import pytest

from stockade.core.mail import MailError, Message
from stockade.reporting import FileMailer
from tests.clock import FrozenClock

MESSAGE = Message(to="ana@example.com", subject="../../etc/passwd", text="Hello\n")


async def test_each_mail_is_a_file(tmp_path: Path) -> None:
    """Its owner alone can read it, and its name is not of the mail."""
    folder = tmp_path / "a" / "demo-mail"
    mailer = FileMailer(folder, sender="Acme <a@example.com>", clock=FrozenClock())
    for _ in range(3):
        await mailer.send(MESSAGE)
    files = sorted(folder.iterdir())
    assert len(files) == 3
    assert {file.suffix for file in files} == {".eml"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    read = email.message_from_bytes(files[0].read_bytes(), policy=default)
    assert (read["To"], read["Subject"]) == (MESSAGE.to, MESSAGE.subject)
    assert read.get_content().replace("\r\n", "\n") == MESSAGE.text


async def test_a_folder_that_can_not_be_made_is_said(tmp_path: Path) -> None:
    """It is an error of the mailer, without the recipient."""
    (tmp_path / "file").write_text("")
    mailer = FileMailer(tmp_path / "file", sender="a@example.com")
    with pytest.raises(MailError) as caught:
        await mailer.send(MESSAGE)
    assert MESSAGE.to not in str(caught.value)
