"""Expect the dashboard to show what there is to whom it is for, and to nobody else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib import resources

import httpx2
import pytest
from fastapi import FastAPI
from jinja2 import FileSystemLoader
from starlette.applications import Starlette
from starlette.routing import Mount

from stockade import Stockade
from stockade.dashboard.pages.bans import name_subject
from stockade.dashboard.rendering import CONTENT_SECURITY_POLICY, make_environment
from stockade.errors import ConfigurationError, StoreError
from stockade.gate.requests import RouteExcuse
from stockade.rate_limiting.refusals import Outcome
from stockade.sanitization.jinja import check_jinja2
from stockade.storage.memory.accounts import MemoryAccountStore
from stockade.tenancy.raw_places import RawExcuse
from tests.unit.dashboard.helpers import (
    HOSTILE,
    PASSWORD,
    ROOT,
    Site,
    make_settings,
    make_site,
)

PAGES = ("/ops", "/ops/limits", "/ops/bans", "/ops/explain")
ACTIONS = (
    ("/ops/bans", {"subject": "ip:192.0.2.7", "minutes": "5", "why": "a scan"}),
    ("/ops/bans/lift", {"subject": "ip:192.0.2.7"}),
    ("/ops/explain", {"email": "admin@acme.example", "route": "GET /notes"}),
)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """An application that has started."""
    made = make_site()
    await made.stockade.start()
    yield made
    await made.stockade.stop()


@pytest.mark.parametrize("path", PAGES)
async def test_pages_are_for_super_administrators(site: Site, path: str) -> None:
    """Anybody else gets the status of the gate, and the sign-in or a page that says why."""
    async with site.browser() as root:
        assert (await root.get(path)).status_code == 200
    async with site.browser(None) as nobody:
        answer = await nobody.get(path)
        assert answer.status_code == 401
        assert 'name="password"' in answer.text
    for role in ("admin", "owner", "member"):
        async with site.browser(f"{role}@acme.example") as other:
            answer = await other.get(path)
            assert answer.status_code == 403
            assert "Not for this account" in answer.text
            # Nothing of the pages, not even their names.
            assert "/ops/limits" not in answer.text


@pytest.mark.parametrize(("path", "form"), ACTIONS, ids=[path for path, _ in ACTIONS])
async def test_actions_are_for_super_administrators(
    site: Site, path: str, form: dict[str, str]
) -> None:
    """Nobody else does anything, and no other site makes a super administrator do it."""
    async with site.browser(None) as nobody:
        assert (await nobody.post(path, data=form)).status_code == 401
    for role in ("admin", "owner", "member"):
        async with site.browser(f"{role}@acme.example") as other:
            assert (await other.post(path, data=form)).status_code == 403
    async with site.browser() as root:
        for headers in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "", "Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "", "Origin": "null"},
        ):
            answer = await root.post(path, data=form, headers=headers)
            assert answer.status_code == 403
    assert "rate_limiting.ban_started" not in site.names()


async def test_answers_have_their_headers(site: Site) -> None:
    """Every page, also of a refusal, runs nothing, is framed by nobody and is kept by nobody."""
    async with site.browser() as root, site.browser(None) as nobody:
        answers = [await root.get(path) for path in (*PAGES, "/ops/nothing")]
        answers += [await nobody.get(path) for path in (*PAGES, "/ops/sign-in")]
        answers.append(await nobody.post("/ops/sign-in", data={}))
        for answer in answers:
            assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert int(answer.headers["content-length"]) == len(answer.content)
            for forbidden in ("<script", "style=", "javascript:", "onclick", "<img", "http://"):
                assert forbidden not in answer.text.replace("&lt;script", "")
        assert [answer.status_code for answer in answers] == [200] * 4 + [404] + [401] * 4 + [
            200,
            422,
        ]


async def test_the_style_sheet_is_for_all(site: Site) -> None:
    """The sign-in page needs it as well; its name changes with its content."""
    async with site.browser(None) as nobody:
        page = (await nobody.get("/ops/sign-in")).text
        url = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
        answer = await nobody.get(url)
        assert (answer.status_code, answer.headers["content-type"]) == (
            200,
            "text/css; charset=utf-8",
        )
        assert "immutable" in answer.headers["cache-control"]


async def test_somebody_is_banned_and_free_again(site: Site) -> None:
    """The ban holds at once, the events say who did it and why, and lifting it ends it."""
    async with site.browser() as root:
        form = {"subject": " IP:2001:db8::7 ", "minutes": "5", "why": "a scan"}
        answer = await root.post("/ops/bans", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/ops/bans?done=added")
        page = (await root.get("/ops/bans?done=added")).text
        assert "The ban holds" in page
        assert "ip:2001:db8::/64" in page
        assert "5 min" in page
        for expected in ("lifted", "gone"):
            answer = await root.post("/ops/bans/lift", data={"subject": "ip:2001:db8::/64"})
            assert answer.headers["location"] == f"/ops/bans?done={expected}"
        assert "Nobody is banned." in (await root.get("/ops/bans")).text
    found = [event for event in site.sink if "ban_" in event.name]
    assert [(e.name, e.user_id, e.details["subject"]) for e in found] == [
        ("rate_limiting.ban_started", "root", "ip:2001:db8::/64"),
        ("rate_limiting.ban_lifted", "root", "ip:2001:db8::/64"),
    ]
    assert found[0].details["why"] == "a scan"


async def test_a_ban_by_hand_bites(site: Site) -> None:
    """Whoever is banned by the page is refused by the next request."""
    async with site.browser() as root:
        form = {"subject": "user:member", "minutes": "5", "why": "a scan"}
        async with site.browser("member@acme.example") as member:
            assert (await member.get("/notes")).status_code == 403
            assert (await root.post("/ops/bans", data=form)).status_code == 303
            assert (await member.get("/notes")).status_code == 429
            await root.post("/ops/bans/lift", data={"subject": "user:member"})
            assert (await member.get("/notes")).status_code == 403


@pytest.mark.parametrize(
    "subject",
    ["", "x", "ip:", "ip:0.0.0.0/0", "ip:::/0", "ip:127.0.0.1", "key:7", "ip:localhost", "user:"],
)
async def test_not_everybody_is_banned(site: Site, subject: str) -> None:
    """Networks, this machine and what is nobody are refused, and what was typed stays."""
    async with site.browser() as root:
        form = {"subject": subject, "minutes": "5", "why": f"why {HOSTILE}"}
        answer = await root.post("/ops/bans", data=form)
        assert answer.status_code == 422
        assert "<script" not in answer.text
        if subject:
            assert "are never banned" in answer.text
            assert f'value="{subject}"' in answer.text
        assert "rate_limiting.ban_started" not in site.names()


@pytest.mark.parametrize("subject", ["user:root", "ip:192.0.2.1"])
async def test_nobody_shuts_himself_out(site: Site, subject: str) -> None:
    """A super administrator bans neither the own account nor the own address."""
    async with site.browser() as root:
        form = {"subject": subject, "minutes": "5", "why": "a slip"}
        answer = await root.post("/ops/bans", data=form)
        assert (answer.status_code, "That is you" in answer.text) == (422, True)
        assert (await root.get("/ops/bans")).status_code == 200


async def test_an_action_needs_a_fresh_sign_in() -> None:
    """An old session reads, and has to sign in again before it changes anything."""
    site = make_site(dashboard={"path": "/ops", "fresh": timedelta(minutes=1)})
    await site.stockade.start()
    async with site.browser() as root:
        sessions = site.stockade._sign_in.sessions
        (session,) = sessions._sessions.values()  # type: ignore[attr-defined]  # it is in memory
        old = session.session.authenticated_at - timedelta(minutes=2)
        object.__setattr__(session.session, "authenticated_at", old)
        assert (await root.get("/ops/bans")).status_code == 200
        for path, form in ACTIONS[:2]:
            answer = await root.post(path, data=form)
            assert answer.status_code in {401, 403}
            assert "Sign in again" in answer.text
    assert "rate_limiting.ban_started" not in site.names()
    await site.stockade.stop()


async def test_a_wrong_password(site: Site) -> None:
    """Unknown and known accounts read the same, and nothing that was typed comes back."""
    async with site.browser(None) as nobody:
        answers = [
            await nobody.post("/ops/sign-in", data={"email": email, "password": "wrong password"})
            for email in (ROOT.email, "nobody@acme.example")
        ]
        assert [answer.status_code for answer in answers] == [401, 401]
        assert answers[0].text == answers[1].text
        assert "is wrong" in answers[0].text
        assert not [answer for answer in answers if "set-cookie" in answer.headers]


async def test_another_site_signs_nobody_in(site: Site) -> None:
    """Nobody ends up in a foreign account by a form elsewhere."""
    async with site.browser(None) as nobody:
        form = {"email": ROOT.email, "password": PASSWORD}
        answer = await nobody.post(
            "/ops/sign-in", data=form, headers={"Sec-Fetch-Site": "cross-site"}
        )
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


async def test_signing_out_ends_the_session(site: Site) -> None:
    """The cookie is worth nothing afterwards, wherever it was copied to."""
    async with site.browser() as root:
        cookie = root.cookies["__Host-stockade"]
        answer = await root.post("/ops/sign-out")
        assert (answer.status_code, answer.headers["location"]) == (303, "/ops/sign-in")
        assert "Max-Age=0" in answer.headers["set-cookie"]
        answer = await root.get("/ops", headers={"Cookie": f"__Host-stockade={cookie}"})
        assert answer.status_code == 401


async def test_decisions_are_explained(site: Site) -> None:
    """The page has the verdict, its reason code and each step."""
    async with site.browser() as root:
        assert "GET /notes" in (await root.get("/ops/explain")).text
        form = {"email": "Admin@Acme.example", "route": "GET /notes"}
        page = (await root.post("/ops/explain", data=form)).text
        assert "It may<" in page
        assert "authorization.granted" in page
        form["email"] = "member@acme.example"
        page = (await root.post("/ops/explain", data=form)).text
        assert "It may not" in page
        assert "role admin" in page
        assert "authorization.role_missing" in page
        for wrong in ({"email": "x@y.example"}, {"route": f"GET {HOSTILE}"}):
            answer = await root.post("/ops/explain", data={**form, **wrong})
            assert answer.status_code == 404
            assert "<script" not in answer.text


async def test_reasons_are_shown_as_text(site: Site) -> None:
    """Routes, reasons and keys that look like HTML are shown, and none of them is any."""
    async with site.browser() as root:
        for _ in range(4):
            await root.get(f"/{HOSTILE}")
        site.stockade._limits.refusals.note([f"{{user:{HOSTILE}\x1b[2J\u202e}}"], Outcome.REFUSED)
        for path in PAGES:
            page = (await root.get(path)).text
            assert "<script" not in page
            assert "\x1b" not in page
            assert "\u202e" not in page
        limits = (await root.get("/ops/limits")).text
        assert "&lt;script&gt;" in limits
        assert "\\x1b[2J\\u202e" in limits
        overview = (await root.get("/ops")).text
        assert "because &#34;&gt;&lt;script&gt;" in overview
        assert "the load balancer asks" in overview


async def test_sql_text_that_is_let_through_is_shown(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The overview has every kind of excuse, each with its reason."""
    excuses: list[RouteExcuse | RawExcuse] = [
        RouteExcuse(route="GET /notes", place="query q", kind="text", reason="a <b> search"),
        RawExcuse(
            place="reports.py:7",
            name="REPORT",
            reason=f"because {HOSTILE}",
            used=("jobs.py:3", "jobs.py:9"),
            held_by="nothing",
        ),
    ]
    monkeypatch.setattr(site.stockade, "excuses", lambda: excuses)
    async with site.browser() as root:
        answer = await root.get("/ops")
    assert answer.status_code == 200
    for shown in ("reports.py:7", "jobs.py:3, jobs.py:9", "nothing", "a &lt;b&gt; search"):
        assert shown in answer.text
    assert "<script" not in answer.text


