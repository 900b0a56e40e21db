"""Drive the demo over real HTTP through every step from the socket to the row."""

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from stockade.authentication import AccessTokens, Account, AuthenticationSettings
from stockade.core.identity import TenantId, UserId, UserType
from stockade.crypto import KeyRing
from tests.integration.demo_server import ANSWER_TIMEOUT, SECRET_KEY, Demo, run_demo
from tests.servers.redis import empty

MARKER = "smoke-marker-7f3a"
"""Submitted where nothing may ever repeat it."""

OVER_THE_CAP = 1_048_576 + 1
NOTE = {"title": "A title", "body": "<p>A body.</p>"}
JSON = "application/json"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("embedded"),
        pytest.param("servers", marks=[pytest.mark.postgres, pytest.mark.redis]),
    ],
)
def demo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Demo]:
    """A running demo: on SQLite and memory, and on PostgreSQL and Redis.

    Whatever the tests have done to it, nothing secret is in its output in the end.
    """
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "embedded":
        with run_demo(folder) as demo:
            yield demo
            assert_nothing_secret(demo)
        return
    redis_url: str = request.getfixturevalue("redis_server")
    empty(redis_url)
    with (
        request.getfixturevalue("postgres_server").database() as database,
        run_demo(folder, DATABASE_URL=database.dsn, REDIS_URL=redis_url) as demo,
    ):
        yield demo
        assert_nothing_secret(demo)
    empty(redis_url)


def assert_nothing_secret(demo: Demo) -> None:
    """Fail if a token, the key or something submitted is in what the process has written."""
    written = demo.everything_written()
    for secret in (MARKER, SECRET_KEY, *demo.tokens.values()):
        assert secret not in written
    log = demo.log.read_text("utf-8")
    # The demo prints its logins once, on purpose; its log never holds one.
    assert "-password" not in log
    assert "Traceback" not in log


def problem(answer: httpx2.Response, status: int) -> dict[str, object]:
    """Check that an answer is a problem of this status, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, object] = answer.json()
    assert found["status"] == status
    assert found["request_id"] == answer.headers["x-request-id"]
    return found


# --- 1. The wall ---------------------------------------------------------------------------------


def test_request_id_is_our_own(demo: Demo) -> None:
    """Each answer has a fresh request id; a client can't choose one."""
    with demo.client(**{"X-Request-Id": MARKER}) as client:
        found = {client.get("/notes").headers["x-request-id"] for _ in range(2)}
    assert len(found) == 2
    assert MARKER not in found


@pytest.mark.parametrize("path", ["/health", "/notes", "/nowhere", "/docs"])
def test_security_headers_are_on_every_answer(demo: Demo, path: str) -> None:
    """Whatever the status, the headers are there, and the server does not name itself."""
    with demo.client() as client:
        headers = client.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


def test_unknown_path_is_a_problem(demo: Demo) -> None:
    """A path without a route is answered 404, and the path is not repeated."""
    with demo.client() as client:
        answer = client.get(f"/nowhere/{MARKER}")
    problem(answer, 404)
    assert MARKER not in answer.text


# --- 2. Host and client address ------------------------------------------------------------------


def test_forged_host_is_refused(demo: Demo) -> None:
    """A request for another host is refused before anything else, a public route's too."""
    with demo.client(Host="evil.example") as client:
        assert problem(client.get("/health"), 400)["code"] == "bad_host"


def test_forged_address_does_not_choose_the_bucket(demo: Demo) -> None:
    """Headers that name another client each time don't get around a limit by address."""
    statuses = []
    with demo.client() as client:
        for number in range(70):
            forged = f"198.51.100.{number}"
            headers = {
                "X-Forwarded-For": forged,
                "Forwarded": f"for={forged}",
                "X-Real-IP": forged,
                "X-Client-IP": forged,
            }
            statuses.append(client.get("/health", headers=headers).status_code)
    assert statuses[0] == 200
    assert statuses[-1] == 429


# --- 3. The body ---------------------------------------------------------------------------------


