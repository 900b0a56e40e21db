"""Accounts that were moved from other programs sign in, and have hashes of our own afterwards."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from stockade import Settings, Stockade
from stockade.core import UserId
from stockade.events import MemorySink
from stockade.storage.sql import NewAccount, create_account, make_engine, upgrade_schema
from stockade.storage.sql.models import User

pytest.importorskip("argon2")

FILE = Path(__file__).resolve().parents[1] / "vectors" / "passwords" / "hashes.json"
# bcrypt, which is what they move to, reads no more than 72 bytes and no NUL.
VECTORS: list[dict[str, str]] = [
    vector
    for vector in json.loads(FILE.read_text(encoding="utf-8"))
    if len(vector["password"]) < 70 and "\0" not in vector["password"]
]
KEY = "Zx7vT1qXy8RkW0bJd7NsLc2GhPfA5uEe9iCoQmV4"


async def move_in(url: str) -> None:
    """Make an account for each hash, and one whose hash nobody reads."""
    engine = make_engine(url)
    await upgrade_schema(engine)
    stored = [vector["hash"] for vector in VECTORS]
    async with engine.begin() as connection:
        for number, password_hash in enumerate([*stored, "$6$salt$" + "." * 86]):
            account = NewAccount(
                email=f"user{number}@example.com",
                password_hash=password_hash,
                user_id=UserId(f"user{number}"),
            )
            await create_account(connection, account)
    await engine.dispose()


async def read_hashes(url: str) -> dict[str, str]:
    """Return the hash of each account."""
    engine = make_engine(url)
    async with engine.connect() as connection:
        rows = (await connection.execute(select(User.id, User.password_hash))).all()
    await engine.dispose()
    return {row.id: row.password_hash for row in rows}


def sign_in(url: str, sink: MemorySink, **settings: Any) -> list[int]:  # noqa: ANN401 - any setting
    """Start an application, sign everybody in, and return the statuses."""
    stockade = Stockade(
        Settings(
            environment="test",
            database_url=url,
            authentication={"bcrypt_cost": 4, **settings},
        ),
        sinks=[sink],
    )
    app = FastAPI()
    stockade.install(app)
    app.include_router(stockade.auth_router)
    passwords = [*(vector["password"] for vector in VECTORS), "anything"]
    with TestClient(app) as client:
        return [
            client.post(
                "/auth/token", data={"username": f"user{number}@example.com", "password": password}
            ).status_code
            for number, password in enumerate(passwords)
        ]


@pytest.mark.parametrize(
    ("beginning", "settings"),
    [
        ("$2b$04$", {}),
        ("$argon2id$v=19$m=7168,t=1,p=1$", {"password_hash": "argon2id"}),
        ("$pepper$", {"password_pepper": True}),
    ],
    ids=["bcrypt", "argon2id", "pepper"],
)
def test_everybody_signs_in_twice(tmp_path: Path, beginning: str, settings: dict[str, Any]) -> None:
    """The first time by the hash that was brought along, the second time by one of our own."""
    url = f"sqlite:///{tmp_path / 'app.db'}"
    asyncio.run(move_in(url))
    sink = MemorySink()
    # What the keys and Argon2 need is set in all cases: only what is new depends on the choice.
    given = {"password_pepper_keys": [KEY], "argon2_memory": 7_168, "argon2_time": 1, **settings}
    expected = [200] * len(VECTORS) + [400]
    assert sign_in(url, sink, **given) == expected
    stored = asyncio.run(read_hashes(url))
    unread = stored.pop(f"user{len(VECTORS)}")
    assert unread.startswith("$6$")
    assert all(hashed.startswith(beginning) for hashed in stored.values())
    assert sign_in(url, sink, **given) == expected
    assert asyncio.run(read_hashes(url)) == {**stored, f"user{len(VECTORS)}": unread}
    failed = [event.reason for event in sink if event.name == "authentication.login_failed"]
    assert failed == ["authentication.unreadable_hash"] * 2
