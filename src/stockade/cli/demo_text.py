"""Say what the demo offers, with lines to paste into another terminal."""

from __future__ import annotations

from collections.abc import Iterable

_TEXT = """\
Stockade demo: a notes backend for two companies, every layer on.

  Address   {origin}
  API docs  {origin}/docs   {docs}
  Storage   {database}, limits in {limits}

Logins{remark}:
{logins}

Paste these into another terminal, the first line first:

# Sign in as a member of Acme.
TOKEN=$(curl -s {origin}/auth/token -d username={member} -d password={password} | \
sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')

# 200: the notes of Acme, and no others.
curl -siw '\\n' -H "Authorization: Bearer $TOKEN" {origin}/notes

# 401: nobody is signed in.
curl -siw '\\n' {origin}/notes

# 403: a member is no admin.
curl -siw '\\n' -X POST -H "Authorization: Bearer $TOKEN" {origin}/companies/admin-endpoint

# 404: this note exists, but it belongs to Globex.
curl -siw '\\n' -H "Authorization: Bearer $TOKEN" {origin}/notes/globex-welcome

# 429: the sixth export within a minute is one too many.
for i in 1 2 3 4 5 6; do curl -s -o /dev/null -w '%{{http_code}}\\n' \
-H "Authorization: Bearer $TOKEN" {origin}/notes/export; done

Every refusal is logged below, as one JSON object a line. Ctrl-C ends the demo{ending}.
"""


def describe_demo(
    *,
    origin: str,
    logins: Iterable[tuple[str, str, str | None]],
    docs: tuple[str, str] | None,
    own_database: bool,
    limits: str,
) -> str:
    """Describe the running demo.

    Args:
        origin: Scheme, host and port.
        logins: Address, password and role of each account; without a role, it is above companies.
        docs: Name and password of the API documentation; None where the user has set their own.
        own_database: Whether the user has named the database.
        limits: Where limits are counted.
    """
    accounts = list(logins)
    member, password, _ = next(account for account in accounts if account[2] == "member")
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
        member=member,
        password=password,
        ending="" if own_database else " and deletes what it stored",
    )