def test_chunked_body_over_the_cap_is_refused(demo: Demo) -> None:
    """A body without a length is counted as it comes, and cut off."""
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = demo.send(
        "POST /notes",
        *[chunk] * (OVER_THE_CAP // 0x10000 + 1),
        b"0\r\n\r\n",
        Authorization=f"Bearer {demo.token('acme-member')}",
        Content_Type=JSON,
        Transfer_Encoding="chunked",
    )
    assert answer.status == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert demo.events(answer.headers["x-request-id"])[0]["event"] == "validation.body_too_large"


def test_announced_body_over_the_cap_is_refused_unread(demo: Demo) -> None:
    """A length over the cap is refused at once, before a byte of the body has come."""
    answer = demo.send(
        "POST /notes",
        Authorization=f"Bearer {demo.token('acme-member')}",
        Content_Type=JSON,
        Content_Length=str(OVER_THE_CAP),
    )
    assert answer.status == 413


def test_understated_length_does_not_let_more_in(demo: Demo) -> None:
    """A body that is longer than announced ends where it was announced to."""
    answer = demo.send(
        "POST /notes",
        json.dumps({**NOTE, "title": MARKER}).encode(),
        Authorization=f"Bearer {demo.token('acme-member')}",
        Content_Type=JSON,
        Content_Length="10",
        Connection="close",
    )
    assert answer.status == 422
    assert MARKER.encode() not in answer.body


@pytest.mark.parametrize("length", ["-1", "1e3", "10, 11"])
def test_malformed_length_is_refused(demo: Demo, length: str) -> None:
    """A length that is no number is refused, by the server or by us."""
    assert demo.send("POST /auth/token", Content_Length=length, Connection="close").status == 400


# --- 6. Authentication ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head", ["POST /notes", "PUT /notes/acme-welcome", "POST /companies/admin-endpoint"]
)
def test_nobody_is_refused_before_the_body(demo: Demo, head: str) -> None:
    """The answer to an unknown caller comes although the announced body never does."""
    answer = demo.send(head, Content_Type=JSON, Content_Length="1000000")
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def encode(part: dict[str, object]) -> str:
    """Encode a part of a token."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def issue(secret: str, moment: datetime) -> str:
    """Issue a token for a real account, as a holder of this secret would at that moment."""

    class Then:
        def now(self) -> datetime:
            return moment

        def monotonic(self) -> float:
            return 0.0

    account = Account(
        user_id=UserId("acme-owner"),
        email="owner@acme.example",
        user_type=UserType.USER,
        password_hash="",
        active=True,
        token_epoch=0,
        tenant_id=TenantId("acme"),
        roles=frozenset({"owner"}),
    )
    tokens = AccessTokens(KeyRing([secret]), AuthenticationSettings(), clock=Then())
    return tokens.issue(account).value


def forge(kind: str, genuine: str) -> str:
    """Make a token that must not hold, from one that does."""
    header, claims, signature = genuine.split(".")
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=="))
    return {
        "unsigned": f"{encode({'alg': 'none', 'typ': 'at+jwt'})}.{claims}.",
        "none": f"{encode({'alg': 'none', 'typ': 'at+jwt'})}.{claims}.{signature}",
        "altered": f"{header}.{encode({**decoded, 'active_tenant_id': 'globex'})}.{signature}",
        "other key": issue("another secret of someone else, 4c81d7", datetime.now(UTC)),
        "expired": issue(SECRET_KEY, datetime(2020, 1, 1, tzinfo=UTC)),
        "future": issue(SECRET_KEY, datetime(2100, 1, 1, tzinfo=UTC)),
        "garbage": MARKER,
    }[kind]


@pytest.mark.parametrize(
    "kind", ["unsigned", "none", "altered", "other key", "expired", "future", "garbage"]
)
def test_forged_token_is_refused(demo: Demo, kind: str) -> None:
    """A token that does not hold is worth nothing, and the log says so without the token."""
    token = forge(kind, demo.token("acme-member"))
    with demo.client(Authorization=f"Bearer {token}") as client:
        answer = client.get("/notes")
    problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert token not in demo.everything_written()


def test_token_of_the_right_key_holds(demo: Demo) -> None:
    """What makes the forged tokens fail is what was forged: the same token unforged passes."""
    token = issue(SECRET_KEY, datetime.now(UTC))
    with demo.client(Authorization=f"Bearer {token}") as client:
        assert client.get("/auth/me").json()["user_id"] == "acme-owner"


def test_sign_in_tells_nothing_about_accounts(demo: Demo) -> None:
    """A wrong password and an unknown account get the same answer."""
    with demo.client() as client:
        answers = [
            client.post("/auth/token", data={"username": name, "password": MARKER})
            for name in ("member@acme.example", f"{MARKER}@acme.example")
        ]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].content == answers[1].content
    reasons = {demo.events(answer.headers["x-request-id"])[0]["reason"] for answer in answers}
    assert reasons == {"authentication.wrong_password", "authentication.unknown_account"}


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_documentation_asks_for_its_credentials(demo: Demo, path: str) -> None:
    """The API documentation is closed without its credentials, and open with them."""
    with demo.client() as client:
        closed = client.get(path)
        problem(closed, 401)
        assert closed.headers["www-authenticate"].startswith("Basic ")
        assert client.get(path, auth=("docs", MARKER)).status_code == 401
        assert client.get(path, auth=("docs", "docs-of-the-demo")).status_code == 200


# --- 5 and 7. Limits -----------------------------------------------------------------------------


def test_used_up_limit_is_told(demo: Demo) -> None:
    """The sixth export is refused with the time to wait; another caller is not affected."""
    with demo.client("globex-admin") as client:
        answers = [client.get("/notes/export") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    problem(answers[-1], 429)
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 12
    assert 'user:5/60s";r=0' in answers[-1].headers["ratelimit"]
    assert '"user:5/60s";q=5;w=60' in answers[-1].headers["ratelimit-policy"]
    with demo.client("globex-member") as client:
        assert client.get("/notes/export").status_code == 200


# --- 8. Roles and tenants ------------------------------------------------------------------------


def test_member_is_no_admin(demo: Demo) -> None:
    """A role that is missing is refused before the body; the role that is asked for passes."""
    answer = demo.send(
        "POST /companies/departments",
        Authorization=f"Bearer {demo.token('acme-member')}",
        Content_Type=JSON,
        Content_Length="1000",
    )
    assert answer.status == 403
    with demo.client("acme-admin") as client:
        members = client.post("/companies/admin-endpoint").json()
    assert {member["user_id"] for member in members} == {"acme-owner", "acme-admin", "acme-member"}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_note_of_another_company_is_not_there(demo: Demo, method: str) -> None:
    """An admin of one company gets 404 for the other's note, as for one that does not exist."""
    body = NOTE if method == "PUT" else None
    with demo.client("acme-admin") as client:
        foreign = client.request(method, "/notes/globex-welcome", json=body)
        missing = client.request(method, "/notes/no-such-note", json=body)
    ours, theirs = problem(foreign, 404), problem(missing, 404)
    assert {**ours, "request_id": None} == {**theirs, "request_id": None}
    with demo.client("globex-member") as client:
        assert "Only <em>Globex</em>" in client.get("/notes/globex-welcome").json()["body"]


