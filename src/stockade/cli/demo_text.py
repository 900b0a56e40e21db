"""Say what the demo offers, with lines to paste into another terminal."""

from __future__ import annotations

from collections.abc import Iterable

_TEXT = """\
Stockade demo: a notes backend for two companies, every layer on.

  Address   {origin}
  API docs  {origin}/docs   {docs}
  Dashboard {origin}/stockade   for super-admin@example.com
  Storage   {database}, limits in {limits}{row_security}

Logins{remark}:
{logins}

Paste these into another terminal, the first lines first:

# Sign in as a member and as the owner of Acme, and as who runs the whole system.
token() {{ curl -s {origin}/auth/token -d username="$1" -d password="$2" | \
sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/'; }}
TOKEN=$(token {member}); OWNER=$(token {owner}); SUPPORT=$(token {support})
ask() {{ WHO=$1; shift; curl -siw '\\n' -H "Authorization: Bearer $WHO" "$@"; }}
JSON='Content-Type: application/json'

# 200: the notes of Acme, and no others.
ask $TOKEN {origin}/notes

# 401: nobody is signed in.
curl -siw '\\n' {origin}/notes

# 403: a member is no admin.
ask $TOKEN -X POST {origin}/companies/admin-endpoint

# 404: this note exists, but it belongs to Globex.
ask $TOKEN {origin}/notes/globex-welcome

# 404: this one belongs to Acme, and is private. By its rule nobody but its author knows of it.
ask $TOKEN {origin}/notes/acme-diary

# 403: everybody in Acme reads this note; its rule lets its author and admins rewrite it.
ask $TOKEN -X PUT {origin}/notes/acme-coffee -H "$JSON" -d '{{"title": "Tea", "body": ""}}'

# 200: a member sees projects without their budgets,
ask $TOKEN {origin}/projects

# 200: which are not sent to those who lack the permission. The owner has it.
ask $OWNER {origin}/projects

# 404: no note of Globex gets into a project of Acme, whoever asks.
ask $OWNER -X PUT {origin}/projects/acme-moon/notes/globex-welcome

# 403: nobody says what the own project may cost.
ask $OWNER -X PUT {origin}/projects/acme-moon/budget -H "$JSON" -d '{{"budget": 1}}'

# 403: who runs the whole system is in no company,
ask $SUPPORT {origin}/notes

# 200: and crosses into one for a ticket. The event tenancy.crossed below says who, where and why.
ask $SUPPORT "{origin}/support/globex/notes?ticket=SUP-17"

# 200: the same as one of its members, with what that member may see: authorization.impersonated.
ask $SUPPORT "{origin}/support/globex/members/globex-member/projects?ticket=SUP-17"

# 429: the sixth export within a minute is one too many.
for i in 1 2 3 4 5 6; do ask $TOKEN -o /dev/null -w '%{{http_code}}\\n' {origin}/notes/export; done

Every refusal is logged below, as one JSON object a line. Ctrl-C ends the demo{ending}.
"""


def describe_demo(
    *,
    origin: str,
    logins: Iterable[tuple[str, str, str | None]],
    docs: tuple[str, str] | None,
    own_database: bool,
    limits: str,
    row_security: str | None,
) -> str:
    """Describe the running demo.

    Args:
        origin: Scheme, host and port.
        logins: Address, password and role of each account; without a role, it is above companies.
        docs: Name and password of the API documentation; None where the user has set their own.
        own_database: Whether the user has named the database.
        limits: Where limits are counted.
        row_security: How far row-level security is in force; None where it is not.
    """
    accounts = list(logins)
    width = max(len(email) for email, _, _ in accounts)
    return _TEXT.format(
        origin=origin,
        docs="user {}, password {}".format(*docs) if docs else "with the credentials you have set",
        database="the database of DATABASE_URL" if own_database else "a temporary SQLite file",
        limits=limits,
        remark=" (of a database that was empty at the first start)" if own_database else "",
        logins="\n".join(
            f"  {email:<{width}}  {secret:<22}  {role or 'super_admin'}"
            for email, secret, role in accounts
        ),
        member=_credentials(accounts, "member"),
        owner=_credentials(accounts, "owner"),
        support=_credentials(accounts, None),
        row_security=f"\n            row-level security {row_security}" if row_security else "",
        ending="" if own_database else " and deletes what it stored",
    )


def _credentials(accounts: list[tuple[str, str, str | None]], role: str | None) -> str:
    return next(f"{email} {password}" for email, password, held in accounts if held == role)