async def test_a_store_that_is_away_is_a_page(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so with its status, and shows nothing of the error."""

    async def fail(*_: object, **__: object) -> None:
        raise StoreError("redis://:secret@host is away")

    monkeypatch.setattr(site.stockade._limits.refusals, "read", fail)
    async with site.browser() as root:
        answer = await root.get("/ops/limits")
    assert answer.status_code == 503
    assert "A store does not answer" in answer.text
    assert "secret" not in answer.text


async def test_what_is_off_is_said() -> None:
    """No page is empty for a reason that it does not name."""
    site = make_site(rate_limiting={"enabled": False})
    await site.stockade.start()
    async with site.browser() as root:
        overview = (await root.get("/ops")).text
        assert "<strong>off</strong> rate_limiting" in overview
        assert "Limits are off" in (await root.get("/ops/limits")).text
        assert "Bans are off" in (await root.get("/ops/bans")).text
        for path, form in ACTIONS[:2]:
            assert (await root.post(path, data=form)).status_code == 409
    await site.stockade.stop()


async def test_a_dry_run_is_apart() -> None:
    """Limits that only count are said to, and have a table of their own."""
    site = make_site(rate_limiting={"enabled": True, "dry_run": True})
    await site.stockade.start()
    async with site.browser() as root:
        for _ in range(4):
            assert (await root.get(f"/{HOSTILE}")).status_code == 200
        page = (await root.get("/ops/limits")).text
        assert "only count" in page
        assert "Would have been refused in the last hour" in page
        assert "2 requests." in page
    await site.stockade.stop()


async def test_below_a_root_path(site: Site) -> None:
    """Behind a proxy that serves the application below a path, links and refusals have it."""
    transport = httpx2.ASGITransport(app=site.app, root_path="/api")
    async with httpx2.AsyncClient(transport=transport, base_url="https://testserver") as client:
        for path in ("/api/ops", "/ops"):
            answer = await client.get(path)
            assert answer.status_code == 401
            assert 'action="/api/ops/sign-in"' in answer.text
        form = {"email": ROOT.email, "password": PASSWORD}
        headers = {"Sec-Fetch-Site": "same-origin"}
        answer = await client.post("/api/ops/sign-in", data=form, headers=headers)
        assert answer.headers["location"] == "/api/ops"


@pytest.mark.parametrize(
    ("root", "shown"),
    [
        ("%5Cevil.example", "/%5Cevil.example"),
        ("{0.__class__}", "/%7B0.__class__%7D"),
        ("{}{}", "/%7B%7D%7B%7D"),
        ("a%22c", "/a%22c"),
    ],
)
async def test_below_a_path_that_callers_choose(site: Site, root: str, shown: str) -> None:
    """No spelling of a mount's parameter leads a link or a form to another host, or fails."""
    outer = Starlette(routes=[Mount("/{tenant}", app=site.app)])
    transport = httpx2.ASGITransport(app=outer)
    async with httpx2.AsyncClient(transport=transport, base_url="https://testserver") as client:
        client.headers["Sec-Fetch-Site"] = "same-origin"
        base = f"https://testserver/{root}/ops"
        for path in ("", "/sign-in", "/bans"):
            answer = await client.get(f"{base}{path}")
            assert f'action="{shown}/ops/sign-in"' in answer.text
        form = {"email": ROOT.email, "password": PASSWORD}
        answer = await client.post(f"{base}/sign-in", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{shown}/ops")


async def test_other_paths_keep_their_problems(site: Site) -> None:
    """A refusal of the application itself stays what it is."""
    async with site.browser(None) as nobody:
        for path in ("/notes", "/opsy", "/ops-else"):
            answer = await nobody.get(path)
            assert answer.headers["content-type"] == "application/problem+json"


async def test_it_is_off_unless_asked_for() -> None:
    """Without the setting there is no route of it."""
    site = make_site(dashboard={})
    await site.stockade.start()
    assert not [plan for plan in site.stockade.plans() if plan.route.startswith("/ops")]
    await site.stockade.stop()


@pytest.mark.parametrize("more", [{"authentication": {"cookies": False}}], ids=["cookies are off"])
def test_what_can_not_be_served_stops_the_start(more: dict[str, object]) -> None:
    """One line says what to do."""
    with pytest.raises(ConfigurationError, match="STOCKADE_AUTHENTICATION__COOKIES"):
        make_site(**more)


def test_a_starlette_application_is_refused() -> None:
    """Its routes could not be bound."""
    stockade = Stockade(make_settings(), accounts=MemoryAccountStore([ROOT]))
    with pytest.raises(ConfigurationError, match="FastAPI"):
        stockade.install(Starlette())


def test_without_jinja_the_start_stops_with_one_line() -> None:
    """The extra is named, and nothing else of Stockade needs it."""
    program = (
        "import sys; sys.modules['jinja2'] = None\n"
        "from fastapi import FastAPI\nfrom stockade import Settings, Stockade\n"
        "settings = dict(environment='test', authentication={'cookies': True})\n"
        "Stockade(Settings(**settings)).install(FastAPI())\n"
        "try:\n    Stockade(Settings(dashboard={'path': '/ops'}, **settings)).install(FastAPI())\n"
        "except Exception as error:\n    print(type(error).__name__, error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.startswith("ConfigurationError the dashboard needs Jinja2: pip install")
    assert len(ran.stdout.splitlines()) == 1


async def test_it_stands_before_a_route_that_catches_all() -> None:
    """An application that serves every path does not serve the dashboard's."""
    app = FastAPI()

    @app.get("/{path:path}")
    async def everything(path: str) -> str:
        return path

    stockade = Stockade(
        make_settings(validation={"unbounded": "warn"}, gate={"default": "authenticated"}),
        accounts=MemoryAccountStore([ROOT]),
        sinks=[],
    )
    stockade.install(app)
    await stockade.start()
    async with Site(app, stockade).browser() as root:
        assert "Overview" in (await root.get("/ops")).text
        # Nor does it take a path that only begins like its own.
        assert (await root.get("/opsx")).json() == "opsx"
    await stockade.stop()


def test_our_own_review_of_templates_finds_nothing() -> None:
    """What Stockade says of templates holds for its own."""
    environment = make_environment()
    with resources.as_file(resources.files("stockade.dashboard") / "templates") as folder:
        environment.loader = FileSystemLoader(folder)
        assert check_jinja2(environment) == []
        assert len(environment.list_templates()) == 8


@pytest.mark.parametrize(
    ("typed", "named"),
    [
        ("ip:192.0.2.7/32", "ip:192.0.2.7"),
        ("ip:::ffff:192.0.2.7", "ip:192.0.2.7"),
        ("ip:192.0.2.0/24", None),
        ("ip:2001:db8::/48", None),
        ("user:" + "x" * 70, "user:"),
        ("", None),
    ],
)
def test_subjects_are_named_as_buckets_are(typed: str, named: str | None) -> None:
    """What is typed is the key that a request would have, or nothing."""
    found = name_subject(typed, 64)
    if named == "user:":
        assert found is not None
        assert len(found) == len("user:") + 32
    else:
        assert found == named


async def test_addresses_of_other_people_do_not_reach_urls(site: Site) -> None:
    """An e-mail address is sent in a body, which no proxy logs."""
    async with site.browser() as root:
        page = (await root.get("/ops/explain")).text
    assert 'method="post" action="/ops/explain"' in page