def test_lists_hold_the_own_company_alone(demo: Demo) -> None:
    """What one company writes is in its own list, and in no list of the other."""
    with demo.client("acme-member") as acme, demo.client("globex-member") as globex:
        note = acme.post("/notes", json={**NOTE, "title": "For Acme's eyes"}).json()["id"]
        own, other = acme.get("/notes?limit=100").json(), globex.get("/notes?limit=100").json()
    assert note in {item["id"] for item in own["items"]}
    assert note not in {item["id"] for item in other["items"]}
    assert other["total"] == len(other["items"])


def test_author_and_admin_may_change_a_note(demo: Demo) -> None:
    """A member changes and shows its own note, and not those of others; an admin deletes it."""
    with demo.client("acme-member") as member, demo.client("acme-admin") as admin:
        path = "/notes/" + member.post("/notes", json=NOTE).json()["id"]
        assert member.put(path, json={**NOTE, "title": "New"}).json()["title"] == "New"
        assert member.get(path).json()["title"] == "New"
        assert member.put("/notes/acme-welcome", json=NOTE).status_code == 403
        assert member.delete(path).status_code == 403
        assert admin.delete(path).status_code == 204
        assert member.get(path).status_code == 404


def test_super_admin_has_no_company(demo: Demo) -> None:
    """The account above companies lists them, reads no company's notes; nobody else lists them."""
    form = {"username": "super-admin@example.com", "password": "super-admin-password"}
    with demo.client() as client:
        token = client.post("/auth/token", data=form).json()["access_token"]
    with demo.client(Authorization=f"Bearer {token}") as client:
        assert [company["id"] for company in client.get("/companies").json()] == ["acme", "globex"]
        problem(client.get("/notes"), 403)
    with demo.client("acme-owner") as client:
        problem(client.get("/companies"), 403)


# --- 9. Schemas ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"title": MARKER, "body": 5},
        {"title": MARKER * 100, "body": ""},
        {"title": f"{MARKER}\n", "body": ""},
        {**NOTE, MARKER: MARKER},
        {**NOTE, "title": {"nested": [MARKER]}},
        [MARKER],
        MARKER,
    ],
    ids=["type", "length", "line break", "unknown field", "nested", "list", "text"],
)
def test_invalid_body_is_not_repeated(demo: Demo, body: object) -> None:
    """422 says where and which rule; nothing that was submitted is in it."""
    with demo.client("acme-member") as client:
        answer = client.post("/notes", json=body)
    assert problem(answer, 422)["errors"]
    assert MARKER not in answer.text


@pytest.mark.parametrize(
    "path",
    [f"/notes?limit={MARKER}", "/notes?limit=0", "/notes?offset=-1", f"/notes/{MARKER}'%20or%201"],
)
def test_invalid_parameter_is_not_repeated(demo: Demo, path: str) -> None:
    """Identifiers and numbers that don't fit are refused, and not altered until they do."""
    with demo.client("acme-member") as client:
        answer = client.get(path)
    problem(answer, 422)
    assert MARKER not in answer.text


def test_script_is_not_stored(demo: Demo) -> None:
    """A script in rich text is gone when it is read; plain text stays as it was written."""
    title = "<script>alert(1)</script> & <b>"
    body = '<p onclick="x()">Hi<script>alert(1)</script><a href="javascript:x()">there</a></p>'
    with demo.client("acme-member") as client:
        written = client.post("/notes", json={"title": title, "body": body})
        assert written.status_code == 201
        read = client.get("/notes/" + written.json()["id"]).json()
    assert read["title"] == title
    assert not re.search("script|onclick", read["body"])
    assert "Hi" in read["body"]


# --- Websockets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, f"Bearer {MARKER}"], ids=["none", "forged"])
def test_websocket_without_a_token_is_refused(demo: Demo, header: str | None) -> None:
    """The handshake is answered 401, so no websocket ever opens."""
    headers = {} if header is None else {"Authorization": header}
    with pytest.raises(InvalidStatus) as refused, connect(live(demo), additional_headers=headers):
        pass
    assert refused.value.response.status_code == 401
    request_id = refused.value.response.headers["x-request-id"]
    assert demo.events(request_id)[0]["event"] == "authentication.refused"


def test_websocket_tells_the_own_company_alone(demo: Demo) -> None:
    """A listener hears of its company's notes, and neither of others nor of private ones."""
    headers = {"Authorization": f"Bearer {demo.token('globex-member')}"}
    with (
        connect(live(demo), additional_headers=headers, open_timeout=ANSWER_TIMEOUT) as socket,
        demo.client("acme-member") as acme,
        demo.client("globex-member") as globex,
    ):
        socket.send("nothing is asked of the client")
        socket.send(b"of whatever kind")
        acme.post("/notes", json={**NOTE, "title": "For Acme"})
        globex.post("/notes", json={**NOTE, "title": "For nobody", "private": True})
        globex.post("/notes", json={**NOTE, "title": "For Globex"})
        assert json.loads(socket.recv(ANSWER_TIMEOUT))["title"] == "For Globex"


def live(demo: Demo) -> str:
    """Return the address of the websocket."""
    return f"ws://127.0.0.1:{demo.port}/notes/live"


# --- 11. Events ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_line", "who", "event", "reason"),
    [
        ("GET /notes", None, "authentication.refused", "authentication.no_credentials"),
        ("GET /docs", None, "api_docs.refused", "api_docs.credentials_missing"),
        (
            "POST /companies/admin-endpoint",
            "acme-member",
            "authorization.refused",
            "authorization.role_missing",
        ),
        ("GET /companies", "acme-member", "authorization.refused", "authorization.not_super_admin"),
        ("POST /notes", "acme-member", "validation.refused", "missing"),
        ("PATCH /notes", "acme-member", "web.request_refused", "http_405"),
    ],
)
def test_refusal_is_logged(
    demo: Demo, request_line: str, who: str | None, event: str, reason: str
) -> None:
    """Each refusal is in the log, under the request id that its answer carries."""
    method, path = request_line.split()
    with demo.client(who) as client:
        answer = client.request(method, path)
    assert answer.status_code >= 400
    [found] = demo.events(answer.headers["x-request-id"])
    assert (found["event"], found["reason"], found["client"]) == (event, reason, "127.0.0.1")


# --- What the demo prints ------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_printed_lines_work_when_pasted(demo: Demo) -> None:
    """The lines show what they announce, and 429 in the end."""
    printed = demo.out.read_text("utf-8")
    script = printed[printed.index("# Sign in") : printed.index("Every refusal")]
    assert all("'" not in line for line in script.splitlines() if line.startswith("#"))
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    announced = re.findall(r"^# (\d{3}):", script, re.MULTILINE)
    assert announced[:4] == ["200", "401", "403", "404"]
    assert announced[-1] == "429"
    assert re.findall(r"^HTTP/1.1 (\d{3})", ran.stdout, re.MULTILINE) == announced[:-1]
    assert ran.stdout.splitlines()[-6:] == ["200"] * 5 + ["429"]
    # What each line is there to show, in the order in which they stand.
    answers = [part for part in ran.stdout.split("HTTP/1.1 ") if '"lead"' in part]
    assert [('"budget"' in part) for part in answers] == [False, True, False]
    log = demo.log.read_text("utf-8")
    for event in ("tenancy.crossed", "authorization.impersonated"):
        (line,) = (line for line in log.splitlines() if f'"event": "{event}"' in line)
        assert json.loads(line)["details"]["why"] == "support ticket SUP-17"
        assert json.loads(line)["user_id"] == "super-admin"
